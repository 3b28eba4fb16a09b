"""The chips that a boot image reaches from a board, their coordinates, and the paths of packets between them.

A chip is a number here: 48 times its board's position in the region, plus its number on the board. See scamp/chip.py
for its memory.
"""

from array import array
from typing import NamedTuple

from spinnaker.geometry import BOARD_CHIPS, LINK_VECTORS, BoardLink, Link, Size, chip_links, chip_size
from spinnaker.memory_map import P2P_HERE
from spinnaker_virtual.board import VirtualBoard
from spinnaker_virtual.machine import LOCAL

_CHIPS = len(BOARD_CHIPS)
_NOT_BOARD = -1
_LIMIT = 255
_KEPT_TREES = 8
_UNSEEN = 255

_SAME_BOARD = -1
_HOPS: tuple[tuple[tuple[int, int, int], ...], ...] = tuple(
    tuple(
        (link, _SAME_BOARD if hop.board_link is None else hop.board_link, LOCAL[hop.chip])
        for link, hop in enumerate(chip_links()[chip])
    )
    for chip in BOARD_CHIPS
)
"""For each chip of a board and each link: the link, the board's link it crosses or -1, and the chip it leads to."""


class ChipNumber(NamedTuple):
    """A chip of a region: its board's position in the region, and its number on the board."""

    slot: int
    local: int


class Exit(NamedTuple):
    """A link of a chip that works."""

    link: int
    board_link: Link | None
    """The board's link that it crosses; None if it stays on the board."""
    board: VirtualBoard
    """The board at the other end."""
    local: int
    """The number, on that board, of the chip at the other end."""


class Region:
    """The chips that one boot image reached, and their coordinates.

    Coordinates are those that SCAMP computes: (0, 0) is the chip that was booted, unless there are chips to its left or
    below; if links lead all the way around the machine, coordinates wrap around.
    """

    def __init__(self, root: VirtualBoard, size: Size, now: float) -> None:
        """Spread from a board to all boards that await an image at `now`, across the links that work then."""
        self.boards = [root]
        self.crossed: dict[BoardLink, None] = {}
        """The links over which the image reached chips of other boards, in order; each by the end that it left from."""
        self._slots = {root.board: 0}
        self._neighbours: list[list[int] | None] = [None]
        self._live = [root.live_chips]
        self._wraps = [False, False]
        self._trees: dict[int, dict[int, tuple[int, int]]] = {}
        places, self.parents = self._spread(now)
        self._place(places, chip_size(size))

    # How the image spreads.

    def _spread(self, now: float) -> tuple[dict[int, tuple[int, int]], dict[int, int]]:
        """Return, for each chip reached, its x and y from the root, and its link towards the root."""
        places = {0: (0, 0)}
        parents = {0: P2P_HERE}
        queue = [0]
        for chip in queue:
            slot, local = divmod(chip, _CHIPS)
            x, y = places[chip]
            board = self.boards[slot]
            neighbours = self._neighbours[slot]
            if neighbours is None:
                neighbours = self._neighbours[slot] = self._open_links(board, now)
            for link, board_link, other_local in _HOPS[local]:
                other_slot = slot if board_link == _SAME_BOARD else neighbours[board_link]
                if other_slot == _NOT_BOARD or not self._live[other_slot] >> other_local & 1:
                    continue
                if self._broken(board, local, link, self.boards[other_slot], other_local):
                    continue
                other = other_slot * _CHIPS + other_local
                vector = LINK_VECTORS[link]
                place = (x + vector.x, y + vector.y)
                known = places.get(other)
                if known is not None:
                    if known != place:
                        self._wraps[0] |= known[0] != place[0]
                        self._wraps[1] |= known[1] != place[1]
                elif max(map(abs, place)) <= _LIMIT:
                    places[other] = place
                    if board_link != _SAME_BOARD:
                        self.crossed[BoardLink(board.board, Link(board_link))] = None
                    parents[other] = (link + 3) % 6
                    queue.append(other)
        return places, parents

    def _open_links(self, board: VirtualBoard, now: float) -> list[int]:
        slots = []
        for link in Link:
            other = board.across(link)
            if other is None:
                slots.append(_NOT_BOARD)
                continue
            slot = self._slots.get(other.board)
            if slot is None and other.awaits_boot(now):
                slot = self._slots[other.board] = len(self.boards)
                self.boards.append(other)
                self._live.append(other.live_chips)
                self._neighbours.append(None)
            slots.append(_NOT_BOARD if slot is None else slot)
        return slots

    @staticmethod
    def _broken(board: VirtualBoard, local: int, link: int, other: VirtualBoard, other_local: int) -> bool:
        if not board.defects.links and not other.defects.links:
            return False
        return (local, Link(link)) in board.defects.links or (
            other_local,
            Link((link + 3) % 6),
        ) in other.defects.links

    def _place(self, places: dict[int, tuple[int, int]], sides: tuple[int, int]) -> None:
        if self._wraps[0] or self._wraps[1]:
            modulo = [side if wraps else 1 << 16 for side, wraps in zip(sides, self._wraps, strict=True)]
            places = {
                chip: (x % modulo[0] if self._wraps[0] else x, y % modulo[1] if self._wraps[1] else y)
                for chip, (x, y) in places.items()
            }
        left = min(x for x, _ in places.values())
        bottom = min(y for _, y in places.values())
        self.width = 1 + max(x for x, _ in places.values()) - left
        self.height = 1 + max(y for _, y in places.values()) - bottom
        self.root = -left << 8 | -bottom
        """256x + y of the chip that was booted."""
        self._address = array("H", bytes(2 * _CHIPS * len(self.boards)))
        self.chips: dict[int, int] = {}
        """For 256x + y of each chip, its number."""
        for chip, (x, y) in places.items():
            address = x - left << 8 | y - bottom
            self._address[chip] = address
            self.chips[address] = chip

    # Where chips are.

    def number(self, chip: int) -> ChipNumber:
        """Return a chip's board and its number on it."""
        return ChipNumber(*divmod(chip, _CHIPS))

    def address(self, chip: int) -> int:
        """Return 256x + y of a chip."""
        return self._address[chip]

    def on_board(self, slot: int) -> list[int]:
        """Return the chips of a board that are in the region."""
        first = slot * _CHIPS
        return [chip for chip in range(first, first + _CHIPS) if chip in self.parents]

    def board(self, chip: int) -> VirtualBoard:
        """Return the board that a chip is on."""
        return self.boards[chip // _CHIPS]

    def find(self, board: VirtualBoard, local: int) -> int | None:
        """Return the chip of the region with this number on a board; None if there is none."""
        slot = self._slots.get(board.board)
        if slot is None:
            return None
        chip = slot * _CHIPS + local
        return chip if chip in self.parents else None

    def ethernet(self, chip: int) -> int:
        """Return 256x + y of the Ethernet-connected chip of a chip's board, dead or alive."""
        local = BOARD_CHIPS[chip % _CHIPS]
        address = self._address[chip]
        x, y = (address >> 8) - local.x, (address & 0xFF) - local.y
        return (x + self.width if x < 0 else x) << 8 | (y + self.height if y < 0 else y)

    # Paths between chips, along the links that worked when the region was booted.

    def routes(self, start: int) -> dict[int, int]:
        """Return, for each chip, the link by which packets for it leave `start`; 7 for `start` itself."""
        first = {start: P2P_HERE}
        queue = [start]
        for chip in queue:
            slot, local = divmod(chip, _CHIPS)
            for link, board_link, other_local in _HOPS[local]:
                other = self._neighbour(slot, local, link, board_link, other_local)
                if other is not None and other not in first:
                    first[other] = link if chip == start else first[chip]
                    queue.append(other)
        return first

    def crossings(self, start: int, end: int) -> list[tuple[int, Link]] | None:
        """Return the board links that packets from one chip to another cross: board's slot and link, in order.

        None if there is no path from `start` to `end`.
        """
        before = self._tree(start)
        if end not in before:
            return None
        crossed = []
        chip = end
        while chip != start:
            chip, board_link = before[chip]
            if board_link != _SAME_BOARD:
                crossed.append((chip // _CHIPS, Link(board_link)))
        return crossed[::-1]

    def _tree(self, start: int) -> dict[int, tuple[int, int]]:
        """Return, for each chip that packets from `start` reach, the chip before it and the board link between them."""
        before = self._trees.get(start)
        if before is None:
            before = {start: (start, _SAME_BOARD)}
            queue = [start]
            for chip in queue:
                slot, local = divmod(chip, _CHIPS)
                for link, board_link, other_local in _HOPS[local]:
                    other = self._neighbour(slot, local, link, board_link, other_local)
                    if other is not None and other not in before:
                        before[other] = (chip, board_link)
                        queue.append(other)
            if len(self._trees) >= _KEPT_TREES:
                self._trees.pop(next(iter(self._trees)))
            self._trees[start] = before
        return before

    def _neighbour(self, slot: int, local: int, link: int, board_link: int, other_local: int) -> int | None:
        neighbours = self._neighbours[slot]
        if neighbours is None:
            return None
        other_slot = slot if board_link == _SAME_BOARD else neighbours[board_link]
        if other_slot == _NOT_BOARD:
            return None
        other = other_slot * _CHIPS + other_local
        if other not in self.parents:
            return None
        if self._broken(self.boards[slot], local, link, self.boards[other_slot], other_local):
            return None
        return other

    def links_at_boot(self, chip: int) -> int:
        """Return the links of a chip that led to another of the region at boot, one bit each."""
        slot, local = divmod(chip, _CHIPS)
        return sum(
            1 << link
            for link, board_link, other_local in _HOPS[local]
            if self._neighbour(slot, local, link, board_link, other_local) is not None
        )

    def exits(self, chip: int) -> list[Exit]:
        """Return the links of a chip that work now."""
        slot, local = divmod(chip, _CHIPS)
        board = self.boards[slot]
        working = []
        for link, board_link, other_local in _HOPS[local]:
            other = board if board_link == _SAME_BOARD else board.across(board_link)
            if other is None or not other.live_chips >> other_local & 1:
                continue
            if not self._broken(board, local, link, other, other_local):
                working.append(
                    Exit(link, None if board_link == _SAME_BOARD else Link(board_link), other, other_local)
                )
        return working

    def intact(self) -> bool:
        """Return whether all links between boards that worked at boot still do."""
        for slot, neighbours in enumerate(self._neighbours):
            board = self.boards[slot]
            for link, other in enumerate(neighbours or ()):
                if other != _NOT_BOARD and board.across(link) is not self.boards[other]:
                    return False
        return True
