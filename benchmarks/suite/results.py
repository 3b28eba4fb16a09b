"""The results of a run, as stored in a file. The pages are made from that file alone.

report/ decides how figures look on a page.
"""

from pathlib import Path

import msgspec

from benchmarks.suite.machine import MachineDescription
from benchmarks.suite.measurement import Kind, Outcome, Samples, Unit
from benchmarks.suite.statistics import Better, Spread, spread, times_better

DIGITS = 6
"""How many digits of a sample are kept."""


class Measured(msgspec.Struct, frozen=True, omit_defaults=True):
    """One subject's samples, and their statistics."""

    name: str
    kind: Kind
    samples: tuple[float, ...] = ()
    spread: Spread | None = None
    """Median and quartiles; None without samples."""
    times_better: Spread | None = None
    """How many times better ours is than this one."""
    note: str = ""
    failure: str = ""
    rounds: int = 0
    """How many rounds it should have taken part in, when a failure kept it from some."""


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measurement's results."""

    name: str
    work: str
    unit: Unit
    better: Better
    subjects: tuple[Measured, ...]
    """Ours first."""
    reason: str = ""

    @property
    def ours(self) -> Measured:
        """Our own samples."""
        return self.subjects[0]

    @property
    def peers(self) -> tuple[Measured, ...]:
        """Published programs."""
        return tuple(subject for subject in self.subjects if subject.kind is Kind.PEER)

    @property
    def limits(self) -> tuple[Measured, ...]:
        """What the machine allows."""
        return tuple(subject for subject in self.subjects if subject.kind is Kind.LIMIT)

    def subject(self, name: str) -> Measured | None:
        """Return a subject by its name, if it was measured."""
        return next((subject for subject in self.subjects if subject.name == name), None)


class RoomResults(msgspec.Struct, frozen=True):
    """The results of a room's run."""

    taken: str
    """The day, as YYYY-MM-DD."""
    run: str
    """When the run began, in UTC: the same for all rooms of a run."""
    seconds: float
    """How long the room took."""
    results: tuple[Result, ...]


class Results(msgspec.Struct, frozen=True):
    """The results of one machine."""

    machine: MachineDescription
    rooms: dict[str, RoomResults]

    def all(self) -> list[Result]:
        """Return the results of all rooms, in their order."""
        return [result for room in self.rooms.values() for result in room.results]

    def find(self, name: str) -> Result | None:
        """Return a result by its name, if it was measured."""
        return next((result for result in self.all() if result.name == name), None)


def result_of(outcome: Outcome) -> Result:
    """Compute the statistics of samples."""
    measurement, ours = outcome.measurement, outcome.samples[0]

    def summed_up(samples: Samples) -> Measured:
        values = samples.values
        compared = samples.subject.kind is not Kind.OURS and values
        return Measured(
            samples.subject.name,
            samples.subject.kind,
            tuple(_rounded(value) for value in values),
            _rounded_spread(spread(values)) if values else None,
            _rounded_spread(times_better(ours.values, values, measurement.better)) if compared else None,
            samples.note,
            samples.failure,
            samples.rounds if samples.failure else 0,
        )

    return Result(
        measurement.name,
        measurement.work,
        measurement.unit,
        measurement.better,
        tuple(summed_up(samples) for samples in outcome.samples),
        measurement.reason,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _rounded_spread(values: Spread) -> Spread:
    return Spread(_rounded(values.median), _rounded(values.low), _rounded(values.high))


def read(path: Path) -> Results:
    """Read results.

    Raises:
        FileNotFoundError: There is no such file.
        msgspec.ValidationError: It holds something else.
    """
    return msgspec.json.decode(path.read_bytes(), type=Results)


def write(path: Path, results: Results) -> None:
    """Write results, a line for each field, so that differences can be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
