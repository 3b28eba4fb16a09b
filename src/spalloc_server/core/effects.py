"""What the core wants done after a batch of events: nothing leaves it in any other way.

Values only. The engine carries them out, in this order: records, then replies, orders and notifications.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from spalloc_server.core.accounts import AccountNews
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.charges import Charge
from spalloc_server.core.groups import Group
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.lengths import Length
from spalloc_server.core.limits import is_of_limit
from spalloc_server.core.machine import Machine
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.objections import Drained
from spalloc_server.core.quotas import is_of_quota
from spalloc_server.core.reservations import Reservation
from spinnaker.geometry import Board, BoardLink, Link

TIMED_OUT = "Job timed out."
STARTED_COLD = "The server was started afresh."


@dataclass(frozen=True, slots=True)
class PowerOrder:
    """Boards of one machine to be powered on or off."""

    number: int
    """Answers have the number of their order; later orders have higher numbers."""
    machine: str
    boards: frozenset[Board]
    on: bool
    """Whether the boards are to be on. A board that is on already is switched off first: that is a reset."""
    cut: frozenset[BoardLink] = frozenset()
    """Links of these boards that must carry nothing; all their other links are live after power-on."""


@dataclass(frozen=True, slots=True)
class NewMachines:
    """All machines as they are configured from now on; earlier orders are for the machines as they were before."""

    machines: tuple[Machine, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Boards are already as this order would make them: it is not carried out, but from now on they must stay so."""

    order: PowerOrder


Order = PowerOrder | NewMachines | Standing


def all_links(boards: Iterable[Board]) -> frozenset[BoardLink]:
    """Return all links of boards."""
    return frozenset(BoardLink(board, link) for board in boards for link in Link)


class BoardKey(NamedTuple):
    """A board of one of the site's machines."""

    machine: str
    board: Board


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """What must be remembered about a board besides the job that has it; without anything, there is no record."""

    owed_off: bool = False
    """The board may be on though no job has it: it must be powered off before a job gets it."""
    aside: str | None = None
    """Why the board is set aside; None if it is not."""
    rest_seconds: float | None = None
    """How long it rests before it is tried, if users reported it; None if they did not."""
    drained: Drained | None = None
    """Who drained it, when and why; None if it is not drained."""
    aside_since: float | None = None
    """When `aside` began, in seconds of Unix time; None if that is not known."""


class Share(NamedTuple):
    """What somebody's jobs have used lately, as of a moment."""

    used: float
    """In board-seconds; older use counts less."""
    at: float
    """In seconds of Unix time."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the scheduler learns from jobs, and knows again after a restart."""

    lengths: Sequence[Length] = ()
    """Of the jobs that ended last, in the order in which they did."""
    shares: Mapping[str, Share | None] = field(default_factory=dict)
    """By whose they are; None removes a record."""
    scheduler: bytes | None = None
    """What the scheduler itself writes and reads."""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.lengths or self.shares or self.scheduler is not None)


@dataclass(frozen=True, slots=True)
class Notice:
    """A line for the log."""

    text: str
    serious: bool = False
    about: Mapping[str, str | int] = field(default_factory=dict)
    """What it is about, for programs that read the log: `job`, `machine`, `board`, `frame`."""
    of: str | None = None
    """The client's address, if clients could cause any number of such lines; None if they could not."""


def keys_of(allocation: Allocation) -> list[BoardKey]:
    """Return a job's boards."""
    return [BoardKey(allocation.machine, board) for board in allocation.boards]


def about_board(key: BoardKey) -> dict[str, str | int]:
    """Return the `about` of a notice about a board."""
    return {"machine": key.machine, "board": str(key.board)}


@dataclass(slots=True)
class Effects:
    """All that a batch of events leads to."""

    jobs: dict[int, JobRecord] = field(default_factory=dict)
    """Records to write."""
    boards: dict[BoardKey, BoardRecord | None] = field(default_factory=dict)
    """Records to write, or to remove where None."""
    lengths: list[Length] = field(default_factory=list)
    """Of jobs that have ended: to be added to those that are recorded."""
    shares: dict[str, Share | None] = field(default_factory=dict)
    """Records to write, or to remove where None."""
    scheduler: bytes | None = None
    """What the scheduler wants to know after a restart, in place of what it wrote before; None if that stays."""
    reservations: dict[str, Reservation | None] = field(default_factory=dict)
    """Records to write, by name, or to remove where None."""
    accounts: AccountNews | None = None
    """What has changed of accounts, tokens and sessions; None for nothing."""
    groups: dict[str, Group | None] = field(default_factory=dict)
    """Records to write, by name, or to remove where None."""
    charges: list[Charge] = field(default_factory=list)
    """Of allocations that have ended: to be added to those that are recorded."""
    orders: list[Order] = field(default_factory=list)
    """To be given to the hardware, in this order, and only after all records are on disk; see `is_urgent`."""
    is_urgent: bool = False
    """Whether boards are to be switched off at once: whatever is recorded of it, nobody can wait for it."""
    jobs_changed: set[int] = field(default_factory=set)
    machines_changed: set[str] = field(default_factory=set)
    endings: set[int] = field(default_factory=set)
    """Jobs that will end soon, or whose ending was near and has changed: for clients that asked for it."""
    notices: list[Notice] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(
            self.jobs
            or self.boards
            or self.lengths
            or self.shares
            or self.scheduler is not None
            or self.reservations
            or self.accounts is not None
            or self.groups
            or self.charges
            or self.orders
            or self.jobs_changed
            or self.machines_changed
            or self.endings
            or self.notices
        )

    @property
    def remembered(self) -> Remembered:
        """What the scheduler has learnt."""
        return Remembered(self.lengths, self.shares, self.scheduler)

    @property
    def has_records(self) -> bool:
        """Whether there is anything to write."""
        return bool(
            self.jobs
            or self.boards
            or self.reservations
            or self.accounts is not None
            or self.groups
            or self.remembered
        )

    @property
    def are_waited_for(self) -> bool:
        """Whether the client that caused them must not be answered before they are on disk.

        A job's record alone only says who keeps the job alive, what the scheduler learns was asked for by nobody, and
        that a session is used is noted by the way.
        """
        return bool(
            self.jobs_changed
            or self.boards
            or self.reservations
            or (self.accounts is not None and self.accounts.is_asked_for)
            or self.groups
            or self.orders
            or self.machines_changed
            or self.notices
        )

    def then(self, later: "Effects") -> None:
        """Add later effects; of several records of one job or board, the last stays."""
        # Most effects are of one or two kinds, and empty ones are skipped.
        if later.jobs:
            self.jobs.update(later.jobs)
        if later.boards:
            self.boards.update(later.boards)
        if later.lengths:
            self.lengths += later.lengths
        if later.shares:
            self.shares.update(later.shares)
        if later.scheduler is not None:
            self.scheduler = later.scheduler
        if later.reservations or later.accounts is not None or later.groups:
            self._add_decided(later)
        if later.orders:
            self.orders += later.orders
        if later.jobs_changed:
            self.jobs_changed |= later.jobs_changed
        if later.machines_changed:
            self.machines_changed |= later.machines_changed
        self.charges += later.charges
        self.endings |= later.endings
        if later.notices:
            self.notices += later.notices

    def _add_decided(self, later: "Effects") -> None:
        """Add what administrators have decided."""
        self.reservations.update(later.reservations)
        self.groups.update(later.groups)
        if later.accounts is not None:
            self.accounts = later.accounts.after(self.accounts)


def start_notice(record: JobRecord, allocation: Allocation, neighbours: Neighbours) -> Notice:
    """Return the notice that a job starts on an allocation."""
    about: dict[str, str | int] = {
        "job": record.id,
        "owner": record.owner,
        "client": record.owner_host,
        "machine": allocation.machine,
        "boards": len(allocation.boards),
    }
    return Notice(f"job {record.id} starts", about=about, of=neighbours.of(record.source))


def _by_server(reason: str | None) -> str:
    if reason == TIMED_OUT:
        return "time-out"
    if is_of_quota(reason):
        return "quota"
    return "time limit" if is_of_limit(reason) else "server"


def end_notice(record: JobRecord, neighbours: Neighbours) -> Notice:
    """Return the notice that a job has ended."""
    by = record.ended_by
    about: dict[str, str | int] = {"job": record.id, "owner": record.owner}
    about["by"] = by or _by_server(record.reason)
    if record.reason is not None:
        about["reason"] = record.reason
    # Endings by the server itself are limited by the number of boards, or of jobs at its start.
    is_limited = about["by"] == "server" and (record.allocation is not None or record.reason == STARTED_COLD)
    of = None if is_limited else neighbours.of(by or record.source)
    return Notice(f"job {record.id} ends", about=about, of=of)
