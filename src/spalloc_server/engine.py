"""Runs the core: gathers events into batches, and carries out what comes of them.

The order is the server's promise: records are on disk before a reply is sent, before hardware is touched, and
before anyone is told. What is decided stands in core/; who talks to whom, in fronts/ and hardware/. A fault
that nobody foresaw leaves what is in memory in doubt, while what is on disk is right: then everyone who waits
is told, nothing more is done, and whoever runs the engine ends, to be started again from the records.
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

from spalloc_server.clock import Clock, moment
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.core.effects import (
    BoardKey,
    BoardRecord,
    Effects,
    NewMachines,
    Notice,
    Order,
    PowerOrder,
    Standing,
)
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.machine import Machine
from spalloc_server.core.questions import SiteView
from spalloc_server.core.reconfiguration import reconfigure
from spalloc_server.core.restart import recall, start_cold
from spalloc_server.core.site import REMEMBERED_JOBS, Site
from spalloc_server.measures import Measures
from spalloc_server.presence import LATE_SECONDS, Presence, Waiting
from spalloc_server.ration import WINDOW_SECONDS, Ration
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
RECORDS_BEFORE_JUDGING = 400
"""While so many records of jobs wait for the disk, no job's time runs out."""
JOB_LINES = 60
"""Lines about the jobs of one address that are logged within a minute; the others are counted."""
JOB_LINES_ADDRESSES = 200
"""Addresses that have such lines within a minute."""
RECORD_RETRY_SECONDS = 1.0
"""How long a failed write waits before it is tried again."""
SKIPPED_IDS = 100_000
"""How many IDs are left out where records may be lost: more jobs than a write-ahead log has room for."""
GATHER_SECONDS = 0.003
"""How long a decision and its commit wait for clients who were heard and are still to be served, while these change
something: together, their changes cost a fraction of what each costs by itself."""
JUDGE_AGAIN_SECONDS = 0.1
"""How often it is seen whether the disk, for which judging waits, has gone on."""
LOOK_SECONDS = 0.5
"""How often it is seen whether the records are still in their place."""
TROUBLE_REPEAT_SECONDS = 60.0
"""How often the log says that records still can't be written: often enough to be seen, and no flood on a full disk."""


class EngineFailedError(Exception):
    """The engine met a fault that nobody foresaw; records on disk are right, and a new start takes up from them."""


class EngineStoppingError(Exception):
    """The engine is being stopped, and begins nothing more."""


class Hardware(Protocol):
    """Whatever carries out power orders."""

    def carry_out(self, order: PowerOrder, done: Callable[[int, Mapping[Board, str]], None]) -> None:
        """Begin an order; `done` gets its number and the boards that failed, with the reason, when it is over."""

    def reconfigure(self, machines: Sequence[Machine]) -> None:
        """Take over changed machines; orders that are under way are finished as they were begun."""

    def watch(self, order: PowerOrder) -> None:
        """Look from time to time whether boards are as they were made by an order to an earlier process."""

    def start(self, listener: "HardwareListener") -> None:
        """Begin to check that BMPs answer, and that boards stay as they were made; `listener` is told how they do."""

    async def stop(self) -> None:
        """Stop talking to the hardware; orders that are not over yet are never answered."""


class HardwareListener(Protocol):
    """Whoever wants to know what becomes of the hardware."""

    def frame_silent(self, machine: str, frame: Frame, why: str | None) -> None:
        """Take it that a frame's BMP stopped answering, and why, or with None that it answers again."""

    def boards_strayed(self, machine: str, order: int, boards: Mapping[Board, str]) -> None:
        """Take it that boards are not any more what an order made of them, and why."""


class Listener(Protocol):
    """Whoever wants to be told of changes."""

    def jobs_changed(self, jobs: set[int]) -> None:
        """Take the IDs of jobs that changed."""

    def machines_changed(self, machines: set[str]) -> None:
        """Take the names of machines that changed."""


class Outcome(NamedTuple, Generic[T]):
    """What came of a command."""

    value: T
    waits: bool
    """Whether nobody may hear of it before it is on disk: see `Engine.when_recorded`."""


class _Wait(NamedTuple):
    """A decision or a commit waits for clients who were heard, as long as they change something, and don't just ask."""

    since: float
    replies: int
    """How many waited for the disk at the last look."""


@dataclass(slots=True)
class _Batch:
    """Events that were taken together, and what came of them."""

    effects: Effects = field(default_factory=Effects)
    """As one: while the disk fails, each job's record is kept once, however often it changes."""
    callbacks: list[Callable[[bool], None]] = field(default_factory=list)

    def answer(self, *, recorded: bool) -> None:
        """Tell all who wait whether what they wait for is on disk; each is told once."""
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            try:
                callback(recorded)
            except Exception:  # noqa: BLE001 — the others have a right to their answers
                _log.exception("a client could not be answered")


class Engine:
    """Drives one site; lives in one event loop and is used from its thread only."""

    def __init__(self, site: Site, store: Store, hardware: Hardware, clock: Clock) -> None:
        """Join the parts; nothing happens before `start`."""
        self._site = site
        self.clock = clock
        self.listeners: set[Listener] = set()
        self.measures = Measures()
        self.presence = Presence(clock, site.delays, self.measures.delays)
        """Says whether others may be judged by their silence."""
        self.trouble: str | None = None
        """Why nothing can be recorded just now; None while all is well."""
        self.failure: Exception | None = None
        """The fault that ended the engine's work; None while all is well."""
        self.on_failure: Callable[[], None] = lambda: None
        """Called once when there is a `failure`: the engine should be stopped then."""
        self.unheard: Callable[[], Collection[str]] = frozenset
        """Returns the hosts that have asked for something that no front has come to."""
        self.busy: Callable[[], bool] = lambda: False
        """Returns whether a front has still to serve clients that it has heard."""
        self.latest_recorded: float | None = None
        """The latest time in the records at the start, in seconds of Unix time; None if there was none."""
        self._store = store
        self._hardware = hardware
        # A thread of its own, so that the loop serves others while the disk works. One: commits are in order.
        self._disk = ThreadPoolExecutor(1, "spalloc-store")
        self._reading = ThreadPoolExecutor(1, "spalloc-history")
        self._gathering = _Batch()
        self._writing = _Batch()
        self._news = False
        """Whether the site was told anything since its effects were last taken."""
        self._unfinished = False
        """Whether a decision goes on in the next turn of the loop."""
        self._notices = Ration(JOB_LINES, JOB_LINES_ADDRESSES)
        self._summary: asyncio.TimerHandle | None = None
        self._flush_soon: asyncio.Handle | None = None
        self._alarm: asyncio.TimerHandle | Waiting | None = None
        self._recording: asyncio.Task[None] | None = None
        self._writing_since: float | None = None
        """Since when records wait to be written. The thread that writes says when that was soon done, however late the
        loop is; what took long is over when it is noted as a delay."""
        self._decision_waits: _Wait | None = None
        self._commit_waits: _Wait | None = None
        """How a decision, and a commit, wait for clients who are still to be served: each by itself, or each decision
        would make the commit wait once more."""
        self._stopping = False
        self._stopped = False
        self._troubled_since: float | None = None
        self._told = 0.0
        self._misplaced = False
        """Whether the trouble is that the records are not in their place."""

    @property
    def site(self) -> SiteView:
        """The site, to be looked at; `do` is the only way to change it."""
        return self._site

    def do(self, command: Command[T], host: str) -> Outcome[T]:
        """Have the site do what a client at `host` asks for; what comes of it is recorded and carried out soon.

        Raises:
            RefusedError: It is not done; the message says why.
            EngineFailedError: The engine failed while it was done.
        """
        if command.is_lasting and self.trouble is not None:
            # Whoever gave up waiting and asked again would get a second job once there is room again.
            raise RefusedError(f"the server takes no changes for now, try again later: {self.trouble}")
        refusal = command.refusal(self._site, host)
        if refusal is not None:
            raise RefusedError(refusal)
        try:
            value = command.apply(self._site, host, moment(self.clock))
            waits = self._take_effects()
        except Exception as fault:
            # Half a change can't be taken back.
            self.fail(fault)
            raise EngineFailedError(f"the server failed in the middle of this ({fault!r})") from fault
        about = command.tells_of()
        if not waits and about is not None:
            waits = about in self._gathering.effects.jobs or about in self._writing.effects.jobs
        return Outcome(value, waits)

    def _take_effects(self) -> bool:
        """Let what has come of an event be carried out; return whether anybody has to wait until it is on disk."""
        effects = self._site.take_effects()
        if not effects:
            return False
        self._gathering.effects.then(effects)
        self.event()
        return effects.are_waited_for

    def start(self, *, cold: bool = False, all_off: bool = False, first_job: int = 1) -> None:
        """Take up where the records leave off.

        Args:
            cold: Whether to end all jobs and switch all boards off instead.
            all_off: Whether the boards lost their power meanwhile.
            first_job: The first job's ID, where the records know of none or may have lost some.

        Raises:
            StoreError: The records can't be used.
        """
        recalled = self._store.recall(ended_limit=REMEMBERED_JOBS, set_aside_unreadable=cold)
        self.latest_recorded = max((job.ended or job.created for job in recalled.jobs), default=None)
        next_job = recalled.next_job
        if recalled.doubtful:
            next_job = max(next_job, first_job) + SKIPPED_IDS
        elif next_job == 1:
            next_job = first_job
        try:
            self._take_up(recalled, next_job, cold=cold, all_off=all_off)
        except Exception as fault:
            # What is written there can be read, and can't be true in a way that nobody foresaw.
            raise StoreError(
                f"what the records say can't be ({fault!r}); put back a backup with "
                "spalloc-server restore, or end all jobs with --cold-start"
            ) from fault
        self._hardware.start(self)
        self.presence.start()
        self.event()

    def _take_up(self, recalled: Recalled, next_job: int, *, cold: bool, all_off: bool) -> None:
        jobs, boards, at = recalled.jobs, recalled.boards, moment(self.clock)
        if cold:
            start_cold(self._site, jobs, boards, next_job, at=at)
        else:
            doubtful = recalled.doubtful
            recall(self._site, jobs, boards, next_job, at=at, all_off=all_off, doubtful=doubtful)

    def reconfigure(self, machines: Sequence[Machine]) -> None:
        """Take over changed machines, highest priority first."""
        with self._deciding():
            at = moment(self.clock)
            reconfigure(self._site, machines, at)
            self._take_effects()
            self.measures.decisions.add(self.clock.now() - at.now)
        self.event()

    async def stop(self) -> None:
        """Let go of the hardware and put down what is still to be recorded; jobs stay as they are."""
        self._stopping = True
        self.presence.stop()
        for handle in (self._flush_soon, self._alarm, self._summary):
            if handle is not None:
                handle.cancel()
        await self._hardware.stop()
        self._news = self.failure is None
        self._flush()
        if self._recording is not None:
            await self._recording
        self._stopped = True
        self._sum_up(math.inf)
        # Empty, unless the disk did not take what it was to take.
        self._gathering.answer(recorded=False)
        # Beside the loop: it must go on telling those who wait that nothing comes.
        for threads in (self._disk, self._reading):
            await asyncio.get_running_loop().run_in_executor(None, threads.shutdown)

    async def tidy(self, before: float | None) -> int:
        """Drop records of ended jobs until there are no more than there may be, and return how many were dropped.

        Args:
            before: Also those that ended before this moment of Unix time; None if that can't be told.

        Raises:
            sqlite3.Error: They could not be dropped; trying again is allowed.
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

    async def _drop_some(self, drop: Callable[[float, int], int], before: float) -> int:
        dropped = 0
        while not self._stopping:
            # Few at a time: what clients wait for has its turn in between.
            count = await self._on_disk(drop, before, FORGOTTEN_AT_ONCE)
            dropped += count
            if count < FORGOTTEN_AT_ONCE:
                break
        return dropped

    async def ended_before(self, moment: float) -> int:
        """Return how many ended jobs are recorded that ended before a moment of Unix time.

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
        """Return the jobs that ended last, the latest first, in writing.

        Args:
            owner: Only jobs of this owner.
            machine: Only jobs that had boards of this machine.
            limit: How many at most; fewer where they are long.
            write: Called in a thread, with their records.

        Raises:
            sqlite3.Error: They can't be read.
            EngineStoppingError: There is no time left for that.
        """
        return await self._read(lambda: write(self._store.ended_jobs(owner, machine, limit)))

    def ended_record(self, number: int) -> JobRecord | None:
        """Return the record of a job that has ended, if it is in memory; one that is not written yet always is."""
        record = self._site.ended_record(number)
        if record is None:
            record = self._gathering.effects.jobs.get(number) or self._writing.effects.jobs.get(number)
        return record

    async def ended_job(self, number: int) -> JobRecord | None:
        """Return what is recorded on disk of a job that has ended; None if nothing is.

        Raises:
            sqlite3.Error: It can't be read.
            EngineStoppingError: There is no time left for that.
        """
        return await self._read(lambda: self._store.ended_job(number))

    async def _read(self, read: Callable[[], T]) -> T:
        def read_if_there_is_time() -> T:
            # In the thread: hundreds may have waited there when the stop came.
            if self._stopping:
                raise EngineStoppingError("the server stops")
            return read()

        # Beside the thread that writes: nobody's commit waits for somebody's curiosity.
        reader = self._reading if self._store.reads_beside else self._disk
        if self._stopping:
            raise EngineStoppingError("the server stops")
        return await asyncio.get_running_loop().run_in_executor(reader, read_if_there_is_time)

    def check(self) -> None:
        """Do nothing, unless the engine has failed.

        Raises:
            EngineFailedError: It has.
            StoreError: The records turned out to be damaged.
        """
        if isinstance(self.failure, StoreError):
            raise self.failure
        if self.failure is not None:
            raise EngineFailedError(
                f"the server failed ({self.failure!r}); {self._what_next()}"
            ) from self.failure

    def _what_next(self) -> str:
        if self._store.outlasts_process:
            return "start it again, it takes up from its records"
        return "its jobs are lost: it kept its records in memory"

    @property
    def stopping(self) -> bool:
        """Whether it begins nothing more."""
        return self._stopping

    def event(self) -> None:
        """Say that the site was given an event: what comes of it is carried out soon, with others of the moment."""
        self._news = True
        if self._flush_soon is None and not self._stopping and self.failure is None:
            self._flush_soon = asyncio.get_running_loop().call_soon(self._flush)

    def when_recorded(self, callback: Callable[[bool], None]) -> None:
        """Call back when all that the site was told until now is on disk, or will not be.

        Args:
            callback: Called once, with whether it is on disk; False only if the engine stops or has failed.
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
        except Exception as fault:  # noqa: BLE001 — half a decision can't be taken back, but what is on disk is whole
            self.fail(fault)

    def fail(self, fault: Exception) -> None:
        """End all work: `fault` left in doubt what is in memory. Everyone who waits is told."""
        if self.failure is not None:
            return
        if isinstance(fault, StoreError):
            _log.critical("the server ends: %s", fault)
        else:
            _log.critical("the server failed and ends; %s", self._what_next(), exc_info=fault)
        self.failure = fault
        self.trouble = f"the server failed: {fault!r}"
        for handle in (self._flush_soon, self._alarm, self._summary):
            if handle is not None:
                handle.cancel()
        self._gathering.answer(recorded=False)
        self.on_failure()

    def _flush(self) -> None:
        self._flush_soon = None
        self._decision_waits = self._goes_on_waiting(self._decision_waits)
        if self._decision_waits is not None:
            self._flush_soon = asyncio.get_running_loop().call_soon(self._flush)
            return
        with self._deciding():
            self._gather()
        if self._recording is None and self.failure is None:
            self._recording = asyncio.get_running_loop().create_task(self._record())

    def _goes_on_waiting(self, wait: "_Wait | None") -> "_Wait | None":
        """Return the wait for clients who are still to be served, `wait` or a new one; None if there is none."""
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
            is_done = self._site.decide(at)
            self.measures.decisions.add(self.clock.now() - at.now)
            self._gathering.effects.then(self._site.take_effects())
            self._set_alarm()
            self._unfinished = not is_done
            if self._unfinished:
                self.event()

    async def _record(self) -> None:
        batch = _Batch()
        try:
            while self.failure is None:
                self._commit_waits = self._goes_on_waiting(self._commit_waits)
                if self._commit_waits is not None:
                    await asyncio.sleep(0)
                    continue
                # A callback must never be in an earlier batch than the effects of the event that it waits for.
                if not self._unfinished:
                    # The next slice has its turn when the others had theirs.
                    self._gather()
                if not (self._gathering.effects or self._gathering.callbacks):
                    break
                batch = self._writing = self._gathering
                self._gathering = _Batch()
                jobs, boards = batch.effects.jobs, batch.effects.boards
                if (jobs or boards) and not await self._write(jobs, boards):
                    break
                self._writing = _Batch()
                batch.answer(recorded=True)
                self._log_effects(batch.effects)
                self._give_orders(batch.effects.orders)
                self._tell(batch.effects.jobs_changed, batch.effects.machines_changed)
                await self._keep_history(len(jobs))
        except Exception as fault:  # noqa: BLE001 — what is in memory may never get onto the disk now
            self.fail(fault)
        finally:
            self._recording = None
            # None, unless it could not be recorded.
            batch.answer(recorded=False)

    async def _write(
        self, jobs: Mapping[int, JobRecord], boards: Mapping[BoardKey, BoardRecord | None]
    ) -> bool:
        """Put records on disk, however long it takes; return False if the server is stopped before it could be done."""
        loop = asyncio.get_running_loop()
        began = self._writing_since = self.clock.now()

        def write() -> float:
            self._store.write(jobs, boards)
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
                # Nothing may be acknowledged or powered before it is on disk, so everything waits for the disk.
                self.measures.failed_commits += 1
                self._note_trouble(error)
                await asyncio.sleep(RECORD_RETRY_SECONDS)
            else:
                self._note_recovery()
                self.measures.commits.add(took)
                self._writing_since = None
                if took > LATE_SECONDS:
                    self.presence.lost(began, "records to get onto the disk")
                return True

    async def _keep_history(self, written: int) -> None:
        """Drop what is too much in the history, so that it goes at least as fast as it comes."""
        history = self._store.history
        for _ in range(1 + 2 * written // FORGOTTEN_AT_ONCE):
            if not history.has_excess or self.failure is not None:
                break
            try:
                await self._on_disk(history.drop_excess, FORGOTTEN_AT_ONCE)
            except sqlite3.OperationalError as error:
                # The next commit is going to meet the same trouble, and to wait until it is over.
                _log.warning("ended jobs can't be dropped from the records, will try again: %s", error)
                break

    async def watch_records(self) -> None:
        """See again and again whether the records are in their place; goes on until it is cancelled."""
        loop = asyncio.get_running_loop()
        while self.failure is None:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await loop.run_in_executor(self._disk, self._store.look)
            except sqlite3.OperationalError as error:
                self._note_trouble(error)
                self._misplaced = True
            except Exception as fault:  # noqa: BLE001 — what is recorded from now on may not be there after a restart
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
        """Log how many lines were kept back, if it is time to."""
        for address, count in self._notices.summary(now):
            if address is None:
                _log.info("%s about jobs of other addresses were kept back", counted(count, "more line"))
            else:
                more = counted(count, "more line")
                _log.info("%s about jobs of %s were kept back", more, address, extra={"client": address})

    def _give_orders(self, orders: Iterable[Order]) -> None:
        # A fault that came while they were being written puts in doubt what they were decided on.
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
            except Exception as fault:  # noqa: BLE001 — to the job, its boards failed: it is moved, and does not wait for ever
                _log.exception("power order %d for %s could not be begun", order.number, order.machine)
                why = f"the order could not be begun: {fault!r}"
                failed = dict.fromkeys(order.boards, why)
                asyncio.get_running_loop().call_soon(self._power_done, order.number, failed)

    def _tell(self, jobs: set[int], machines: set[str]) -> None:
        for listener in list(self.listeners):
            try:
                if jobs:
                    listener.jobs_changed(jobs)
                if machines:
                    listener.machines_changed(machines)
            except Exception:  # noqa: BLE001 — what changed is on disk and done, and can be asked for
                _log.exception("changes could not be told")

    def _power_done(self, number: int, failed: Mapping[Board, str]) -> None:
        with self._deciding():
            self._site.power_done(number, failed, moment(self.clock))
            self._take_effects()
        self.event()

    def frame_silent(self, machine: str, frame: Frame, why: str | None) -> None:
        """Pass on to the site that a frame's BMP is silent, or with None that it answers again."""
        with self._deciding():
            self._site.frame_silent(machine, frame, why, moment(self.clock))
            self._take_effects()
        self.event()

    def boards_strayed(self, machine: str, order: int, boards: Mapping[Board, str]) -> None:
        """Pass on to the site that boards are not any more what an order made of them."""
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
            if delay <= 0.0 and not self.presence.may_judge():
                # If each decision set the alarm again, it might be put off for ever.
                self._alarm = self.presence.when_it_may_judge(self._ring)
            else:
                self._alarm = asyncio.get_running_loop().call_later(max(0.0, delay), self._ring)

    def _ring(self) -> None:
        if self._is_stalled():
            self._alarm = asyncio.get_running_loop().call_later(JUDGE_AGAIN_SECONDS, self._ring)
            return
        if not self.presence.may_judge():
            self._alarm = self.presence.when_it_may_judge(self._ring)
            return
        self._alarm = None
        with self._deciding():
            at = moment(self.clock)
            self._site.tick(at, unheard=self.unheard())
            self._take_effects()
            self.measures.decisions.add(self.clock.now() - at.now)
        self.event()

    def _is_stalled(self) -> bool:
        """Whether records wait for the disk, or many are about to.

        What jobs' owners sent may be behind replies that wait with them; and nothing that is decided about jobs could
        be done.
        """
        since = self._writing_since
        stalled = since is not None and self.clock.now() - since > LATE_SECONDS
        # What comes of a batch is told and ordered in one go once it is on disk.
        return stalled or len(self._gathering.effects.jobs) >= RECORDS_BEFORE_JUDGING


def _log_job(record: JobRecord) -> None:
    about: dict[str, object] = {"job": record.id, "owner": record.owner, "state": record.state.name}
    if record.allocation is not None:
        about |= {"machine": record.allocation.machine, "boards": len(record.allocation.boards)}
    if record.reason is not None:
        about["reason"] = record.reason
    _log.debug("job %d is recorded", record.id, extra=about)
