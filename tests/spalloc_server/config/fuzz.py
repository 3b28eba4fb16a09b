"""Damages configurations in every way that a hand or a disk damages them, and checks what the reader makes of each.

`python -m tests.spalloc_server.config.fuzz INPUTS [SEED]` tries this number of inputs: a million when the reader
changes. test_fuzz.py tries some in every run.
"""

import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from spalloc_server.config.document import parse
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.settings import Configuration
from tests.spalloc_server.config.examples import CSV, OF_A_FILE, ONE_BOARD, THREE_BOARDS

NOWHERE = Path("/nowhere")
EVERYTHING = (
    ONE_BOARD
    + THREE_BOARDS
    + OF_A_FILE
    + """
[v1]
listen = ["0.0.0.0"]
port = 1
allow = ["10.0.0.0/8"]
[v1.limits]
connections = 7
idle_seconds = 1e3
[metrics]
[state]
file = "x"
[history]
days = 3
[usage]
charges = 3
[audit]
entries = 3
[trust]
control = "owner"
administrators = []
accounts = { "10.0.0.0/8" = "lab" }
[log]
level = "info"
"""
)
KEYS = sorted(
    {word for line in EVERYTHING.splitlines() for word in [line.split("=")[0].strip(" []")] if word}
)


VALUES = sorted(
    {line.split("=", 1)[1].strip() for line in EVERYTHING.splitlines() if "=" in line}
    | {
        "true",
        "-1",
        "1e999",
        "nan",
        "9" * 30,
        '""',
        "[]",
        "{}",
        "[[]]",
        "2026-11-22",
        '"::/0"',
        '"21x21"',
        "[0, 0, 3]",
    }
)


def damaged(seed: int) -> str:
    """Return a configuration that is not as it was in one to six places, always the same for one seed."""
    chance = random.Random(seed)
    text = EVERYTHING
    # Damaged letters seldom leave TOML behind; damaged lines mostly do, and get further.
    damage = chance.choice((_letters_damaged, _line_damaged))
    for _ in range(chance.randint(1, 6)):
        text = damage(text, chance)
    return text


def _letters_damaged(text: str, chance: random.Random) -> str:
    at, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    end = min(end, at + chance.randrange(30))
    words = [
        "",
        chance.choice('"[]{}=,.#\n\\0-'),
        text[at:end] * 2,
        chance.choice(KEYS),
        "\U0001f600",
        "\r",
    ]
    return text[:at] + chance.choice(words) + text[end:]


def _line_damaged(text: str, chance: random.Random) -> str:
    lines = text.splitlines()
    at = chance.randrange(len(lines))
    key, equals, _ = lines[at].partition("=")
    match chance.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(chance.randrange(len(lines)), lines[at])
        case 2:
            lines.insert(at, f"{chance.choice(KEYS)} = {chance.choice(VALUES)}")
        case 3 if equals:
            lines[at] = f"{chance.choice(KEYS)} = {chance.choice(VALUES)}"
        case _ if equals:
            lines[at] = f"{key}= {chance.choice(VALUES)}"
        case _:
            lines[at] = f"[{chance.choice(KEYS)}]"
    return "\n".join(lines) + "\n"


def tried(text: str, folder: Path = NOWHERE) -> bool:
    """Read a configuration, and return whether it was one; anything but a whole value or a report fails.

    Args:
        text: The configuration.
        folder: Where the files that it names are.
    """
    try:
        configuration = parse(text, "fuzz.toml", folder)
    except ConfigurationError as error:
        assert error.mistakes
        lines = text.count("\n") + 1
        for mistake in error.mistakes:
            assert 1 <= mistake.line <= lines or mistake.file != "fuzz.toml"
            assert str(mistake).isprintable()
        return False
    assert isinstance(configuration, Configuration)
    for machine in configuration.machines:
        assert set(machine.places) == set(machine.addresses)
        assert {place.in_frame for place in machine.places.values()} <= set(machine.bmps)
        assert machine.dead_boards.isdisjoint(machine.places)
        assert len(machine.places) + len(machine.dead_boards) == machine.size.boards
    return True


def main() -> None:
    """Try as many damaged configurations as the command line says."""
    inputs = int(sys.argv[1])
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    began = time.perf_counter()
    taken, slowest = 0, (0.0, first)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "boards.csv").write_text(CSV)
        for seed in range(first, first + inputs):
            started = time.process_time()
            try:
                taken += tried(damaged(seed), folder)
            except BaseException as error:
                error.add_note(f"To see it again: python -m tests.spalloc_server.config.fuzz 1 {seed}")
                raise
            slowest = max(slowest, (time.process_time() - started, seed))
    print(
        f"{inputs:,} damaged configurations from seed {first}: {taken:,} could be taken, {inputs - taken:,} were "
        f"refused with a report, in {time.perf_counter() - began:.0f} s, the slowest in {slowest[0] * 1e3:.1f} ms "
        f"of the processor (seed {slowest[1]})"
    )


if __name__ == "__main__":
    main()
