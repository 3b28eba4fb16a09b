"""Declares what a measurement is: its work, the subjects that do it, and the better direction.

run.py takes the samples; results.py keeps them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from benchmarks.suite.statistics import Better


class Unit(Enum):
    """The unit of a sample, without prefixes such as milli and mega."""

    SECONDS = "seconds"
    BYTES = "bytes"
    PER_SECOND = "per second"
    COUNT = "count"
    SHARE = "share"


class Kind(Enum):
    """What a subject is measured for."""

    OURS = "ours"
    PEER = "peer"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject, which does the work."""

    name: str
    kind: Kind


OURS = Subject("spalloc", Kind.OURS)
CLIENT_7_0_0 = Subject("client 1!7.0.0", Kind.PEER)
CLIENT_7_4_1 = Subject("client 1!7.4.1", Kind.PEER)
CLIENT_2_0_1 = Subject("client 2.0.1", Kind.PEER)
SERVER_7_0_0 = Subject("server 1!7.0.0", Kind.PEER)
INTERPRETER = Subject("bare interpreter", Kind.LIMIT)
BARE_SOCKET = Subject("bare socket", Kind.LIMIT)
BARE_SERVER = Subject("bare server on uvloop", Kind.LIMIT)
UDP_ECHO = Subject("bare UDP echo", Kind.LIMIT)
WITHOUT_JOBS = Subject("spalloc without jobs", Kind.LIMIT)
SKIP = Subject("no geometry, all may overtake", Kind.LIMIT)
FIFO = Subject("no geometry, none may overtake", Kind.LIMIT)
OVER_V1 = Subject("spalloc over v1", Kind.LIMIT)
WITHOUT_CROWD = Subject("spalloc without them", Kind.LIMIT)
WITHOUT_HTTP = Subject("spalloc without `[http]`", Kind.LIMIT)
WITHOUT_LIMIT = Subject("spalloc, streams without a limit", Kind.LIMIT)
WITHOUT_STREAMS = Subject("spalloc without streams", Kind.LIMIT)
BARE_RELAY = Subject("bare relay", Kind.LIMIT)
DIRECTLY = Subject("SpiNNMan directly", Kind.LIMIT)

PUBLISHED_CLIENTS: Mapping[Subject, str] = {
    CLIENT_7_0_0: "spalloc==1!7.0.0",
    CLIENT_7_4_1: "spalloc==1!7.4.1",
    CLIENT_2_0_1: "spalloc==2.0.1",
}
"""Published clients, and the requirement that names each in `tests/peers/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One line of the results."""

    name: str
    """`room/subject`, the name by which results and pages refer to it."""
    work: str
    """The work, described for readers of the table."""
    unit: Unit
    better: Better = Better.LOWER
    peers: tuple[Subject, ...] = ()
    """Published programs that do the same work."""
    limits: tuple[Subject, ...] = ()
    """What the machine allows: the least that could do this work."""
    rounds: int
    """How many times all subjects take turns; 1 for a figure that does not vary."""
    quick_rounds: int
    """The same in a quick run; 0 leaves the measurement out."""
    peer_rounds: int | None = None
    """How many rounds published programs take part in, where they need too long for all."""
    quick_peer_rounds: int | None = None
    """The same in a quick run."""
    warm: bool = False
    """Whether each subject does the work once uncounted before the first round."""
    reason: str = ""
    """A note for readers: above all, why a ratio is not above 1."""

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """All subjects, ours first."""
        return (OURS, *self.peers, *self.limits)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a run may take."""

    quick: bool = False

    def rounds(self, measurement: Measurement, subject: Subject) -> int:
        """Return how many samples of a subject are taken."""
        every = measurement.quick_rounds if self.quick else measurement.rounds
        of_peers = measurement.quick_peer_rounds if self.quick else measurement.peer_rounds
        if subject.kind is Kind.PEER and of_peers is not None:
            return min(every, of_peers)
        return every

    def wants(self, measurement: Measurement) -> bool:
        """Whether a measurement is part of the run."""
        return self.rounds(measurement, OURS) > 0

    def of(self, full: float, quick: float) -> float:
        """Return one of two amounts of work."""
        return quick if self.quick else full


class CannotDoError(Exception):
    """A subject cannot do the work, or not in the time that it is given; the message says what happened."""


@dataclass(frozen=True, slots=True)
class Take:
    """How a sample of a subject is taken."""

    sample: Callable[[], float]
    """Do the work once; return the result in the measurement's unit."""
    note: str = ""
    """How this subject's work differs from the others', such as fewer jobs."""


Takes = Mapping[Subject, Take]
Scene = tuple[Measurement, Takes]
"""A measurement, and its subjects ready to work."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one subject."""

    subject: Subject
    values: tuple[float, ...]
    note: str = ""
    failure: str = ""
    """Why there are no more values, when the subject could not do the work."""
    rounds: int = 0
    """How many values were asked for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The samples of one measurement."""

    measurement: Measurement
    samples: tuple[Samples, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """That ours could not be measured."""

    name: str
    """The measurement, or the room when it got no further."""
    message: str
