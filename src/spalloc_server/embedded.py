"""A server and virtual boards in one process: for demonstrations, for `--virtual`, and for other people's tests.

No other module of the server imports spinnaker_virtual.
"""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Collection
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from spalloc_client.logs import log
from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.core.machine import Machine
from spalloc_server.runtime import run
from spalloc_server.service import Service
from spalloc_server.words import another_server
from spinnaker.geometry import Size
from spinnaker_virtual import Timings, Traffic, VirtualMachine, VirtualSite
from spinnaker_virtual.log import ALL_TRAFFIC
from spinnaker_virtual.log_file import opened_log

if TYPE_CHECKING:
    from spalloc_server.fronts.http.connections.authority import Made
    from spalloc_server.fronts.http.local import LocalHttps
    from spalloc_server.fronts.http.settings import HttpSettings

__all__ = ["ALL_TRAFFIC", "EmbeddedSite", "Traffic", "machine_of", "opened_log", "quick", "running_site"]

MACHINE_NAME = "virtual"


def quick(size: Size) -> VirtualMachine:
    """Return a virtual machine whose boards power up faster than real ones, but slowly enough to be watched."""
    return VirtualMachine(size=size, timings=Timings(power_on=0.3, power_off=0.05, boot_ready=0.0, boot=0.1))


def machine_of(site: VirtualSite, name: str = MACHINE_NAME) -> Machine:
    """Return a started virtual machine as a server's configuration would describe it."""
    return Machine(
        name=name,
        size=site.machine.size,
        dead_boards=site.machine.dead_boards,
        dead_links=site.machine.dead_links,
        places=site.machine.places,
        addresses=site.addresses,
        bmps=site.bmps,
        settle_seconds=0.0,
    )


@contextlib.asynccontextmanager
async def running_site(
    virtual: VirtualMachine | Size,
    *,
    host: str,
    port: int,
    state: Path | None,
    cold: bool = False,
    first_job: int = 1,
    set_aside_unreadable: bool = False,
    on_failure: Callable[[], None],
    log_packets: Callable[[str], None] | None = None,
    log_only: Collection[Traffic] = ALL_TRAFFIC,
    http: "HttpSettings | None" = None,
    beside: Callable[[Service], contextlib.AbstractAsyncContextManager[None]] | None = None,
) -> AsyncIterator[tuple[str, int]]:
    """Run virtual boards and a server for them; gives the address that clients can connect to.

    Args:
        virtual: The virtual machine, or its size.
        host: Address for clients to connect to.
        port: TCP port for clients; 0 takes any that is free.
        state: File to keep jobs in; None keeps them in memory.
        cold: End all jobs of an earlier run.
        first_job: The first job's ID, where `state` knows of none.
        set_aside_unreadable: Go on without what can't be read in `state` of jobs that have not ended.
        on_failure: Called if the server fails: the block should be left then.
        log_packets: Gets a line for each packet of BMPs and boards.
        log_only: The kinds of packets that `log_packets` is to get.
        http: Where HTTP is served; None for nowhere.
        beside: Makes what runs beside the server from its start to its end, such as its control socket.

    Raises:
        EngineFailedError: The server failed, and the block was left.
        StoreError: The records can't be used.
    """
    machine = virtual if isinstance(virtual, VirtualMachine) else quick(virtual)
    async with VirtualSite(machine, log=log_packets, log_only=log_only) as boards:
        service = Service(
            Configuration(
                state=state, machines=(machine_of(boards),), v1=Listening(port, (host,)), http=http
            ),
            set_aside_unreadable=set_aside_unreadable,
        )
        service.engine.on_failure = on_failure
        address = await service.start(cold=cold, all_off=True, first_job=first_job)
        try:
            async with contextlib.nullcontext() if beside is None else beside(service):
                yield address
        finally:
            await service.stop()
        service.engine.check()


class EmbeddedSite:
    """A server and its virtual boards, running in a thread of this process.

    Example::

        with EmbeddedSite(2, 2) as site:
            with Job(3, hostname=site.hostname, port=site.port, owner="me") as job:
                print(job.hostname)
    """

    def __init__(
        self,
        width: int = 1,
        height: int = 1,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        state: Path | None = None,
        machine: VirtualMachine | None = None,
        https: bool = False,
    ) -> None:
        """Make a site of `width` by `height` triads, three boards each; it runs while it is entered.

        Args:
            width: Triads from left to right, 1 or more.
            height: Triads from bottom to top, 1 or more.
            host: Address for clients to connect to.
            port: TCP port for clients; 0 takes any that is free.
            state: File to keep jobs in; None keeps them in memory, gone at the end.
            machine: The virtual machine in full, in place of `width` and `height`.
            https: Whether the site is served over HTTPS as well, on a port that is free.
        """
        if (another := another_server()) is not None:
            log("site", another, warning=True)
        self._machine = machine or quick(Size(width, height))
        self._state = state
        self.hostname = host
        """Address that clients connect to."""
        self.port = port
        """Port that clients connect to; known once the site runs."""
        self._is_https = https
        self.https: LocalHttps | None = None
        """How clients reach it over HTTPS; known once the site runs, if it was asked for."""
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._end: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        """Start the site; it accepts connections when this returns.

        Raises:
            OSError: An address is in use.
        """
        self._started.clear()
        self._thread = threading.Thread(target=self._run, name="spalloc-site", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            failure, self._failure = self._failure, None
            raise failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the site: all sockets are closed and its thread has ended when this returns.

        Raises:
            EngineFailedError: The server failed meanwhile, and the block knows of nothing worse.
        """
        self.stop()
        failure, self._failure = self._failure, None
        if failure is not None and error is None:
            raise failure

    def stop(self) -> None:
        """Stop the site, if it runs."""
        if self._end is not None:
            self._end()
            self._end = None
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        try:
            run(self._serve())
        except BaseException as error:  # noqa: BLE001 — handed to the thread that waits
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        with contextlib.ExitStack() as stack:
            http, made = None, None
            if self._is_https:
                from spalloc_server.fronts.http.local import local_settings

                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="spalloc-"))
                http, made = local_settings(Path(folder), self.hostname, 0)
            loop = asyncio.get_running_loop()
            ended = asyncio.Event()
            async with running_site(
                self._machine,
                host=self.hostname,
                port=self.port,
                state=self._state,
                on_failure=ended.set,
                http=http,
                beside=None if made is None else partial(self._with_account, made),
            ) as (self.hostname, self.port):
                self._end = partial(_call_soon, loop, ended.set)
                self._started.set()
                await ended.wait()

    @contextlib.asynccontextmanager
    async def _with_account(self, made: "Made", service: Service) -> AsyncIterator[None]:
        from spalloc_server.fronts.http.local import local_https

        assert service.http is not None
        self.https = await local_https(service.engine, made, service.http.server)
        yield


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    # The loop may have ended already.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)
