"""Ratios to published programs, taken in this very run, that hardly move on a busy machine: they must not be lost."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.regression import ratios
from benchmarks.regression.recorded import lost, recorded
from tests.peers.environments import PeerEnvironment

# Apart from the other slow tests: counting coverage would make ours slower, and not the others'.
held = pytest.mark.uncounted

Peer = Callable[[str], PeerEnvironment]


def _held(taken: ratios.Ratios, names: frozenset[str]) -> None:
    assert set(taken) == names
    before = recorded()
    sentences = [lost(name, take, before, ratios.ALLOWED[name]) for name, take in taken.items()]
    assert not any(sentences), "\n".join(filter(None, sentences))


@held
def test_commands_cost_the_server_as_much_less_than_the_published_one_as_they_did(peer: Peer) -> None:
    peer("spalloc-server==1!7.0.0")
    with ratios.servers() as taken:
        _held(taken, ratios.OF_SERVERS)


@held
def test_importing_the_client_costs_as_much_less_than_the_published_one_as_it_did(peer: Peer) -> None:
    peer("spalloc==1!7.0.0")
    _held(ratios.client_import(Path(sys.executable).parents[1]), ratios.OF_CLIENT)


@held
def test_jobs_wait_as_much_less_than_in_the_published_queue_as_they_did(peer: Peer) -> None:
    peer("spalloc-server==1!7.0.0")
    _held(ratios.scheduling(), ratios.OF_SCHEDULING)


def test_every_ratio_is_recorded() -> None:
    assert set(recorded()) == ratios.NAMES


def test_simulated_waits_are_held_closer_than_what_a_busy_machine_disturbs() -> None:
    assert set(ratios.ALLOWED) == ratios.NAMES
    exact = {ratios.MEAN_WAIT, ratios.LONGEST_WAIT}
    assert min(ratios.ALLOWED[name] for name in exact) > max(
        ratios.ALLOWED[name] for name in ratios.NAMES - exact
    )
