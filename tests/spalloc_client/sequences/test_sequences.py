"""Random sequences of Job calls to a server that delays, splits, drops and loses replies: ours beside release 1!7.0.0.

A part is tried by `make test`, and 1,000 by `make long`; other ones in each run.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.environments import PeerEnvironment
from tests.seeds import SEED
from tests.spalloc_client.sequences.comparison import SAME, Side, compare, compare_ours

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "library-differences.md"
LISTED = set(re.findall(r"^\| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))
"""The first column of the page's tables."""


@pytest.fixture
def sides(peer: Callable[[str], PeerEnvironment], tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    theirs = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with (
        Side("ours", Path(sys.executable), os.environ) as ours,
        Side("published", peer("spalloc==1!7.0.0").python, theirs) as published,
    ):
        yield ours, published


def try_some(first: int, number: int, sides: tuple[Side, Side]) -> None:
    """Compare both over some sequences, and print how often they differ, by kind."""
    total: Counter[str] = Counter()
    for seed in range(first, first + number):
        kinds, wrong = compare(seed, *sides)
        if wrong:
            # A busy machine is late by itself; what is wrong is wrong again.
            kinds, wrong = compare(seed, *sides)
        assert not wrong, (seed, wrong)
        total += kinds
    print(f"sequences {first} to {first + number - 1}:", dict(total))
    assert total[SAME] > number, "hardly anything was the same"
    assert {*total} - {SAME} <= LISTED


@pytest.mark.slow
def test_some_sequences_of_calls_come_to_the_same_as_with_the_published_client_or_better(
    sides: tuple[Side, Side],
) -> None:
    try_some(1000 * SEED, 40, sides)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(20))
def test_a_thousand_sequences_do(part: int, sides: tuple[Side, Side]) -> None:
    try_some(1000 * SEED + 50 * part, 50, sides)


@pytest.mark.long
def test_the_asyncio_job_comes_to_the_same_as_the_blocking_one() -> None:
    python = Path(sys.executable)
    with (
        Side("blocking", python, os.environ) as blocking,
        Side("asyncio", python, {**os.environ, "PYTHONPATH": str(ROOT)}) as awaited,
    ):
        for seed in range(1000 * SEED, 1000 * SEED + 100):
            # As above.
            wrong = compare_ours(seed, blocking, awaited) and compare_ours(seed, blocking, awaited)
            assert not wrong, (seed, wrong)
