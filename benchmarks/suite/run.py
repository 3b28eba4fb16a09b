"""Takes samples: all subjects of a measurement in turn, forwards and backwards, as often as the effort says.

The rooms say what is measured. Each yields scenes, one at a time, whose subjects are ready to work.
"""

import contextlib
import time
import traceback
from collections.abc import Callable, Generator, Iterator

from benchmarks.suite.measurement import (
    OURS,
    CannotDoError,
    Effort,
    Failed,
    Kind,
    Outcome,
    Samples,
    Scene,
    Subject,
)

Room = Callable[[Effort], Generator[Scene, None, None]]
"""Yields scenes; what they share is open while they are measured, and closed afterwards."""


def measured(scene: Scene, effort: Effort) -> Outcome:
    """Take the samples of one measurement.

    In every other round the subjects go in the opposite order, so that none always follows the same other. One that
    cannot do the work is left out from then on, unless it is ours.

    Raises:
        CannotDoError: Ours could not do the work.
        ValueError: The scene has other subjects than its declaration.
    """
    measurement, takes = scene
    if set(takes) != set(measurement.subjects):
        names = [", ".join(sorted(subject.name for subject in of)) for of in (measurement.subjects, takes)]
        raise ValueError(f"{measurement.name} declares {names[0]}, and has {names[1]}")
    values: dict[Subject, list[float]] = {subject: [] for subject in measurement.subjects}
    failures: dict[Subject, str] = {}

    def take(subject: Subject, *, counted: bool = True) -> None:
        try:
            value = takes[subject].sample()
        except (CannotDoError, OSError) as problem:
            if subject.kind is Kind.OURS:
                raise CannotDoError(str(problem)) from problem
            failures[subject] = str(problem) or type(problem).__name__
        else:
            if counted:
                values[subject].append(value)

    if measurement.warm:
        for subject in measurement.subjects:
            take(subject, counted=False)
    for turn in range(effort.rounds(measurement, OURS)):
        for subject in measurement.subjects[:: -1 if turn % 2 else 1]:
            if turn < effort.rounds(measurement, subject) and subject not in failures:
                take(subject)
    return Outcome(
        measurement,
        tuple(
            Samples(
                subject,
                tuple(values[subject]),
                takes[subject].note,
                failures.get(subject, ""),
                effort.rounds(measurement, subject),
            )
            for subject in measurement.subjects
        ),
    )


def run(name: str, room: Room, effort: Effort, say: Callable[[str], None]) -> Iterator[Outcome | Failed]:
    """Run the scenes of a room. A failure of ours ends the room: the next scenes build on it.

    Args:
        name: the room's name.
        room: what is measured.
        effort: how thoroughly.
        say: told of each measurement as it is done.
    """
    doing = name
    with contextlib.closing(room(effort)) as scenes:
        try:
            began = time.monotonic()
            for scene in scenes:
                doing = scene[0].name
                if effort.wants(scene[0]):
                    yield measured(scene, effort)
                    say(f"{doing}: {time.monotonic() - began:.1f} s")
                began = time.monotonic()
        except Exception as problem:  # noqa: BLE001 - the other rooms are still worth measuring
            say("".join(traceback.format_exception(problem)))
            yield Failed(doing, f"{type(problem).__name__}: {problem}")
