"""Jobs of the double, and the allocator that gives them boards and power; no protocol is known here."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tests.doubles.clock import Clock
from tests.doubles.defects import Defect
from tests.doubles.machines import Allocation, Machine, Wish


class State(Enum):
    """A job's state; its value is v1's number."""

    QUEUED = 1
    POWER = 2
    READY = 3
    DESTROYED = 4


@dataclass
class Job:
    """A job, live or not."""

    id: int
    owner: str
    group: str
    wish: Wish
    machines: tuple[str, ...]
    """Where it may run."""
    interval: float
    """Of its keepalives, in seconds."""
    created: float
    request: dict[str, Any] | None
    """As HTTP tells it; None for jobs of the v1 port."""
    v1: dict[str, Any] = field(default_factory=dict)
    """What the v1 port tells of the request: args, kwargs, owner."""
    kept_alive: float = 0.0
    host: str | None = None
    """Who kept it alive last."""
    state: State = State.QUEUED
    allocation: Allocation | None = None
    began: float = 0.0
    """When it got its boards."""
    wants_power: bool = True
    powered: bool = False
    ended: float | None = None
    reason: str | None = None
    outlives: bool = False
    """Whether the allocator is about to overwrite its end."""
    revision: int = 0


@dataclass
class Group:
    """Who pays; a quota of None has no end."""

    name: str
    id: int
    quota: float | None = None
    used: float = 0.0


class Jobs:
    """All jobs, and who waits for them."""

    def __init__(self, machines: Iterable[Machine], defects: set[Defect], clock: Clock) -> None:
        self.machines = {machine.name: machine for machine in machines}
        self.groups: dict[str, Group] = {}
        self.all: dict[int, Job] = {}
        self.defects = defects
        self.clock = clock
        self.held = False
        """Whether the allocator rests: jobs stay QUEUED or in POWER."""
        self.stopped = False
        """Whether there was an emergency."""
        self.off_wait = 0.0
        self.period = 0.02
        self._watching: dict[asyncio.Future[None], Callable[[object], bool]] = {}
        self.changed: list[Callable[[Job], None]] = []
        self.rounds: list[Callable[[], None]] = []
        """Called in each round of the allocator."""
        self._next: asyncio.TimerHandle | None = None

    # What happens to jobs

    def create(self, owner: str, group: Group, wish: Wish, machines: tuple[str, ...], **more: Any) -> Job:
        now = self.clock.now()
        job = Job(
            max(self.all, default=0) + 1,
            owner,
            group.name,
            wish,
            machines,
            created=now,
            kept_alive=now,
            **more,
        )
        self.all[job.id] = job
        return job

    def destroy(self, job: Job, reason: str) -> None:
        if job.state is State.DESTROYED:
            return
        raced = Defect.BACK_TO_LIFE in self.defects and job.state is not State.READY and job.ended is None
        self._end(job, reason)
        job.outlives = raced

    def _end(self, job: Job, reason: str) -> None:
        job.state, job.reason, job.ended = State.DESTROYED, reason, self.clock.now()
        job.host = None
        self._free(job)
        self.touch(job)

    def _free(self, job: Job, *, keep: bool = False) -> None:
        got = job.allocation
        if got is None or keep:
            return
        got.machine.switch(got.boards, on=False, now=self.clock.now())
        job.powered = False
        for board in got.boards:
            if got.machine.taken.get(board) == job.id:
                del got.machine.taken[board]
        group = self.groups[job.group]
        group.used += (self.clock.now() - job.began) * len(got.boards)

    def power(self, job: Job, *, on: bool) -> bool:
        """Return whether there is anything to power."""
        if job.allocation is None:
            return False
        if job.state is State.DESTROYED:
            job.outlives = Defect.BACK_TO_LIFE in self.defects
            return True
        job.wants_power = on
        job.state = State.POWER
        self.touch(job)
        return True

    def keep_alive(self, job: Job, host: str) -> None:
        if job.state is not State.DESTROYED:
            job.kept_alive, job.host = self.clock.now(), host

    def emergency(self) -> None:
        self.stopped = True
        for job in [job for job in self.all.values() if job.state is not State.DESTROYED]:
            boards = job.allocation
            self._end(job, "The machine has been shut down due to an emergency")
            if boards is not None and Defect.EMERGENCY_KEEPS_BOARDS in self.defects:
                boards.machine.taken.update(dict.fromkeys(boards.boards, job.id))

    # The allocator

    def start(self) -> None:
        """Look after jobs, and again after each period, until `stop`."""
        self.expire()
        if not self.held:
            self.tick()
        for look in self.rounds:
            look()
        self._next = asyncio.get_running_loop().call_later(self.period, self.start)

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def tick(self) -> None:
        """One round of the allocator and of those that switch boards."""
        for job in list(self.all.values()):
            if job.outlives:
                self._revive(job)
            elif job.state is State.QUEUED and self._place(job):
                job.state = State.POWER
                self.touch(job)
            elif job.state is State.POWER:
                self._switch(job)

    def _place(self, job: Job) -> bool:
        for name in job.machines:
            got = job.wish.place(self.machines[name])
            if got is not None:
                job.allocation, job.began = got, self.clock.now()
                got.machine.taken.update(dict.fromkeys(got.boards, job.id))
                return True
        return False

    def _switch(self, job: Job) -> None:
        got = job.allocation
        assert got is not None
        now = self.clock.now()
        if job.wants_power:
            off = max(got.machine.off_since.get(board, 0.0) for board in got.boards)
            if now < off + self.off_wait:
                return
        got.machine.switch(got.boards, on=job.wants_power, now=now)
        job.powered = job.wants_power
        job.state = State.READY
        self.touch(job)

    def _revive(self, job: Job) -> None:
        job.outlives = False
        if job.allocation is None and not self._place(job):
            return
        got = job.allocation
        assert got is not None
        if any(got.machine.taken.get(board, job.id) != job.id for board in got.boards):
            return
        got.machine.taken.update(dict.fromkeys(got.boards, job.id))
        self._switch(job)

    def expire(self) -> None:
        now = self.clock.now()
        for job in list(self.all.values()):
            if job.state is State.DESTROYED:
                continue
            if now > job.kept_alive + job.interval:
                self._end(job, "keepalive expired")
            elif self._has_used_up(job, now):
                self._end(job, "quota exceeded")

    def _has_used_up(self, job: Job, now: float) -> bool:
        group = self.groups[job.group]
        if group.quota is None or job.allocation is None:
            return False
        return group.used + (now - job.began) * len(job.allocation.boards) > group.quota

    # Those who wait

    def touch(self, job: Job) -> None:
        """Say that a job has changed."""
        job.revision += 1
        machine = job.allocation.machine.name if job.allocation is not None else None
        for future, concerns in list(self._watching.items()):
            if not future.done() and (concerns(job.id) or (machine is not None and concerns(machine))):
                future.set_result(None)
        for tell in list(self.changed):
            tell(job)

    async def change(self, concerns: Callable[[object], bool], seconds: float) -> None:
        """Wait for the next change of a job (its ID) or a machine (its name) that concerns one, but not for ever."""
        future = asyncio.get_running_loop().create_future()
        self._watching[future] = concerns
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        finally:
            del self._watching[future]
