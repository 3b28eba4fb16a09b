"""A double of the Java service in Manchester, in a thread of the tests' own process: HTTP, websockets, virtual boards.

It behaves as that service was seen to behave, with the defects of defects.py, each of which a test can switch::

    with JavaService() as service:
        ...  # service.url, service.user, service.password; service.bundle is the authority that clients are to believe

`service.call` runs something in its thread; `service.fail`, `hold`, `end_sessions` and `advance` make it misbehave.
"""

import asyncio
import contextlib
import re
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import uvicorn
from starlette.types import Receive, Scope, Send

from spalloc_server.fronts.http.connections.authority import make_certificate
from spinnaker.geometry import Size
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite
from tests.doubles.clock import Clock
from tests.doubles.defects import ALL, Defect
from tests.doubles.http import App
from tests.doubles.jobs import Group, Job, Jobs, State
from tests.doubles.machines import Machine
from tests.doubles.people import Account, People, Role
from tests.doubles.serving import Failure, Settings
from tests.doubles.v1_port import V1Port
from tests.doubles.websocket import MOST_BYTES, Websockets

HOST = "127.0.0.1"
SIZE = Size(2, 2)
USER, PASSWORD, TOKEN = "alice", "correct horse battery", "an-opaque-token-of-ebrains"
PATIENCE = 30.0
Result = TypeVar("Result")


class JavaService:
    """The double; it runs while it is entered."""

    def __init__(
        self,
        size: Size = SIZE,
        *,
        machines: Mapping[str, VirtualMachine] | None = None,
        defects: Collection[Defect] = ALL,
        tls: bool = True,
        host: str = "localhost",
    ) -> None:
        """Make a service.

        Args:
            size: Of its machine `big`, in triads.
            machines: All its machines by their names, instead.
            defects: What is wrong with it; `defects.discard(…)` changes that while it runs.
            tls: Whether it speaks HTTPS, as behind its usual proxy.
            host: How clients are to name it.
        """
        self.defects = set(defects)
        self.clock = Clock()
        self.settings = Settings()
        self.people = People(self.clock)
        self.user, self.password, self.token = USER, PASSWORD, TOKEN
        self.people.add(Account(USER, PASSWORD, token=TOKEN))
        self.people.add(Account("admin", "admin's own words", Role.ADMIN))
        self.host = host
        self.port = 0
        self.v1_port = 0
        """Where it speaks v1, on 127.0.0.1."""
        self.bundle = Path()
        """The certificates that clients are to believe."""
        self._virtual = machines or {"big": VirtualMachine(size=size, timings=Timings.instant())}
        self._tls = tls
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._stop: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}/spalloc/"

    # What a test does to it

    def call(self, what: Callable[[], Result]) -> Result:
        """Run something in the service's thread, and return its result."""
        assert self._loop is not None

        async def there() -> Result:
            return what()

        return asyncio.run_coroutine_threadsafe(there(), self._loop).result(PATIENCE)

    def fail(
        self, method: str, path: str, times: int = 1, *, status: int = 500, words: str = "failed"
    ) -> None:
        """Have the next requests of a method whose path has an expression fail, as a deadlock makes them.

        The method of v1's commands is `V1`, and their path the command's name.
        """
        failure = Failure(method, re.compile(path), times, status, words)
        self.call(lambda: self.settings.failures.append(failure))

    def hold(self, *, held: bool = True) -> None:
        """Keep the allocator from its work, or let it work again: jobs stay as they are, or go on."""
        self.call(lambda: setattr(self.jobs, "held", held))

    def end_sessions(self) -> None:
        """End all sessions at once: cookies are worth nothing from now on."""
        self.call(self.people.sessions.clear)

    def advance(self, seconds: float) -> None:
        """Put the service's clock forward; what is overdue then has ended when this returns."""
        self.clock.advance(seconds)
        self.call(self._look)

    def job(self, number: int) -> Job:
        return self.jobs.all[number]

    def until(self, number: int, *states: State, within: float = PATIENCE) -> Job:
        """Wait until a job is in one of some states; TimeoutError after some seconds."""

        async def there() -> Job:
            async with asyncio.timeout(within):
                while self.jobs.all[number].state not in states:
                    await self.jobs.change(number.__eq__, PATIENCE)
                return self.jobs.all[number]

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(there(), self._loop).result()

    def asked(self, words: str) -> int:
        """How often a method and a path, which an expression describes, were asked for."""
        return self.call(
            lambda: sum(times for what, times in self.app.asked.items() if re.search(words, what))
        )

    def _look(self) -> None:
        self.jobs.expire()
        self._look_at_websockets()

    # Its life

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="java-service", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        self._stop()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001 - told to the thread that waits
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        self._stop = lambda: self._loop.call_soon_threadsafe(ended.set)  # type: ignore[union-attr]
        async with contextlib.AsyncExitStack() as stack:
            sites = {
                name: await stack.enter_async_context(VirtualSite(machine))
                for name, machine in self._virtual.items()
            }
            machines = [Machine(name, site) for name, site in sites.items()]
            self.jobs = Jobs(machines, self.defects, self.clock)
            self.jobs.groups["test"] = Group("test", 4)
            self.app = App(self.jobs, self.people, self.settings)
            self.websockets = Websockets(self.app)
            self.jobs.changed.append(lambda _: self._look_at_websockets())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            await stack.enter_async_context(self._listening(folder))
            v1 = V1Port(self.jobs, self.settings, "test")
            self.v1_port = await v1.start(HOST)
            stack.push_async_callback(v1.stop)
            self.jobs.rounds.append(self._look_at_websockets)
            self.jobs.start()
            stack.callback(self.jobs.stop)
            self._ready.set()
            await ended.wait()
            for websocket in list(self.websockets.live):
                websocket.close(1001)

    def _look_at_websockets(self) -> None:
        for websocket in list(self.websockets.live):
            websocket.look()

    @contextlib.asynccontextmanager
    async def _listening(self, folder: Path) -> AsyncIterator[None]:
        listener = socket.create_server((HOST, self.port))
        self.port = listener.getsockname()[1]
        made = make_certificate(folder / "authority", ["localhost", HOST]) if self._tls else None
        if made is not None:
            self.bundle = made.bundle
        server = uvicorn.Server(
            uvicorn.Config(
                self._asgi,
                ws="websockets-sansio",
                ws_max_size=MOST_BYTES,
                ws_ping_interval=None,
                lifespan="off",
                log_config=None,
                log_level="critical",
                interface="asgi3",
                proxy_headers=False,
                access_log=False,
                timeout_graceful_shutdown=0,
                timeout_keep_alive=120,
                ssl_certfile=made.certificate if made else None,
                ssl_keyfile=made.key if made else None,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving
            listener.close()

    async def _asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await (self.websockets if scope["type"] == "websocket" else self.app)(scope, receive, send)
        except Exception as failure:
            # A mistake of the double itself: the test that uses it fails.
            self._failure = self._failure or failure
            raise
