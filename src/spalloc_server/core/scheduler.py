"""The scheduler: the queue of waiting jobs, the machines, and which job starts where when something has changed.

Where a job fits on a machine is found in packing/. What happens to a job after its start is decided in site.py.

**The rule.** Jobs are tried in order, and each starts as soon as there is a spot for it. For the job that has waited
longest, once that is longer than `PATIENCE`, the spot is kept that is expected to be free soonest. Another job may
start in it only if it is expected to end before that (keeping.py). A job is expected to take as long as its limit or,
without one, as alike jobs took (lengths.py). The order is that of arrival; shares.py may move a job back in it.

**Zones.** The kept spot and the boards that an administrator has reserved are zones: some jobs may use them, others may
not, depending on their owner and on when they are expected to end. A job is tried outside all zones first, where all
jobs that ask for the same are alike, and then inside those that it may use.

Before it is tried, a job is checked: can its request be met at all? This may take long for an odd request. A job that
is still being checked is passed over, so nobody waits for the check of another's request.

**Slices.** A decision may take more work than there is time for at once. Then it is made in slices. All of them use the
boards that were available when the decision began, less those taken since. Boards that become available between two
slices, and jobs that come, wait for the next decision: whatever a younger job gets, all older ones could not use. What
a slice has decided stands. A job that leaves between slices is not started, and a board that is set aside between
slices is not allocated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from itertools import islice
from math import inf
from typing import Literal

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.checks import Checks
from spalloc_server.core.finding import Finder
from spalloc_server.core.keeping import Keeper, Running
from spalloc_server.core.kept_spots import PASSED_OVER, KeptSpots
from spalloc_server.core.lengths import Length, Lengths
from spalloc_server.core.lines import Lines, Rank
from spalloc_server.core.machine import Machine
from spalloc_server.core.obstacles import Waiting, waiting
from spalloc_server.core.packing.packer import Packer, Zone
from spalloc_server.core.packing.steps import Allowance, Steps
from spalloc_server.core.request_groups import (
    Alike,
    Arrivals,
    Line,
    Option,
    Queued,
    RequestGroup,
    RequestGroups,
    Stage,
    chunks,
    wanted,
)
from spalloc_server.core.requests import JobRequest
from spinnaker.geometry import Board

PATIENCE = 3000.0
"""Seconds after which a spot is kept for the job that has waited longest, if its time limit says little or it has none.

Less patience makes the longest waits shorter and the others longer: docs/guides/scheduling.md has the figures.
"""
PATIENCE_WITH_LIMIT = 1500.0
"""The same for a job with a time limit that says something."""

_STEPS_OF_A_MACHINE = 25
"""How many steps of work the copy of a machine with thousands of jobs takes, or that of a chunk of the queue."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long a job is expected to have its boards."""

    seconds: float
    by: Literal["limit", "alike jobs", "reservation"]
    """What that follows from: its time limit, how long alike jobs took, or that a reservation ends it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A spot that is kept for a job that has waited long."""

    job: int
    boards: frozenset[Board]
    when: float
    """When it is expected to be free, in seconds."""


@dataclass(frozen=True, slots=True)
class Start:
    """A job that starts now, and what it gets."""

    job: int
    allocation: Allocation
    number: int
    """Of the jobs that start at one moment, this one starts before those with higher numbers."""


class Scheduler:
    """The queue of all jobs and the boards of all machines."""

    def __init__(
        self,
        machines: Sequence[Machine],
        *,
        patience: float = PATIENCE,
        patience_with_limit: float = PATIENCE_WITH_LIMIT,
        slice_steps: int | None = None,
        lengths: Lengths | None = None,
    ) -> None:
        """Start with empty machines.

        Args:
            machines: the machines, highest priority first.
            patience: seconds after which a spot is kept for the job that has waited longest, without a limit.
            patience_with_limit: the same for a job with a time limit.
            slice_steps: about how many steps of work (`packing/steps.py`) a slice has; None to make each decision at
                once.
            lengths: how long jobs have taken so far.
        """
        self._lengths = Lengths() if lengths is None else lengths
        self._packers = {machine.name: Packer(machine) for machine in machines}
        self._keepers = {name: Keeper(packer, self._lengths) for name, packer in self._packers.items()}
        self._patience, self._patience_with_limit = patience, min(patience, patience_with_limit)
        self._slice_steps = slice_steps
        self._queue = Arrivals()
        self._queued = 0
        """How many jobs have been queued so far."""
        self._groups = RequestGroups()
        self._checks = Checks(self._packers)
        self._finder = Finder(self._lengths)
        self._lines = Lines(self._keepers, self._groups, self._finder)
        self._spots = KeptSpots(
            self._keepers,
            self._queue,
            self._groups,
            self._finder,
            patience,
            self._patience_with_limit,
        )
        self._running: dict[int, tuple[str, Running]] = {}
        """The jobs that have boards, each with the machine."""
        self._now = 0.0
        self._decision: Steps[None] | None = None
        """The decision that is under way."""
        self._changed = False
        """Whether anything has happened since it began."""
        self._expected: dict[int, float] = {}
        """The jobs of which another end is expected since `take_expected` was called."""
        self._remembered: object = []
        """What was to be remembered when `memory` was called last."""
        self._starts: list[Start] = []
        self._refused: list[tuple[int, str]] = []

    # The queue

    def submit(
        self,
        job: int,
        request: JobRequest,
        since: float,
        *,
        owner: str = "",
        limit: float | None = None,
        moved_back: float = 0.0,
    ) -> None:
        """Queue a job.

        Args:
            job: the job's ID.
            request: what it asks for.
            since: the time in seconds at which it came. For a job that had boards and lost them, this is when it was
                created: it is ahead of all jobs that came later.
            owner: whose it is.
            limit: its time limit in seconds; None without one.
            moved_back: by how many seconds it stands later in the order than it came.
        """
        self._add(job, request, (since + moved_back, job), owner, limit, moved_back)

    def _add(
        self,
        job: int,
        request: JobRequest,
        order: tuple[float, int],
        owner: str,
        limit: float | None,
        moved_back: float,
    ) -> None:
        group = self._groups.get(request)
        if group is None:
            group = self._groups.begin(request)
            if self._checks.begin(group):
                self._groups.freshen(group)
        alike = group.alike.get((owner, limit))
        if alike is None:
            alike = group.alike[owner, limit] = Alike(group, owner, limit)
            # Before the first look: a zone that the job would run into must be in its way then.
            seconds = self._lengths.expected(owner, group.boards, limit)
            self._finder.longest = max(self._finder.longest, seconds)
        self._queued += 1
        queued = Queued(job, alike, order, self._queued, moved_back)
        self._spots.came(queued)
        self._queue.add(queued)
        alike.jobs.add(queued)
        self._changed = True

    def withdraw(self, job: int) -> None:
        """Take a job out of the queue; one that is not there makes no difference."""
        if job in self._queue:
            self._leave(job)
            self._changed = True

    def _leave(self, job: int) -> None:
        queued = self._queue.pop(job)
        self._groups.leave(queued)
        self._spots.left(job)

    # Decisions

    def decide(self, now: float) -> list[Start]:
        """Return the jobs that start now, and take their boards.

        This makes a whole decision, or the next slice of one: see `is_done`, and `take_refused`.
        """
        self._now = self._finder.now = now
        if not self._queue and self._decision is None:
            # Nobody waits, so there is nothing to check or to place.
            self._checks.stop()
            self._changed = False
            self._finder.longest, self._spots.next_look = 0.0, inf
            return []
        steps = self._slice_steps
        if self._checks.pending:
            # Half of the slice, so that neither part holds up the other.
            steps = None if steps is None else (steps + 1) // 2
            for group in self._checks.go_on(Allowance(steps)):
                self._note_checked(group)
        allowance = Allowance(steps)
        again = True
        while again:
            if self._decision is None:
                self._changed = False
                self._decision = self._decide()
            if allowance.do(self._decision) is None:
                break
            self._decision = None
            again = self._changed
        starts, self._starts = self._starts, []
        return starts

    @property
    def is_done(self) -> bool:
        """Whether the last decision is finished; if not, `decide` has more to do, even if nothing happens."""
        return self._decision is None and not self._changed and not self._checks.pending

    def next_deadline(self) -> float | None:
        """Return when `decide` may keep a spot though nothing happens until then; None if there is no such time."""
        return None if self._spots.next_look == inf else self._spots.next_look

    def take_refused(self) -> list[tuple[int, str]]:
        """Return the jobs that were found to be impossible since the last call, with reasons; they left the queue."""
        refused, self._refused = self._refused, []
        return refused

    def _note_checked(self, group: RequestGroup) -> None:
        if group.options:
            self._groups.freshen(group)
            self._changed = True
        else:
            why = self._checks.refusal(group.request)
            for job in group.jobs:
                self._refused.append((job, why))
                self._leave(job)

    def _decide(self) -> Steps[None]:
        """Start all jobs that can start, and keep spots.

        Anything may have happened whenever this has yielded, except a change of machines, which ends it.
        """
        for keeper in self._keepers.values():
            keeper.budget.charge(self._now, keeper.packer.live_boards)
            for running in keeper.correct(self._now):
                self._expected[running.job] = running.until
        again = True
        while again:
            yield from self._spots.start_jobs(self._begin)
            yield from self._spots.improve()
            yield from self._spots.keep(self._begin)
            again = yield from self._start_others()
        yield from self._spots.count_idle()

    def _start_others(self) -> Steps[bool]:
        """Start all jobs that can start outside zones, or in zones that they may use, in order.

        Returns:
            whether a spot was kept for one of them elsewhere: its boards are available now, so others may start.
        """
        lines: list[tuple[Rank, Line]] = []
        first = next((queued.job for queued in self._queue), None)
        for some in chunks((yield from self._lines.hopeful(self._queued))):
            lines += [(self._lines.rank(line, first), line) for line in some if line.advance()]
            yield 1
        heapify(lines)
        again = False
        while lines:
            line = lines[0][1]
            alike, queued = line.alike, line.queued
            group = alike.group
            if queued.job in alike.jobs:
                kept_at = self._spots.kept_for.get(queued.job)
                yield 1
                # The job must start before this yields again: its boards could be set aside meanwhile.
                allocation = yield from self._finder.find(line, kept_at)
                if queued.job not in alike.jobs:
                    pass  # it has left; the next job of its line is tried instead
                elif allocation is not None:
                    self._begin(queued, allocation)
                    again = again or kept_at is not None
                elif kept_at is None:
                    if not line.is_looked_at_again:
                        self._groups.found_no_spot(group)
                    heappop(lines)
                    continue
            if line.advance():
                heapreplace(lines, (self._lines.rank(line, first), line))
            else:
                heappop(lines)
                if alike.jobs and group.stage is Stage.NO_SPOT and line.outside:
                    # These jobs came while the others were tried.
                    self._groups.freshen(group)
        return again

    def waiting(self, job: int) -> Waiting:
        """Return where a queued job stands and what it waits for.

        Raises:
            KeyError: the job is not in the queue.
        """
        queued = self._queue[job]
        position, alike = self._queue.position(job), queued.alike
        end = self._now + self._lengths.expected(alike.owner, alike.group.boards, alike.limit)
        return waiting(queued, position, len(self._queue), self._keepers, now=self._now, end=end)

    def _begin(self, queued: Queued, allocation: Allocation) -> None:
        alike, job, machine = queued.alike, queued.job, allocation.machine
        until = self._now + self._finder.seconds(alike)
        self._leave(job)
        number = self._packers[machine].take(allocation.boards, until)
        self._hold(
            machine, Running(job, alike.owner, alike.group.boards, alike.limit, self._now, number, until)
        )
        self._starts.append(Start(job, allocation, number))

    def _hold(self, machine: str, running: Running) -> None:
        self._keepers[machine].hold(running)
        self._running[running.job] = machine, running
        self._expected[running.job] = running.until

    # Kept spots

    # Boards

    def free_boards(self, machine: str) -> int:
        """Return how many boards of a machine are free, those in zones included."""
        return self._packers[machine].free_boards

    def begin(
        self,
        job: int,
        machine: str,
        boards: Iterable[Board],
        *,
        request: JobRequest,
        owner: str = "",
        limit: float | None = None,
        started: float,
        until: float | None = None,
    ) -> None:
        """Note that a job has boards already, as after a restart; a machine that is not there makes no difference.

        Args:
            job: the job's ID.
            machine: the boards' machine.
            boards: its boards.
            request: what it asked for.
            owner: whose it is.
            limit: its time limit in seconds; None without one.
            started: when it got its boards.
            until: when it is expected to end; None to begin with what is expected of a job that starts.
        """
        if machine in self._keepers:
            asked = wanted(request)
            if until is None:
                until = started + self._lengths.expected(owner, asked, limit)
            number = self._packers[machine].take(boards, until)
            self._hold(machine, Running(job, owner, asked, limit, started, number, until))
            self._changed = True

    def ended(self, job: int, now: float, *, counts: bool) -> Length | None:
        """Note that a job no longer has its boards, which are about to be free.

        Args:
            job: the job's ID; one that has no boards makes no difference.
            now: the time.
            counts: whether others are expected to take as long: it ended as it wanted, or by its limit.

        Returns:
            how long it had its boards, if that counts.
        """
        if job not in self._running:
            return None
        machine, running = self._running.pop(job)
        keeper = self._keepers.get(machine)
        if keeper is not None:
            keeper.end(running)
            self._changed = True
        if not counts:
            return None
        length = Length(running.owner, running.boards, max(0.0, now - running.started), running.limit)
        self.learn([length])
        return length

    def expected(self, owner: str, boards: int, limit: float | None) -> float:
        """Return how many seconds a new job is expected to have its boards."""
        return self._lengths.expected(owner, boards, limit)

    def learn(self, lengths: Iterable[Length]) -> None:
        """Note how long earlier jobs had their boards, in the order in which they ended."""
        for length in lengths:
            self._lengths.note(length)
            # Jobs that wait may be expected to take as long from now on.
            self._finder.longest = max(self._finder.longest, length.seconds)

    def expectation(self, job: int, now: float) -> Expectation | None:
        """Return how long a live job is expected to have its boards, from now or from its start on."""
        if job in self._running:
            _, running = self._running[job]
            seconds = max(0.0, running.until - now)
            if running.until == running.ended_by:
                return Expectation(seconds, "reservation")
            return Expectation(seconds, _expected_by(running.limit))
        if job in self._queue:
            alike = self._queue[job].alike
            seconds = self._lengths.expected(alike.owner, alike.group.boards, alike.limit)
            return Expectation(seconds, _expected_by(alike.limit))
        return None

    @property
    def lengths(self) -> Lengths:
        """How long jobs have had their boards lately."""
        return self._lengths

    def expected_ends(self) -> dict[int, float]:
        """Return when the jobs that have boards are expected to end, in seconds."""
        return {job: running.until for job, (_, running) in self._running.items()}

    def kept_spot(self, machine: str) -> Kept | None:
        """Return the spot that is kept on a machine; None if none is."""
        keeper = self._keepers[machine]
        if keeper.kept is None:
            return None
        return Kept(keeper.kept.queued.job, keeper.packer.kept_boards, keeper.kept.when)

    def take_expected(self) -> dict[int, float]:
        """Return the jobs of which another end is expected since the last call, each with the time."""
        expected, self._expected = self._expected, {}
        return {job: until for job, until in expected.items() if job in self._running}

    def memory(self, wall: float) -> bytes | None:
        """Return what `recall` is to be given after a restart, if it has changed since the last call.

        Args:
            wall: by how many seconds Unix time is ahead of the core's time.
        """
        # Not at the top: simulations run without msgspec.
        from spalloc_server.core.remembering import state_of, written

        state = state_of(self._keepers, self._finder.longest)
        if state == self._remembered:
            return None
        self._remembered = state
        return written(self._keepers, self._finder.longest, wall)

    def recall(self, memory: bytes, wall: float, now: float) -> None:
        """Go on with the kept spots of an earlier process, once all of its jobs have been submitted or begun.

        Args:
            memory: what `memory` returned last.
            wall: by how many seconds Unix time is ahead of the core's time.
            now: the core's time.

        Raises:
            ValueError: it did not return anything of the kind.
        """
        from spalloc_server.core.remembering import recall

        self._spots.kept_for, longest = recall(memory, self._keepers, self._queue, wall, now)
        # Learning lengths has put it up; it must not be too low for those that wait, whatever was remembered.
        self._finder.longest = max([longest, *(self._finder.seconds(queued.alike) for queued in self._queue)])

    def limit(self, job: int, limit: float | None) -> None:
        """Note that a job's time limit (seconds) has changed."""
        if job in self._queue:
            queued = self._queue[job]
            if queued.alike.limit != limit:
                kept_at = self._spots.kept_for.pop(job, None)
                self._leave(job)
                self._add(
                    job, queued.group.request, queued.order, queued.alike.owner, limit, queued.moved_back
                )
                kept = None if kept_at is None else self._keepers[kept_at].kept
                if kept_at is not None and kept is not None:
                    kept.queued = self._queue[job]
                    self._spots.kept_for[job] = kept_at
        elif job in self._running:
            machine, running = self._running[job]
            running.limit = limit
            if machine in self._keepers:
                self._keepers[machine].expect_again(running, self._now)
                self._expected[job] = running.until
        self._changed = True

    def end_by(self, job: int, when: float, now: float) -> None:
        """Note when a reservation ends a job, if it is still there; inf if none does.

        Args:
            job: the job's ID; one that has no boards makes no difference.
            when: when it ends.
            now: the time.
        """
        if job in self._running:
            machine, running = self._running[job]
            if when != running.ended_by and machine in self._keepers:
                self._keepers[machine].end_by(running, when, now)
                self._expected[job] = running.until
                self._changed = True

    def objection(self, job: int, until: float, order: tuple[float, int]) -> str | None:
        """Return why a job that has boards can't go on until a time (seconds), for the sake of others; None if it can.

        Args:
            job: the job's ID.
            until: when it would end.
            order: where it stood in the order of the queue: see `Queued`.
        """
        machine, running = self._running.get(job, ("", None))
        keeper = self._keepers.get(machine)
        if running is None or keeper is None or until <= running.until:
            return None
        return keeper.objection(running, until) or self._passed(keeper, until, order)

    def _passed(self, keeper: Keeper, until: float, order: tuple[float, int]) -> str | None:
        """Return which job of the first ones came before a job, and may get its boards if that does not go on."""
        boards = keeper.packer.count_free_by(until)
        for queued in islice(self._queue, PASSED_OVER):
            if queued.order >= order:
                return None
            may_run = queued.group.option(keeper.packer) is not None and queued.group.fewest <= boards
            if may_run and queued.job not in self._spots.kept_for:
                return f"job {queued.job} came before it, still waits, and may use some of its boards"
        return None

    def release(self, machine: str, boards: Iterable[Board]) -> None:
        """Note that boards are free again; a machine that is no longer configured makes no difference."""
        if machine in self._packers:
            self._packers[machine].give_back(boards)
            self._changed = True

    def occupy(self, machine: str, boards: Iterable[Board]) -> None:
        """Note that boards are not free for a while, though no job has them."""
        if machine in self._packers:
            self._packers[machine].take(boards)
            self._changed = True

    def set_aside(self, machine: str, board: Board) -> None:
        """Give a live board to no job until it is put back; the job that has it keeps it."""
        if machine in self._packers:
            self._changed = True
            if self._packers[machine].set_aside(board):
                self._spots.lose(machine)

    def put_back(self, machine: str, board: Board) -> None:
        """Let jobs have a board again that was set aside."""
        if machine in self._packers:
            self._packers[machine].put_back(board)
            self._keepers[machine].look_again()
            self._changed = True

    def set_zones(self, machine: str, zones: Sequence[Zone]) -> None:
        """Replace the reservations of a machine, those that have ended left out."""
        if machine in self._packers:
            if self._decision is not None:
                # It goes by the zones as they were.
                self._decision = None
                self._groups.freshen_all()
            self._packers[machine].reserve(zones)
            self._keepers[machine].look_again()
            self._changed = True

    # Ahead

    def copy(self, most: int, slice_steps: int | None = None) -> "Steps[Scheduler]":
        """Return a scheduler that decides the same, and changes by itself from now on.

        What changes while this goes on may be in it or not, but no job both waits and has boards.

        Args:
            most: how many jobs of the queue it has, the first ones; those that are still being checked are left out.
            slice_steps: as for a new scheduler.
        """
        first = [
            (queued, queued.group.options)
            for queued in islice(self._queue, most)
            if queued.group.stage is not Stage.UNCHECKED
        ]
        made = Scheduler(
            (),
            patience=self._patience,
            patience_with_limit=self._patience_with_limit,
            slice_steps=slice_steps,
            lengths=self._lengths,
        )
        made._now = made._finder.now = self._now
        made._finder.longest = self._finder.longest
        for name, keeper in list(self._keepers.items()):
            made._keepers[name] = copied = keeper.copy()
            made._packers[name] = copied.packer
            made._running.update({one.job: (name, one) for one in copied.running})
            yield _STEPS_OF_A_MACHINE
        made._checks = Checks(made._packers)
        for some in chunks(first):
            for queued, options in some:
                if queued.job not in made._running:
                    made._know(queued.group.request, options)
                    made._add(
                        queued.job,
                        queued.group.request,
                        queued.order,
                        queued.alike.owner,
                        queued.alike.limit,
                        queued.moved_back,
                    )
            yield _STEPS_OF_A_MACHINE
        for name, keeper in made._keepers.items():
            if keeper.kept is not None:
                job = keeper.kept.queued.job
                if job in made._queue:
                    keeper.kept.queued = made._queue[job]
                    made._spots.kept_for[job] = name
                else:
                    keeper.drop()
        return made

    def forget_queue(self) -> None:
        """Forget all jobs that wait: a copy is needed no longer, and must not be left to the garbage collector."""
        for queued in list(self._queue):
            self._leave(queued.job)

    def _know(self, request: JobRequest, options: Iterable[Option]) -> None:
        """Take over what a scheduler, of which this is a copy, knows of a request."""
        if self._groups.get(request) is None:
            group = self._groups.begin(request)
            group.options = [
                Option(self._packers[option.packer.machine.name], request, known_wish=option.known_wish)
                for option in options
            ]
            self._groups.freshen(group)

    def holdings(self) -> list[tuple[str, frozenset[Board], Running | None]]:
        """Return all boards that are in use: machine, boards, and the job that has them, if one does."""
        return [
            (name, boards, running)
            for name, keeper in self._keepers.items()
            for boards, running in keeper.holdings()
        ]

    def end_zones(self, now: float) -> float | None:
        """Drop the reservations that have ended by `now`, and return when the next one ends; None if there is none."""
        nexts: list[float] = []
        for name, packer in self._packers.items():
            left = [zone for zone in packer.reservations if zone.ends > now]
            if len(left) < len(packer.reservations):
                self.set_zones(name, left)
            nexts += [zone.ends for zone in left]
        return min(nexts, default=None)

    def promised(self, job: int) -> float | None:
        """Return when the spot is expected to be free that is kept for a job; None if none is."""
        return self._spots.when(job)

    @property
    def waiting_jobs(self) -> Arrivals:
        """The jobs of the queue, in order."""
        return self._queue

    # Configuration

    def reconfigure(self, machines: Sequence[Machine]) -> None:
        """Take over changed machines.

        Running jobs keep their boards on machines that stay. Queued jobs are checked again, one after the other.
        """
        before = dict(self._keepers)
        # In place, since others have the same mapping.
        self._keepers.clear()
        self._keepers.update(
            {machine.name: self._keeper(machine, before.get(machine.name)) for machine in machines}
        )
        self._packers = {name: keeper.packer for name, keeper in self._keepers.items()}
        self._spots.kept_for = {
            job: name
            for job, name in self._spots.kept_for.items()
            if name in before and self._keepers.get(name) is before[name]
        }
        self._decision = None
        self._changed = True
        self._groups.forget_all()
        self._checks = Checks(self._packers, list(self._groups))

    def _keeper(self, machine: Machine, earlier: Keeper | None) -> Keeper:
        """Return a machine with what is known of it so far."""
        if earlier is not None and earlier.packer.machine == machine:
            return earlier
        keeper = Keeper(Packer(machine), self._lengths)
        if earlier is not None:
            keeper.take_over(earlier)
        return keeper


def _expected_by(limit: float | None) -> Literal["limit", "alike jobs"]:
    return "alike jobs" if limit is None else "limit"
