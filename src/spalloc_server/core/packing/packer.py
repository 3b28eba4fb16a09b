"""One machine's boards: what a job can be allocated, and what is reserved for a job that waits.

See scheduler.py for which job is next, search.py for how a spot is found, and occupancy.py for which boards are in use.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.demand import Wish
from spalloc_server.core.packing.occupancy import Occupancy
from spalloc_server.core.packing.search import Missing, Spot, find, fits
from spalloc_server.core.packing.space import Space
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.packing.topology import Topology
from spalloc_server.core.packing.wishes import Wishes
from spinnaker.geometry import Board


@dataclass(slots=True)
class _Reservation:
    """Boards that are reserved for a waiting job. Numbers are those of `Occupancy.taken`."""

    wish: Wish
    boards: Planes
    latest: int
    """Only boards that were taken with numbers up to this may be among the reserved ones, besides free boards."""
    oldest: int
    """The first number among the reserved boards when they were chosen."""
    hoped: Planes
    """What is in use with later numbers up to `latest`: counts as free when a better spot is looked for."""
    failed_version: int = 0
    """The version of the free boards with which the last search for the job failed; 0 if none did."""
    next_version: int = 0
    """The first version of the free boards with which a search can succeed."""
    failed_hope_version: int = 0
    """The version of the hoped-for boards with which the last search for a better spot failed; 0 if none did."""
    stale: bool = False
    """Whether there may be a better spot since the last search for one."""


class Packer:
    """One machine's boards, and what of them a job can be allocated."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._topology = Topology(machine)
        self.wishes = Wishes(self._topology)
        self._occupancy = Occupancy(self._topology)
        self._found: frozenset[Board] = frozenset()
        """What was found last, which is mostly taken next, and the same in planes."""
        self._found_planes = NO_BOARDS
        self._reservation: _Reservation | None = None
        self._free = Space(self._topology, self._topology.live)
        """The free boards, as of the last call of `_free_space`."""
        self._available = Space(self._topology, self._topology.live)
        """The free boards that are not reserved, as of the last call of `_available_space`; only `look` opens any."""
        self._up_to_date = True
        self._version = 0
        """The version of the available boards with the last look."""
        self.previous_version = 0
        """Their version with the look before that."""
        self._hope = Space(self._topology)
        """The boards among which a better spot than the reserved one is looked for."""

    @property
    def free_boards(self) -> int:
        """How many boards are free, reserved ones included."""
        return self._occupancy.free.size

    def is_free(self, board: Board) -> bool:
        """Return whether a board is free, reserved or not."""
        return self._occupancy.is_free(board)

    @property
    def set_aside_boards(self) -> frozenset[Board]:
        """The boards that no job is given until they are put back."""
        return self._occupancy.set_aside_boards

    @property
    def reserved_boards(self) -> int:
        """How many boards are reserved, free or not."""
        return 0 if self._reservation is None else self._reservation.boards.size

    @property
    def awaited_boards(self) -> int:
        """How many of the reserved boards are not free yet."""
        return 0 if self._reservation is None else (self._reservation.boards - self._occupancy.free).size

    @property
    def available_boards(self) -> int:
        """How many boards are available to any job: free, and not reserved."""
        return self._available_space().open.size

    @property
    def version(self) -> int:
        """The version of the available boards."""
        # Asking opens no board. It closes those that have been taken: even if they are given back, they stay closed
        # until the next look.
        return self._available_space().open.version

    # Changes

    def take(self, boards: Iterable[Board]) -> None:
        """Note that boards are in use from now on; those that are already, or do not exist, are left out."""
        self._occupancy.take(boards, self._found_planes if boards is self._found else None)
        self._up_to_date = False

    def give_back(self, boards: Iterable[Board]) -> None:
        """Note that boards are no longer in use."""
        reservation = self._reservation
        for number, returned in self._occupancy.give_back(boards):
            if reservation is not None:
                if reservation.oldest < number <= reservation.latest:
                    reservation.hoped -= returned
                else:
                    reservation.stale = True
        self._up_to_date = False

    def take_over(self, earlier: "Packer") -> None:
        """Copy what is in use and set aside from the same machine, as it was configured before."""
        self._occupancy.take_over(earlier._occupancy)
        self._up_to_date = False

    def set_aside(self, board: Board) -> None:
        """Give a board to no job until it is put back; a job that has it keeps it."""
        planes = self._occupancy.set_aside(board)
        if self._reservation is not None and planes & self._reservation.boards != NO_BOARDS:
            self.cancel_reservation()
        self._up_to_date = False

    def put_back(self, board: Board) -> None:
        """Let jobs have a board again that was set aside."""
        if self._occupancy.put_back(board):
            if self._reservation is not None:
                self._reservation.stale = True
            self._up_to_date = False

    # Boards come back one by one; the consequences are worked out when they are needed. A board that has become
    # available opens to nobody before the next look. Otherwise a job that is tried late could get it before one that
    # was tried early.

    def _available_space(self) -> Space:
        if not self._up_to_date:
            self._up_to_date = True
            self._available.become(self._available.open.boards & self._unreserved())
        return self._available

    def _unreserved(self) -> Planes:
        free = self._occupancy.free
        return free if self._reservation is None else free - self._reservation.boards

    def _free_space(self) -> Space:
        self._free.become(self._occupancy.free)
        return self._free

    # What can be allocated

    def look(self) -> int:
        """Open the boards to jobs that have become available since the last look.

        Returns:
            how many boards are available now; 0 if none has become so.
        """
        # `_available_space` has opened none of them, though it may say that it is up to date.
        self._up_to_date = True
        self._available.become(self._unreserved())
        self.previous_version, self._version = self._version, self._available.open.version
        return self._available.open.size if self.previous_version < self._version else 0

    def largest_gain(self, least: int) -> int:
        """Return the size of the largest cluster that has a board which became available before the last look.

        A job for more boards than that, for which a search failed after the look before, would fail now as well,
        unless other jobs' boards were in its way: see `Demand.minds_others`.

        Args:
            least: smaller clusters need not be counted: the result may be too small if it is smaller than this.
        """
        if self.previous_version == self._version or self._available.open.size < least:
            return 0
        return self._available.largest_cluster(self._available.opened_since(self.previous_version))

    def find(self, wish: Wish, *, failed_version: int = 0) -> Steps[Allocation | Missing]:
        """Return what a job can be allocated now of the available boards; nothing is taken yet.

        Boards that were taken or set aside while the search went on are in nothing that is returned.

        Args:
            wish: what the job asks for.
            failed_version: the version with which the last search for the same wish failed; 0 if none did.
        """
        while True:
            found = yield from find(wish, self._available_space(), failed_version=failed_version)
            if isinstance(found, Missing):
                return found
            if self._up_to_date or found.boards - self._unreserved() == NO_BOARDS:
                return self._as_allocation(found)

    def find_for_reservation(self) -> Steps[Allocation | None]:
        """Return what the job with the reservation can be allocated now, there or elsewhere; nothing is taken yet.

        Boards that were taken or set aside while the search went on are in nothing that is returned.
        """
        reservation, space = self._reservation, self._free_space()
        assert reservation is not None
        version = space.open.version
        if version < reservation.next_version:
            return None
        while True:
            found = yield from find(reservation.wish, space, failed_version=reservation.failed_version)
            if isinstance(found, Missing):
                reservation.failed_version = space.open.version
                reservation.next_version = version + found.boards
                return None
            if found.boards - self._occupancy.free == NO_BOARDS:
                return self._as_allocation(found)
            space = self._free_space()

    def _as_allocation(self, spot: Spot) -> Allocation:
        self._found, self._found_planes = frozenset(self._topology.bitmaps.boards(spot.boards)), spot.boards
        wraps = (False, False)
        if spot.size is not None:
            wraps = self._topology.wrapped(spot.boards, spot.origin, spot.size)
        return Allocation(self.machine.name, spot.origin, spot.size, self._found, *wraps)

    # The reservation

    def reserve(self, wish: Wish) -> Steps[None]:
        """Reserve boards for a job, if there is a spot: where the wait is likely to be shortest.

        Most jobs are short and a few are very long, so one that has run for long is likely to run on. Of the spots,
        the one is therefore chosen whose longest-running job has been running the shortest time.
        """
        yield from self._reserve_best(wish, self._occupancy.latest, 0)

    def cancel_reservation(self) -> None:
        """Make the reserved boards available to all jobs."""
        if self._reservation is not None:
            self._reservation = None
            self._up_to_date = False

    @property
    def has_reservation(self) -> bool:
        """Whether boards are reserved."""
        return self._reservation is not None

    def improve_reservation(self) -> Steps[None]:
        """Move the reservation if there is a better spot since boards were freed."""
        reservation = self._reservation
        if reservation is None or not reservation.stale:
            return
        reservation.stale = False
        hope = self._hope
        hope.become((self._occupancy.free | reservation.hoped) & self._occupancy.usable)
        if (yield from fits(reservation.wish, hope, failed_version=reservation.failed_hope_version)):
            if self._reservation is reservation:
                yield from self._reserve_best(reservation.wish, reservation.latest, reservation.oldest + 1)
        else:
            reservation.failed_hope_version = hope.open.version

    def _reserve_best(self, wish: Wish, latest: int, first: int) -> Steps[None]:
        """Reserve the spot whose oldest number is as late as possible, of the numbers from `first` to `latest`."""
        occupancy, before = self._occupancy, self._reservation
        while True:
            best = yield from self._best_spot(wish, latest, first)
            if self._reservation is not before:
                return  # the job it was for has left, or reserved boards were set aside
            if best is None or best.boards - occupancy.usable == NO_BOARDS:
                break
        if best is not None:
            in_the_way = (
                number
                for number, boards in occupancy.taken.items()
                if first <= number <= latest and boards & best.boards != NO_BOARDS
            )
            oldest = next(in_the_way, latest)
            hoped = occupancy.free_or_taken(oldest + 1, latest) - occupancy.free
            versions = (0, 0) if before is None else (before.failed_version, before.next_version)
            self._reservation = _Reservation(wish, best.boards, latest, oldest, hoped, *versions)
            self._up_to_date = False

    def _best_spot(self, wish: Wish, latest: int, first: int) -> Steps[Spot | None]:
        numbers = [number for number in self._occupancy.taken if first <= number <= latest]
        numbers.append(latest + 1)
        # There is a spot if the boards with numbers from `low` on count as free, and none with those from `high` on.
        low, high = 0, len(numbers)
        if not (yield from fits(wish, self._hope_from(numbers[0], latest))):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if (yield from fits(wish, self._hope_from(numbers[middle], latest))):
                low = middle
            else:
                high = middle
        best = yield from find(wish, self._hope_from(numbers[low], latest), best_for=self._free_space())
        return best if isinstance(best, Spot) else None

    def _hope_from(self, first: int, last: int) -> Space:
        return Space(self._topology, self._occupancy.free_or_taken(first, last))
