"""Who takes samples, in which order, and what happens to those who cannot."""

from collections.abc import Callable, Generator

import pytest

from benchmarks.suite.measurement import (
    BARE_SERVER,
    OURS,
    SERVER_7_0_0,
    CannotDoError,
    Effort,
    Failed,
    Measurement,
    Outcome,
    Scene,
    Subject,
    Take,
)
from benchmarks.suite.run import measured, run
from tests.benchmarks.made import measurement


class Work:
    """Work that notes who did it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def of(self, subject: Subject, fails_at: int = -1) -> Take:
        def sample() -> float:
            if self.done.count(subject.name) == fails_at:
                raise CannotDoError("it is too much")
            self.done.append(subject.name)
            return float(len(self.done))

        return Take(sample)

    def scene(self, of: Measurement, failing: Subject | None = None, fails_at: int = 0) -> Scene:
        return of, {s: self.of(s, fails_at if s is failing else -1) for s in of.subjects}


THREE = measurement(limits=(BARE_SERVER,))
NAMES = [OURS.name, SERVER_7_0_0.name, BARE_SERVER.name]


def test_all_take_turns_forwards_and_backwards() -> None:
    work = Work()
    measured(work.scene(THREE), Effort())
    assert work.done == [*NAMES, *reversed(NAMES)]


def test_a_quick_run_takes_fewer_rounds() -> None:
    work = Work()
    measured(work.scene(THREE), Effort(quick=True))
    assert work.done == NAMES


def test_a_published_program_that_needs_too_long_takes_part_in_fewer_rounds() -> None:
    outcome = measured(Work().scene(measurement(rounds=3, peer_rounds=1)), Effort())
    assert [len(samples.values) for samples in outcome.samples] == [3, 1]


def test_a_first_turn_that_only_warms_up_is_not_counted() -> None:
    work = Work()
    outcome = measured(work.scene(measurement(warm=True)), Effort())
    assert work.done[:2] == NAMES[:2]
    assert [len(samples.values) for samples in outcome.samples] == [2, 2]


def test_a_published_program_that_cannot_do_it_is_left_out_and_its_reason_kept() -> None:
    work = Work()
    outcome = measured(work.scene(THREE, SERVER_7_0_0, 1), Effort())
    ours, theirs, bare = outcome.samples
    assert (len(ours.values), len(theirs.values), len(bare.values)) == (2, 1, 2)
    assert theirs.failure == "it is too much"


def test_ours_must_be_able_to_do_it() -> None:
    with pytest.raises(CannotDoError, match="it is too much"):
        measured(Work().scene(THREE, OURS), Effort())


def test_subjects_must_be_those_that_are_declared() -> None:
    with pytest.raises(ValueError, match=r"server/work declares .*, and has spalloc"):
        measured((THREE, {OURS: Work().of(OURS)}), Effort())


def _room(*scenes: Scene, closed: Callable[[], None] = lambda: None):
    def room(_: Effort) -> Generator[Scene, None, None]:
        try:
            yield from scenes
        finally:
            closed()

    return room


def test_a_scene_that_a_quick_run_leaves_out_is_not_measured() -> None:
    work = Work()
    room = _room(work.scene(measurement(quick_rounds=0)), work.scene(measurement(name="server/other")))
    (outcome,) = run("server", room, Effort(quick=True), lambda _: None)
    assert isinstance(outcome, Outcome)
    assert outcome.measurement.name == "server/other"


def test_what_goes_wrong_ends_the_room_is_told_and_closes_what_was_open() -> None:
    closed: list[bool] = []
    room = _room(
        Work().scene(measurement()),
        Work().scene(measurement(name="server/bad"), OURS),
        Work().scene(measurement(name="server/never")),
        closed=lambda: closed.append(True),
    )
    first, second = run("server", room, Effort(), lambda _: None)
    assert isinstance(first, Outcome)
    assert second == Failed("server/bad", "CannotDoError: it is too much")
    assert closed
