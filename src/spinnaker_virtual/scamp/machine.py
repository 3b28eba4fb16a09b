"""The chips that one boot image reached: what they share, and whether packets get from one to another.

Made when the image has arrived; one chip's memory is in chip.py, what its monitor answers in monitor.py.
"""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from spinnaker.boot import BootImage
from spinnaker.geometry import BOARD_CHIPS, BoardLink, Link
from spinnaker.memory_map import SystemVariable
from spinnaker.scp import SoftwareNumber
from spinnaker_virtual.board import VirtualBoard
from spinnaker_virtual.region import Region
from spinnaker_virtual.scamp.chip import Chip, fresh_core, pack_p2p
from spinnaker_virtual.scamp.flood import FloodFill
from spinnaker_virtual.scamp.layout import Layout, LayoutError, software_word

Crossed = Callable[[BoardLink], None]
"""Told of every packet that leaves a board over one of its links."""

_KEPT_TABLES = 4


class ImageError(ValueError):
    """An image that is not SCAMP, or could not start; boards that take it never answer."""


class BootedMachine:
    """The chips that run SCAMP together since one boot."""

    def __init__(
        self,
        region: Region,
        image: BootImage,
        now: float,
        answers_from: float,
        crossed: Crossed | None = None,
    ) -> None:
        """Run an image on the chips of a region.

        Args:
            region: The chips that the image reached.
            image: What was sent.
            now: The time in seconds.
            answers_from: When SCAMP has found its neighbours and answers.
            crossed: Is told of packets between boards.

        Raises:
            ImageError: The image does not hold SCAMP, or variables with which it can't start.
        """
        software = image.software
        if software is None:
            raise ImageError("the boot image does not hold SCAMP")
        try:
            self.layout = Layout.of(image.variables, software)
        except LayoutError as error:
            raise ImageError(str(error)) from error
        self.region = region
        self.software: SoftwareNumber = software
        self.answers_from = answers_from
        self.flood = FloodFill()
        self._booted_at = now
        unix_time = SystemVariable.UNIX_TIME
        self.booted_at_unix: int = unix_time.format.unpack_from(self.layout.variables, unix_time.offset)[0]
        self._crossed = crossed
        self._chips: dict[int, Chip] = {}
        self._ethernet_chips: dict[VirtualBoard, Chip] = {}
        self._tables: dict[int, bytes] = {}
        self._fresh_cores: dict[tuple[int, bool], bytes] = {}
        self._intact = True
        self._checked = True
        self._boards = [board for slot, board in enumerate(region.boards) if region.on_board(slot)]
        for board in self._boards:
            board.machine = self

    # Chips.

    def chip(self, number: int) -> Chip:
        """Return a chip by its number in the region."""
        chip = self._chips.get(number)
        if chip is None:
            chip = self._chips[number] = Chip(self, number)
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
        return self.region.boards[self.region.number(number).slot].machine is self

    def fresh_core(self, physical: int, monitor: bool) -> bytes:
        """Return the block of a core that has just booted, as `chip.fresh_core` makes it."""
        key = (physical, monitor)
        if key not in self._fresh_cores:
            software = software_word(self.software)
            self._fresh_cores[key] = fresh_core(physical, monitor, self.booted_at_unix, software)
        return self._fresh_cores[key]

    def ip_address(self, chip: Chip) -> bytes:
        """Return a chip's IP address, four bytes; zeros if it has no Ethernet."""
        if not chip.has_ethernet:
            return bytes(4)
        return IPv4Address(self.region.boards[chip.slot].host).packed

    @staticmethod
    def board_address(local: int) -> int:
        """Return 256x + y of a chip on its board."""
        place = BOARD_CHIPS[local]
        return place.x << 8 | place.y

    def clock(self, now: float) -> tuple[int, int, int, int]:
        """Return milliseconds since boot, milliseconds within the second, a period that is 0, and the Unix time."""
        milliseconds = max(0, int((now - self._booted_at) * 1000))
        return milliseconds, milliseconds % 1000, 0, self.unix_time(now)

    def unix_time(self, now: float) -> int:
        """Return the chips' idea of the time in seconds since 1970: what the image said, and what has passed."""
        return self.booted_at_unix + max(0, int(now - self._booted_at)) & 0xFFFF_FFFF

    # Links and ways.

    def links(self, number: int) -> int:
        """Return the links of a chip that work now, one bit each."""
        return sum(1 << exit_.link for exit_ in self.region.exits(number))

    def across(self, number: int, link: int) -> Chip | None:
        """Return the chip over a link, of this machine or another; None if it can't be reached or isn't booted."""
        for exit_ in self.region.exits(number):
            if exit_.link != link or exit_.board.machine is None:
                continue
            other = exit_.board.machine
            found = other.region.find(exit_.board, exit_.local)
            if found is not None:
                if exit_.cable is not None:
                    self._report(self.region.board(number), exit_.cable)
                return other.chip(found)
        return None

    def p2p_table(self, number: int) -> bytes:
        """Return a chip's peer-to-peer table as its router holds it."""
        table = self._tables.get(number)
        if table is None:
            routes = self.region.routes(number)
            table = pack_p2p({self.region.address(chip): link for chip, link in routes.items()})
            if len(self._tables) >= _KEPT_TABLES:
                self._tables.pop(next(iter(self._tables)))
            self._tables[number] = table
        return table

    def around(self, start: Chip) -> Iterator[Chip]:
        """Give the chips that packets reach that go from neighbour to neighbour, beginning with `start`."""
        if self._unbroken() and self._crossed is None:
            yield from map(self.chip, self.region.parents)
            return
        reached = {start.number: start}
        crossed: dict[tuple[int, Link], None] = {}
        queue = [start]
        for chip in queue:
            for exit_ in self.region.exits(chip.number):
                if exit_.board.machine is not self:
                    continue
                number = self.region.find(exit_.board, exit_.local)
                if number is None:
                    continue
                if exit_.cable is not None:
                    crossed[chip.slot, exit_.cable] = None
                if number not in reached:
                    reached[number] = self.chip(number)
                    queue.append(reached[number])
        for slot, cable in crossed:
            self._report(self.region.boards[slot], cable)
        yield from queue

    def check_links(self) -> None:
        """Note that power or links of the machine's boards may have changed."""
        self._checked = False

    def reaches(self, start: Chip, end: Chip) -> bool:
        """Return whether packets from one chip to another arrive, by the ways that SCAMP found at boot."""
        if self._unbroken() and (self._crossed is None or start.slot == end.slot):
            return True
        if not self.runs(end.number):
            return False
        crossings = self.region.crossings(start.number, end.number)
        if crossings is None:
            return False
        for slot, cable in crossings:
            board = self.region.boards[slot]
            other = board.across(cable)
            if other is None or other.machine is not self:
                return False
            self._report(board, cable)
        return True

    def _unbroken(self) -> bool:
        """Return whether all boards still run, and all links between them that worked at boot still do."""
        if not self._checked:
            self._intact = self.region.intact() and all(board.machine is self for board in self._boards)
            self._checked = True
        return self._intact

    def _report(self, board: VirtualBoard, cable: Link) -> None:
        if self._crossed is not None:
            self._crossed(BoardLink(board.board, cable))
