"""One job as the core holds it, and as it is recorded.

No rules: the states' table is life.py, and what happens to jobs is decided in site.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.life import Happening, after
from spalloc_server.core.requests import JobRequest

LONGEST_CANCELLATION = 200
"""Characters of why a job can never run that are kept: the sentence may quote names from its request."""
FIRST_JOBS = 90_000_000
"""How many IDs a server without records may begin at."""
IDS_A_SECOND = 10
"""How much later in these a server begins for each second that it starts later."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in the words of its client, for listings."""

    args: tuple[int, ...]
    kwargs: Mapping[str, object]


# A struct, since it is replaced at every change: dataclasses.replace takes thirty times as long.
class JobRecord(Struct, frozen=True):
    """All of a job that outlives the server's process.

    Raises:
        ValueError: The job can't have, or lacks, boards, a power or an end in this state.
    """

    id: int
    owner: str
    created: float
    """When the job was created, in seconds of Unix time."""
    keepalive: float | None
    """Seconds without a word after which the job is destroyed; None for never."""
    request: JobRequest
    asked: Asked
    keepalive_host: str
    """Address of the last keepalive."""
    state: JobState = JobState.queued
    power: bool | None = None
    """The power wanted; None while there are no boards."""
    allocation: Allocation | None = None
    reason: str | None = None
    """Why the job was destroyed, if it was and anyone said."""
    ended: float | None = None
    """When the job was destroyed, in seconds of Unix time."""
    owner_host: str = ""
    """Address of whoever created the job."""
    ended_by: str | None = None
    """Which host asked for the job's end; None if nobody did."""
    stays_off: bool = False
    """Whether a queued job's next boards are to be left off: it lost its boards, and its owner had those off."""

    def __post_init__(self) -> None:
        """Refuse what can't be."""
        state = self.state
        if state is JobState.unknown:
            raise ValueError("a job can't be recorded in state unknown")
        holds, over = state is JobState.power or state is JobState.ready, state is JobState.destroyed
        if (self.power is not None) is not holds:
            raise ValueError(f"a job in state {state.name} {_must(holds)} say which power is wanted")
        # A job that was destroyed says which boards it had.
        if (self.allocation is not None) is not holds and not over:
            raise ValueError(f"a job in state {state.name} {_must(holds)} have boards")
        if (self.ended is not None) is not over:
            raise ValueError(f"a job in state {state.name} {_must(over)} have ended")
        if self.stays_off and state is not JobState.queued:
            raise ValueError(f"a job in state {state.name} can't wait for boards that are to be left off")


def _must(must: bool) -> str:
    return "must" if must else "can't"


class Job:
    """A job: its record, which is replaced at every change, and what is known of it only while the server runs."""

    __slots__ = ("heard", "order", "record", "since")

    def __init__(self, record: JobRecord, heard: float, since: float) -> None:
        """Hold `record`; the job was last heard of at `heard`, and came at `since` (the core's time, seconds)."""
        self.record = record
        self.heard = heard
        self.since = since
        """When the job came, which is its place in the queue; before the core's time began if it outlived a restart."""
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
        """Move on to the state that follows, with other parts of the record changed at the same time."""
        self.record = replace(self.record, state=after(self.record.state, happening), **changes)

    def amend(self, **changes: object) -> None:
        """Change parts of the record that are no part of the job's life."""
        self.record = replace(self.record, **changes)


def in_short(record: JobRecord) -> JobRecord:
    """Return the record without what its request says in words; numbers stay."""
    return replace(record, request=JobRequest(record.request.shape), asked=Asked(record.asked.args, {}))


def shortened(reason: str) -> str:
    """Return why a job can never run, cut if it is long."""
    return reason if len(reason) <= LONGEST_CANCELLATION else reason[: LONGEST_CANCELLATION - 1] + "…"


def first_job(wall: float) -> int:
    """Return where the IDs of a server without records begin, so that no earlier run of it has given them.

    A client that connects again may still have an ID of an earlier run, and must not get a stranger's job. IDs go up by
    one for each job and the beginning by 10 each second, so a server that creates fewer than 864,000 jobs a day never
    reaches where the next one begins. After 104 days the beginning comes back to 1: nobody waits that long.
    A beginning is 90,000,000 at most: people type IDs, and 10 million more jobs have 8 digits still.

    Args:
        wall: Unix time in seconds.
    """
    return 1 + int(wall * IDS_A_SECOND) % FIRST_JOBS
