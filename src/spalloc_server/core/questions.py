"""What can be read from a site: the boards of a job, where a chip is, and how many jobs and boards there are.

Fronts, metrics and reloads see the site as a SiteView, which changes nothing; see commands.py for changes.
Fronts decide how an answer is written.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from spalloc_client.states import JobState
from spalloc_server.core.account_keeping import AccountsView
from spalloc_server.core.admission import Trust
from spalloc_server.core.askers import Asker
from spalloc_server.core.board_life import FREE, Condition, Objection, condition
from spalloc_server.core.boards import BoardsView
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.endings import Ending
from spalloc_server.core.groups import GroupsView
from spalloc_server.core.jobs import Job, JobRecord
from spalloc_server.core.machine import Machine
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.obstacles import Waiting
from spalloc_server.core.quotas import QuotasView
from spalloc_server.core.reserving import ReservingView
from spalloc_server.core.scheduler import Expectation
from spalloc_server.core.timekeeping import Delays
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Chip, board_of_chip, chip_size, first_chip
from spinnaker.places import Place


class SiteView(Protocol):
    """A site that can only be read; `core/site.py` says what each part means."""

    @property
    def jobs(self) -> Mapping[int, Job]:
        """Live jobs by ID, oldest first."""

    @property
    def machines(self) -> Mapping[str, Machine]:
        """Machines by name, in order of priority."""

    @property
    def boards(self) -> BoardsView:
        """What all boards are doing."""

    @property
    def neighbours(self) -> Neighbours:
        """Which addresses count as one."""

    @property
    def stopped(self) -> str | None:
        """Why no jobs are taken at all, since an emergency stop; None while they are."""

    @property
    def trust(self) -> Trust:
        """Who may end a job, switch its boards or reach them."""

    @property
    def delays(self) -> Delays:
        """When the server was away."""

    @property
    def reserving(self) -> ReservingView:
        """The reservations."""

    @property
    def accounts(self) -> AccountsView:
        """Accounts, their tokens and sessions."""

    @property
    def groups(self) -> GroupsView:
        """The groups that accounts are in."""

    @property
    def quotas(self) -> QuotasView:
        """What is used and left of quotas."""

    @property
    def jobs_created(self) -> int:
        """How many jobs were created since the server started."""

    @property
    def jobs_ended_by_limit(self) -> int:
        """How many jobs were ended by their time limit since then."""

    @property
    def jobs_ended_by_quota(self) -> int:
        """How many jobs were ended by the quota of their group since then."""

    def asker_at(self, host: str, /) -> Asker:
        """Return as whom a client at an address asks that can't log in."""

    def expectation(self, number: int, now: float, /) -> Expectation | None:
        """Return how long a live job is expected to have its boards from now on; None for any other."""

    def waiting(self, number: int, /) -> Waiting | None:
        """Return where a queued job stands and what it waits for; None for any other."""

    def ending(self, number: int, /) -> Ending | None:
        """Return when and why the server will end a live job, as far as is known; otherwise None."""

    def is_ending_soon(self, number: int, /) -> bool:
        """Return whether that is so near that clients which asked for it are told."""

    def reported(self) -> Mapping[BoardKey, int]:
        """Return the boards that users reported and that are not set aside for it, each with how many hosts did."""

    def free_boards(self, machine: str, /) -> int:
        """Return how many boards of a machine a job could get now."""

    def has_given(self, number: int, /) -> bool:
        """Return whether a job may ever have had this ID."""


@dataclass(frozen=True, slots=True)
class JobBoards:
    """The boards of a job, with all that is needed to boot them."""

    machine: Machine
    width: int
    """In chips."""
    height: int
    boards: tuple[Board, ...]
    """By their coordinates, smallest first."""
    addresses: Mapping[Chip, str]
    """The address of each board's Ethernet-connected chip, by that chip's coordinate in the job."""


def boards_of_job(site: SiteView, record: JobRecord) -> JobBoards | None:
    """Return a job's boards, or None while it has none."""
    allocation = record.allocation
    if allocation is None:
        return None
    machine = site.machines[allocation.machine]
    boards = tuple(sorted(allocation.boards))
    width, height = allocation.chips
    addresses = {
        allocation.chip_in_job(machine.size, first_chip(machine.size, board)): machine.addresses[board]
        for board in boards
    }
    return JobBoards(machine, width, height, boards, addresses)


@dataclass(frozen=True, slots=True)
class JobTimes:
    """How long a live job may have boards, and how long it is expected to; in seconds from now, but for the limit."""

    time_limit: float | None
    """In seconds from when it got its boards; None for no limit."""
    ends_in: float | None
    """When the server will end it; None if that is not known, or never."""
    why: str | None
    """The job's reason then."""
    expected_seconds: float | None = None
    """How long it is expected to have its boards from now on; None if nothing is known."""
    expected_by: str | None = None
    """What that follows from: `limit`, `alike jobs` or `reservation`."""


def job_times(site: SiteView, number: int, now: float) -> JobTimes | None:
    """Return a job's times at a moment of the core's time, or None if it is not live."""
    job = site.jobs.get(number)
    if job is None:
        return None
    ending, expectation = site.ending(number), site.expectation(number, now)
    ends_in = None if ending is None else max(0.0, ending.at - now)
    why = None if ending is None else ending.why
    if expectation is None:
        return JobTimes(job.record.time_limit, ends_in, why)
    return JobTimes(job.record.time_limit, ends_in, why, expectation.seconds, expectation.by)


def board_with_address(site: SiteView, address: str) -> BoardKey | None:
    """Return the board whose Ethernet-connected chip has an address, or None if there is none."""
    return next(
        (
            BoardKey(machine.name, board)
            for machine in site.machines.values()
            for board, its_address in machine.addresses.items()
            if its_address == address
        ),
        None,
    )


@dataclass(frozen=True, slots=True)
class ChipOfJob:
    """A chip by its coordinate in a job's boards."""

    job: int
    chip: Chip


@dataclass(frozen=True, slots=True)
class ChipOfMachine:
    """A chip by its coordinate in a machine; one beyond it wraps around."""

    machine: str
    chip: Chip


@dataclass(frozen=True, slots=True)
class BoardOfMachine:
    """A board's first chip, by the board's logical coordinate."""

    machine: str
    board: Board


@dataclass(frozen=True, slots=True)
class BoardInFrame:
    """A board's first chip, by the board's place."""

    machine: str
    place: Place


Location = ChipOfJob | ChipOfMachine | BoardOfMachine | BoardInFrame


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """One chip in every coordinate."""

    machine: str
    logical: Board
    physical: Place
    chip: Chip
    """The chip's coordinate if the whole machine were booted as one."""
    board_chip: Chip
    """The chip's coordinate on its board."""
    job_id: int | None
    job_chip: Chip | None
    """The chip's coordinate in the job that holds the board."""


def board_at(machine: Machine, place: Place) -> Board | None:
    """Return the board at a place, or None if there is none."""
    return next((board for board, its_place in machine.places.items() if its_place == place), None)


def where_is(site: SiteView, location: Location) -> Whereabouts | None:
    """Return a chip in every coordinate.

    Returns:
        None if there is no such machine or board, or if the job does not have that chip.
    """
    match location:
        case ChipOfJob(number, chip):
            job = site.jobs.get(number)
            if job is None or job.record.allocation is None:
                return None
            machine = site.machines[job.record.allocation.machine]
            found = _about(site, machine, job.record.allocation.chip_in_machine(machine.size, chip))
            return found if found is not None and found.job_id == number else None
        case ChipOfMachine(name, chip):
            named = site.machines.get(name)
            return None if named is None else _about(site, named, chip)
        case BoardOfMachine(name, board):
            named = site.machines.get(name)
            if named is None or board.z not in range(BOARDS_PER_TRIAD):
                return None
            return _about(site, named, first_chip(named.size, board))
        case BoardInFrame(name, place):
            named = site.machines.get(name)
            there = None if named is None else board_at(named, place)
            if named is None or there is None:
                return None
            return _about(site, named, first_chip(named.size, there))


def _about(site: SiteView, machine: Machine, chip: Chip) -> Whereabouts | None:
    board, local = board_of_chip(machine.size, chip)
    place = machine.places.get(board)
    if place is None:
        return None
    first = first_chip(machine.size, board)
    width, height = chip_size(machine.size)
    in_machine = Chip((first.x + local.x) % width, (first.y + local.y) % height)
    holder = site.boards.holder(BoardKey(machine.name, board))
    allocation = None if holder is None else site.jobs[holder].record.allocation
    return Whereabouts(
        machine=machine.name,
        logical=board,
        physical=place,
        chip=in_machine,
        board_chip=local,
        job_id=holder,
        job_chip=None if allocation is None else allocation.chip_in_job(machine.size, in_machine),
    )


def count_jobs(site: SiteView) -> dict[JobState, int]:
    """Return how many live jobs are in each state."""
    counts = Counter(job.record.state for job in site.jobs.values())
    return {state: counts[state] for state in (JobState.queued, JobState.power, JobState.ready)}


def count_boards(site: SiteView) -> dict[str, Counter[Condition]]:
    """Return how many boards of each machine are in each condition; each is counted once."""
    boards = site.boards
    counts = {name: Counter[Condition]() for name in site.machines}
    for key in boards.states.keys() | boards.objected():
        if boards.knows(key):
            counts[key.machine][condition(boards.state(key), boards.objections(key))] += 1
    for name, machine in site.machines.items():
        counts[name][Condition.FREE] = len(machine.places) - counts[name].total()
        counts[name][condition(FREE, [Objection.DEAD])] = len(machine.dead_boards)
    return counts
