"""The scheduler: the queue of waiting jobs, the machines, and which job starts where when something has changed.

Where a job fits on a machine is found in packing/. What happens to a job after its start is decided in site.py.

**The rule.** Jobs are tried in the order in which they came, and each starts as soon as there is a spot for it. When
the job that has waited longest has waited for longer than `PATIENCE`, boards are reserved for it, which no other job
gets: those whose longest-running job has been running the shortest time. The reservation moves when boards are freed
that make a better one.

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

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.checks import Checks
from spalloc_server.core.machine import Machine
from spalloc_server.core.obstacles import Waiting, waiting
from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.packing.steps import Allowance, Steps
from spalloc_server.core.request_groups import (
    Arrivals,
    Line,
    Queued,
    RequestGroup,
    RequestGroups,
    Stage,
    chunks,
)
from spalloc_server.core.requests import JobRequest
from spinnaker.geometry import Board

PATIENCE = 3600.0
"""Seconds after which boards are reserved for the job that has waited longest.

Less patience makes the longest waits shorter and the others longer: docs/guides/scheduling.md has the figures.
"""


@dataclass(frozen=True, slots=True)
class Start:
    """A job that starts now, and what it gets."""

    job: int
    allocation: Allocation


class Scheduler:
    """The queue of all jobs and the boards of all machines."""

    def __init__(
        self, machines: Sequence[Machine], *, patience: float = PATIENCE, slice_steps: int | None = None
    ) -> None:
        """Start with empty machines.

        Args:
            machines: the machines, highest priority first.
            patience: seconds after which boards are reserved for the job that has waited longest.
            slice_steps: about how many steps of work (`packing/steps.py`) a slice has; None to make each decision at
                once.
        """
        self._packers = {machine.name: Packer(machine) for machine in machines}
        self._patience = patience
        self._slice_steps = slice_steps
        self._queue = Arrivals()
        self._queued = 0
        """How many jobs have been queued so far."""
        self._groups = RequestGroups()
        self._checks = Checks(self._packers)
        self._reserved_for: dict[str, int] = {}
        """For each machine with a reservation, the job that has it."""
        self._now = 0.0
        self._decision: Steps[None] | None = None
        """The decision that is under way."""
        self._changed = False
        """Whether anything has happened since it began."""
        self._starts: list[Start] = []
        self._refused: list[tuple[int, str]] = []

    # The queue

    def submit(self, job: int, request: JobRequest, since: float) -> None:
        """Queue a job.

        Args:
            job: the job's ID.
            request: what it asks for.
            since: the time in seconds at which it came. For a job that had boards and lost them, this is when it was
                created: it is ahead of all jobs that came later.
        """
        group = self._groups.get(request)
        if group is None:
            group = self._groups.begin(request)
            if self._checks.begin(group):
                self._groups.freshen(group)
        self._queued += 1
        queued = Queued(job, since, group, (since, job), self._queued)
        self._queue.add(queued)
        group.jobs.add(queued)
        self._changed = True

    def withdraw(self, job: int) -> None:
        """Take a job out of the queue; one that is not there makes no difference."""
        if job in self._queue:
            self._leave(job)
            self._changed = True

    def _leave(self, job: int) -> None:
        self._groups.leave(self._queue.pop(job))
        if job in self._reserved_for.values():
            for name in [name for name, holder in self._reserved_for.items() if holder == job]:
                del self._reserved_for[name]
                self._packers[name].cancel_reservation()

    # Decisions

    def decide(self, now: float) -> list[Start]:
        """Return the jobs that start now, and take their boards.

        This makes a whole decision, or the next slice of one: see `is_done`, and `take_refused`.
        """
        self._now = now
        if not self._queue and self._decision is None:
            # Nobody waits, so there is nothing to check or to place.
            self._checks.stop()
            self._changed = False
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
            for job in [queued.job for queued in group.jobs]:
                self._refused.append((job, why))
                self._leave(job)

    def _decide(self) -> Steps[None]:
        """Start all jobs that can start, and make reservations.

        Anything may have happened whenever this has yielded, except a change of machines, which ends it.
        """
        again = True
        while again:
            for name in list(self._reserved_for):
                yield from self._start_reserved(name)
            again = yield from self._start_others()
            yield from self._make_reservations()

    def _start_others(self) -> Steps[bool]:
        """Start all jobs that can start on boards that are not reserved, in the order in which they came.

        Returns:
            whether one of them had a reservation elsewhere: its boards are available now, so others may start.
        """
        last = self._queued
        groups = list(self._groups.fresh)
        packers = self._packers.values()
        most = max([packer.look() for packer in packers], default=0)
        if most and self._groups.without_spot:
            groups += yield from self._groups.hopeful(packers, most)
        lines: list[tuple[tuple[float, int], Line]] = []
        for some in chunks(groups):
            for group in some:
                line = Line(group, last)
                if line.advance():
                    lines.append((line.order, line))
            yield 1
        heapify(lines)
        again = False
        while lines:
            line = lines[0][1]
            group, queued = line.group, line.queued
            if queued.job in group.jobs:
                reserved = queued.job in self._reserved_for.values()
                yield 1
                # The job must start before this yields again: its boards could be set aside meanwhile.
                allocation = yield from self._find(group, queued.job)
                if queued.job not in group.jobs:
                    pass  # it has left; the next job of its line is tried instead
                elif allocation is not None:
                    self._begin(queued.job, allocation)
                    again = again or reserved
                elif not reserved:
                    self._groups.found_no_spot(group)
                    heappop(lines)
                    continue
            if line.advance():
                heapreplace(lines, (line.order, line))
            else:
                heappop(lines)
                if group.jobs and group.stage is Stage.NO_SPOT:
                    # These jobs came while the others were tried.
                    self._groups.freshen(group)
        return again

    def _find(self, group: RequestGroup, job: int) -> Steps[Allocation | None]:
        for option in group.options:
            packer = option.packer
            version = packer.version
            if version < option.next_version or self._reserved_for.get(packer.machine.name) == job:
                continue
            missing = group.fewest - packer.available_boards
            if missing <= 0:
                wish = option.known_wish or (yield from option.wish())
                failed_version = packer.previous_version if group.stage is Stage.NO_SPOT else 0
                found = yield from packer.find(wish, failed_version=failed_version)
                if isinstance(found, Allocation):
                    return found
                missing = found.boards
            option.next_version = version + missing
        return None

    def waiting(self, job: int) -> Waiting:
        """Return where a queued job stands and what it waits for.

        Raises:
            KeyError: the job is not in the queue.
        """
        queued = self._queue[job]
        position = self._queue.position(job)
        return waiting(queued, position, len(self._queue), self._packers, self._reserved_for)

    def _begin(self, job: int, allocation: Allocation) -> None:
        self._leave(job)
        self._packers[allocation.machine].take(allocation.boards)
        self._starts.append(Start(job, allocation))

    # Reservations

    def _start_reserved(self, name: str) -> Steps[None]:
        """Start the job that a machine has a reservation for, or improve the reservation."""
        packer, job = self._packers[name], self._reserved_for.get(name)
        if job is None or not packer.has_reservation:
            return  # reserved boards were set aside since; others are reserved at the end of the decision
        found = yield from packer.find_for_reservation()
        if self._reserved_for.get(name) != job or not packer.has_reservation:
            return
        if found is not None:
            self._begin(job, found)
            return
        yield from packer.improve_reservation()

    def _make_reservations(self) -> Steps[None]:
        """On each machine without one, make a reservation for the job that has waited longest and may run there."""
        for name, packer in self._packers.items():
            if name in self._reserved_for:
                if packer.has_reservation:
                    continue
                del self._reserved_for[name]
            if self._queue and self._is_overdue(next(iter(self._queue))):
                yield from self._make_reservation(name, packer)

    def _is_overdue(self, queued: Queued) -> bool:
        return self._now - queued.since >= self._patience

    def _make_reservation(self, name: str, packer: Packer) -> Steps[None]:
        for some in chunks(list(self._queue)):
            for queued in some:
                if not self._is_overdue(queued):
                    return
                yield from self._reserve(name, packer, queued)
                if name in self._reserved_for:
                    return
            yield 1

    def _reserve(self, name: str, packer: Packer, queued: Queued) -> Steps[None]:
        """Reserve boards of a machine for a job, if it may have a reservation there."""
        if queued.group.stage is Stage.UNCHECKED:
            return
        option = next((option for option in queued.group.options if option.packer is packer), None)
        if option is None or queued.job not in self._queue or queued.job in self._reserved_for.values():
            return
        aside = packer.set_aside_boards
        if option.unreservable_with == aside:
            return
        yield from packer.reserve((yield from option.wish()))
        if queued.job not in self._queue:
            packer.cancel_reservation()
        elif packer.has_reservation:
            self._reserved_for[name] = queued.job
        else:
            option.unreservable_with = aside

    # Boards

    def free_boards(self, machine: str) -> int:
        """Return how many boards of a machine are free, reserved ones included."""
        return self._packers[machine].free_boards

    def release(self, machine: str, boards: Iterable[Board]) -> None:
        """Note that boards are free again; a machine that is no longer configured makes no difference."""
        if machine in self._packers:
            self._packers[machine].give_back(boards)
            self._changed = True

    def occupy(self, machine: str, boards: Iterable[Board]) -> None:
        """Note that boards are not free, whatever the reason."""
        if machine in self._packers:
            self._packers[machine].take(boards)
            self._changed = True

    def set_aside(self, machine: str, board: Board) -> None:
        """Give a live board to no job until it is put back; the job that has it keeps it."""
        if machine in self._packers:
            packer = self._packers[machine]
            packer.set_aside(board)
            self._changed = True
            if not packer.has_reservation:
                # The board was reserved: the job that waited for it gets another reservation with the next decision.
                self._reserved_for.pop(machine, None)

    def put_back(self, machine: str, board: Board) -> None:
        """Let jobs have a board again that was set aside."""
        if machine in self._packers:
            self._packers[machine].put_back(board)
            self._changed = True

    # Configuration

    def reconfigure(self, machines: Sequence[Machine]) -> None:
        """Take over changed machines.

        Running jobs keep their boards on machines that stay. Queued jobs are checked again, one after the other.
        """
        before = self._packers
        self._packers = {machine.name: _packer(machine, before.get(machine.name)) for machine in machines}
        self._reserved_for.clear()
        self._decision = None
        self._changed = True
        self._groups.forget_all()
        self._checks = Checks(self._packers, list(self._groups))


def _packer(machine: Machine, earlier: Packer | None) -> Packer:
    """Return a machine's boards, with what is known of them so far."""
    if earlier is not None and earlier.machine == machine:
        earlier.cancel_reservation()
        return earlier
    packer = Packer(machine)
    if earlier is not None:
        packer.take_over(earlier)
    return packer
