"""Who is connected, by groups of addresses, and who must go when there is no room left.

No I/O and no clock. When something runs out, the group that has most of it gives way:
- Connections: a newcomer is let in when its group has fewer than another. That one loses the connection that is used
  least. Whoever holds a job and reads what it is sent is not cut off for somebody else.
- Bytes that are kept for clients: the group for which most are kept loses the connection for which most are kept.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Protocol

from spalloc_server.fronts.v1.turns import Line

SMALL_BYTES = 1024
"""What may be kept for a client without being counted: nearly all clients, nearly always, have less."""
GROUPS_LOOKED_AT = 16
"""The largest groups, in which a connection to give way is looked for."""
CONNECTIONS_OF_A_JOB = 2
"""How many connections count as holding one job: its owner's own, and the one that keeps the job alive."""


class Member(Protocol):
    """A connection."""

    __slots__ = ()

    @property
    def group(self) -> "Group":
        """Whose it is."""

    @property
    def asked(self) -> bool:
        """Whether it was ever used."""

    @property
    def heard(self) -> float:
        """When it was last used."""


class Group(Line):
    """The connections from one group of addresses."""

    __slots__ = ("bytes", "members", "weights")

    def __init__(self, name: str) -> None:
        """Begin with none."""
        super().__init__(name)
        self.members: dict[Member, None] = {}
        """In the order in which they came."""
        self.weights: dict[Member, int] = {}
        """For whom more than a little is kept, and how many bytes."""
        self.bytes = 0
        """The sum of that."""


class Crowd:
    """All connections."""

    def __init__(self) -> None:
        """Begin with none."""
        self.groups: dict[str, Group] = {}
        self.size = 0
        """How many connections there are."""
        self.bytes = 0
        """How much is kept for all of them, apart from a little for each."""
        self._by_size: defaultdict[int, dict[Group, None]] = defaultdict(dict)
        self._largest = 0

    def enter(self, member: Member, name: str) -> Group:
        """Take a connection into the group of that name, and return the group."""
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
        group.members[member] = None
        self.size += 1
        self._resized(group, len(group.members) - 1)
        return group

    def leave(self, member: Member) -> None:
        """Forget a connection; once is enough."""
        group = member.group
        if member not in group.members:
            return
        self.weigh(member, 0)
        del group.members[member]
        self.size -= 1
        self._resized(group, len(group.members) + 1)
        self.tidy(group)

    def tidy(self, group: Group) -> None:
        """Forget a group of which nothing is left."""
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
        """Take note of how many bytes are kept for a connection."""
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
        """Return all for whom more than a little is kept."""
        return [member for group in self.groups.values() for member in group.weights]

    def heaviest(self) -> Member | None:
        """Return whom most is kept for in the group that most is kept for, if there is any."""
        if not self.bytes:
            return None
        group = max(self.groups.values(), key=_bytes)
        return max(group.weights, key=group.weights.__getitem__)

    def least_used(self, newcomer: Group, job_of: Callable[[Member], int | None]) -> Member | None:
        """Return who is to give way to a newcomer that was already taken into its group; None if nobody is.

        Args:
            newcomer: The newcomer's group.
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
