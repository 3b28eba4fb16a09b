"""Whose turn it is: the queue, and which jobs start where when something has changed.

Where a job may be put on a machine is packing's subject; a job's life after it has started is the site's.

The scheduler: jobs that wait, machines, and the rule that brings them together.

The rule: jobs are looked at in the order in which they came, and each starts as soon as there is a place for
it. The job that has waited longest, once that is longer than `PATIENCE`, has a place kept for it, in which no
other job may start. This is the place whose longest-running job has been running the shortest time, and a
better one takes over when boards become free.

Before that it is seen whether a job's request can be met at all. That may take long for an odd request, so a
job is looked at from when that is known: nobody waits for the answer to another's.

A decision may take more work than there is time for at once; then it is made in slices. All of it is made on
the boards that were available when it began, less those taken since: boards that become available between two
slices, and jobs that come, wait for the next decision, so that what a younger job gets has been refused to
all older ones. What a slice has decided stands. A job that leaves between slices is not started, and no board
that was set aside meanwhile is given away.
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
    Line,
    Queued,
    RequestGroup,
    RequestGroups,
    Stage,
    chunks,
    line_up,
)
from spalloc_server.core.requests import JobRequest
from spinnaker.geometry import Board

PATIENCE = 3600.0
"""Seconds after which the job that has waited longest has a place kept for it.

Shorter, and the longest waits are shorter and the others longer: docs/guides/scheduling.md has the figures.
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
            machines: the machines, those to be filled first in front.
            patience: seconds after which the job that has waited longest has a place kept for it.
            slice_steps: about how many steps of work are done at a time (`packing/steps.py`), for checking requests
                and as many for finding places; None to have no decision left unfinished.
        """
        self._packers = {machine.name: Packer(machine) for machine in machines}
        self._patience = patience
        self._slice_steps = slice_steps
        self._queue: dict[int, Queued] = {}
        self._queued = 0
        """How many jobs have been queued so far."""
        self._groups = RequestGroups()
        self._checks = Checks(self._packers)
        self._keeping: dict[str, int] = {}
        """For each machine that keeps a place, the job it is kept for."""
        self._now = 0.0
        self._placing: Steps[None] | None = None
        """The decision that is under way."""
        self._stirred = False
        """Whether anything has happened since it began."""
        self._starts: list[Start] = []
        self._refused: list[tuple[int, str]] = []

    # The queue

    def submit(self, job: int, request: JobRequest, since: float) -> None:
        """Queue a job.

        Args:
            job: the job's ID.
            request: what it asks for.
            since: the time in seconds at which it came. A job that had boards and lost them came when it was created:
                it stands before all that came later.
        """
        group = self._groups.get(request)
        if group is None:
            group = self._groups.begin(request)
            if self._checks.begin(group):
                self._groups.freshen(group)
        self._queued += 1
        queued = Queued(job, since, group, (since, job), self._queued)
        line_up(self._queue, queued)
        line_up(group.jobs, queued)
        self._stirred = True

    def withdraw(self, job: int) -> None:
        """Take a job out of the queue; one that is not there makes no difference."""
        if job in self._queue:
            self._leave(job)
            self._stirred = True

    def _leave(self, job: int) -> None:
        self._groups.leave(self._queue.pop(job))
        if job in self._keeping.values():
            for name in [name for name, kept_for in self._keeping.items() if kept_for == job]:
                del self._keeping[name]
                self._packers[name].keep_nothing()

    # Decisions

    def decide(self, now: float) -> list[Start]:
        """Return the jobs that start now, and take their boards.

        That is all of a decision, or the next slice of it: see `is_settled`, and `take_refused`.
        """
        self._now = now
        if not self._queue and self._placing is None:
            # Nobody waits, so that there is nothing to check or to look at.
            self._checks.stop()
            self._stirred = False
            return []
        steps = self._slice_steps
        if self._checks.pending:
            # Half of the slice, so that neither keeps the other waiting.
            steps = None if steps is None else (steps + 1) // 2
            for group in self._checks.go_on(Allowance(steps)):
                self._note_checked(group)
        allowance = Allowance(steps)
        settled = False
        while not settled:
            if self._placing is None:
                self._stirred = False
                self._placing = self._place()
            if allowance.do(self._placing) is None:
                break
            self._placing = None
            settled = not self._stirred
        starts, self._starts = self._starts, []
        return starts

    @property
    def is_settled(self) -> bool:
        """Whether the last decision was finished; if not, `decide` has more to do, whether anything happens or not."""
        return self._placing is None and not self._stirred and not self._checks.pending

    def take_refused(self) -> list[tuple[int, str]]:
        """Return the jobs that have been found since the last time to be impossible, each with why; they are out."""
        refused, self._refused = self._refused, []
        return refused

    def _note_checked(self, group: RequestGroup) -> None:
        if group.options:
            self._groups.freshen(group)
            self._stirred = True
        else:
            why = self._checks.refusal(group.request)
            for job in list(group.jobs):
                self._refused.append((job, why))
                self._leave(job)

    def _place(self) -> Steps[None]:
        """Start all jobs that can start, and keep places.

        Anything may have happened whenever this has yielded, but for a change of machines, which ends it.
        """
        settled = False
        while not settled:
            for name in list(self._keeping):
                yield from self._start_kept(name)
            settled = yield from self._start_others()
            yield from self._keep_places()

    def _start_others(self) -> Steps[bool]:
        """Start all jobs that can start outside the places that are kept, in the order in which they came.

        Returns:
            whether that is all: a job that starts elsewhere opens the place that was kept for it to others.
        """
        last = self._queued
        groups = list(self._groups.fresh)
        packers = self._packers.values()
        most = max([packer.look() for packer in packers], default=0)
        if most and self._groups.without_place:
            groups += yield from self._groups.hopeful(packers, most)
        lines: list[tuple[tuple[float, int], Line]] = []
        for some in chunks(groups):
            for group in some:
                line = Line(group, last)
                if line.advance():
                    lines.append((line.order, line))
            yield 1
        heapify(lines)
        settled = True
        while lines:
            line = lines[0][1]
            group, queued = line.group, line.queued
            if queued.job in group.jobs:
                kept = queued.job in self._keeping.values()
                yield 1
                # Nothing may happen between what is found and its beginning: boards could be set aside meanwhile.
                allocation = yield from self._find(group, queued.job)
                if queued.job not in group.jobs:
                    pass  # it has left; whoever is next in its line is looked at instead
                elif allocation is not None:
                    self._begin(queued.job, allocation)
                    settled = settled and not kept
                elif not kept:
                    self._groups.found_no_place(group)
                    heappop(lines)
                    continue
            if line.advance():
                heapreplace(lines, (line.order, line))
            else:
                heappop(lines)
                if group.jobs and group.stage is Stage.NO_PLACE:
                    # These came while the others were looked at.
                    self._groups.freshen(group)
        return settled

    def _find(self, group: RequestGroup, job: int) -> Steps[Allocation | None]:
        for option in group.options:
            packer = option.packer
            version = packer.version
            if version < option.next_version or self._keeping.get(packer.machine.name) == job:
                continue
            short = group.fewest - packer.open_boards
            if short <= 0:
                wish = option.known_wish or (yield from option.wish())
                failed_version = packer.previous_version if group.stage is Stage.NO_PLACE else 0
                found = yield from packer.find(wish, failed_version=failed_version)
                if isinstance(found, Allocation):
                    return found
                short = found.boards
            option.next_version = version + short
        return None

    def waiting(self, job: int) -> Waiting:
        """Return where a queued job stands and what it waits for.

        Raises:
            KeyError: the job is not in the queue.
        """
        queued = self._queue[job]
        position = list(self._queue).index(job) + 1
        return waiting(queued, position, len(self._queue), self._packers, self._keeping)

    def _begin(self, job: int, allocation: Allocation) -> None:
        self._leave(job)
        self._packers[allocation.machine].take(allocation.boards)
        self._starts.append(Start(job, allocation))

    # Places that are kept

    def _start_kept(self, name: str) -> Steps[None]:
        """Start the job that a place is kept for, or keep it a better one."""
        packer, job = self._packers[name], self._keeping.get(name)
        if job is None or not packer.keeps:
            return  # boards of the place were set aside since; another is looked for in the end
        found = yield from packer.find_for_kept()
        if self._keeping.get(name) != job or not packer.keeps:
            return
        if found is not None:
            self._begin(job, found)
            return
        yield from packer.keep_better()

    def _keep_places(self) -> Steps[None]:
        """Have each machine keep a place for the job that has waited longest of those that may run there."""
        for name, packer in self._packers.items():
            if name in self._keeping:
                if packer.keeps:
                    continue
                del self._keeping[name]
            if not self._queue or not self._is_patient(next(iter(self._queue.values()))):
                continue
            yield from self._keep_place(name, packer)

    def _is_patient(self, queued: Queued) -> bool:
        return self._now - queued.since >= self._patience

    def _keep_place(self, name: str, packer: Packer) -> Steps[None]:
        """Have a machine keep a place for the first job of those that have waited long for which it can."""
        for some in chunks(list(self._queue.values())):
            for queued in some:
                if not self._is_patient(queued):
                    return
                yield from self._keep_place_for(name, packer, queued)
                if name in self._keeping:
                    return
            yield 1

    def _keep_place_for(self, name: str, packer: Packer, queued: Queued) -> Steps[None]:
        if queued.group.stage is Stage.UNCHECKED:
            return
        option = next((option for option in queued.group.options if option.packer is packer), None)
        if option is None or queued.job not in self._queue or queued.job in self._keeping.values():
            return
        aside = packer.set_aside_boards
        if option.no_place_with == aside:
            return
        yield from packer.keep((yield from option.wish()))
        if queued.job not in self._queue:
            packer.keep_nothing()
        elif packer.keeps:
            self._keeping[name] = queued.job
        else:
            option.no_place_with = aside

    # Boards

    def free_boards(self, machine: str) -> int:
        """Return how many boards of a machine are free, the ones kept for a waiting job included."""
        return self._packers[machine].free_boards

    def release(self, machine: str, boards: Iterable[Board], now: float) -> None:  # noqa: ARG002
        """Note that boards are free again; a machine that is no longer configured makes no difference."""
        if machine in self._packers:
            self._packers[machine].give_back(boards)
            self._stirred = True

    def occupy(self, machine: str, boards: Iterable[Board]) -> None:
        """Note that boards are not free, whatever the reason."""
        if machine in self._packers:
            self._packers[machine].take(boards)
            self._stirred = True

    def restore_running(self, job: int, request: JobRequest, allocation: Allocation) -> None:  # noqa: ARG002
        """Note that a job runs already; the ones that have been running longest come first."""
        self.occupy(allocation.machine, allocation.boards)

    def set_aside(self, machine: str, board: Board) -> None:
        """Give a live board to no job until it is put back; the job that has it keeps it."""
        if machine in self._packers:
            packer = self._packers[machine]
            packer.set_aside(board)
            self._stirred = True
            if not packer.keeps:
                # The place that was kept had the board in it: whoever waited for it gets another at the next decision.
                self._keeping.pop(machine, None)

    def put_back(self, machine: str, board: Board) -> None:
        """Let jobs have a board again that was set aside."""
        if machine in self._packers:
            self._packers[machine].put_back(board)
            self._stirred = True

    # Configuration

    def reconfigure(self, machines: Sequence[Machine], now: float) -> None:  # noqa: ARG002
        """Take over changed machines.

        Running jobs keep their boards on machines that stay. Queued jobs are checked again, each when its turn comes.
        """
        before = self._packers
        self._packers = {machine.name: _packer(machine, before.get(machine.name)) for machine in machines}
        self._keeping.clear()
        self._placing = None
        self._stirred = True
        self._groups.forget_all()
        self._checks = Checks(self._packers, list(self._groups))


def _packer(machine: Machine, earlier: Packer | None) -> Packer:
    """Return a machine's boards, taking over what is known of them."""
    if earlier is not None and earlier.machine == machine:
        earlier.keep_nothing()
        return earlier
    packer = Packer(machine)
    if earlier is not None:
        packer.take_over(earlier)
    return packer
