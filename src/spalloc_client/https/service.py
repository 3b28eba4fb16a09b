"""A connection to a service in an event loop, which does the steps of the other modules.

It has the attributes of `spalloc_client.aio.connection.Connection`, so that a ProtocolClient need not know which of the
two it has.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from spalloc_client.conversation import Call, Notification, Unanswered
from spalloc_client.errors import ProtocolError, SpallocServerException
from spalloc_client.https.login import TELL_BEFORE, warning_of_end
from spalloc_client.https.session import Reply, Send
from spalloc_client.https.translation import Translation
from spalloc_client.https.transport import Http
from spalloc_client.logs import log
from spalloc_client.step_kinds import Now, Sleep
from spalloc_client.wire import Failure, Request, Return, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from spalloc_client.address import ServiceUrl
    from spalloc_client.https.session import Session
    from spalloc_client.https.watching import Watch
    from spalloc_client.step_kinds import Step, Steps

T = TypeVar("T")

_FINISHING = 1.0
"""Seconds that requests under way have to end when the connection is closed."""

_DAY = 86_400.0

_closing: set[asyncio.Task[None]] = set()
"""What is being closed, though whoever closes it may have been cancelled."""

_IDLE = 60.0
"""Seconds after which, with nobody waiting for notifications, changes are no longer looked for."""


class Connection:
    """A service as one connection, shared by the tasks of a loop."""

    def __init__(
        self,
        session: Session,
        notifications: deque[Notification],
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        """Be ready to open it.

        Args:
            session: The session, which may have been used before.
            notifications: Where notifications are put.
            on_news: Called whenever a call is settled, a notification has come, or the connection is lost.
        """
        self._session = session
        self._translation = Translation(session)
        self._notifications = notifications
        self._on_news = on_news
        self._http: Http | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: list[Call] = []
        """Those that have no outcome yet."""
        self._watchers: set[asyncio.Future[None]] = set()
        self._looking: dict[Watch, asyncio.Task[None]] = {}
        self._heard = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self.arrived = 0
        """How many notifications this connection has brought."""
        self.trouble: str | None = None
        """Why it is over, as a clause; None while it goes on."""

    @property
    def url(self) -> ServiceUrl:
        """The service's address."""
        return self._session.url

    @property
    def alive(self) -> bool:
        """Whether no trouble has been met so far."""
        return self.trouble is None

    async def open(self, within: float | None) -> None:
        """Connect and log in.

        Raises:
            OSError: The service can't be reached.
            LoginError: It lets nobody in with these credentials.
            ProtocolError: What answers is no spalloc service.
        """
        self._http = Http(self.url)
        opening = self._keep(self._run(self._session.begin(), opening=True))
        try:
            async with asyncio.timeout(within):
                await asyncio.shield(opening)
        except TimeoutError:
            await self.close("it took too long to connect")
            raise TimeoutError(f"connecting to {self.url} took too long") from None
        except BaseException:
            await self.close("it could not be opened")
            raise
        self._warn_of_end()

    def _warn_of_end(self) -> None:
        """Tell an hour before when the login ends, however little is asked until then."""
        ends = self._session.login_ends
        if ends is None or self.trouble is not None:
            return
        left = ends - time.time()
        if left > TELL_BEFORE:
            # Not longer at once: computers sleep, and loops refuse waits of weeks.
            after = min(left - TELL_BEFORE, _DAY)
            self._alarm = asyncio.get_running_loop().call_later(after, self._warn_of_end)
        elif self._session.told_end != ends:
            self._session.told_end = ends
            log("job", f"{self.url}: {warning_of_end(left)}", warning=True)

    # What clients want.

    @staticmethod
    def written(request: Request) -> Request:
        """Return a request as `send` takes it: with what JSON can say, and whole numbers as such.

        Raises:
            WireError: It holds something that JSON can't say.
        """
        said = json.loads(encode(request))
        args = [_whole(value) for value in said["args"]]
        return Request(said["command"], args, {name: _whole(value) for name, value in said["kwargs"].items()})

    async def send(self, call: Call, request: Request) -> None:
        """Begin to do what is asked for.

        Raises:
            ProtocolError: The connection is lost.
        """
        self.begin(call, request)

    def begin(self, call: Call, request: Request) -> None:
        """Do the same, in the loop's thread."""
        self.check_usable()
        self._calls.append(call)
        self._keep(self._settle(call, request))

    def _keep(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _settle(self, call: Call, request: Request) -> None:
        outcome: Return | Failure | Unanswered = Unanswered("it failed unexpectedly")
        answer = self._translation.answer(request.command, request.args, request.kwargs)
        try:
            outcome = Return(await self._run(answer))
        except SpallocServerException as error:
            outcome = Failure(str(error))
        except ProtocolError as error:
            outcome = Unanswered(str(error))
            self._lose(str(error))
        finally:
            self._bring(self._translation.watching.take())
            if call in self._calls:
                self._calls.remove(call)
                self._answer(call, outcome)

    def _answer(self, call: Call, outcome: Return | Failure | Unanswered) -> None:
        call.outcome = outcome
        call.wake()
        self._tell()

    def outcome(self, call: Call) -> Return | Failure:
        """Return the outcome of a settled call.

        Raises:
            ProtocolError: The connection was lost first.
        """
        result = call.outcome
        assert result is not None
        if isinstance(result, Unanswered):
            raise ProtocolError(self._sentence(result.trouble))
        return result

    def check_usable(self) -> None:
        """Raise ProtocolError, saying why, once the connection is over."""
        if self.trouble is not None:
            raise ProtocolError(self._sentence(self.trouble))

    def _sentence(self, trouble: str) -> str:
        return trouble if str(self.url) in trouble else f"connection to {self.url}: {trouble}"

    # Notifications.

    async def news(self) -> None:
        """Wait until a notification has come or the connection is lost."""
        if not self.alive:
            return
        self.listen()
        watcher = asyncio.get_running_loop().create_future()
        self._watchers.add(watcher)
        try:
            await watcher
        finally:
            self._watchers.discard(watcher)

    def listen(self) -> None:
        """Look for changes, for a while."""
        self._heard = asyncio.get_running_loop().time()
        watches = self._translation.watching.watches.values()
        for watch in [watch for watch in self._looking if watch not in watches]:
            self._looking.pop(watch).cancel()
        for watch in watches:
            if watch not in self._looking:
                self._looking[watch] = task = self._keep(self._look(watch))
                task.add_done_callback(partial(self._forget, watch))

    def _forget(self, watch: Watch, task: asyncio.Task[None]) -> None:
        if self._looking.get(watch) is task:
            del self._looking[watch]

    async def _look(self, watch: Watch) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while self._watchers or clock() - self._heard < _IDLE:
                self._bring(await self._run(self._translation.watching.look(watch)))
        except (ProtocolError, SpallocServerException) as error:
            self._lose(str(error))

    def _bring(self, told: list[Notification]) -> None:
        self._notifications.extend(told)
        self.arrived += len(told)
        if told:
            self._tell()

    def _tell(self) -> None:
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)
        self._on_news()

    def _lose(self, trouble: str) -> None:
        if self.trouble is None:
            self.trouble = trouble
            for watching in self._looking.values():
                watching.cancel()
            if self._alarm is not None:
                self._alarm.cancel()
            self._tell()

    async def close(self, trouble: str) -> None:
        """Close; calls under way fail with the reason given."""
        self._lose(trouble)
        calls, self._calls = self._calls, []
        for call in calls:
            self._answer(call, Unanswered(trouble))
        http, self._http = self._http, None
        if http is not None:
            closing = asyncio.create_task(self._finish(http))
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)
            await asyncio.shield(closing)

    async def _finish(self, http: Http) -> None:
        # What is cancelled while it connects would leave its socket behind.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FINISHING)
        for task in self._tasks:
            task.cancel()
        await http.close()

    # Input and output.

    async def _run(self, steps: Steps[T], *, opening: bool = False) -> T:
        result: Any = None
        error: Exception | None = None
        try:
            while True:
                step = steps.send(result) if error is None else steps.throw(error)
                result = error = None
                try:
                    result = await self._perform(step, opening=opening)
                except (ProtocolError, OSError) as raised:
                    error = raised
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            steps.close()

    async def _perform(self, step: Step | Send, *, opening: bool) -> Any:
        match step:
            case Send():
                return await self._send(step, opening=opening)
            case Sleep():
                return await asyncio.sleep(step.seconds)
            case Now():
                return asyncio.get_running_loop().time()
        raise AssertionError(step)

    async def _send(self, step: Send, *, opening: bool) -> Reply:
        if self._http is None:
            raise ProtocolError(self._sentence(self.trouble or "it is not open"))
        return await self._http.send(step, opening=opening)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
