"""A conversation with one BMP over UDP: several questions at once, each sent again until it is answered.

See commands.py for the questions, and the package spinnaker for what the bytes mean.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from spalloc_server.presence import LATE_SECONDS
from spinnaker.scp import Result, ScpReply, renumbered
from spinnaker.sdp import PacketError

BMP_PORT = 17893
WINDOW = 8
"""Questions in flight at once; a BMP buffers only a few packets."""

LATEST_SECONDS = 3.0
"""A datagram arrives within this time, or never: the few switches of a machine's network hold none for longer."""
REMEMBERED_CHANGES = 1024
"""How many of the latest questions that change boards are remembered, to recognize late answers."""


class SilenceError(Exception):
    """The BMP did not answer at all, or can't be reached; the message says which."""


class Question(NamedTuple):
    """A command or a question to a BMP."""

    datagram: bytes
    """With any sequence number; it gets its own when it is sent."""
    changes: frozenset[int] = frozenset()
    """The boards of the frame that it changes. If it is carried out twice, it may undo a later command to them."""
    slot: int | None = None
    """The board of the frame that has to answer it; None if the frame's own BMP answers."""


Doubt = Callable[[frozenset[int], float], None]
"""Called with boards to which a command may arrive a second time, and until when that may be, in the loop's time."""

READING_SECONDS = 0.1
"""How long the server, after a delay of its own, reads waiting answers before it asks again."""

TRANSIENT = frozenset(range(Result.NO_BUFFER, Result.TRANSMISSION + 1)) | {Result.TIMEOUT}
"""Results that say "not now" rather than "no"."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for answers, and how often to ask."""

    first_seconds: float
    """From the first time a question is asked to the second; each further wait is twice as long."""
    longest_seconds: float
    """The longest wait."""
    tries: int
    """How often a question is asked, 1 or more."""
    board_tries: int | None = None
    """How often a board is asked that has not answered any question of the set yet; None for `tries`."""

    def after(self, tries: int) -> float:
        """Return the seconds to wait for an answer once a question has been asked `tries` times."""
        return min(self.first_seconds * 2.0 ** (tries - 1), self.longest_seconds)


@dataclass(slots=True)
class _Asked:
    """A question in flight."""

    place: int
    datagram: bytes
    changes: frozenset[int]
    slot: int | None
    tries: int
    deadline: float
    not_now: ScpReply | None = None
    """The latest answer that said "not now"."""


class BmpConversation(asyncio.DatagramProtocol):
    """Talks with one BMP; one set of questions at a time."""

    def __init__(self, address: str, doubt: Doubt) -> None:
        """Talk with a BMP.

        Args:
            address: Its address, `HOST` or `HOST:PORT`.
            doubt: Called when a question that changes boards was sent again or answered twice. The second answer shows
                that the network doubled the question and the BMP did it twice; it may be lost, too.
        """
        self._address = address
        host, _, port = address.rpartition(":") if address.count(":") == 1 else (address, "", "")
        self.retries = 0
        """How many questions had to be asked again since the start."""
        self.heard: float | None = None
        """When the BMP last answered, in the event loop's time; None for never."""
        self._doubt = doubt
        self._changes: dict[int, frozenset[int]] = {}
        """The boards that the latest questions change, by sequence number, the oldest first."""
        self._remote = (host, int(port) if port else BMP_PORT)
        self._transport: asyncio.DatagramTransport | None = None
        self._sequence = 0
        self._patience = Patience(1.0, 1.0, 1)
        self._waiting: deque[tuple[int, Question]] = deque()
        self._under_way: dict[int, _Asked] = {}
        self._answers: list[ScpReply | None] = []
        self._one_will_do = False
        self._heard_of: set[int | None] = set()
        """Boards that have answered a question of this set."""
        self._given_up: set[int | None] = set()
        """Boards that have answered none, and are no longer asked."""
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.Handle | None = None
        self._rings = 0.0
        """When the timer rings, in the event loop's time: one that rings at once does not tell under uvloop."""
        self._excuses = 0
        """How many more delays of the server do not count as a try."""
        self._reading = False
        """Whether the timer is set for when waiting answers have been read."""

    async def ask(
        self, questions: Sequence[Question], patience: Patience, *, one_will_do: bool = False
    ) -> list[ScpReply | None]:
        """Ask all of `questions` and return an answer for each; None where none came.

        An answer that says "not now" is returned only when the tries have run out.

        Args:
            questions: What to ask.
            patience: How long to wait, and how often to ask.
            one_will_do: Whether to return as soon as one question is answered with anything but "not now".

        Raises:
            SilenceError: The host is unknown, or no socket could be opened.
        """
        if not questions:
            return []
        if self._transport is None:
            loop = asyncio.get_running_loop()
            try:
                await loop.create_datagram_endpoint(lambda: self, remote_addr=self._remote)
            except OSError as error:
                raise SilenceError(f"its BMP at {self._address} can't be reached: {error}") from error
        self._patience = patience
        self._excuses = patience.tries
        self._answers = [None] * len(questions)
        self._one_will_do = one_will_do
        self._heard_of.clear()
        self._given_up.clear()
        self._waiting.extend(enumerate(questions))
        self._done = asyncio.get_running_loop().create_future()
        try:
            self._send_more()
            await self._done
        finally:
            self._waiting.clear()
            self._under_way.clear()
            self._stop_timer()
        return self._answers

    def close(self) -> None:
        """Close the socket."""
        self._stop_timer()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def abandon(self, why: Exception) -> None:
        """Send nothing more, and have whoever waits for answers get `why` instead."""
        self._waiting.clear()
        self._under_way.clear()
        self.close()
        if self._done is not None and not self._done.done():
            self._done.set_exception(why)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the socket; the next question opens another."""
        self._transport = None

    def error_received(self, exc: Exception) -> None:
        """Do nothing: a BMP that is down may be up by the next try, and otherwise the tries run out."""

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        """Take an answer."""
        try:
            reply = ScpReply.decode(data)
        except PacketError:
            return
        self.heard = asyncio.get_running_loop().time()
        asked = self._under_way.get(reply.sequence)
        if asked is None:
            # It is late, or the second one.
            again = self._changes.get(reply.sequence)
            if again is not None:
                self._doubt(again, self.heard)
            return
        if reply.result in TRANSIENT:
            asked.not_now = reply  # the question's own timer asks again
            return
        del self._under_way[reply.sequence]
        self._answers[asked.place] = reply
        self._heard_of.add(asked.slot)
        if self._one_will_do:
            self._waiting.clear()
            self._under_way.clear()
        if self._waiting or not self._under_way:
            self._send_more()

    def _send_more(self) -> None:
        if self._waiting and len(self._under_way) < WINDOW:
            now = asyncio.get_running_loop().time()
            deadline = now + self._patience.after(1)
            while self._waiting and len(self._under_way) < WINDOW:
                place, question = self._waiting.popleft()
                if question.slot in self._given_up:
                    continue
                self._sequence = (self._sequence + 1) & 0xFFFF
                datagram = renumbered(question.datagram, self._sequence)
                asked = _Asked(place, datagram, question.changes, question.slot, 1, deadline)
                self._under_way[self._sequence] = asked
                if asked.changes:
                    self._remember(asked.changes)
                if self._transport is not None:
                    self._transport.sendto(datagram)
            self._set_timer(deadline)
        if not self._under_way and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _remember(self, changes: frozenset[int]) -> None:
        self._changes.pop(self._sequence, None)
        self._changes[self._sequence] = changes
        if len(self._changes) > REMEMBERED_CHANGES:
            del self._changes[next(iter(self._changes))]

    def _set_timer(self, deadline: float) -> None:
        # Answers don't change the timer: one that rings too early is set again, and most never ring.
        if self._timer is None or self._rings > deadline:
            self._stop_timer()
            self._timer = asyncio.get_running_loop().call_at(deadline, self._check)
            self._rings = deadline
            self._reading = False

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _catch_up(self, now: float, late: float) -> None:
        """Wait for answers that came during a delay of the server and are still to be read.

        A question whose answer is still unread would be carried out twice if it were sent again now. The try during the
        delay does not count either. For each set of questions, as many delays are excused as a question has tries, and
        no more: a server that is always late must still give up on a dead BMP.
        """
        if self._excuses:
            self._excuses -= 1
            for asked in self._under_way.values():
                asked.deadline += late
                asked.tries = max(0, asked.tries - 1)
        if self._under_way:
            self._set_timer(now + READING_SECONDS)
            self._reading = True

    def _most_tries(self, slot: int | None) -> int:
        tries = self._patience.board_tries
        if tries is None or slot is None or slot in self._heard_of:
            return self._patience.tries
        return min(tries, self._patience.tries)

    def _check(self) -> None:
        """Ask questions again that have waited long enough, and give up those that were asked often enough."""
        timer, self._timer = self._timer, None
        now = asyncio.get_running_loop().time()
        late = 0.0 if timer is None else now - self._rings
        if late > LATE_SECONDS and (self._excuses or not self._reading):
            self._catch_up(now, late)
            return
        changed: set[int] = set()
        for sequence, asked in list(self._under_way.items()):
            if asked.deadline > now:
                continue
            if asked.tries >= self._most_tries(asked.slot):
                del self._under_way[sequence]
                self._answers[asked.place] = asked.not_now
                if asked.slot is not None and asked.slot not in self._heard_of:
                    self._given_up.add(asked.slot)
                continue
            asked.tries += 1
            asked.deadline = now + self._patience.after(asked.tries)
            self.retries += 1
            if self._transport is not None:
                self._transport.sendto(asked.datagram)
            changed |= asked.changes
        if changed:
            # From when they were sent: the server may have stood still just before.
            self._doubt(frozenset(changed), asyncio.get_running_loop().time() + LATEST_SECONDS)
        if self._under_way:
            self._set_timer(min(asked.deadline for asked in self._under_way.values()))
        self._send_more()
