"""A job: the table of its states, its record, and what is known of it while the server runs.

Everything that decides a job's state is in the table `LIFE`, from which the docs draw the diagram. What follows from a
change of state (power, notifications, records) is decided in site.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.askers import source_of
from spalloc_server.core.requests import JobRequest


class Happening(StrEnum):
    """What can happen to a job."""

    ALLOCATED = "boards were allocated"
    POWERED = "its boards are as powered as it wants them"
    POWER_ASKED = "its owner asked for its boards to be powered on, off or reset"
    LOST_BOARDS = "boards failed or were taken out, and all of its boards were taken back"
    DESTROYED = "it was destroyed"


LIFE: dict[tuple[JobState, Happening], JobState] = {
    (JobState.queued, Happening.ALLOCATED): JobState.power,
    (JobState.queued, Happening.DESTROYED): JobState.destroyed,
    (JobState.power, Happening.POWERED): JobState.ready,
    (JobState.power, Happening.POWER_ASKED): JobState.power,
    (JobState.power, Happening.LOST_BOARDS): JobState.queued,
    (JobState.power, Happening.DESTROYED): JobState.destroyed,
    (JobState.ready, Happening.POWER_ASKED): JobState.power,
    (JobState.ready, Happening.LOST_BOARDS): JobState.queued,
    (JobState.ready, Happening.DESTROYED): JobState.destroyed,
}


def after(state: JobState, happening: Happening) -> JobState:
    """Return the state that follows.

    Raises:
        ValueError: `happening` can't happen to a job in `state`.
    """
    try:
        return LIFE[state, happening]
    except KeyError:
        raise ValueError(f"a job that is {state.name} can't be told that {happening.value}") from None


LONGEST_CANCELLATION = 200
"""Length of the sentence that says why a job can never run, in characters: it may quote names from the request."""
FIRST_JOBS = 90_000_000
"""The range of IDs with which a server without records may begin."""
IDS_PER_SECOND = 10
"""By how much the first ID is higher for each second that such a server starts later."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in the words of its client: `list_jobs` returns these, and not a `JobRequest`."""

    args: tuple[int, ...]
    kwargs: Mapping[str, object]


# A struct, since it is replaced at every change: dataclasses.replace takes thirty times as long.
class JobRecord(Struct, frozen=True):
    """All of a job that outlives the server's process.

    Raises:
        ValueError: In this state, the job can't have boards, a power or an end that is given, or lacks one.
    """

    id: int
    owner: str
    created: float
    """When the job was created, in seconds of Unix time."""
    keepalive: float | None
    """Seconds without a message after which the job is destroyed; None for never."""
    request: JobRequest
    asked: Asked
    keepalive_host: str
    """Address of the last keepalive."""
    state: JobState = JobState.queued
    power: bool | None = None
    """The power wanted; None while there are no boards."""
    allocation: Allocation | None = None
    reason: str | None = None
    """Why the job was destroyed, if it was and a reason was given."""
    ended: float | None = None
    """When the job was destroyed, in seconds of Unix time."""
    owner_host: str = ""
    """Address of the client that created the job."""
    ended_by: str | None = None
    """Address of the client that ended the job; None if the server did."""
    stays_off: bool = False
    """Whether a queued job's next boards stay off: it lost its boards, and its owner had switched them off."""
    time_limit: float | None = None
    """Seconds after `allocated` at which the job is ended; None for no limit."""
    allocated: float | None = None
    """When the boards of `allocation` were allocated, in seconds of Unix time; of a job that has ended, None also if an
    older server recorded it."""
    moved_back: float = 0.0
    """By how many seconds the job stands later in the order of the queue than it came; earlier where negative."""
    work: float | None = None
    """The board-seconds that it was expected to use when it came, as fair share counts it; None if it was off."""
    expected_end: float | None = None
    """When the boards are expected to be given back, in seconds of Unix time; None without boards."""
    start_number: int = 0
    """Of the jobs whose boards were allocated at one moment, this one's came before those of higher numbers."""
    account: str | None = None
    """The account that created the job; None if its client had not logged in to any."""
    group: str | None = None
    """The group that is charged for the job; None for none."""

    @property
    def source(self) -> str:
        """As whom the job is counted: see `source_of`."""
        return source_of(self.account, self.owner_host)

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        state = self.state
        if state is JobState.unknown:
            raise ValueError("a job can't be recorded in state unknown")
        holds, over = state is JobState.power or state is JobState.ready, state is JobState.destroyed
        if (self.power is not None) is not holds:
            raise ValueError(f"a job in state {state.name} {_must(holds)} say which power is wanted")
        # A job that was destroyed says which boards it had.
        if (self.allocation is not None) is not holds and not over:
            raise ValueError(f"a job in state {state.name} {_must(holds)} have boards")
        if self.allocated is None and holds:
            raise ValueError(f"a job in state {state.name} must say when its boards were allocated")
        if self.allocated is not None and self.allocation is None:
            raise ValueError("a job without boards can't say when they were allocated")
        if (self.ended is not None) is not over:
            raise ValueError(f"a job in state {state.name} {_must(over)} have ended")
        if self.stays_off and state is not JobState.queued:
            raise ValueError(f"a job in state {state.name} can't wait for boards that stay off")


def _must(must: bool) -> str:
    return "must" if must else "can't"


class Job:
    """A job: its record, which is replaced at every change, and what is known only while the server runs."""

    __slots__ = ("began", "changes", "heard", "order", "recalled", "record", "since")

    def __init__(self, record: JobRecord, heard: float, since: float) -> None:
        """Take the record, the time of the last keepalive, and the time from which the job counts (the core's time)."""
        self.record = record
        self.heard = heard
        self.since = since
        """When the job came, by which the queue is ordered; negative if it came long before a restart."""
        self.began: float | None = None
        """When its boards were allocated, in the core's time; negative if that was long before a restart."""
        self.recalled: float | None = None
        """When a restart took it up with its boards and by its clock knew since when, in the core's time; else None."""
        self.changes = 0
        """How often it has changed, since the server started, in a way that its watchers are told."""
        self.order: int | None = None
        """The number of the power order that the job waits for."""

    @property
    def id(self) -> int:
        """The job's ID."""
        return self.record.id

    @property
    def live(self) -> bool:
        """Whether the job is queued or has boards."""
        return self.record.state is not JobState.destroyed

    def happens(self, happening: Happening, **changes: object) -> None:
        """Change the state as `LIFE` says, and other parts of the record with it."""
        self.record = replace(self.record, state=after(self.record.state, happening), **changes)

    def amend(self, **changes: object) -> None:
        """Change parts of the record that do not belong to the state."""
        self.record = replace(self.record, **changes)


def in_short(record: JobRecord) -> JobRecord:
    """Return the record without the strings of its request; the numbers stay."""
    return replace(record, request=JobRequest(record.request.shape), asked=Asked(record.asked.args, {}))


def shortened(reason: str) -> str:
    """Return why a job can never run, cut if it is long."""
    return reason if len(reason) <= LONGEST_CANCELLATION else reason[: LONGEST_CANCELLATION - 1] + "…"


def first_job(wall: float) -> int:
    """Return the first ID of a server without records, chosen so that no earlier run has given it to a job.

    A client that connects again may still have an ID of an earlier run, and must not get a stranger's job. IDs count up
    by one for each job, and the first ID by 10 each second. So a server that creates fewer than 864,000 jobs a day
    never gives an ID that the next run begins with. After 104 days the first ID is 1 again: no client waits that long.
    It is 90,000,000 at most, because people type IDs: even 10 million jobs later they have 8 digits.

    Args:
        wall: Unix time in seconds.
    """
    return 1 + int(wall * IDS_PER_SECOND) % FIRST_JOBS
