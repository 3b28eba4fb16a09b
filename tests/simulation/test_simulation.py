"""Thousands of sites, each simulated from a seed of its own, where everything goes wrong that can.

site.py has what happens to a site, invariants.py what must hold. `python -m tests.simulation.run SEED` repeats one
seed, with its log.
"""

import logging
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.seeds import SEED
from tests.simulation.run import run

FIRST_SEED = SEED * 10_000
SEEDS_A_TEST = 50
BATCHES = [pytest.param(batch, marks=pytest.mark.uncounted) for batch in range(1, 11)] + [
    pytest.param(batch, marks=pytest.mark.long) for batch in range(11, 101)
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Discard the log that servers write of a hundred thousand faults."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def _run(first: int, count: int) -> Counter[str]:
    happened: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            happened += run(seed)
        except AssertionError as broken:
            pytest.fail(f"{broken}\nTo see it again: python -m tests.simulation.run {seed}", pytrace=False)
        except Exception as error:
            error.add_note(f"To see it again: python -m tests.simulation.run {seed}")
            raise
    return happened


def test_a_site_keeps_its_promises_whatever_goes_wrong() -> None:
    _run(FIRST_SEED, 10)


@pytest.mark.parametrize("batch", BATCHES)
def test_a_site_keeps_its_promises_whatever_goes_wrong_in_thousands_of_stories(batch: int) -> None:
    _run(FIRST_SEED + batch * SEEDS_A_TEST, SEEDS_A_TEST)


@pytest.mark.uncounted
def test_stories_have_every_misfortune_in_them() -> None:
    # The same stories each time: of fifty at random, some day there will be fifty peaceful ones.
    happened = _run(0, SEEDS_A_TEST)
    for misfortune in (
        "kill",
        "power loss",
        "crash in a write",
        "BMP dead",
        "BMP slow",
        "BMP idle_power",
        "BMP idle_writes",
        "datagrams lost",
        "late copy of a command",
        "reload",
        "cold start",
        "report",
        "server failed",
        "pause",
        "keeper died",
        "Drain",
        "out",
        "PutBack",
        "ClearReports",
        "Reserve",
        "Unreserve",
        "AddAccount",
        "RemoveAccount",
        "SetLocked",
        "SetPassword",
        "RevokeTokens",
        "BeginSession",
        "EndSession",
        "UseSession",
        "job ended by a reservation",
        "SetQuota",
        "ended by quota",
        "no quota left",
    ):
        assert happened[misfortune], f"no {misfortune} in {SEEDS_A_TEST} stories: they are too peaceful"


@pytest.mark.parametrize("seed", [600520, 1000956, 4238960606])
def test_a_story_that_once_ended_badly_ends_well(seed: int) -> None:
    run(seed)


@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_tells_the_same_story_each_time(seed: int) -> None:
    assert run(seed) == run(seed)
