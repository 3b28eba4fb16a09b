"""Gives clients their turns: first by group of addresses, then by owner, then in the order in which they asked.

See connection.py for what is done in a turn. The rules:
- Groups of addresses take turns, however many connections each has. Within a group, owners take turns; a client's owner
  is known once it has created a job. Owners come second since clients can invent any number of them.
- While no client waits, requests are served as soon as they arrive, without a turn, since turns have a small cost.
- Between turns the event loop polls its sockets, so that new clients take part.
- Only a limited number of one group's changes may be on their way to the disk; its other changes wait. So one group
  can't make commits, which everyone waits for, much longer.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

K = TypeVar("K")
V = TypeVar("V")

SLICE_SECONDS = 0.0003
"""The longest time between two polls; short because a change waits for some ten such slices to reach the disk."""
TURNS_A_SLICE = 64
"""The most turns between two polls of the sockets."""
EFFORT_AT_ONCE = 64
"""The most commands that are done without waiting for turns within `AT_ONCE_SECONDS`."""
AT_ONCE_SECONDS = 0.001
"""The time within which commands that are done without waiting for turns are counted."""
MOST_CHANGES = 64
"""The most changes of one group on their way to the disk while no other group sends requests."""
MOST_CHANGES_AMONG_OTHERS = 8
"""The same while other groups send requests, which wait for the same, longer commits."""
AMONG_OTHERS_SECONDS = 1.0
"""The seconds after another group's request for which `MOST_CHANGES_AMONG_OTHERS` holds."""


class Rotation(Generic[K, V]):
    """Queues that take turns."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        """Begin with no queues."""
        self._queues: OrderedDict[K, deque[V]] = OrderedDict()

    def __bool__(self) -> bool:
        """Return whether anything waits."""
        return bool(self._queues)

    def add(self, queue: K, item: V) -> None:
        """Append `item` to a queue."""
        waiting = self._queues.get(queue)
        if waiting is None:
            self._queues[queue] = deque((item,))
        else:
            waiting.append(item)

    def take(self) -> V:
        """Remove and return the first item of the queue whose turn it is; then it is the next queue's turn."""
        queue, waiting = self._queues.popitem(last=False)
        item = waiting.popleft()
        if waiting:
            self._queues[queue] = waiting
        return item


class Client(Protocol):
    """A connection that takes turns."""

    __slots__ = ()

    @property
    def group(self) -> "TurnQueue":
        """The queue of its group of addresses."""

    @property
    def owner(self) -> str:
        """The owner of the jobs that it creates; empty while unknown."""

    def take_turn(self) -> int:
        """Do a few commands; return how many they count as. Raises nothing, so that the others go on."""

    def change_may_come(self) -> bool:
        """Ask for a turn for the change that was postponed; return False if there is no longer one."""


class TurnQueue:
    """The waiting clients of one group of addresses."""

    __slots__ = ("changes", "name", "postponed", "ready")

    def __init__(self, name: str) -> None:
        """Begin with no clients."""
        self.name = name
        """The group's name; the same when the group comes back after its last connection has ended."""
        self.ready: Rotation[str, Client] = Rotation()
        """Clients that wait for a turn, by owner."""
        self.postponed: Rotation[str, Client] = Rotation()
        """Clients with a change that waits until fewer of the group's are on their way to the disk."""
        self.changes = 0
        """How many changes are on their way to the disk."""

    def wake(self, most_changes: int) -> None:
        """Let one client with a postponed change go on, if fewer than `most_changes` are on their way."""
        while self.postponed and self.changes < most_changes:
            if self.postponed.take().change_may_come():
                return

    def wake_all(self) -> None:
        """Let all clients with a postponed change go on."""
        while self.postponed:
            self.postponed.take().change_may_come()


class Turns:
    """Gives clients their turns."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin with no clients; `now` returns the time in seconds."""
        self._now = now
        self._queues: OrderedDict[TurnQueue, None] = OrderedDict()
        """The groups with clients that wait for a turn, the next one first."""
        self._next: asyncio.Handle | None = None
        self._heard_at = 0.0
        self.effort = 0
        """How many commands were done lately without waiting for turns; connections add to it."""
        self._heard_last: str | None = None
        """The name of the group that sent the latest request."""
        self._alone_from = 0.0
        """When the latest group counts as alone, unless another one sends a request before."""
        self.most_changes = MOST_CHANGES
        """The most changes of one group that may be on their way to the disk; 0 while no changes are allowed."""

    def __bool__(self) -> bool:
        """Return whether any client waits for a turn."""
        return bool(self._queues)

    def stop(self) -> None:
        """Give no more turns."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def heard(self, client: Client, now: float) -> bool:
        """Return whether a client that sent something at `now`, in the event loop's time, has its turn at once.

        If not, it must ask for one. The event loop's time may stand still while it serves several clients.
        """
        if client.group.name != self._heard_last:
            if self._heard_last is not None:
                self._alone_from = now + AMONG_OTHERS_SECONDS
            self._heard_last = client.group.name
        if self.most_changes:
            self.most_changes = MOST_CHANGES if now >= self._alone_from else MOST_CHANGES_AMONG_OTHERS
        if self._queues:
            return False
        if not 0.0 <= now - self._heard_at <= AT_ONCE_SECONDS:
            self._heard_at, self.effort = now, 0
        return self.effort < EFFORT_AT_ONCE

    def ask(self, client: Client) -> None:
        """Queue a client for one turn; it must not be queued already."""
        queue = client.group
        queue.ready.add(client.owner, client)
        self._queues.setdefault(queue)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._give_some)

    def _give_some(self) -> None:
        until = self._now() + SLICE_SECONDS
        queues = self._queues
        for _ in range(TURNS_A_SLICE):
            queue, _ = queues.popitem(last=False)
            client = queue.ready.take()
            if queue.ready:
                queues[queue] = None
            client.take_turn()
            queue.wake(self.most_changes)
            if not queues or self._now() >= until:
                break
        self._next = asyncio.get_running_loop().call_soon(self._give_some) if queues else None
