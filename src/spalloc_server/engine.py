# Runs the core: gathers events into batches, and carries out what comes of them.
#
# The order is the server's promise: records are on disk before a reply is sent, before hardware is touched, and
# before anyone is told. What is decided stands in core/; who talks to whom, in fronts/ and hardware/.
"""The engine between the core and its drivers."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from spalloc_server.clock import Clock
from spalloc_server.core.effects import BoardKey, BoardRecord, Effects
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.machine import Machine
from spalloc_server.core.power import NewMachines, PowerOrder
from spalloc_server.core.site import REMEMBERED_JOBS, Site
from spalloc_server.measures import Measures
from spalloc_server.store.database import Store
from spinnaker.geometry import Board
from spinnaker.places import Frame

_log = logging.getLogger(__name__)

FORGOTTEN_AT_ONCE = 1000
"""Ended jobs that are dropped from the records in one commit."""
RECORD_RETRY_SECONDS = 1.0
"""How long a failed write waits before it is tried again."""


class Hardware(Protocol):
    """Whatever carries out power orders."""

    def carry_out(self, order: PowerOrder, done: Callable[[int, Mapping[Board, str]], None]) -> None:
        """Begin an order; `done` gets its number and the boards that failed, with the reason, when it is over."""

    def reconfigure(self, machines: Sequence[Machine]) -> None:
        """Take over changed machines; orders that are under way are finished as they were begun."""

    def start(self, silence: Callable[[str, Frame, str | None], None]) -> None:
        """Begin to check that BMPs answer; `silence` gets a machine, a frame, and why its BMP is silent or None."""

    async def stop(self) -> None:
        """Stop talking to the hardware; orders that are not over yet are never answered."""


class Listener(Protocol):
    """Whoever wants to be told of changes."""

    def jobs_changed(self, jobs: set[int]) -> None:
        """Take the IDs of jobs that changed."""

    def machines_changed(self, machines: set[str]) -> None:
        """Take the names of machines that changed."""


@dataclass(slots=True)
class _Batch:
    """Events that were taken together, and what came of them."""

    effects: list[Effects] = field(default_factory=list)
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def records(self) -> tuple[dict[int, JobRecord], dict[BoardKey, BoardRecord | None]]:
        """Return the latest record of everything that changed."""
        jobs: dict[int, JobRecord] = {}
        boards: dict[BoardKey, BoardRecord | None] = {}
        for effects in self.effects:
            jobs.update(effects.jobs)
            boards.update(effects.boards)
        return jobs, boards


class Engine:
    """Drives one site; lives in one event loop and is used from its thread only."""

    def __init__(self, site: Site, store: Store, hardware: Hardware, clock: Clock) -> None:
        """Join the parts; nothing happens before `start`."""
        self.site = site
        self.clock = clock
        self.listeners: set[Listener] = set()
        self.measures = Measures()
        self.trouble: str | None = None
        """Why nothing can be recorded just now; None while all is well."""
        self._store = store
        self._hardware = hardware
        # A thread of its own, so that the loop serves others while the disk works. One: commits are in order.
        self._disk = ThreadPoolExecutor(1, "spalloc-store")
        self._gathering = _Batch()
        self._news = False
        """Whether the site was told anything since its effects were last taken."""
        self._settle_soon: asyncio.Handle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._recording: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self, *, cold: bool = False, all_off: bool = False) -> None:
        """Take up where the records leave off.

        Args:
            cold: Whether to end all jobs and switch all boards off instead.
            all_off: Whether the boards lost their power meanwhile.
        """
        recalled = self._store.recall(ended_limit=REMEMBERED_JOBS)
        site, wall, now = self.site, self.clock.wall(), self.clock.now()
        if cold:
            site.begin_afresh(recalled.jobs, recalled.boards, recalled.next_job, wall=wall, now=now)
        else:
            site.recall(
                recalled.jobs, recalled.boards, recalled.next_job, wall=wall, now=now, all_off=all_off
            )
        self._hardware.start(self._frame_silent)
        self.event()

    def reconfigure(self, machines: Sequence[Machine]) -> None:
        """Take over changed machines, highest priority first."""
        self.site.reconfigure(machines, wall=self.clock.wall(), now=self.clock.now())
        self.event()

    async def stop(self) -> None:
        """Let go of the hardware and put down what is still to be recorded; jobs stay as they are."""
        self._stopping = True
        for handle in (self._settle_soon, self._alarm):
            if handle is not None:
                handle.cancel()
        await self._hardware.stop()
        self._news = True
        self._settle()
        if self._recording is not None:
            await self._recording
        self._disk.shutdown()

    async def forget_ended(self, before: float) -> int:
        """Drop the records of jobs that ended before a moment of Unix time, and return how many there were."""
        loop = asyncio.get_running_loop()
        forgotten = 0
        while not self._stopping:
            # Few at a time: what clients wait for has its turn in between.
            count = await loop.run_in_executor(
                self._disk, self._store.forget_ended, before, FORGOTTEN_AT_ONCE
            )
            forgotten += count
            if count < FORGOTTEN_AT_ONCE:
                break
        return forgotten

    def ended_jobs(self, owner: str | None, machine: str | None, limit: int) -> list[JobRecord]:
        """Return the records of jobs that ended last, the latest first.

        Args:
            owner: Only jobs of this owner.
            machine: Only jobs that had boards of this machine.
            limit: How many at most.

        Raises:
            sqlite3.Error: They can't be read.
        """
        return self._store.ended_jobs(owner, machine, limit)

    def event(self) -> None:
        """Say that the site was given an event: what comes of it is carried out soon, with others of the moment."""
        self._news = True
        if self._settle_soon is None and not self._stopping:
            self._settle_soon = asyncio.get_running_loop().call_soon(self._settle)

    def when_recorded(self, callback: Callable[[], None]) -> None:
        """Call back when all that the site was told until now is on disk."""
        self._gathering.callbacks.append(callback)
        self.event()

    def _settle(self) -> None:
        self._settle_soon = None
        self._gather()
        if self._recording is None:
            self._recording = asyncio.get_running_loop().create_task(self._record())

    def _gather(self) -> None:
        if self._news:
            self._news = False
            began = self.clock.now()
            self.site.decide(began)
            self.measures.decisions.add(self.clock.now() - began)
            self._gathering.effects.append(self.site.take_effects())
            self._set_alarm()

    async def _record(self) -> None:
        try:
            while True:
                # A callback must never be in an earlier batch than the effects of the event that it waits for.
                self._gather()
                if not (self._gathering.effects or self._gathering.callbacks):
                    break
                batch, self._gathering = self._gathering, _Batch()
                jobs, boards = batch.records()
                if (jobs or boards) and not await self._write(jobs, boards):
                    break
                self._carry_out(batch)
        finally:
            self._recording = None

    async def _write(
        self, jobs: Mapping[int, JobRecord], boards: Mapping[BoardKey, BoardRecord | None]
    ) -> bool:
        """Put records on disk, however long it takes; return False if the server is stopped before it could be done."""
        loop = asyncio.get_running_loop()
        began = self.clock.now()
        while True:
            try:
                await loop.run_in_executor(self._disk, self._store.write, jobs, boards)
            except sqlite3.Error as error:
                if self._stopping:
                    _log.critical("records can't be written, commands not yet answered are lost: %s", error)
                    return False
                # Nothing may be acknowledged or powered before it is on disk, so everything waits for the disk.
                _log.critical("records can't be written, clients wait: %s", error)
                self.measures.failed_commits += 1
                self.trouble = f"records can't be written: {error}"
                await asyncio.sleep(RECORD_RETRY_SECONDS)
            else:
                self.trouble = None
                self.measures.commits.add(self.clock.now() - began)
                return True

    def _carry_out(self, batch: _Batch) -> None:
        for callback in batch.callbacks:
            callback()
        jobs: set[int] = set()
        machines: set[str] = set()
        for effects in batch.effects:
            for notice in effects.notices:
                level = logging.WARNING if notice.serious else logging.INFO
                _log.log(level, "%s", notice.text, extra=dict(notice.about))
            if _log.isEnabledFor(logging.DEBUG):
                for record in effects.jobs.values():
                    _log_job(record)
            jobs |= effects.jobs_changed
            machines |= effects.machines_changed
            if not self._stopping:
                for order in effects.orders:
                    if isinstance(order, NewMachines):
                        self._hardware.reconfigure(order.machines)
                    else:
                        self._hardware.carry_out(order, self._power_done)
        for listener in list(self.listeners):
            if jobs:
                listener.jobs_changed(jobs)
            if machines:
                listener.machines_changed(machines)

    def _power_done(self, number: int, failed: Mapping[Board, str]) -> None:
        self.site.power_done(number, failed, wall=self.clock.wall(), now=self.clock.now())
        self.event()

    def _frame_silent(self, machine: str, frame: Frame, why: str | None) -> None:
        self.site.frame_silent(machine, frame, why, self.clock.now())
        self.event()

    def _set_alarm(self) -> None:
        deadline = self.site.next_deadline()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if deadline is not None and not self._stopping:
            delay = max(0.0, deadline - self.clock.now())
            self._alarm = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.site.tick(self.clock.now(), wall=self.clock.wall())
        self.event()


def _log_job(record: JobRecord) -> None:
    about: dict[str, object] = {"job": record.id, "owner": record.owner, "state": record.state.name}
    if record.allocation is not None:
        about |= {"machine": record.allocation.machine, "boards": len(record.allocation.boards)}
    if record.reason is not None:
        about["reason"] = record.reason
    _log.debug("job %d is recorded", record.id, extra=about)
