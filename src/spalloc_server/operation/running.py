"""Runs a configured server from start to end: handles signals, starts metrics and the control socket, notifies systemd.

See service.py for the server itself.
"""

import asyncio
import contextlib
import logging
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from spalloc_server.config.settings import Configuration
from spalloc_server.core.askers import SERVER
from spalloc_server.core.audit import Deed, Note
from spalloc_server.core.jobs import first_job
from spalloc_server.engine import EngineFailedError
from spalloc_server.operation import log
from spalloc_server.operation.audit_commands import AuditCommands
from spalloc_server.operation.board_commands import BoardCommands
from spalloc_server.operation.control.protocol import REFUSED, Answer
from spalloc_server.operation.control.server import Command, ControlServer
from spalloc_server.operation.emergency_commands import EmergencyCommands
from spalloc_server.operation.garbage import keep_collections_short
from spalloc_server.operation.reloading import Effect, Reloading
from spalloc_server.operation.reservation_commands import ReservationCommands
from spalloc_server.operation.systemd import Systemd
from spalloc_server.operation.usage_commands import UsageCommands
from spalloc_server.service import Service
from spalloc_server.words import counted

if TYPE_CHECKING:
    from spalloc_server.operation.metrics_server import MetricsServer

_log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0001
"""How long the writing thread waits for the interpreter when the event loop is busy. It does so a few times in each
commit, and every client with a change waits for that. Python's own 5 ms would be most of a commit."""


class Reload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of the administrator's `reload`."""

    ends_jobs: bool = False
    """Whether it may end jobs."""


class Operation:
    """A server that runs until it is told to end."""

    def __init__(
        self, configuration: Configuration, read_again: Callable[[], Configuration], systemd: Systemd
    ) -> None:
        """Prepare a server.

        Args:
            configuration: The configuration at the start.
            read_again: Called at each reload, in a thread; raises `ConfigurationError` if anything is wrong.
            systemd: Is told the server's state.
        """
        self._configuration = configuration
        self._read_again = read_again
        self._systemd = systemd
        self._http: MetricsServer | None = None
        self._control: ControlServer | None = None
        self._ended = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._reloads: set[asyncio.Task[Effect]] = set()
        """Those that administrators have asked for over the control socket and that are in progress."""

    async def run(self, *, cold: bool = False, set_aside_unreadable: bool = False) -> None:
        """Serve until SIGINT or SIGTERM; on SIGHUP, read the configuration again without ending jobs.

        Args:
            cold: Whether to end all recorded jobs and switch all boards off first.
            set_aside_unreadable: Whether to go on without unreadable records of live jobs.

        Raises:
            OSError: An address can't be listened on.
            StoreError: The records can't be used.
            EngineFailedError: There was an unexpected exception.
        """
        sys.setswitchinterval(SWITCH_SECONDS)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ended.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        records = self._configuration.state
        if records is not None and not records.exists():
            _log.warning("there are no records in %s: the server begins without jobs", records)
        service = Service(self._configuration, set_aside_unreadable=set_aside_unreadable)
        service.engine.on_failure = self._ended.set
        await service.start(cold=cold, first_job=first_job(service.engine.clock.wall()))
        keep_collections_short(loop)
        try:
            await self._start_metrics(service)
            reloading = Reloading(service, self._read_again, self._how_to_end_jobs())
            await self._start_control(reloading)
            self._report(service)
            for host, port in service.v1.addresses:
                _log.info("listening on %s port %d", host, port)
            async with asyncio.TaskGroup() as tasks:
                companions = [tasks.create_task(self._reload_on_demand(reloading))]
                if self._systemd.watchdog_seconds is not None:
                    companions.append(tasks.create_task(self._stay_alive(self._systemd.watchdog_seconds)))
                await self._ended.wait()
                self._systemd.stopping()
                if service.engine.failure is None:
                    _log.info("stopping; jobs keep their boards")
                for companion in companions:
                    companion.cancel()
        finally:
            for reload in self._reloads:
                reload.cancel()
            if self._control is not None:
                self._control.stop_listening()
            if self._http is not None:
                await self._http.stop()
            await service.stop()
            # Only now: an administrator's command is answered when the engine has recorded it.
            if self._control is not None:
                await self._control.stop()
        service.engine.check()

    def _how_to_end_jobs(self) -> str:
        path = self._configuration.control_socket
        return f"spalloc-server reload --socket {shlex.quote(str(path))} --ends-jobs"

    async def _start_metrics(self, service: Service) -> None:
        listening = self._configuration.metrics
        if listening is None:
            return
        # Only now: with what it brings along, it takes longer to import than all else a server needs.
        from spalloc_server.operation.metrics import pages
        from spalloc_server.operation.metrics_server import MetricsServer

        self._http = MetricsServer(
            pages(service), listening.refusal, service.engine.presence, service.engine.site.neighbours
        )
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

    async def _reload_on_demand(self, reloading: Reloading) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            await self._reload(reloading, may_end_jobs=False)

    async def _reload(self, reloading: Reloading, *, may_end_jobs: bool, by: str | None = None) -> Effect:
        self._systemd.reloading()
        effect = await reloading.reload(may_end_jobs=may_end_jobs)
        detail = "may end jobs" if may_end_jobs else None
        deed = Deed("reload", detail=detail, by=by, always=True, outcome=effect.refusal)
        # If the engine has failed meanwhile, the server ends, and the log says why.
        with contextlib.suppress(EngineFailedError):
            reloading.service.engine.do(Note(deed), SERVER)
        configuration = reloading.service.configuration
        log.set_level(configuration.log_level.value)
        if self._http is not None and configuration.metrics is not None:
            self._http.admission = configuration.metrics.refusal
        self._report(reloading.service)
        return effect

    async def _start_control(self, reloading: Reloading) -> None:
        """Open the control socket, if it is configured."""
        path = self._configuration.control_socket
        if path is None:
            return

        async def reload(arguments: Mapping[str, object], by: str) -> Answer:
            options = msgspec.convert(arguments, Reload)
            doing = asyncio.create_task(self._reload(reloading, may_end_jobs=options.ends_jobs, by=by))
            self._reloads.add(doing)
            try:
                # Not what is cancelled with it: a cancelled reload is to be answered.
                await asyncio.wait([doing])
            finally:
                doing.cancel()
                self._reloads.discard(doing)
            if doing.cancelled():
                return Answer(
                    REFUSED, "the server stops; it reads its configuration when it is started again"
                )
            return doing.result().answer()

        self._control = await _control_at(path, reload, reloading.service)


async def _control_at(path: Path, reload: Command, service: Service) -> ControlServer | None:
    """Open a control socket; None, and a line in the log, if that fails."""
    control = ControlServer(
        path,
        {
            "reload": reload,
            **_account_commands(service),
            **BoardCommands(service.engine).commands,
            **ReservationCommands(service.engine).commands,
            **EmergencyCommands(service.engine).commands,
            **UsageCommands(service.engine).commands,
            **AuditCommands(service.engine).commands,
        },
    )
    try:
        await control.start()
    except OSError as error:
        # The server can do without it.
        _log.warning("there is no control socket: %s", error.strerror or error)
        return None
    _log.info("the control socket is %s", path)
    return control


GROUP_COMMANDS = (
    "groups.list",
    "groups.show",
    "groups.add",
    "groups.quota",
    "groups.remove",
    "accounts.groups",
)
"""The administrators' commands about groups."""
ACCOUNT_COMMANDS = (
    "accounts.list",
    "accounts.add",
    "accounts.password",
    "accounts.role",
    "accounts.lock",
    "accounts.unlock",
    "accounts.remove",
    "tokens.list",
    "tokens.add",
    "tokens.revoke",
)
"""The administrators' commands about accounts."""


def _account_commands(service: Service) -> dict[str, Command]:
    """Return the commands about accounts and groups.

    What does them is imported when one is given, as few servers ever are.
    """

    def command(name: str) -> Command:
        async def act(arguments: Mapping[str, object], by: str) -> Answer:
            from spalloc_server.operation.account_commands import AccountCommands
            from spalloc_server.operation.group_commands import GroupCommands

            about = GroupCommands if name in GROUP_COMMANDS else AccountCommands
            return await about(service.engine).commands[name](arguments, by)

        return act

    return {name: command(name) for name in (*ACCOUNT_COMMANDS, *GROUP_COMMANDS)}


@contextlib.asynccontextmanager
async def control_of_virtual_boards(path: Path, service: Service) -> AsyncIterator[None]:
    """Serve the control socket of a server of virtual boards, which has no configuration to read again."""

    async def reload(_arguments: Mapping[str, object], _by: str) -> Answer:
        return Answer(REFUSED, "a server with --virtual has no configuration to read again; start it again")

    control = await _control_at(path, reload, service)
    try:
        yield
    finally:
        if control is not None:
            await control.stop()


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
