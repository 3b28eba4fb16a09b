"""A chip's multicast table: the router's own, and SCAMP's copy in SDRAM, in which blocks of entries are allocated.

The copy's blocks are chained as SARK chains them, so that hosts can read them; entry 0 is SCAMP's own.
"""

from collections.abc import Iterator

from spinnaker.memory_map import ROUTER_ENTRIES, ROUTER_ENTRY, SDRAM, UNUSED_ROUTE, SystemVariable
from spinnaker_virtual.scamp.chip import Chip
from spinnaker_virtual.scamp.heap import beyond
from spinnaker_virtual.scamp.layout import fresh_router

_FIRST = 1
_OWNED = 0x8000
_OWNER_MASK = 0xE0FF
_ROUTE_MASK = 0x00FF_FFFF
_UNUSED_KEY = 0xFFFF_FFFF


class RouterTable:
    """A chip's multicast table."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._base = chip.layout.router_copy - SDRAM

    def initialise(self) -> None:
        """Remove all entries but SCAMP's own, and free all blocks."""
        size = ROUTER_ENTRY.size
        self._chip.sdram.write(self._base + size * _FIRST, fresh_router()[size * _FIRST :])
        self._chip.put(SystemVariable.ROUTER_FREE, _FIRST)
        self._chip.router.fill(0x4000 + 4 * _FIRST, UNUSED_ROUTE, ROUTER_ENTRIES - _FIRST)

    def clear(self, first: int, count: int) -> bool:
        """Clear `count` entries from `first`; return False, and do nothing, if the table is too short."""
        if first + count > ROUTER_ENTRIES:
            return False
        for entry in range(first, first + count):
            following, owner, *_ = self._get(entry)
            self._set(entry, following, owner, UNUSED_ROUTE, _UNUSED_KEY, 0)
            self._chip.set_route(entry, UNUSED_ROUTE)
        return True

    def load(self, table: bytes, count: int, offset: int, application: int) -> bool:
        """Set entries from a table in the format of the copy; return False at the first that is outside the router.

        Args:
            table: At least `count` entries; the first field of each is its number.
            count: How many to set.
            offset: Added to the number of each entry.
            application: The application that owns them.
        """
        for index in range(count):
            number, _, route, key, mask = ROUTER_ENTRY.unpack_from(table, index * ROUTER_ENTRY.size)
            entry = number + offset
            if entry >= ROUTER_ENTRIES:
                return False
            owner = _OWNED | (application or route >> 24)
            self._set(entry, self._get(entry)[0], owner, route & _ROUTE_MASK, key, mask)
            self._chip.set_route(entry, route & _ROUTE_MASK)
        return True

    def allocate(self, count: int, application: int) -> int:
        """Allocate `count` entries to an application; return the first, or 0 if there is no room."""
        if count == 0:
            return 0
        previous = 0
        entry = self._chip.get(SystemVariable.ROUTER_FREE)
        following, next_free, *_ = self._get(entry)
        while entry and entry + count > following:
            previous, entry = entry, beyond(entry, next_free)
            following, next_free, *_ = self._get(entry)
        if not entry:
            return 0
        rest = entry + count
        if rest < following:
            self._chain(rest, following, next_free)
            following, next_free = rest, rest
        self._link_free(previous, next_free)
        self._chain(entry, following, _OWNED | application)
        return entry

    def free(self, entry: int, clear: bool) -> None:
        """Free the block that begins with `entry`, and clear its entries if `clear`; other numbers are ignored."""
        following = next((end for start, end in self._blocks() if start == entry), 0)
        if not following or entry in self._free_blocks():
            return
        if clear:
            self.clear(entry, following - entry)
        previous, after = 0, self._chip.get(SystemVariable.ROUTER_FREE)
        while after and after < entry:
            previous, after = after, beyond(after, self._get(after)[1])
        next_free = after
        if after and following == after:
            following, next_free = self._get(after)[:2]
        self._chain(entry, following, next_free)
        if previous and self._get(previous)[0] == entry:
            self._chain(previous, following, next_free)
        else:
            self._link_free(previous, entry)

    def free_application(self, application: int, clear: bool) -> int:
        """Free all blocks of an application; return how many there were."""
        owned = [
            entry
            for entry, _ in self._blocks()
            if entry not in set(self._free_blocks())
            and self._get(entry)[1] & _OWNER_MASK == _OWNED | application
        ]
        for entry in owned:
            self.free(entry, clear)
        return len(owned)

    @property
    def largest(self) -> int:
        """Entries in the largest free block."""
        return max((self._get(entry)[0] - entry for entry in self._free_blocks()), default=0)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        entry = _FIRST
        while entry < ROUTER_ENTRIES:
            following = self._get(entry)[0]
            if following <= entry:
                return
            yield entry, following
            entry = following

    def _free_blocks(self) -> Iterator[int]:
        entry = self._chip.get(SystemVariable.ROUTER_FREE)
        while entry:
            yield entry
            entry = beyond(entry, self._get(entry)[1])

    def _get(self, entry: int) -> tuple[int, int, int, int, int]:
        data = self._chip.sdram.read(self._base + ROUTER_ENTRY.size * entry, ROUTER_ENTRY.size)
        following, owner, route, key, mask = ROUTER_ENTRY.unpack(data)
        return following, owner, route, key, mask

    def _set(self, entry: int, following: int, owner: int, route: int, key: int, mask: int) -> None:
        data = ROUTER_ENTRY.pack(following, owner, route, key, mask)
        self._chip.sdram.write(self._base + ROUTER_ENTRY.size * entry, data)

    def _chain(self, entry: int, following: int, free: int) -> None:
        self._set(entry, following, free, *self._get(entry)[2:])

    def _link_free(self, previous: int, entry: int) -> None:
        if previous:
            self._chain(previous, self._get(previous)[0], entry)
        else:
            self._chip.put(SystemVariable.ROUTER_FREE, entry)
