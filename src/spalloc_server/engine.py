"""Runs the core: gathers events into batches, and carries out their effects.

The order is the server's promise: records are on disk before a reply is sent, before hardware is touched, and
before anyone is notified. core/ decides; fronts/ and hardware/ send. After an unexpected exception, the state in memory
may be wrong, but the records on disk are sound. So the engine answers all waiting clients with an error and does no
more; the server ends, and a new one starts from the records.
"""

import asyncio
import contextlib
import logging
import math
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar, TypeVarTuple

from spalloc_server.auditing import Auditor
from spalloc_server.clock import Clock, moment
from spalloc_server.core.askers import Asker
from spalloc_server.core.audit import Entry
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.core.effects import (
    Effects,
    NewMachines,
    Notice,
    Order,
    PowerOrder,
    Standing,
)
from spalloc_server.core.forecast import Forecast
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.machine import Machine
from spalloc_server.core.questions import SiteView
from spalloc_server.core.reconfiguration import reconfigure
from spalloc_server.core.refusals import Refusal, Sort
from spalloc_server.core.restart import last_recorded, recall, start_cold
from spalloc_server.core.site import REMEMBERED_JOBS, Site
from spalloc_server.core.timekeeping import Moment
from spalloc_server.core.usage import Usage, UsageQuestion
from spalloc_server.forecasts import Forecasts
from spalloc_server.measures import Measures
from spalloc_server.presence import LATE_SECONDS, PendingExpiry, Presence
from spalloc_server.ration import WINDOW_SECONDS, Ration
from spalloc_server.store.audit import AuditKeeper, AuditQuestion
from spalloc_server.store.charges import ChargeKeeper
from spalloc_server.store.database import Store
from spalloc_server.store.errors import StoreError
from spalloc_server.store.recalling import Recalled
from spalloc_server.words import counted
from spinnaker.geometry import Board
from spinnaker.places import Frame

_log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

FORGOTTEN_AT_ONCE = 1000
"""Ended jobs that are dropped from the records in one commit."""
RECORDS_BEFORE_EXPIRING = 400
"""While this many records of jobs wait for the disk, no job expires."""
JOB_LINES = 60
"""Lines about the jobs of one address that are logged within a minute; the others are counted."""
JOB_LINES_ADDRESSES = 200
"""Addresses that may have such lines within a minute."""
RECORD_RETRY_SECONDS = 1.0
"""Seconds between a failed write and the next try."""
SKIPPED_IDS = 100_000
"""Job IDs that are skipped where records may be lost: more than a write-ahead log has room for."""
AUDITED_IN_TROUBLE = 1000
"""How many entries of the audit wait at most while nothing can be recorded; further ones are in the log only."""
GATHER_SECONDS = 0.003
"""The longest time for which a decision or a commit is put off while further changes arrive. Changes that are made
together cost a fraction of what each costs alone."""
EXPIRE_AGAIN_SECONDS = 0.1
"""Seconds between checks whether a stalled disk works again; no job expires until then."""
LOOK_SECONDS = 0.5
"""Seconds between checks that the file of the records is still there."""
TROUBLE_REPEAT_SECONDS = 60.0
"""Seconds between log lines that say that records still can't be written."""


class EngineFailedError(Exception):
    """The engine met an unexpected exception; the records on disk are sound, and a new start continues from them."""


class EngineStoppingError(Exception):
    """The engine is stopping, and begins nothing more."""


class Hardware(Protocol):
    """Carries out power orders."""

    def carry_out(self, order: PowerOrder, done: Callable[[int, Mapping[Board, str]], None]) -> None:
        """Begin an order; at its end, `done` is called with its number and the boards that failed, with reasons."""

    def reconfigure(self, machines: Sequence[Machine]) -> None:
        """Change to these machines; orders in progress are finished as they were begun."""

    def watch(self, order: PowerOrder) -> None:
        """Check from time to time that boards are still as an earlier process's order left them."""

    def start(self, listener: "HardwareListener") -> None:
        """Begin to check that BMPs answer and that boards stay as ordered; `listener` is told what is found."""

    async def stop(self) -> None:
        """Stop talking to the hardware; unfinished orders are never answered."""


class HardwareListener(Protocol):
    """Is told what checks of the hardware find."""

    def frame_silent(self, machine: str, frame: Frame, why: str | None) -> None:
        """Called when a frame's BMP stops answering (`why` is the reason) or answers again (None)."""

    def boards_strayed(self, machine: str, order: int, boards: Mapping[Board, str]) -> None:
        """Called when boards are no longer as an order left them, with the reason for each."""


class ChangeListener(Protocol):
    """Is told of changes, once they are on disk."""

    def jobs_changed(self, jobs: set[int]) -> None:
        """Called when the jobs with these IDs have changed."""

    def machines_changed(self, machines: set[str]) -> None:
        """Called when the machines with these names have changed."""

    def jobs_ending(self, jobs: set[int]) -> None:
        """Called when the server will end these jobs soon, or was to and that has changed."""


class Outcome(NamedTuple, Generic[T]):
    """The result of a command."""

    value: T
    waits: bool
    """Whether the reply must wait until it is on disk: see `Engine.when_recorded`."""


class _Wait(NamedTuple):
    """A decision or a commit that is put off, so that changes whose requests have arrived are made together with it."""

    since: float
    replies: int
    """How many replies waited for the disk at the last look."""


@dataclass(slots=True)
class _Batch:
    """The effects of events that are recorded together, and the callbacks that wait for that."""

    effects: Effects = field(default_factory=Effects)
    """Merged: of a job that changes several times, only the latest record is kept."""
    audit: list[Entry] = field(default_factory=list)
    """Who did what."""
    callbacks: list[Callable[[bool], None]] = field(default_factory=list)

    def answer(self, *, recorded: bool) -> None:
        """Call each waiting callback once, with whether the batch is on disk."""
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            try:
                callback(recorded)
            except Exception:  # noqa: BLE001 — the others must get their answers
                _log.exception("a client could not be answered")


class Engine:
    """Drives one site; lives in one event loop and is used from its thread only."""

    def __init__(self, site: Site, store: Store, hardware: Hardware, clock: Clock) -> None:
        """Connect the parts; nothing happens before `start`."""
        self._site = site
        self.clock = clock
        self.listeners: set[ChangeListener] = set()
        self.session_listeners: set[Callable[[Collection[str]], None]] = set()
        """Called with the keys of sessions that have ended, once that is on disk."""
        self.measures = Measures()
        self.presence = Presence(clock, site.delays, self.measures.delays)
        """Says whether a client's silence counts against it now, or may be the server's own delay."""
        self.trouble: str | None = None
        """Why nothing can be recorded now; None while all is well."""
        self.failure: Exception | None = None
        """The fault that ended the engine's work; None while all is well."""
        self.on_failure: Callable[[], None] = lambda: None
        """Called once when there is a `failure`: the engine should be stopped then."""
        self.unheard: Callable[[], Collection[str]] = frozenset
        """Returns the hosts whose requests wait unread in a front."""
        self.busy: Callable[[], bool] = lambda: False
        """Returns whether a front has requests that it has not served yet."""
        self.latest_recorded: float | None = None
        """The latest time in the records at the start, in seconds of Unix time; None if there was none."""
        self._store = store
        self._hardware = hardware
        # In a thread, so that the loop goes on while the disk works. In only one, so that commits stay in order.
        self._disk = ThreadPoolExecutor(1, "spalloc-store")
        self._reading = ThreadPoolExecutor(1, "spalloc-history")
        self._forecasts = Forecasts(site.forecast, clock)
        self._gathering = _Batch()
        self._writing = _Batch()
        self._news = False
        """Whether the site had an event since its effects were last taken."""
        self._unfinished = False
        """Whether a decision goes on in the next turn of the event loop."""
        self._notices = Ration(JOB_LINES, JOB_LINES_ADDRESSES)
        self._auditor = Auditor(site, site.neighbours.of)
        self._summary: asyncio.TimerHandle | None = None
        self._next_flush: asyncio.Handle | None = None
        self._alarm: asyncio.TimerHandle | PendingExpiry | None = None
        self._recording: asyncio.Task[None] | None = None
        self._writing_since: float | None = None
        """When the write in progress began, in the clock's time; None while there is none. After a fast write, the
        writing thread clears it, since the loop may be late. After a slow one, the loop does as it notes the delay."""
        self._decision_waits: _Wait | None = None
        self._commit_waits: _Wait | None = None
        """The waits of the next decision and the next commit; None while they are not put off. With one wait for both,
        every decision would make the commit wait again."""
        self._stopping = False
        self._stopped = False
        self._troubled_since: float | None = None
        self._told = 0.0
        self._misplaced = False
        """Whether the trouble is that the file of the records is gone or replaced."""

    @property
    def site(self) -> SiteView:
        """The site, for reading; `do` is the only way to change it."""
        return self._site

    def do(self, command: Command[T], by: Asker) -> Outcome[T]:
        """Have the site do what somebody asks for; its effects are recorded and carried out soon.

        Raises:
            RefusedError: The command is not done; the message says why.
            EngineFailedError: The engine failed while it did the command, or before.
        """
        if command.is_lasting and self.trouble is not None:
            # A client that gave up and asked again would get a second job once the disk has room again.
            raise RefusedError(
                Refusal(f"the server takes no changes for now, try again later: {self.trouble}", Sort.CLOSED)
            )
        if self.failure is not None:
            raise EngineFailedError(f"the server failed, and ends ({self.failure!r})") from self.failure
        at = moment(self.clock)
        refusal = command.refusal(self._site, by)
        if refusal is not None:
            self._audit(command, by, at, None, refused=refusal)
            raise RefusedError(refusal)
        try:
            value = command.apply(self._site, by, at)
            waits = self._take_effects()
            self._audit(command, by, at, value, changed=waits)
        except RefusedError as refused:
            self._audit(command, by, at, None, refused=str(refused))
            raise
        except Exception as fault:
            # Half a change can't be undone.
            self.fail(fault)
            raise EngineFailedError(f"the server failed in the middle of this ({fault!r})") from fault
        about = command.tells_of()
        if not waits and about is not None:
            waits = about in self._gathering.effects.jobs or about in self._writing.effects.jobs
        return Outcome(value, waits)

    def _audit(
        self,
        command: Command[T],
        by: Asker,
        at: Moment,
        value: T | None,
        *,
        changed: bool = False,
        refused: str | None = None,
    ) -> None:
        """Have what was done, or refused, recorded together with its effects; of what only asks, nothing is."""
        for entry in self._auditor.entries(command, by, at, value=value, changed=changed, refused=refused):
            if self.trouble is None or len(self._gathering.audit) < AUDITED_IN_TROUBLE:
                self._gathering.audit.append(entry)
                self.event()
            else:
                self._auditor.log([entry], at.now)

    def _take_effects(self) -> bool:
        """Take the effects of an event into the batch; return whether a reply must wait until they are on disk."""
        effects = self._site.take_effects()
        if not effects:
            return False
        if effects.is_urgent:
            for notice in effects.notices:
                self._log(notice)
            effects.notices.clear()
        self._gathering.effects.then(effects)
        if effects.is_urgent:
            self._switch_off_now()
        self.event()
        return effects.are_waited_for

    def _switch_off_now(self) -> None:
        """Give the orders to switch boards off that wait for the disk, and forget earlier ones for these boards.

        If the server dies before it is recorded, the next one finds boards off that its records have on.
        """
        pending = self._writing.effects.orders, self._gathering.effects.orders
        off = [
            order for orders in pending for order in orders if isinstance(order, PowerOrder) and not order.on
        ]
        latest = {(order.machine, board): order.number for order in off for board in order.boards}

        def is_void(order: Order) -> bool:
            power = order.order if isinstance(order, Standing) else order
            return isinstance(power, PowerOrder) and any(
                latest.get((power.machine, board), 0) >= power.number for board in power.boards
            )

        for orders in pending:
            orders[:] = [order for order in orders if not is_void(order)]
        self._give_orders(off)

    def start(self, *, cold: bool = False, all_off: bool = False, first_job: int = 1) -> None:
        """Continue from the records.

        Args:
            cold: Whether to end all jobs and switch all boards off instead.
            all_off: Whether the boards lost their power meanwhile.
            first_job: The first job's ID, where the records have no jobs or may have lost some.

        Raises:
            StoreError: The records can't be used.
        """
        recalled = self._store.recall(ended_limit=REMEMBERED_JOBS, set_aside_unreadable=cold)
        self.latest_recorded = last_recorded(recalled.jobs)
        next_job = recalled.next_job
        if recalled.doubtful:
            next_job = max(next_job, first_job) + SKIPPED_IDS
        elif next_job == 1:
            next_job = first_job
        try:
            self._take_up(recalled, next_job, cold=cold, all_off=all_off)
        except Exception as fault:
            # Records that can be read singly may still contradict each other, in a way that no check expects.
            raise StoreError(
                f"the records contradict themselves ({fault!r}); put back a backup with "
                "spalloc-server restore, or end all jobs with --cold-start"
            ) from fault
        self._hardware.start(self)
        self.presence.start()
        self.event()

    def _take_up(self, recalled: Recalled, next_job: int, *, cold: bool, all_off: bool) -> None:
        jobs, boards, at = recalled.jobs, recalled.boards, moment(self.clock)
        self._site.remembered = recalled.remembered
        # Also at a cold start: it forgets jobs and faults, not what an administrator has decided.
        self._site.reserving.recall(recalled.reservations, at.now)
        self._site.groups.recall(recalled.groups)
        self._site.accounts.recall(recalled.accounts, recalled.tokens, recalled.sessions, at)
        self._site.tell_of_missing_accounts()
        if cold:
            start_cold(self._site, jobs, boards, next_job, at=at)
        else:
            doubtful = recalled.doubtful
            recall(self._site, jobs, boards, next_job, at=at, all_off=all_off, doubtful=doubtful)

    def reconfigure(self, machines: Sequence[Machine]) -> None:
        """Change to these machines, highest priority first."""
        with self._deciding():
            at = moment(self.clock)
            reconfigure(self._site, machines, at)
            self._take_effects()
            self.measures.decisions.add(self.clock.now() - at.now)
        self.event()

    async def stop(self) -> None:
        """Stop talking to the hardware and record what is still to be recorded; jobs stay as they are."""
        self._stopping = True
        self.presence.stop()
        self._forecasts.stop()
        for handle in (self._next_flush, self._alarm, self._summary):
            if handle is not None:
                handle.cancel()
        await self._hardware.stop()
        self._news = self.failure is None
        self._flush()
        if self._recording is not None:
            await self._recording
        self._stopped = True
        self._sum_up(math.inf)
        self._auditor.sum_up()
        # Empty, unless the disk did not take what it was to take.
        self._gathering.answer(recorded=False)
        # In a thread: the loop must still tell clients that wait that their commands are lost.
        for threads in (self._disk, self._reading):
            await asyncio.get_running_loop().run_in_executor(None, threads.shutdown)

    async def tidy(self, before: float | None) -> int:
        """Drop records of ended jobs until they are within their limits, and return how many were dropped.

        Args:
            before: Also drop those that ended before this moment of Unix time; None to drop none for their age.

        Raises:
            sqlite3.Error: They could not be dropped; it may be tried again.
        """
        history = self._store.history
        forgotten = 0
        if before is not None:
            forgotten += await self._drop_some(history.drop_ended_before, before)
        while history.has_excess and not self._stopping:
            forgotten += await self._on_disk(history.drop_excess, FORGOTTEN_AT_ONCE)
        while not self._stopping and await self._on_disk(history.give_back):
            pass
        return forgotten

    async def tidy_charges(self, before: float | None) -> int:
        """Drop charges until they are within their limits; return how many were dropped since this was done last.

        Args:
            before: Also drop those of allocations that ended before this moment of Unix time; None for none.

        Raises:
            sqlite3.Error: They could not be dropped; it may be tried again.
        """
        charges = self._store.charges
        # A few at a time, so that commits that clients wait for come in between.
        while not self._stopping and await self._on_disk(charges.drop, before, FORGOTTEN_AT_ONCE) > 0:
            pass
        return charges.take_untold()

    async def tidy_audit(self, before: float | None) -> int:
        """Drop entries of the audit until they are within their limits; return how many since this was done last.

        Args:
            before: Also drop entries before this moment of Unix time; None for none.

        Raises:
            sqlite3.Error: They could not be dropped; it may be tried again.
        """
        audit = self._store.audit
        while not self._stopping and await self._on_disk(audit.drop, before, FORGOTTEN_AT_ONCE) > 0:
            pass
        return audit.take_untold()

    async def _drop_some(self, drop: Callable[[float, int], int], before: float) -> int:
        dropped = 0
        while not self._stopping:
            # A few at a time, so that commits that clients wait for come in between.
            count = await self._on_disk(drop, before, FORGOTTEN_AT_ONCE)
            dropped += count
            if count < FORGOTTEN_AT_ONCE:
                break
        return dropped

    async def ended_before(self, moment: float) -> int:
        """Return how many recorded jobs ended before a moment of Unix time.

        Raises:
            sqlite3.Error: They can't be read.
        """
        return await self._on_disk(self._store.history.ended_before, moment)

    async def _on_disk(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    async def ended_jobs(
        self,
        owner: str | None,
        machine: str | None,
        limit: int,
        write: Callable[[Sequence[JobRecord]], bytes],
    ) -> bytes:
        """Return what `write` makes of the jobs that ended last, the latest first.

        Args:
            owner: Only jobs of this owner; None for all.
            machine: Only jobs that had boards of this machine; None for all.
            limit: How many at most; fewer where their records are long.
            write: Called in a thread, with their records.

        Raises:
            sqlite3.Error: They can't be read.
            EngineStoppingError: The engine is stopping.
        """
        return await self._read(lambda: write(self._store.ended_jobs(owner, machine, limit)))

    async def newest_jobs(self, start: int, limit: int) -> list[JobRecord]:
        """Return the recorded jobs with the highest IDs, live ones too, the newest first, without the `start` newest.

        Raises:
            sqlite3.Error: They can't be read.
            EngineStoppingError: The engine is stopping.
        """
        return await self._read(lambda: self._store.newest_jobs(start, limit))

    async def usage(self, question: UsageQuestion) -> Usage:
        """Return who used what, as recorded, and up to now.

        Raises:
            sqlite3.Error: The records can't be read.
            EngineStoppingError: The engine is stopping.
        """
        now = self.clock.wall()
        # Jobs that have boards, and those that may have some on disk still.
        live = [job.id for job in self._site.jobs.values() if job.record.allocation is not None]
        live += [*self._gathering.effects.jobs, *self._writing.effects.jobs]
        return await self._read(lambda: self._store.usage(question, now, live))

    async def audit(self, question: AuditQuestion) -> list[Entry]:
        """Return entries of the audit, as recorded, the earliest first.

        Raises:
            sqlite3.Error: The records can't be read.
            EngineStoppingError: The engine is stopping.
        """
        return await self._read(lambda: self._store.audit_entries(question))

    def ended_record(self, number: int) -> JobRecord | None:
        """Return the record of an ended job if it is in memory, as all are that are not on disk yet; else None."""
        record = self._site.ended_record(number)
        if record is None:
            record = self._gathering.effects.jobs.get(number) or self._writing.effects.jobs.get(number)
        return record

    def forecast(self) -> Forecast | None:
        """Return when waiting jobs are expected to get boards, as of late; None if that is being worked out first."""
        if self._stopping or self.failure is not None:
            return None
        if not self._site.has_queue:
            return Forecast(self.clock.now())
        return self._forecasts.latest()

    async def ended_job(self, number: int) -> JobRecord | None:
        """Return the record on disk of an ended job; None if there is none.

        Raises:
            sqlite3.Error: It can't be read.
            EngineStoppingError: The engine is stopping.
        """
        return await self._read(lambda: self._store.ended_job(number))

    async def _read(self, read: Callable[[], T]) -> T:
        def read_unless_stopping() -> T:
            # Checked in the thread as well: hundreds may have waited for it when the stop came.
            if self._stopping:
                raise EngineStoppingError("the server stops")
            return read()

        # Not in the thread that writes, where possible: no commit should wait for a question.
        reader = self._reading if self._store.reads_beside else self._disk
        if self._stopping:
            raise EngineStoppingError("the server stops")
        return await asyncio.get_running_loop().run_in_executor(reader, read_unless_stopping)

    def check(self) -> None:
        """Raise an error if the engine has failed.

        Raises:
            EngineFailedError: It has.
            StoreError: It has, because the records are damaged.
        """
        if isinstance(self.failure, StoreError):
            raise self.failure
        if self.failure is not None:
            raise EngineFailedError(
                f"the server failed ({self.failure!r}); {self._what_next()}"
            ) from self.failure

    def _what_next(self) -> str:
        if self._store.outlasts_process:
            return "start it again, it continues from its records"
        return "its jobs are lost: it kept its records in memory"

    @property
    def stopping(self) -> bool:
        """Whether the engine begins nothing more."""
        return self._stopping

    def event(self) -> None:
        """Note that the site had an event: its effects are carried out soon, with those of other events."""
        self._news = True
        if self._next_flush is None and not self._stopping and self.failure is None:
            self._next_flush = asyncio.get_running_loop().call_soon(self._flush)

    def when_recorded(self, callback: Callable[[bool], None]) -> None:
        """Call back when all changes made until now are on disk, or never will be.

        Args:
            callback: Called once, with whether they are on disk; False only if the engine stops or has failed.
        """
        if self._stopped or self.failure is not None:
            asyncio.get_running_loop().call_soon(callback, False)
            return
        self._gathering.callbacks.append(callback)
        self.event()

    @contextlib.contextmanager
    def _deciding(self) -> Iterator[None]:
        """Make a fault in the block the engine's failure."""
        try:
            yield
        except Exception as fault:  # noqa: BLE001 — half a decision can't be undone, but the records are whole
            self.fail(fault)

    def fail(self, fault: Exception) -> None:
        """End all work, since `fault` may have left a wrong state in memory; tell everyone who waits."""
        if self.failure is not None:
            return
        if isinstance(fault, StoreError):
            _log.critical("the server ends: %s", fault)
        else:
            _log.critical("the server failed and ends; %s", self._what_next(), exc_info=fault)
        self.failure = fault
        self.trouble = f"the server failed: {fault!r}"
        for handle in (self._next_flush, self._alarm, self._summary):
            if handle is not None:
                handle.cancel()
        self._gathering.answer(recorded=False)
        self.on_failure()

    def _flush(self) -> None:
        """Have the site decide about the events of the batch, and begin to record it."""
        self._next_flush = None
        self._decision_waits = self._continued(self._decision_waits)
        if self._decision_waits is not None:
            self._next_flush = asyncio.get_running_loop().call_soon(self._flush)
            return
        with self._deciding():
            self._gather()
        if self._recording is None and self.failure is None:
            self._recording = asyncio.get_running_loop().create_task(self._record())

    def _continued(self, wait: "_Wait | None") -> "_Wait | None":
        """Return the wait for other clients, `wait` continued or a new one; None if it is over."""
        replies = len(self._gathering.callbacks)
        if replies < 2 or self._stopping or not self.busy():
            return None
        now = self.clock.now()
        if wait is None:
            return _Wait(now, replies)
        if replies == wait.replies or now - wait.since >= GATHER_SECONDS:
            return None
        return _Wait(wait.since, replies)

    def _gather(self) -> None:
        if self._news:
            self._news = False
            at = moment(self.clock)
            finished = self._site.decide(at)
            self.measures.decisions.add(self.clock.now() - at.now)
            self._gathering.effects.then(self._site.take_effects())
            self._set_alarm()
            self._unfinished = not finished
            if self._unfinished:
                self.event()
            elif self._site.has_queue and not self._stopping:
                self._forecasts.renew()

    async def _record(self) -> None:
        batch = _Batch()
        try:
            while self.failure is None:
                self._commit_waits = self._continued(self._commit_waits)
                if self._commit_waits is not None:
                    await asyncio.sleep(0)
                    continue
                # A callback must never be in an earlier batch than the effects that it waits for.
                if not self._unfinished:
                    # An unfinished decision goes on only after the other callbacks of the loop.
                    self._gather()
                if not (self._gathering.effects or self._gathering.audit or self._gathering.callbacks):
                    break
                batch = self._writing = self._gathering
                self._gathering = _Batch()
                if (batch.effects.has_records or batch.audit) and not await self._write(batch):
                    break
                self._writing = _Batch()
                batch.answer(recorded=True)
                self._log_effects(batch.effects)
                self._auditor.log(batch.audit, self.clock.now())
                self._give_orders(batch.effects.orders)
                self._tell(batch.effects)
                await self._keep_history(len(batch.effects.jobs))
        except Exception as fault:  # noqa: BLE001 — the state in memory may never get onto the disk now
            self.fail(fault)
        finally:
            self._recording = None
            # Callbacks are left only if the batch could not be recorded.
            batch.answer(recorded=False)

    async def _write(self, batch: _Batch) -> bool:
        """Put records on disk, however long it takes; return False if the server stops before that is done."""
        loop, effects = asyncio.get_running_loop(), batch.effects
        began = self._writing_since = self.clock.now()

        def write() -> float:
            self._store.write(
                effects.jobs,
                effects.boards,
                effects.remembered,
                effects.reservations,
                effects.accounts,
                effects.groups,
                effects.charges,
                batch.audit,
            )
            took = self.clock.now() - began
            if took <= LATE_SECONDS:
                self._writing_since = None
            return took

        while True:
            try:
                took = await loop.run_in_executor(self._disk, write)
            except sqlite3.OperationalError as error:
                if self._stopping or self.failure is not None:
                    _log.critical("records can't be written, commands not yet answered are lost: %s", error)
                    return False
                # Nothing may be acknowledged or powered before it is on disk, so everything waits.
                self.measures.failed_commits += 1
                self._note_trouble(error)
                await asyncio.sleep(RECORD_RETRY_SECONDS)
            else:
                self._note_recovery()
                self.measures.commits.add(took)
                self._writing_since = None
                if took > LATE_SECONDS:
                    self.presence.note_delay(began, "records to get onto the disk")
                return True

    async def _keep_history(self, written: int) -> None:
        """Drop what is beyond the limits of the records, at least as fast as it is written."""
        history = self._store.history
        for _ in range(1 + 2 * written // FORGOTTEN_AT_ONCE):
            if not history.has_excess or self.failure is not None:
                break
            try:
                await self._on_disk(history.drop_excess, FORGOTTEN_AT_ONCE)
            except sqlite3.OperationalError as error:
                # The next commit meets the same trouble, and waits until it is over.
                _log.warning("ended jobs can't be dropped from the records, will try again: %s", error)
                break
        await self._keep_few(self._store.charges, "charges")
        await self._keep_few(self._store.audit, "entries of the audit")

    async def _keep_few(self, kept: ChargeKeeper | AuditKeeper, what: str) -> None:
        """Drop what is beyond a limit, if it is time to look."""
        if kept.may_have_excess and self.failure is None:
            try:
                await self._on_disk(kept.drop, None, FORGOTTEN_AT_ONCE)
            except sqlite3.OperationalError as error:
                _log.warning("%s can't be dropped from the records, will try again: %s", what, error)

    async def watch_records(self) -> None:
        """Check again and again that the file of the records is still there, until cancelled."""
        loop = asyncio.get_running_loop()
        while self.failure is None:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await loop.run_in_executor(self._disk, self._store.look)
            except sqlite3.OperationalError as error:
                self._note_trouble(error)
                self._misplaced = True
            except Exception as fault:  # noqa: BLE001 — new records may not be there after a restart
                self.fail(fault)
            else:
                if self._misplaced:
                    self._note_recovery()

    def _note_trouble(self, error: Exception) -> None:
        trouble, now = f"records can't be written: {error}", self.clock.now()
        if (
            self._troubled_since is None
            or now >= self._told + TROUBLE_REPEAT_SECONDS
            or trouble != self.trouble
        ):
            _log.critical("records can't be written, nothing is changed until they can: %s", error)
            self._told = now
        if self._troubled_since is None:
            self._troubled_since = now
        if self.failure is None:
            self.trouble = trouble

    def _note_recovery(self) -> None:
        self._misplaced = False
        if self.failure is None:
            self.trouble = None
        if self._troubled_since is not None:
            _log.warning("records are written again, after %.0f s", self.clock.now() - self._troubled_since)
            self._troubled_since = None

    def _log_effects(self, effects: Effects) -> None:
        for notice in effects.notices:
            self._log(notice)
        if _log.isEnabledFor(logging.DEBUG):
            for record in effects.jobs.values():
                _log_job(record)

    def _log(self, notice: Notice) -> None:
        level = logging.WARNING if notice.serious else logging.INFO
        if not _log.isEnabledFor(level):
            return
        if notice.of is not None:
            now = self.clock.now()
            self._sum_up(now)
            if not self._notices.admits(notice.of, now):
                if self._summary is None:
                    self._summary = asyncio.get_running_loop().call_later(WINDOW_SECONDS, self._ring_summary)
                return
        _log.log(level, "%s", notice.text, extra=dict(notice.about))

    def _ring_summary(self) -> None:
        self._summary = None
        self._sum_up(self.clock.now())

    def _sum_up(self, now: float) -> None:
        """Log how many lines were kept back, if a minute is over."""
        for address, count in self._notices.summary(now):
            if address is None:
                _log.info("%s about jobs of other addresses were kept back", counted(count, "more line"))
            else:
                more = counted(count, "more line")
                _log.info("%s about jobs of %s were kept back", more, address, extra={"client": address})

    def _give_orders(self, orders: Iterable[Order]) -> None:
        # After a fault during the write, the state that these orders are based on may be wrong.
        if self._stopping or self.failure is not None:
            return
        for order in orders:
            if isinstance(order, NewMachines):
                self._hardware.reconfigure(order.machines)
                continue
            if isinstance(order, Standing):
                self._hardware.watch(order.order)
                continue
            try:
                self._hardware.carry_out(order, self._power_done)
            except Exception as fault:  # noqa: BLE001 — the job must not wait for ever: its boards count as failed
                _log.exception("power order %d for %s could not be begun", order.number, order.machine)
                why = f"the order could not be begun: {fault!r}"
                failed = dict.fromkeys(order.boards, why)
                asyncio.get_running_loop().call_soon(self._power_done, order.number, failed)

    def _tell(self, effects: Effects) -> None:
        for listener in list(self.listeners):
            try:
                if effects.jobs_changed:
                    listener.jobs_changed(effects.jobs_changed)
                if effects.machines_changed:
                    listener.machines_changed(effects.machines_changed)
                if effects.endings:
                    listener.jobs_ending(effects.endings)
            except Exception:  # noqa: BLE001 — the changes are on disk, and clients can ask for them
                _log.exception("clients could not be notified of changes")
        if effects.accounts is not None and effects.accounts.ended:
            for tell in list(self.session_listeners):
                tell(effects.accounts.ended)

    def _power_done(self, number: int, failed: Mapping[Board, str]) -> None:
        with self._deciding():
            self._site.power_done(number, failed, moment(self.clock))
            self._take_effects()
        self.event()

    def frame_silent(self, machine: str, frame: Frame, why: str | None) -> None:
        """Tell the site that a frame's BMP is silent, or with None that it answers again."""
        with self._deciding():
            self._site.frame_silent(machine, frame, why, moment(self.clock))
            self._take_effects()
        self.event()

    def boards_strayed(self, machine: str, order: int, boards: Mapping[Board, str]) -> None:
        """Tell the site that boards are no longer as an order left them."""
        with self._deciding():
            self._site.boards_strayed(machine, order, boards, moment(self.clock))
            self._take_effects()
        self.event()

    def _set_alarm(self) -> None:
        deadline = self._site.next_deadline()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if deadline is not None and not self._stopping and self.failure is None:
            delay = deadline - self.clock.now()
            if delay <= 0.0 and not self.presence.may_expire():
                # A timer that each decision set again might never ring.
                self._alarm = self.presence.when_it_may_expire(self._ring)
            else:
                self._alarm = asyncio.get_running_loop().call_later(max(0.0, delay), self._ring)

    def _ring(self) -> None:
        # During an emergency stop no job can expire, and boards that stayed on must be switched off.
        if self._is_stalled() and self._site.stopped is None:
            self._alarm = asyncio.get_running_loop().call_later(EXPIRE_AGAIN_SECONDS, self._ring)
            return
        if not self.presence.may_expire():
            self._alarm = self.presence.when_it_may_expire(self._ring)
            return
        self._alarm = None
        with self._deciding():
            at = moment(self.clock)
            self._site.tick(at, unheard=self.unheard())
            self._take_effects()
            self.measures.decisions.add(self.clock.now() - at.now)
        self.event()

    def _is_stalled(self) -> bool:
        """Return whether the disk is slow, or many records are about to wait for it.

        No job expires then, since its keepalives may be unread: their connection may wait for the disk.
        """
        since = self._writing_since
        stalled = since is not None and self.clock.now() - since > LATE_SECONDS
        # Once a batch is on disk, all its notifications and orders are given without a pause: it must not grow large.
        return stalled or len(self._gathering.effects.jobs) >= RECORDS_BEFORE_EXPIRING


def _log_job(record: JobRecord) -> None:
    about: dict[str, object] = {"job": record.id, "owner": record.owner, "state": record.state.name}
    if record.allocation is not None:
        about |= {"machine": record.allocation.machine, "boards": len(record.allocation.boards)}
    if record.reason is not None:
        about["reason"] = record.reason
    _log.debug("job %d is recorded", record.id, extra=about)
