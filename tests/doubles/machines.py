"""Machines of virtual boards as the Java service places jobs on them: rectangles of triads, first come first served."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from spinnaker.boot import BOOT_PORT
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Chip, Size, board_of_chip, chip_size, first_chip
from spinnaker.places import Place
from spinnaker.sdp import SDP_PORT
from spinnaker_virtual import VirtualSite

LARGEST_SIDE = 21


@dataclass(frozen=True)
class Allocation:
    """The boards of a job, which belong to it until it ends."""

    machine: "Machine"
    root: Board
    size: Size
    boards: tuple[Board, ...]

    @property
    def depth(self) -> int:
        return BOARDS_PER_TRIAD if len(self.boards) > 1 else 1

    def chip_of(self, board: Board) -> Chip:
        """The board's first chip as the job sees it."""
        size = self.machine.size
        mine, root = first_chip(size, board), first_chip(size, self.root)
        width, height = chip_size(size)
        return Chip((mine.x - root.x) % width, (mine.y - root.y) % height)

    def machine_chip(self, chip: Chip) -> Chip:
        root = first_chip(self.machine.size, self.root)
        width, height = chip_size(self.machine.size)
        return Chip((root.x + chip.x) % width, (root.y + chip.y) % height)

    @property
    def chips(self) -> Chip:
        """Width and height in chips, as v1 tells them."""
        if self.depth == 1:
            return Chip(8, 8)
        whole = self.machine.size
        return Chip(
            *(12 * mine + (0 if mine == all_ else 4) for mine, all_ in zip(self.size, whole, strict=True))
        )


@dataclass
class Machine:
    """One machine, and which of its boards are free."""

    name: str
    site: VirtualSite
    tags: frozenset[str] = frozenset({"default", "machine-room"})
    taken: dict[Board, int] = field(default_factory=dict)
    """The job that has each board that is not free."""
    off_since: dict[Board, float] = field(default_factory=dict)
    reports: dict[Board, int] = field(default_factory=dict)

    @property
    def size(self) -> Size:
        return self.site.machine.size

    @property
    def places(self) -> dict[Board, Place]:
        return dict(self.site.machine.places)

    def address(self, board: Board) -> str:
        return self.site.network.boards[board].sdp.host

    def socket(self, board: Board, port: int) -> tuple[str, int]:
        """Where a UDP port of a board really is: virtual boards may share one address."""
        sockets = self.site.network.boards[board]
        return {SDP_PORT: sockets.sdp, BOOT_PORT: sockets.boot}.get(port, (sockets.sdp.host, port))

    def board_of(self, chip: Chip) -> tuple[Board, Chip]:
        return board_of_chip(self.size, chip)

    def works(self, board: Board) -> bool:
        return board in self.site.machine.places

    def rectangle(self, root: Board, size: Size) -> list[Board]:
        """The boards of a rectangle that work; it may go beyond the machine's edge."""
        triads = (
            ((root.x + x) % self.size.width, (root.y + y) % self.size.height)
            for x in range(size.width)
            for y in range(size.height)
        )
        boards = (Board(x, y, z) for x, y in triads for z in range(BOARDS_PER_TRIAD))
        return sorted(filter(self.works, boards))

    def switch(self, boards: tuple[Board, ...], *, on: bool, now: float) -> None:
        """Do at once what BMPs do for a job."""
        for board in boards:
            hardware = self.site.hardware.board(board)
            if on:
                hardware.power_on(0.0)
            else:
                hardware.power_off()
                self.off_since[board] = now


@dataclass(frozen=True)
class Wish:
    """What a job asks for: boards, a rectangle, or one board."""

    boards: int | None = None
    size: Size | None = None
    board: Board | None = None
    dead: int = 0
    """How many boards of the rectangle may be missing."""

    def rectangle_on(self, machine: Machine) -> Size | None:
        """The rectangle that is looked for on a machine; None for a single board."""
        if self.size is not None:
            return None if self.size == Size(1, 1) and self.dead >= 2 else self.size
        if self.boards is None or self.boards == 1:
            return None
        triads = math.ceil(self.boards / BOARDS_PER_TRIAD)
        width = min(math.ceil(math.sqrt(triads)), machine.size.width)
        return Size(width, math.ceil(triads / width))

    def missing_on(self, machine: Machine) -> int:
        size = self.rectangle_on(machine)
        if size is None or self.size is not None or self.boards is None:
            return self.dead
        return self.dead + size.boards - self.boards

    def fits(self, machine: Machine) -> bool:
        size = self.rectangle_on(machine)
        return size is None or (size.width <= machine.size.width and size.height <= machine.size.height)

    def places(self, machine: Machine) -> Iterator[Allocation]:
        """Every allocation that would do, those off longest first, whether free or not."""
        off = machine.off_since
        size = self.rectangle_on(machine)
        boards = sorted(machine.places, key=lambda board: (off.get(board, 0.0), board))
        if self.board is not None:
            boards = [board for board in boards if board == self.board]
        for root in boards:
            if size is None:
                yield Allocation(machine, root, Size(1, 1), (root,))
            elif root.z == 0:
                got = machine.rectangle(root, size)
                if size.boards - len(got) <= self.missing_on(machine):
                    yield Allocation(machine, root, size, tuple(got))

    def place(self, machine: Machine) -> Allocation | None:
        for allocation in self.places(machine):
            if not any(board in machine.taken for board in allocation.boards):
                return allocation
        return None
