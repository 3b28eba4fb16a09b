"""Requests that wait for a change: answered at the change, at the latest after half a minute.

Such a request sits in `receive`, so that it takes little memory and ends when its client leaves. It is answered from
the engine's news, in the same turn of the event loop in which clients of v1 are notified; where many wait for one
change, a few are answered in each turn, so that other requests get theirs.

What a request waits for is its answer's tag: it is answered when that differs from what the client knows. A client that
says what it knows (`If-None-Match`) misses nothing that happens between two of its requests.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.types import Receive, Send

from spalloc_server.engine import EngineFailedError
from spalloc_server.fronts.http.api.answers import (
    FAILED,
    Answer,
    Header,
    HttpError,
    is_known,
    later,
    text,
    unless_known,
)
from spalloc_server.fronts.http.api.refusals import failed
from spalloc_server.fronts.http.api.requests import Request
from spalloc_server.fronts.http.api.underway import subtract
from spalloc_server.fronts.http.people import Session
from spalloc_server.fronts.http.settings import Limits
from spalloc_server.ration import Warnings

_log = logging.getLogger(__name__)

K = TypeVar("K")

OK = 200
WAIT_SECONDS = 30.0
"""The longest time for which a request waits."""
ANSWERED_A_TURN = 50
"""How many requests are answered at once; then others get their turn."""
PAUSE_SECONDS_A_POLL = 500e-6
"""The pause after requests for lists were looked at, for each of them: every change of any job may concern each."""
LATER_SECONDS = 5.0
UNANSWERED = "a request that waited could not be answered"
_ENDED = text("this session has ended; log in again", 401)


class Poll:
    """A request that waits."""

    __slots__ = (
        "_finish",
        "_headers",
        "_known",
        "_polls",
        "_render",
        "_says",
        "_send",
        "_sending",
        "deadline",
        "group",
        "head_only",
        "session",
    )

    def __init__(
        self,
        polls: "Polls",
        request: Request,
        group: str,
        known: str,
        etag: str,
        render: Callable[[], Answer],
        finish: Callable[[], Awaitable[Answer]] | None,
    ) -> None:
        """Wait until the answer is another one.

        Args:
            polls: All requests that wait.
            request: The request.
            group: The group of addresses in which it is counted.
            known: The tags that the client says it knows, as `If-None-Match` has them; empty if it says nothing.
            etag: The tag of the answer as of now.
            render: Returns the answer; it has a tag.
            finish: Returns what is sent instead, where `render` has only the tag.
        """
        self._polls = polls
        self._finish = finish
        self._says = known
        self._known = known or f'"{etag}"'
        self._render = render
        self._send: Send | None = None
        self._sending: asyncio.Task[None] | None = None
        self.session: Session = request.logged_in
        self.group = group
        self.deadline = 0.0
        self.head_only = False
        self._headers: tuple[Header, ...] = ()

    def with_headers(self, *headers: Header) -> "Poll":
        """Have the answer sent with further headers."""
        self._headers += headers
        return self

    async def wait(self, receive: Receive, send: Send, *, head_only: bool) -> None:
        """Wait until the request is answered, or the client leaves."""
        self._send, self.head_only = send, head_only
        try:
            # After the answer, the server says that the client is gone, too.
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._polls.leave(self)
        if self._sending is not None:
            await self._sending

    def look(self, *, is_over: bool = False) -> None:
        """Answer the request if there is something new, or if its time is over."""
        if self._sending is not None or self._send is None:
            return
        try:
            answer = self._render()
        except HttpError as error:
            answer = error.answer
        except Exception:  # noqa: BLE001 — the others that wait must get their answers
            _log.exception(UNANSWERED)
            answer = FAILED
        if answer.etag is not None and is_known(answer.etag, self._known):
            if not is_over:
                return
            answer = unless_known(answer, self._says)
        self.answer(answer)

    def answer(self, answer: Answer) -> None:
        """Answer the request, unless it was."""
        if self._sending is None and self._send is not None:
            self._polls.leave(self)
            sending = self._finish_and_send(answer, self._send)
            self._sending = asyncio.get_running_loop().create_task(sending)

    async def _finish_and_send(self, answer: Answer, send: Send) -> None:
        if self._finish is not None and answer.status == OK:
            try:
                answer = await self._finish()
            except HttpError as error:
                answer = error.answer
            except EngineFailedError:
                # It has been logged, and the server ends.
                answer = failed().answer
            except Exception:  # noqa: BLE001 — nobody looks at this task while the client waits for its answer
                _log.exception(UNANSWERED)
                answer = FAILED
        await answer.with_headers(*self._headers).send(send, head_only=self.head_only)


class Polls:
    """All requests that wait; a listener of the engine."""

    def __init__(
        self,
        limits: Limits,
        is_live: Callable[[str], bool],
        group_of: Callable[[str], str],
    ) -> None:
        """Begin with none.

        Args:
            limits: How many there may be; may be replaced at any time.
            is_live: Returns whether the session with a key has not ended.
            group_of: Returns the group that an address is counted in.
        """
        self.limits = limits
        self._is_live = is_live
        self._group_of = group_of
        self._all: dict[Poll, tuple[str, int | str | None]] = {}
        """Each request with what it waits for: `job`, `machine` or `jobs`, and which; in the order of the deadlines."""
        self._of: dict[tuple[str, int | str | None], dict[Poll, None]] = {}
        self._of_session: dict[str, dict[Poll, None]] = {}
        self._of_account: Counter[str] = Counter()
        self._from_address: Counter[str] = Counter()
        self._due: dict[Poll, None] = {}
        self._next_turn: asyncio.Handle | None = None
        self._next_list: asyncio.TimerHandle | None = None
        self._lists_from = 0.0
        self._clock: asyncio.TimerHandle | None = None
        self.run = secrets.token_hex(4)
        """Tells the counts of one run of the server from those of others."""
        self._changes = 0
        self._changes_of_machine: Counter[str] = Counter()
        self._refusals = Warnings(_log, "not let wait")

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._all)

    # Parts of tags: a state may come back between two requests, and must not look as if nothing had happened.

    def mark(self) -> str:
        """Return a word that is another one after any change of any job."""
        return f"{self.run}-{self._changes}"

    def mark_of_machine(self, name: str) -> str:
        """Return a word that is another one after a change of a machine's boards."""
        return f"{self.run}-{self._changes_of_machine[name]}"

    def enter(
        self,
        request: Request,
        what: str,
        which: int | str | None,
        render: Callable[[], Answer],
        finish: Callable[[], Awaitable[Answer]] | None = None,
    ) -> Answer | Poll:
        """Return the answer at once if the client does not know it; otherwise have the request wait.

        Args:
            request: The request.
            what: `job`, `machine`, or `jobs` for a list.
            which: The job's ID or the machine's name.
            render: Returns the answer as of now; it has a tag.
            finish: Returns what is sent after the wait instead, where `render` has only the tag.

        Raises:
            HttpError: Too many wait.
        """
        answer = render()
        known = request.header(b"if-none-match")
        if answer.etag is None or (known and not is_known(answer.etag, known)):
            return answer
        poll = Poll(self, request, self._group_of(request.origin.address), known, answer.etag, render, finish)
        account = poll.session.login.account
        for count, most, whose in (
            (self._of_account[account], self.limits.waiting_of_one_account, "of this account"),
            (self._from_address[poll.group], self.limits.waiting_from_one_address, "from this address"),
            (len(self._all), self.limits.waiting, "here"),
        ):
            if count >= most:
                now = asyncio.get_running_loop().time()
                why = f"{count} requests wait {whose} already, and the server lets no more of them wait"
                self._refusals.warn(request.origin.address, poll.group, now, why)
                raise later(429, f"{why}; ask without wait=true, or again in a moment", LATER_SECONDS)
        loop = asyncio.get_running_loop()
        poll.deadline = loop.time() + WAIT_SECONDS
        self._all[poll] = what, which
        self._of.setdefault((what, which), {})[poll] = None
        self._of_session.setdefault(poll.session.key, {})[poll] = None
        self._of_account[account] += 1
        self._from_address[poll.group] += 1
        if self._clock is None:
            self._clock = loop.call_at(poll.deadline, self._ring)
        return poll

    def leave(self, poll: Poll) -> None:
        """Remove a request that is answered, or whose client left."""
        topic = self._all.pop(poll, None)
        if topic is None:
            return
        self._due.pop(poll, None)
        _remove(self._of, topic, poll)
        _remove(self._of_session, poll.session.key, poll)
        subtract(self._of_account, poll.session.login.account)
        subtract(self._from_address, poll.group)

    def stop(self) -> None:
        """Answer all requests: the server stops."""
        for handle in (self._next_turn, self._next_list, self._clock):
            if handle is not None:
                handle.cancel()
        for poll in list(self._all):
            poll.answer(later(503, "the server stops; ask again in a moment", LATER_SECONDS).answer)

    def session_ended(self, key: str) -> None:
        """Answer the requests of a session that has ended."""
        # Of many sessions that end at once, each looks at its own requests only.
        for poll in list(self._of_session.get(key, ())):
            poll.answer(_ENDED)

    # What the engine tells

    def jobs_changed(self, jobs: set[int]) -> None:
        """Answer those that wait for these jobs, and soon those that wait for lists."""
        self._changes += 1
        if not self._all:
            return
        for number in sorted(jobs):
            self._due.update(self._of.get(("job", number), ()))
        self._begin_turn()
        lists = self._of.get(("jobs", None))
        if lists and self._next_list is None:
            loop = asyncio.get_running_loop()
            self._next_list = loop.call_at(max(self._lists_from, loop.time()), self._look_at_lists)

    def machines_changed(self, machines: set[str]) -> None:
        """Answer those that wait for these machines."""
        self._changes_of_machine.update(machines)
        for name in sorted(machines):
            self._due.update(self._of.get(("machine", name), ()))
        self._begin_turn()

    def jobs_ending(self, jobs: set[int]) -> None:
        """Do nothing: no request waits for this."""

    def _look_at_lists(self) -> None:
        self._next_list = None
        lists = self._of.get(("jobs", None), {})
        self._lists_from = asyncio.get_running_loop().time() + len(lists) * PAUSE_SECONDS_A_POLL
        self._due.update(lists)
        self._begin_turn()

    def _begin_turn(self) -> None:
        if self._due and self._next_turn is None:
            self._take_turn()

    def _take_turn(self) -> None:
        self._next_turn = None
        for _ in range(min(ANSWERED_A_TURN, len(self._due))):
            poll = next(iter(self._due))
            del self._due[poll]
            if self._is_live(poll.session.key):
                poll.look()
            else:
                poll.answer(_ENDED)
        if self._due:
            self._next_turn = asyncio.get_running_loop().call_soon(self._take_turn)

    def _ring(self) -> None:
        """Answer those whose time is over."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        over = [
            poll for poll, _ in zip(self._all, range(ANSWERED_A_TURN), strict=False) if poll.deadline <= now
        ]
        for poll in over:
            poll.look(is_over=True)
        first = next(iter(self._all), None)
        self._clock = None
        if first is not None:
            self._clock = loop.call_at(max(first.deadline, now), self._ring)


def _remove(polls: dict[K, dict[Poll, None]], key: K, poll: Poll) -> None:
    of_key = polls[key]
    del of_key[poll]
    if not of_key:
        del polls[key]
