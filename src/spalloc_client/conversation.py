"""What one connection has been asked and told: who waits for which reply, and which notifications came.

Both clients, blocking and asyncio, put the bytes they receive in here and learn whose calls are settled. No
socket, lock or clock: a driver that shares a conversation among threads guards it.

Rules that hold here:
- Replies come in the order of the requests, so the oldest unsettled call is the one a reply belongs to.
- A call whose caller has given up stays queued, so that its late reply reaches no other call.
- Unknown messages are notifications like others, for readers of notifications.
- Once a conversation has met trouble it is over: every call in it is settled with that trouble.
"""

from __future__ import annotations

from collections import deque

from spalloc_client.wire import (
    MAX_LINE,
    Failure,
    JobsChanged,
    Lines,
    MachinesChanged,
    Message,
    Other,
    Return,
    WireError,
    decode_message,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from spalloc_client.replies import NotificationBody

Notification: TypeAlias = "JobsChanged | MachinesChanged | Other"
_NOTIFICATIONS = (JobsChanged, MachinesChanged, Other)


NO_PROTOCOL = "the server does not speak the protocol"
"""How the error begins if the peer is no spalloc server."""

UNTRUSTED = "its certificate is not believed"
"""What the error of a connection says if the service's certificate is signed by nobody who is believed."""


def as_body(notification: Notification) -> NotificationBody:
    """A notification as users see it: the object the server sent."""
    if isinstance(notification, JobsChanged):
        return {"jobs_changed": list(notification.jobs)}
    if isinstance(notification, MachinesChanged):
        return {"machines_changed": list(notification.machines)}
    return notification.body  # type: ignore[return-value]  # of a newer server, whose objects are unknown here


class Unanswered:
    """The conversation ended before a call had its reply."""

    __slots__ = ("trouble",)

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble
        """What ended it, as a clause: `the server closed the connection`."""


class Call:
    """A request that was, or is about to be, sent; drivers add how its caller is woken."""

    __slots__ = ("command", "outcome")

    def __init__(self, command: str) -> None:
        self.command = command
        self.outcome: Return | Failure | Unanswered | None = None
        """Its outcome; None while it has none."""

    def wake(self) -> None:
        """Tell the caller that there is an outcome."""


class Conversation:
    """The calls and notifications of one connection."""

    __slots__ = ("_calls", "_lines", "arrived", "notifications", "trouble")

    def __init__(self, notifications: deque[Notification] | None = None, limit: int = MAX_LINE) -> None:
        """Start an empty conversation.

        Args:
            notifications: Where to put notifications; one that outlives the connection loses none.
            limit: Bytes a reply may have.
        """
        self._lines = Lines(limit)
        self._calls: deque[Call] = deque()
        self.notifications = deque() if notifications is None else notifications
        """Notifications received and not yet read, oldest first."""
        self.arrived = 0
        """How many notifications have ever been received."""
        self.trouble: str | None = None
        """Why the conversation is over, as a clause, or None while it goes on."""

    def ask(self, call: Call) -> None:
        """Queue a call; its request is sent next."""
        self._calls.append(call)

    def unask(self, call: Call) -> None:
        """Remove the newest call, of whose request no byte was sent."""
        if self._calls and self._calls[-1] is call:
            self._calls.pop()

    def receive(self, data: bytes) -> list[Call]:
        """Take bytes received, or the end of the stream (`b""`), and return the calls they settle."""
        if self.trouble is not None:
            return []
        if not data:
            return self.lose("the server closed the connection")
        settled: list[Call] = []
        try:
            for line in self._lines.feed(data):
                self._take(decode_message(line), settled)
        except WireError as error:
            settled += self.lose(f"{NO_PROTOCOL}: {error}")
        return settled

    def _take(self, message: Message, settled: list[Call]) -> None:
        if isinstance(message, Other) and not isinstance(message.body, dict):
            return  # no notification either: those are objects
        if isinstance(message, _NOTIFICATIONS):
            self.notifications.append(message)
            self.arrived += 1
        elif self._calls:
            call = self._calls.popleft()
            call.outcome = message
            settled.append(call)
        else:
            raise WireError("a reply came that nothing had asked for")

    def lose(self, trouble: str) -> list[Call]:
        """End the conversation for the reason given and return the calls this settles."""
        if self.trouble is not None:
            return []
        self.trouble = trouble
        calls = list(self._calls)
        self._calls.clear()
        for call in calls:
            call.outcome = Unanswered(trouble)
        return calls
