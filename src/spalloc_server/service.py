"""A whole server: core, store, hardware and fronts, started and stopped in the right order.

No decisions and no command lines: a configuration comes as a value from embedded.py or operation/.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from spalloc_server.clock import Clock, SystemClock, moment
from spalloc_server.config.settings import Configuration
from spalloc_server.core.accounts import IDLE_SECONDS
from spalloc_server.core.administration import SetReservations
from spalloc_server.core.askers import SERVER
from spalloc_server.core.commands import SetRules
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Calendar
from spalloc_server.engine import Engine
from spalloc_server.fronts.v1.server import V1Server
from spalloc_server.hardware.bmps import Bmps
from spalloc_server.store.audit import AuditLimits
from spalloc_server.store.charges import ChargeLimits
from spalloc_server.store.database import Store
from spalloc_server.store.keeping import HistoryLimits
from spalloc_server.words import counted, there_are

if TYPE_CHECKING:
    from spalloc_server.fronts.http.front import HttpFront
    from spalloc_server.fronts.http.settings import HttpSettings

_log = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
MOST_BYTES_IN_MEMORY = 50_000_000
"""The most that records may take where they are kept in memory."""
HISTORY_CHECK_SECONDS = 3600.0
"""Seconds between checks for ended jobs that are old enough to be dropped."""


class Service:
    """A server; lives in one event loop."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        set_aside_unreadable: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """Make a server.

        Args:
            configuration: The configuration of the site.
            set_aside_unreadable: Whether to go on without unreadable records of live jobs.
            clock: The clock to use; None for the computer's.

        Raises:
            StoreError: The records can't be used.
        """
        self.configuration = configuration
        self._store = Store(configuration.state, set_aside_unreadable=set_aside_unreadable)
        self.bmps = Bmps(configuration.machines)
        self.engine = Engine(Site(configuration.machines), self._store, self.bmps, clock or SystemClock())
        self.v1 = V1Server(self.engine, configuration.v1_limits)
        self.http: HttpFront | None = None
        """The HTTP front, if it is configured and runs."""
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = threading.Event()
        self._history_changed = asyncio.Event()
        self._calendar = Calendar()
        self._follow(configuration)

    async def start(
        self, *, cold: bool = False, all_off: bool = False, first_job: int = 1
    ) -> tuple[str, int]:
        """Continue with the recorded jobs, listen for clients, and return the (first) address in use.

        Args:
            cold: Whether to end all recorded jobs and switch all boards off instead.
            all_off: Whether the boards lost their power since the records were written.
            first_job: The first job's ID, where the records have no jobs.

        Raises:
            OSError: An address can't be listened on.
            StoreError: The records can't be read.
        """
        try:
            self.engine.start(cold=cold, all_off=all_off, first_job=first_job)
            address = await self.v1.start(self.configuration.v1.addresses, self.configuration.v1.port)
            if self.configuration.http is not None:
                await self._start_http(self.configuration.http)
        except BaseException:
            await self.stop()
            raise
        self._calendar.begin(self.engine.latest_recorded, moment(self.engine.clock))
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._tidy_now_and_then())]
        if self._store.outlasts_process:
            self._tasks.append(loop.create_task(self.engine.watch_records()))
        if not self._store.is_checked:
            self._tasks.append(loop.create_task(self._look_for_damage()))
        return address

    async def _start_http(self, settings: "HttpSettings") -> None:
        # Only now: with what it brings along, it takes longer to import than all else.
        from spalloc_server.fronts.http.front import HttpFront

        self.http = HttpFront(self.engine, settings, beside=self.v1.limits.connections)
        await self.http.start()

    def reconfigure(self, configuration: Configuration) -> None:
        """Change to another configuration, except for settings that `needs_restart` names."""
        self._follow(configuration)
        self.configuration = configuration
        self.engine.reconfigure(configuration.machines)
        if self.http is not None and configuration.http is not None:
            self.http.reload(configuration.http)

    async def stop(self) -> None:
        """Stop serving; jobs stay in the records, and boards stay as they are."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.v1.stop_listening()
        if self.http is not None:
            self.http.stop_listening()
        await self.engine.stop()
        if self.http is not None:
            await self.http.stop()
        await self.v1.stop()
        self._store.close()

    def _follow(self, configuration: Configuration) -> None:
        self.v1.limits = configuration.v1_limits
        self.v1.admission = configuration.v1.refusal
        idle = IDLE_SECONDS if configuration.http is None else configuration.http.session_idle_seconds
        rules = SetRules(
            configuration.job_limits,
            configuration.trust,
            configuration.time_limits,
            configuration.shares,
            idle,
            configuration.groups,
        )
        self.engine.do(rules, SERVER)
        self.engine.do(SetReservations(configuration.reservations), SERVER)
        history = configuration.history
        most = history.megabytes * 1_000_000
        self._store.history.limits = HistoryLimits(
            history.jobs, most if self._store.outlasts_process else min(most, MOST_BYTES_IN_MEMORY)
        )
        self._store.charges.limits = ChargeLimits(configuration.usage.charges)
        self._store.audit.limits = AuditLimits(configuration.audit.entries)
        self._history_changed.set()

    async def _look_for_damage(self) -> None:
        """Check the records for damage once, where they were too large for that at the start."""
        try:
            found = await asyncio.to_thread(self._store.look_for_damage, self._stopping.is_set)
        except sqlite3.Error as error:
            found = str(error)
        if found is not None:
            _log.critical(
                "the records in %s are damaged: %s; copy the file as it is, and start again with "
                "--set-aside-unreadable",
                self.configuration.state,
                found,
            )

    async def _tidy_now_and_then(self) -> None:
        while True:
            self._history_changed.clear()
            await self.tidy()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HISTORY_CHECK_SECONDS):
                    await self._history_changed.wait()

    async def tidy(self) -> None:
        """Drop what is beyond the limits of the records, and what is old unless the clock has jumped."""
        engine, configuration, at = self.engine, self.configuration, moment(self.engine.clock)
        days = configuration.history.days, configuration.usage.days, configuration.audit.days
        history, usage, audit = (at.wall - each * DAY_SECONDS for each in days)
        believed = self._calendar.believes(at)
        try:
            forgotten = await engine.tidy(history if believed else None)
            charges = await engine.tidy_charges(usage if believed else None)
            entries = await engine.tidy_audit(audit if believed else None)
            if not believed:
                self._log_jump(at.wall, await engine.ended_before(history))
        except sqlite3.Error as error:
            _log.error("old jobs can't be dropped from the records, will try again: %s", error)
            return
        if forgotten:
            _log.info("%s old and forgotten", there_are(forgotten, "ended job"))
        if charges:
            _log.info("%s old or too many, and dropped", there_are(charges, "charge"))
        if entries:
            _log.info("%s of the audit dropped, which were old or too many", counted(entries, "record"))

    def _log_jump(self, wall: float, kept: int) -> None:
        if kept:
            _log.warning(
                "the clock has jumped, to %s: %s old by it, and kept until it has been steady for a day",
                datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds"),
                there_are(kept, "ended job"),
            )
