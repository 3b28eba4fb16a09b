"""The recorded value of each ratio, and the limit below which the ratio counts as lost.

Values only; ratios.py says how a ratio is taken.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

FILE = Path(__file__).with_name("recorded.toml")
ATTEMPTS = 3


def recorded() -> Mapping[str, float]:
    """Return how many times better ours was than the published program, by the ratio's name."""
    return {
        str(name): float(ratio) for name, ratio in tomllib.loads(FILE.read_text(encoding="utf-8")).items()
    }


def lost(name: str, ratio: Callable[[], float], before: Mapping[str, float], allowed: float) -> str | None:
    """Take a ratio until it reaches the recorded value, at most three times.

    Args:
        name: the ratio's name.
        ratio: how it is taken.
        before: what is recorded, by name.
        allowed: the share of what is recorded that is still let pass.

    Returns:
        None if it is, else a sentence that says how much was lost.

    Raises:
        KeyError: Nothing is recorded under that name.
    """
    if name not in before:
        raise KeyError(
            f"no ratio {name!r} is recorded in {FILE.name}; record it: python -m benchmarks.regression"
        )
    best = 0.0
    for _ in range(ATTEMPTS):
        best = max(best, ratio())
        if best >= allowed * before[name]:
            return None
    return (
        f"{name}: {best:.2f} times better than the published program; {before[name]:.2f} times is recorded. Find what "
        f"became slower, or, if it is worth its price, record the new ratio: python -m benchmarks.regression"
    )


def as_toml(ratios: Mapping[str, float]) -> str:
    """Return the file's text for ratios."""
    lines = [f'"{name}" = {ratio:.2f}\n' for name, ratio in ratios.items()]
    return (
        "# How many times better ours is than the published program: python -m benchmarks.regression\n"
        + "".join(lines)
    )
