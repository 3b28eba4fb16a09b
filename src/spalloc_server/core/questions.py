"""What can be asked of a site; asking changes nothing.

Fronts, metrics and reloads see the site as a SiteView, whose methods change nothing: what does is
commands.py's subject. How an answer is written is the fronts'.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from spalloc_server.core.boards import BoardsView
from spalloc_server.core.delays import Delays
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.jobs import Job, JobRecord
from spalloc_server.core.machine import Machine
from spalloc_server.core.networks import Groups
from spalloc_server.core.obstacles import Waiting
from spinnaker.geometry import Board, Chip, first_chip


class SiteView(Protocol):
    """A site, to be looked at; `core/site.py` says what each part means."""

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
    def groups(self) -> Groups:
        """Which addresses count as one."""

    @property
    def delays(self) -> Delays:
        """When the server was not there to hear of jobs."""

    @property
    def jobs_created(self) -> int:
        """How many jobs were created since the server started."""

    def waiting(self, number: int, /) -> Waiting | None:
        """Return where a queued job stands and what it waits for; None for any other."""

    def reported(self) -> Mapping[BoardKey, int]:
        """Return the boards that users reported and that are not set aside for it, each with how many hosts did."""

    def free_boards(self, machine: str, /) -> int:
        """Return how many boards of a machine a job could get now."""

    def has_given(self, number: int, /) -> bool:
        """Return whether a job may ever have had this ID."""


@dataclass(frozen=True, slots=True)
class JobBoards:
    """The boards of a job, as whoever boots them needs them."""

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
