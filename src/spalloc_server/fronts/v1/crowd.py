"""Groups all connections by address, and chooses which one must end when there is no room left.

No I/O and no clock. When something runs out, the group that has most of it gives way:
- Connections: a newcomer is let in when its group has fewer connections than another. That other group then loses the
  connection that is used least. A connection that holds a job and reads its replies is never ended for another one.
- Bytes that are kept for clients: the group with the most bytes loses the connection with the most bytes.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Protocol

from spalloc_server.fronts.v1.turns import TurnQueue

SMALL_BYTES = 1024
"""The most bytes for a client that are not counted: nearly all clients have less nearly always."""
GROUPS_LOOKED_AT = 16
"""How many of the largest groups are searched for a connection that can give way."""
CONNECTIONS_OF_A_JOB = 2
"""How many connections count as holding one job: its owner's own, and the one that keeps the job alive."""


class Member(Protocol):
    """A connection."""

    __slots__ = ()

    @property
    def group(self) -> "Group":
        """The group that it counts in."""

    @property
    def asked(self) -> bool:
        """Whether a request ever came over it."""

    @property
    def heard(self) -> float:
        """When anything last came over it."""


class Group(TurnQueue):
    """The connections from one group of addresses."""

    __slots__ = ("bytes", "members", "weights")

    def __init__(self, name: str) -> None:
        """Begin with none."""
        super().__init__(name)
        self.members: dict[Member, None] = {}
        """All connections, in the order in which they came."""
        self.weights: dict[Member, int] = {}
        """How many bytes are kept for each connection that has more than `SMALL_BYTES`."""
        self.bytes = 0
        """The sum of `weights`."""


class Crowd:
    """All connections."""

    def __init__(self) -> None:
        """Begin with none."""
        self.groups: dict[str, Group] = {}
        self.size = 0
        """How many connections there are."""
        self.bytes = 0
        """How many bytes are kept for all of them, apart from small amounts."""
        self._by_size: defaultdict[int, dict[Group, None]] = defaultdict(dict)
        self._largest = 0

    def enter(self, member: Member, name: str) -> Group:
        """Add a connection to the group of that name, and return the group."""
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
        group.members[member] = None
        self.size += 1
        self._resized(group, len(group.members) - 1)
        return group

    def leave(self, member: Member) -> None:
        """Remove a connection, if it is there."""
        group = member.group
        if member not in group.members:
            return
        self.weigh(member, 0)
        del group.members[member]
        self.size -= 1
        self._resized(group, len(group.members) + 1)
        self.tidy(group)

    def tidy(self, group: Group) -> None:
        """Remove a group that has no connections, and no changes on their way to the disk."""
        if not group.members and not group.changes and self.groups.get(group.name) is group:
            del self.groups[group.name]

    def _resized(self, group: Group, before: int) -> None:
        size = len(group.members)
        before_like = self._by_size[before]
        before_like.pop(group, None)
        if not before_like:
            del self._by_size[before]
        if size:
            self._by_size[size][group] = None
        if size > self._largest or (before == self._largest and before not in self._by_size):
            self._largest = size

    def weigh(self, member: Member, weight: int) -> None:
        """Note how many bytes of memory a connection takes; up to `SMALL_BYTES` are not counted."""
        group = member.group
        if weight <= SMALL_BYTES:
            change = -group.weights.pop(member, 0)
        else:
            if member not in group.members:
                return
            change = weight - group.weights.get(member, 0)
            group.weights[member] = weight
        group.bytes += change
        self.bytes += change

    def heavy(self) -> list[Member]:
        """Return the connections with more than `SMALL_BYTES`."""
        return [member for group in self.groups.values() for member in group.weights]

    def heaviest(self) -> Member | None:
        """Return the connection with the most bytes in the group with the most bytes; None if there is none."""
        if not self.bytes:
            return None
        group = max(self.groups.values(), key=_bytes)
        return max(group.weights, key=group.weights.__getitem__)

    def too_heavy(self, most: int, weight_of: Callable[[Member], int]) -> Iterator[Member]:
        """Go through the connections that must end so that no more is kept; each has left when the next is chosen.

        Args:
            most: How many bytes may be kept for all of them, 0 or more.
            weight_of: Returns how many are kept for one at this moment.
        """
        while self.bytes > most:
            heaviest = self.heaviest()
            assert heaviest is not None
            known = heaviest.group.weights[heaviest]
            self.weigh(heaviest, weight_of(heaviest))
            # It may have fewer now, and no longer be the heaviest.
            if heaviest.group.weights.get(heaviest, 0) >= known:
                yield heaviest
                self.leave(heaviest)

    def least_used(self, newcomer: Group, job_of: Callable[[Member], int | None]) -> Member | None:
        """Return the connection to end so that a newcomer can stay; None if none has to give way.

        Args:
            newcomer: The newcomer's group, in which it is already counted.
            job_of: Returns the job that a connection holds, or None.
        """
        looked_at = 0
        for size in range(self._largest, len(newcomer.members), -1):
            for group in self._by_size.get(size, ()):
                found = _least_used_of(group, job_of)
                if found is not None:
                    return found
                looked_at += 1
                if looked_at >= GROUPS_LOOKED_AT:
                    return None
        return None


def _least_used_of(group: Group, job_of: Callable[[Member], int | None]) -> Member | None:
    holding: Counter[int] = Counter()
    found: Member | None = None
    for member in group.members:
        job = job_of(member)
        if job is not None:
            holding[job] += 1
            if holding[job] <= CONNECTIONS_OF_A_JOB:
                continue
        if found is None or (member.asked, member.heard) < (found.asked, found.heard):
            found = member
    return found


def _bytes(group: Group) -> int:
    return group.bytes
