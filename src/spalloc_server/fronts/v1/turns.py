"""Whose turn it is: first by the group of addresses, then by the owner, then in the order in which they came.

What is done in a turn is connection.py's subject. The rules here:
- Groups of addresses take turns, however many connections each has; so do the owners within one, as far as clients
  have said for whom they create jobs. Owners are free to invent, so they come second.
- While nobody waits, clients are served as soon as they are heard: taking turns costs a little.
- Between turns the event loop looks at its sockets, so that those who have just come take part.
- A group may have so many changes on their way to the disk; its next ones wait until some have arrived. So one
  group's changes can't make a commit, which all wait for, much longer.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

K = TypeVar("K")
V = TypeVar("V")

SLICE_SECONDS = 0.0003
"""A change passes through the event loop some ten times on its way to the disk and back, and each time waits for a
slice of a flood."""
TURNS_A_SLICE = 64
"""Turns between two looks at the sockets, if they take less time than that."""
EFFORT_AT_ONCE = 64
"""How much is done for clients as soon as they are heard, in commands,"""
AT_ONCE_SECONDS = 0.001
"""within this time."""
MOST_CHANGES = 64
"""Changes of one group that may be on their way to the disk while no other group asks for anything,"""
MOST_CHANGES_AMONG_OTHERS = 8
"""and while others do: a commit takes longer the more there are, and all who change something wait for it."""
AMONG_OTHERS_SECONDS = 1.0
"""How long a group is among others after another was heard."""


class Rotation(Generic[K, V]):
    """Queues that take turns."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        """Begin with none."""
        self._queues: OrderedDict[K, deque[V]] = OrderedDict()

    def __bool__(self) -> bool:
        """Return whether anybody waits."""
        return bool(self._queues)

    def add(self, queue: K, item: V) -> None:
        """Let `item` wait in a queue."""
        waiting = self._queues.get(queue)
        if waiting is None:
            self._queues[queue] = deque((item,))
        else:
            waiting.append(item)

    def take(self) -> V:
        """Return the first of the queue whose turn it is; the next time it is another's."""
        queue, waiting = self._queues.popitem(last=False)
        item = waiting.popleft()
        if waiting:
            self._queues[queue] = waiting
        return item


class Client(Protocol):
    """Whoever takes turns."""

    __slots__ = ()

    @property
    def group(self) -> "Line":
        """Where it queues."""

    @property
    def owner(self) -> str:
        """For whom it creates jobs, as far as is known."""

    def take_turn(self) -> int:
        """Do a few commands; return how much effort that was. None of its faults is raised: the others go on."""

    def change_may_come(self) -> bool:
        """Take a turn for the change that was put aside; return False if it no longer is."""


class Line:
    """The clients of one group that wait."""

    __slots__ = ("changes", "name", "putting_aside", "ready")

    def __init__(self, name: str) -> None:
        """Begin with nobody waiting."""
        self.name = name
        """The group's: the same when the group comes back after its last connection has ended."""
        self.ready: Rotation[str, Client] = Rotation()
        """Those who wait for a turn, by owner."""
        self.putting_aside: Rotation[str, Client] = Rotation()
        """Those who want to change something, and wait until less is on its way to the disk."""
        self.changes = 0
        """How many changes are on their way to the disk."""

    def wake(self, most_changes: int) -> None:
        """Let one go on who waits with a change, if there is room for it."""
        while self.putting_aside and self.changes < most_changes:
            if self.putting_aside.take().change_may_come():
                return

    def wake_all(self) -> None:
        """Let all go on who wait with a change: their changes are counted elsewhere from now on."""
        while self.putting_aside:
            self.putting_aside.take().change_may_come()


class Turns:
    """Gives clients their turns."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin with nobody waiting; `now` returns the time in seconds."""
        self._now = now
        self._lines: OrderedDict[Line, None] = OrderedDict()
        """The groups in which somebody waits for a turn, the next one first."""
        self._next: asyncio.Handle | None = None
        self._heard_at = 0.0
        self.effort = 0
        """How much was done just now for clients that had their turn as soon as they were heard: they add to it."""
        self._heard_last: str | None = None
        """The name of the group that was heard last."""
        self._alone_from = 0.0
        self.most_changes = MOST_CHANGES
        """Changes of one group that may be on their way to the disk; 0 while nothing may be changed."""

    def __bool__(self) -> bool:
        """Return whether anybody waits for a turn."""
        return bool(self._lines)

    def stop(self) -> None:
        """Give no more turns."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def heard(self, client: Client, now: float) -> bool:
        """Return whether it is at once the turn of a client that was heard `now`, in the event loop's time.

        If not, it must ask for one. An event loop's time may stand still while it serves all who were heard at once.
        """
        if client.group.name != self._heard_last:
            if self._heard_last is not None:
                self._alone_from = now + AMONG_OTHERS_SECONDS
            self._heard_last = client.group.name
        if self.most_changes:
            self.most_changes = MOST_CHANGES if now >= self._alone_from else MOST_CHANGES_AMONG_OTHERS
        if self._lines:
            return False
        if not 0.0 <= now - self._heard_at <= AT_ONCE_SECONDS:
            self._heard_at, self.effort = now, 0
        return self.effort < EFFORT_AT_ONCE

    def ask(self, client: Client) -> None:
        """Let a client wait for its turn; it waits for one at a time."""
        line = client.group
        line.ready.add(client.owner, client)
        self._lines.setdefault(line)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._give_some)

    def _give_some(self) -> None:
        until = self._now() + SLICE_SECONDS
        lines = self._lines
        for _ in range(TURNS_A_SLICE):
            line, _ = lines.popitem(last=False)
            client = line.ready.take()
            if line.ready:
                lines[line] = None
            client.take_turn()
            line.wake(self.most_changes)
            if not lines or self._now() >= until:
                break
        self._next = asyncio.get_running_loop().call_soon(self._give_some) if lines else None
