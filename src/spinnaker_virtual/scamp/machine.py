"""The chips that run SCAMP together since one boot, and whether packets get from one to another.

See chip.py for a chip's memory, and monitor.py for its monitor's answers.
"""

from collections.abc import Callable, Iterator
from functools import partial

from spinnaker.boot import BootImage
from spinnaker.geometry import BoardLink, Link
from spinnaker_virtual.board import VirtualBoard
from spinnaker_virtual.region import Region
from spinnaker_virtual.scamp.chip import Chip
from spinnaker_virtual.scamp.flood import FloodFill
from spinnaker_virtual.scamp.shared import Shared

Crossed = Callable[[BoardLink], None]
"""Called for every packet that leaves a board over one of its links."""

Running = dict[VirtualBoard, "BootedMachine"]
"""For each booted board, the machine that it is part of."""


class BootedMachine:
    """The chips that run SCAMP together since one boot."""

    def __init__(
        self,
        region: Region,
        image: BootImage,
        now: float,
        answers_from: float,
        running: Running,
        crossed: Crossed | None = None,
    ) -> None:
        """Run an image on the chips of a region.

        Args:
            region: The chips that the image reached.
            image: The boot image.
            now: The time in seconds.
            answers_from: When SCAMP has found its neighbours and answers.
            running: The machines of all booted boards; this one is entered, and removed when its boards stop.
            crossed: Called for packets between boards.

        Raises:
            ImageError: The image does not hold SCAMP, or SCAMP can't start with its variables.
        """
        self.shared = Shared(region, image, now)
        self.region = region
        self.answers_from = answers_from
        self.flood = FloodFill()
        self._crossed = crossed
        self._chips: dict[int, Chip] = {}
        self._ethernet_chips: dict[VirtualBoard, Chip] = {}
        self._intact = True
        self._checked = True
        self._running = running
        self._boards = [board for slot, board in enumerate(region.boards) if region.on_board(slot)]
        for board in self._boards:
            running[board] = self
            board.boot(partial(self._check, board))

    # Chips.

    def chip(self, number: int) -> Chip:
        """Return a chip by its number in the region."""
        chip = self._chips.get(number)
        if chip is None:
            chip = self._chips[number] = Chip(self.shared, number)
        return chip

    def ethernet_chip(self, board: VirtualBoard) -> Chip | None:
        """Return a board's Ethernet-connected chip, if it is one of the machine's."""
        chip = self._ethernet_chips.get(board)
        if chip is None:
            number = self.region.find(board, 0)
            if number is None:
                return None
            chip = self._ethernet_chips[board] = self.chip(number)
        return chip

    def runs(self, number: int) -> bool:
        """Return whether a chip's board still runs this machine: not powered again, not crashed."""
        return self._running.get(self.region.board(number)) is self

    # Links and paths.

    def links(self, number: int) -> int:
        """Return the links of a chip that work now, one bit each."""
        return sum(1 << exit_.link for exit_ in self.region.exits(number))

    def across(self, number: int, link: int) -> Chip | None:
        """Return the chip at the other end of a link, of this machine or another; None if no booted chip is reached."""
        for exit_ in self.region.exits(number):
            other = self._running.get(exit_.board)
            if exit_.link != link or other is None:
                continue
            found = other.region.find(exit_.board, exit_.local)
            if found is not None:
                if exit_.board_link is not None:
                    self._report(self.region.board(number), exit_.board_link)
                return other.chip(found)
        return None

    def reachable_from(self, start: Chip) -> Iterator[Chip]:
        """Yield the chips that packets from `start` reach from neighbour to neighbour, `start` first."""
        if self._unbroken() and self._crossed is None:
            yield from map(self.chip, self.region.parents)
            return
        reached = {start.number: start}
        crossed: dict[tuple[int, Link], None] = {}
        queue = [start]
        for chip in queue:
            for exit_ in self.region.exits(chip.number):
                if self._running.get(exit_.board) is not self:
                    continue
                number = self.region.find(exit_.board, exit_.local)
                if number is None:
                    continue
                if exit_.board_link is not None:
                    crossed[chip.slot, exit_.board_link] = None
                if number not in reached:
                    reached[number] = self.chip(number)
                    queue.append(reached[number])
        for slot, link in crossed:
            self._report(self.region.boards[slot], link)
        yield from queue

    def reaches(self, start: Chip, end: Chip) -> bool:
        """Return whether packets from one chip to another arrive, on the paths that SCAMP found at boot."""
        if self._unbroken() and (self._crossed is None or start.slot == end.slot):
            return True
        if not self.runs(end.number):
            return False
        crossings = self.region.crossings(start.number, end.number)
        if crossings is None:
            return False
        for slot, link in crossings:
            board = self.region.boards[slot]
            other = board.across(link)
            if other is None or self._running.get(other) is not self:
                return False
            self._report(board, link)
        return True

    def _check(self, board: VirtualBoard) -> None:
        """Note that the power or the links of one of the machine's boards have changed."""
        self._checked = False
        if not board.booted:
            del self._running[board]

    def _unbroken(self) -> bool:
        """Return whether all boards still run, and all links between them that worked at boot still do."""
        if not self._checked:
            self._intact = self.region.intact() and all(
                self._running.get(board) is self for board in self._boards
            )
            self._checked = True
        return self._intact

    def _report(self, board: VirtualBoard, link: Link) -> None:
        if self._crossed is not None:
            self._crossed(BoardLink(board.board, link))
