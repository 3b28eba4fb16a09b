# A configured server from start to end: what it does on signals, and whom it tells.
#
# What a server is made of stands in service.py; what a configuration says, in config/.
"""Running a server of a configuration."""

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from spalloc_server.config.changes import needs_restart
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.settings import Configuration
from spalloc_server.core.jobs import first_job
from spalloc_server.operation import log
from spalloc_server.operation.garbage import keep_collections_short
from spalloc_server.operation.systemd import Systemd
from spalloc_server.service import Service
from spalloc_server.words import counted

if TYPE_CHECKING:
    from spalloc_server.operation.http import HttpServer

_log = logging.getLogger(__name__)


class Operation:
    """A server that runs until it is told to end."""

    def __init__(
        self, configuration: Configuration, read_again: Callable[[], Configuration], systemd: Systemd
    ) -> None:
        """Prepare a server.

        Args:
            configuration: What it begins with.
            read_again: Called on SIGHUP, in a thread; raises ConfigurationError if anything is wrong.
            systemd: Who is told of its state.
        """
        self._configuration = configuration
        self._read_again = read_again
        self._systemd = systemd
        self._http: HttpServer | None = None
        self._ended = asyncio.Event()
        self._reload_wanted = asyncio.Event()

    async def run(self, *, cold: bool = False, set_aside_unreadable: bool = False) -> None:
        """Serve until SIGINT or SIGTERM; on SIGHUP, read the configuration again.

        Args:
            cold: Whether to end all recorded jobs and to switch all boards off first.
            set_aside_unreadable: Whether to go on without what can't be read of recorded jobs.

        Raises:
            OSError: An address can't be listened on.
            StoreError: The records can't be used.
            EngineFailedError: The server met a fault that nobody foresaw.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ended.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        service = Service(self._configuration, set_aside_unreadable=set_aside_unreadable)
        service.engine.on_failure = self._ended.set
        await service.start(cold=cold, first_job=first_job(service.engine.clock.wall()))
        keep_collections_short(loop)
        try:
            await self._start_metrics(service)
            self._report(service)
            for host, port in service.v1.addresses:
                _log.info("listening on %s port %d", host, port)
            async with asyncio.TaskGroup() as tasks:
                companions = [tasks.create_task(self._reload_on_demand(service))]
                if self._systemd.watchdog_seconds is not None:
                    companions.append(tasks.create_task(self._stay_alive(self._systemd.watchdog_seconds)))
                await self._ended.wait()
                self._systemd.stopping()
                if service.engine.failure is None:
                    _log.info("stopping; jobs keep their boards")
                for companion in companions:
                    companion.cancel()
        finally:
            if self._http is not None:
                await self._http.stop()
            await service.stop()
        service.engine.check()

    async def _start_metrics(self, service: Service) -> None:
        listening = self._configuration.metrics
        if listening is None:
            return
        # Only now: with what it brings along, it takes longer to import than all else a server needs.
        from spalloc_server.operation.http import HttpServer
        from spalloc_server.operation.metrics import pages

        self._http = HttpServer(pages(service), listening.refusal, service.engine.presence)
        await self._http.start(listening.addresses, listening.port)
        for host, port in self._http.addresses:
            _log.info("metrics are served on %s port %d", host, port)

    def _report(self, service: Service) -> None:
        machines = service.configuration.machines
        boards = sum(len(machine.places) for machine in machines)
        self._systemd.ready(f"{counted(len(machines), 'machine')} with {counted(boards, 'board')}")

    async def _stay_alive(self, seconds: float) -> None:
        while True:
            self._systemd.alive()
            await asyncio.sleep(seconds)

    # Reloading

    async def _reload_on_demand(self, service: Service) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            self._systemd.reloading()
            await self._reload(service)
            self._report(service)

    async def _reload(self, service: Service) -> None:
        try:
            # In a thread: a file may be long, and its disk slow.
            configuration = await asyncio.to_thread(self._read_again)
        except ConfigurationError as error:
            _log.error("the new configuration is refused, the old one stays in force")
            for mistake in error.mistakes:
                _log.error(
                    "mistake in the configuration: %s",
                    mistake.sentence,
                    extra={"file": mistake.file, "line": mistake.line},
                )
            return
        except Exception:  # noqa: BLE001 — jobs must not suffer from whatever is wrong with a file
            _log.exception("the new configuration can't be read, the old one stays in force")
            return
        service.reconfigure(configuration)
        log.set_level(configuration.log_level.value)
        if self._http is not None and configuration.metrics is not None:
            self._http.admission = configuration.metrics.refusal
        for setting in needs_restart(self._configuration, configuration):
            _log.warning("a changed %s takes effect only when the server is started again", setting)
        _log.info("the configuration was read again", extra={"machines": len(configuration.machines)})


async def serve(
    configuration: Configuration,
    read_again: Callable[[], Configuration],
    *,
    cold: bool,
    set_aside_unreadable: bool = False,
) -> None:
    """Serve a configuration until the process is told to end."""
    operation = Operation(configuration, read_again, Systemd.of_environment())
    await operation.run(cold=cold, set_aside_unreadable=set_aside_unreadable)
