"""A process in the simulated world: an event loop whose time, sockets and threads belong to that world.

Code under test runs in it unchanged. A killed process does nothing more, whatever it was in the middle of.
"""

import asyncio
import contextvars
from asyncio import events
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulation.network import Network
from tests.simulation.world import World


class Process(asyncio.AbstractEventLoop):
    """An event loop that takes part in a world."""

    def __init__(self, world: World, network: Network, name: str) -> None:
        self.world = world
        self.network = network
        self.name = name
        self.alive = True
        self.faults: list[dict[str, Any]] = []
        """Uncaught exceptions."""
        self.on_death: list[Callable[[], None]] = []
        self.slowness = 0.0
        """Seconds by which everything its threads do takes longer than usual."""
        self.lateness = 0.0
        """Seconds that each round of its event loop takes."""
        self.reachable = True
        """Whether clients can connect."""
        self.paused = False
        self._due: list[asyncio.Handle] = []
        """What was to be done while it was paused."""
        self._arrived: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        """What came from outside meanwhile."""
        self._dice = world.dice(name)
        self._tasks: list[asyncio.Task[Any]] = []

    def kill(self) -> None:
        """End the process at once: nothing of it runs any more."""
        if self.alive:
            self.alive = False
            for tell in self.on_death:
                tell()
            # Not now: one of them may be at work further up in this very call.
            self.world.after(0.0, self._bury)

    def _bury(self) -> None:
        """Release everything that was under way, so that it is not missed later."""
        tasks, self._tasks = self._tasks, []
        events._set_running_loop(self)
        try:
            for task in tasks:
                if not task.done():
                    task.get_coro().close()  # type: ignore[union-attr]
        finally:
            events._set_running_loop(None)

    def start(self, main: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Begin to run a coroutine."""
        return self.create_task(main)

    def enter(self, callback: Callable[..., None], *arguments: object) -> None:
        """Run a callback inside this process, now."""
        if not self.alive:
            return
        if self.paused:
            self._arrived.append((callback, arguments))
            return
        outside = events._get_running_loop()
        events._set_running_loop(self)
        try:
            callback(*arguments)
        finally:
            events._set_running_loop(outside)

    def pause(self, seconds: float) -> None:
        """Stop the process, as the system does with `SIGSTOP`; what comes meanwhile waits for it.

        Where it is not `reachable` either, its whole computer stands still, and the network is told nothing.
        """
        if self.alive and not self.paused:
            self.paused = True
            self.world.after(seconds, self.go_on)

    def go_on(self) -> None:
        """Let it continue: it now does all that was due and handles all that arrived, in either order."""
        if not self.paused:
            return
        self.paused, self.reachable = False, True
        due, self._due = self._due, []
        arrived, self._arrived = self._arrived, []
        now = self.world.now
        timers_first = self._dice.random() < 0.5
        if timers_first:
            for handle in due:
                self.world.at(now, self._run, handle)
        for callback, arguments in arrived:
            self.world.at(now, self.enter, callback, *arguments)
        if not timers_first:
            for handle in due:
                self.world.at(now, self._run, handle)

    def passing(self, seconds: float) -> "asyncio.Future[None]":
        """Return a future that is done after this many simulated seconds."""
        future = self.create_future()
        self.call_later(seconds, lambda: future.done() or future.set_result(None))
        return future

    # What asyncio requires of a loop

    def time(self) -> float:
        return self.world.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self.alive

    def is_closed(self) -> bool:
        return not self.alive

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self.world.at(self.world.now + self.lateness, self._run, handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self.world.at(when + self.lateness, self._run, handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.world.now + delay, callback, *args, context=context)

    def _run(self, handle: asyncio.Handle) -> None:
        if self.paused:
            self._due.append(handle)
        elif self.alive and not handle._cancelled:
            self.enter(handle._run)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        task = asyncio.Task(coro, loop=self, **options)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.alive:
            self.faults.append(context)

    def run_in_executor(
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Run a function of another thread: it begins a little later, and its end is heard of later still."""
        future = self.create_future()

        def run() -> None:
            if not self.alive:
                return
            if self.paused:
                self._arrived.append((run, ()))
                return
            try:
                result, error = func(*args), None
            except Exception as raised:  # noqa: BLE001
                result, error = None, raised
            self.world.after(self._dice.uniform(0, 0.002), self.enter, finish, result, error)

        def finish(result: object, error: Exception | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        slow = self._dice.random() < 0.05
        self.world.after(self.slowness + self._dice.uniform(0, 0.3 if slow else 0.003), run)
        return future

    async def create_server(self, factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        return self.network.listen(self, factory)

    async def create_datagram_endpoint(
        self, factory: Any, local_addr: Any = None, remote_addr: Any = None, **_: Any
    ) -> Any:
        protocol = factory()
        transport = self.network.udp(self, protocol, remote_addr)
        protocol.connection_made(transport)
        return transport, protocol
