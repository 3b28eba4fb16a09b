# Whose turn it is: the queue, and which jobs start where when something has changed.
#
# Where a job may be put on a machine is packing's subject; a job's life after it has started is the site's.
"""The scheduler: jobs that wait, machines, and the rule that brings them together.

The rule: jobs are looked at in the order in which they came, and each starts as soon as there is a place for it. The
job that has waited longest, once that is longer than `PATIENCE`, has a place kept for it, in which no other job may
start. This is the place whose longest-running job has been running the shortest time, and a better one takes over
when boards become free.

Before that it is seen whether a job's request can be met at all. That may take long for an odd request, so a job is
looked at from when that is known: nobody waits for the answer to another's.

A decision may take more work than there is time for at once; then it is made in slices. All of it is made on the
boards that were available when it began, less those taken since: boards that become available between two slices, and
jobs that come, wait for the next decision, so that what a younger job gets has been refused to all older ones. What a
slice has decided stands. A job that leaves between slices is not started, and no board that was set aside meanwhile is
given away.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from heapq import heapify, heappop, heappush, heapreplace
from math import inf
from typing import NamedTuple, TypeVar

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.packing.reasons import in_words, why_not
from spalloc_server.core.packing.steps import Allowance, Steps
from spalloc_server.core.packing.wishes import Wish
from spalloc_server.core.requests import BoardAt, Boards, JobRequest, Rectangle
from spalloc_server.words import counted, there_are
from spinnaker.geometry import Board

T = TypeVar("T")

PATIENCE = 3600.0
"""Seconds after which the job that has waited longest has a place kept for it.

Shorter, and the longest waits are shorter and the others longer: docs/guides/scheduling.md has the figures.
"""


_CHECK_STEPS = 16
"""How long one request is checked before others that have been checked for less have their turn."""
_GLANCES_A_STEP = 64
"""How many waiting jobs or kinds of them are glanced at in the time of a step."""


@dataclass(frozen=True, slots=True)
class Start:
    """A job that starts now, and what it gets."""

    job: int
    allocation: Allocation


class Obstacle(Enum):
    """What a queued job waits for."""

    TURN = "turn"
    """To be looked at, which happens at the next decision."""
    BOARDS = "boards"
    """More boards to become free."""
    PLACE = "place"
    """Free boards that are together in a rectangle, and not kept for another job."""
    KEPT = "kept"
    """The last boards of the place that is kept for it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where a queued job stands and what it waits for."""

    position: int
    """1 for the job that has waited longest."""
    queued: int
    """How many jobs wait, this one included."""
    obstacle: Obstacle
    sentence: str
    """The same in words."""


@dataclass(slots=True)
class _Option:
    """A machine that a job may run on."""

    packer: Packer
    request: JobRequest
    next_version: int = 0
    """The first version of what is available there with which there can be a place."""
    no_place_with: frozenset[Board] | None = None
    """The boards that were set aside when it was found that no place could be kept for their sake."""
    known_wish: Wish | None = None

    def wish(self) -> Steps[Wish]:
        """The request as the machine sees it: worked out when there are enough boards to look at."""
        if self.known_wish is None:
            self.known_wish = yield from self.packer.wishes.of(self.request)
            assert self.known_wish is not None
        return self.known_wish


class _Stage(Enum):
    """What is known of the jobs of one kind."""

    UNCHECKED = "nothing: it is being found out whether they can be met at all"
    FRESH = "they can be met, and are to be looked at in any case"
    IN_VAIN = "one was found no place; there can be one for another only when more boards become available"


@dataclass(slots=True, eq=False)
class _Kind:
    """The waiting jobs that ask for the same: when there is no place for one of them there is none for any."""

    request: JobRequest
    fewest: int
    """How many boards each needs at the least."""
    minds_others: bool
    """Whether a board that no live link connects to a job's own may keep it from its place."""
    options: list[_Option] = field(default_factory=list)
    """What they may run on, as of the last check."""
    stage: _Stage = _Stage.UNCHECKED
    jobs: dict[int, "_Queued"] = field(default_factory=dict)
    """In the order in which they came."""

    def is_hopeful(self) -> bool:
        """Return whether there can be a place by the number of boards that have become available."""
        for option in self.options:  # noqa: SIM110 - asked for every kind at every event
            if option.packer.version >= option.next_version:
                return True
        return False


class _Queued(NamedTuple):
    """A job that waits."""

    job: int
    since: float
    kind: _Kind
    order: tuple[float, int]
    """Smaller than that of every job that came later."""
    number: int
    """Larger than that of every job that was queued earlier."""


def _needs(kind: _Kind) -> int:
    return kind.fewest


def _line_up(jobs: dict[int, _Queued], queued: _Queued) -> None:
    """Put a job in its place among those that wait, nearly always the last."""
    late = bool(jobs) and queued.order < next(reversed(jobs.values())).order
    jobs[queued.job] = queued
    if late:
        in_order = sorted(jobs.items(), key=lambda item: item[1].order)
        jobs.clear()
        jobs.update(in_order)


_BEFORE_ALL = (-inf, 0)


class _Line:
    """The jobs of one kind that are still to be looked at, as one of several lines to merge by order of arrival."""

    def __init__(self, kind: _Kind, last: int) -> None:
        """Begin in front of all jobs that were queued with numbers up to `last`."""
        self.kind = kind
        self.queued: _Queued
        """Who is in front, once it has advanced."""
        self.order = _BEFORE_ALL
        self._last = last

    def advance(self) -> bool:
        """Go on to the next job, if there is one; others may have left the queue."""
        for queued in self.kind.jobs.values():
            if queued.number <= self._last and queued.order > self.order:
                self.queued, self.order = queued, queued.order
                return True
        return False


class _Check:
    """Finding out on which machines jobs of one kind may run."""

    def __init__(self, kind: _Kind, number: int, work: Steps[list[_Option]]) -> None:
        self.kind = kind
        self.work = work
        self._number = number
        self.spent = 0.0
        """Steps that were taken for it."""

    def __lt__(self, other: "_Check") -> bool:
        # Who has had least goes on: an odd request that takes long delays nobody's that takes as long as most do.
        return (self.spent, self._number) < (other.spent, other._number)


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
        self._queue: dict[int, _Queued] = {}
        self._queued = 0
        """How many jobs have been queued so far."""
        self._kinds: dict[JobRequest, _Kind] = {}
        self._checks: list[_Check] = []
        """A heap of the checks that are under way."""
        self._rechecks: Iterator[_Kind] = iter(())
        """The kinds that are to be checked again because machines have changed."""
        self._checking = False
        """Whether there may be kinds to check."""
        self._checked = 0
        """How many checks have been begun so far."""
        self._fresh: dict[_Kind, None] = {}
        """The kinds at that stage."""
        self._in_vain: list[_Kind] = []
        """The kinds at that stage, those that need the fewest boards first."""
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
        kind = self._kinds.get(request)
        if kind is None:
            kind = self._kinds[request] = _Kind(request, _fewest(request), _minds_others(request))
            suitable = self._suitable(request)
            if suitable and all(packer.wishes.is_known_to_meet(request) for packer in suitable):
                kind.options = [_Option(packer, request) for packer in suitable]
                self._freshen(kind)
            else:
                self._check(kind)
        self._queued += 1
        queued = _Queued(job, since, kind, (since, job), self._queued)
        _line_up(self._queue, queued)
        _line_up(kind.jobs, queued)
        self._stirred = True

    def withdraw(self, job: int) -> None:
        """Take a job out of the queue; one that is not there makes no difference."""
        if job in self._queue:
            self._leave(job)
            self._stirred = True

    def _leave(self, job: int) -> None:
        kind = self._queue.pop(job).kind
        del kind.jobs[job]
        if not kind.jobs:
            del self._kinds[kind.request]
            self._unlist(kind)
        if job in self._keeping.values():
            for name in [name for name, kept_for in self._keeping.items() if kept_for == job]:
                del self._keeping[name]
                self._packers[name].keep_nothing()

    def _freshen(self, kind: _Kind) -> None:
        kind.stage = _Stage.FRESH
        self._fresh[kind] = None

    def _unlist(self, kind: _Kind) -> None:
        if kind.stage is _Stage.IN_VAIN:
            first = bisect_left(self._in_vain, kind.fewest, key=_needs)
            del self._in_vain[self._in_vain.index(kind, first)]
        elif kind.stage is _Stage.FRESH:
            del self._fresh[kind]

    # Decisions

    def decide(self, now: float) -> list[Start]:
        """Return the jobs that start now, and take their boards.

        That is all of a decision, or the next slice of it: see `is_settled`, and `take_refused`.
        """
        self._now = now
        if not self._queue and self._placing is None:
            # Nobody waits, so that there is nothing to check or to look at.
            self._checks.clear()
            self._rechecks = iter(())
            self._checking = self._stirred = False
            return []
        steps = self._slice_steps
        if self._checking:
            # Half of the slice, so that neither keeps the other waiting.
            steps = None if steps is None else (steps + 1) // 2
            self._go_on_checking(Allowance(steps))
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
        return self._placing is None and not self._stirred and not self._checking

    def take_refused(self) -> list[tuple[int, str]]:
        """Return the jobs that have been found since the last time to be impossible, each with why; they are out."""
        refused, self._refused = self._refused, []
        return refused

    def _check(self, kind: _Kind) -> None:
        self._checked += 1
        self._checking = True
        heappush(self._checks, _Check(kind, self._checked, self._options(kind.request)))

    def _go_on_checking(self, allowance: Allowance) -> None:
        while allowance.left > 0:
            # Those who come now are checked before those who waited already when the machines changed, most of whom
            # can wait on.
            if not self._checks or self._checks[0].spent:
                recheck = next(self._rechecks, None)
                if recheck is not None:
                    self._check(recheck)
                elif not self._checks:
                    self._checking = False
                    return
            check = self._checks[0]
            if not check.kind.jobs:
                heappop(self._checks)
                continue
            turn = Allowance(_CHECK_STEPS)
            done = turn.do(check.work)
            spent = _CHECK_STEPS - turn.left
            allowance.left -= spent + 1
            if done is None:
                check.spent += spent
                heapreplace(self._checks, check)
                continue
            heappop(self._checks)
            kind = check.kind
            (kind.options,) = done
            if kind.options:
                self._freshen(kind)
                self._stirred = True
            else:
                why = self._refusal(kind.request)
                self._refused += [(job, why) for job in kind.jobs]
                for job in list(kind.jobs):
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
        kinds = list(self._fresh)
        most = max([packer.look() for packer in self._packers.values()], default=0)
        if most and self._in_vain:
            kinds += yield from self._hopeful(most)
        lines: list[tuple[tuple[float, int], _Line]] = []
        for some in _chunks(kinds):
            for kind in some:
                line = _Line(kind, last)
                if line.advance():
                    lines.append((line.order, line))
            yield 1
        heapify(lines)
        settled = True
        while lines:
            line = lines[0][1]
            kind, queued = line.kind, line.queued
            if queued.job in kind.jobs:
                kept = queued.job in self._keeping.values()
                yield 1
                # Nothing may happen between what is found and its beginning: boards could be set aside meanwhile.
                allocation = yield from self._find(kind, queued.job)
                if queued.job not in kind.jobs:
                    pass  # it has left; whoever is next in its line is looked at instead
                elif allocation is not None:
                    self._begin(queued.job, allocation)
                    settled = settled and not kept
                elif not kept:
                    self._was_in_vain(kind)
                    heappop(lines)
                    continue
            if line.advance():
                heapreplace(lines, (line.order, line))
            else:
                heappop(lines)
                if kind.jobs and kind.stage is _Stage.IN_VAIN:
                    # These came while the others were looked at.
                    self._unlist(kind)
                    self._freshen(kind)
        return settled

    def _hopeful(self, most: int) -> Steps[list[_Kind]]:
        """Return the kinds for which there may be a place now, though there was none for them at the look before.

        Args:
            most: how many boards are available on one machine.
        """
        hopeful: list[_Kind] = []
        for some in _chunks(self._up_to(most)):
            hopeful += [kind for kind in some if kind.is_hopeful()]
            yield 1
        if hopeful:
            least = hopeful[0].fewest
            largest = max([packer.largest_gain(least) for packer in self._packers.values()])
            hopeful = [kind for kind in hopeful if kind.fewest <= largest or kind.minds_others]
        return hopeful

    def _up_to(self, boards: int) -> list[_Kind]:
        """Return the kinds in vain that could do with so many boards."""
        return self._in_vain[: bisect_right(self._in_vain, boards, key=_needs)]

    def _was_in_vain(self, kind: _Kind) -> None:
        if kind.stage is not _Stage.IN_VAIN:
            self._unlist(kind)
            kind.stage = _Stage.IN_VAIN
            insort(self._in_vain, kind, key=_needs)

    def _find(self, kind: _Kind, job: int) -> Steps[Allocation | None]:
        for option in kind.options:
            packer = option.packer
            version = packer.version
            if version < option.next_version or self._keeping.get(packer.machine.name) == job:
                continue
            short = kind.fewest - packer.open_boards
            if short <= 0:
                wish = option.known_wish or (yield from option.wish())
                failed_version = packer.previous_version if kind.stage is _Stage.IN_VAIN else 0
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
        position, length = list(self._queue).index(job) + 1, len(self._queue)
        obstacle, cause = self._obstacle(queued)
        return Waiting(position, length, obstacle, f"Number {position} of {length} in the queue; {cause}.")

    def _obstacle(self, queued: _Queued) -> tuple[Obstacle, str]:
        for name, job in self._keeping.items():
            if job == queued.job:
                packer = self._packers[name]
                return Obstacle.KEPT, (
                    f"a place of {counted(packer.kept_boards, 'board')} is kept for it on {name}, "
                    f"{packer.awaited} of which are still in use"
                )
        if queued.kind.stage is not _Stage.IN_VAIN:
            return Obstacle.TURN, "about to be looked at"
        shape = queued.kind.request.shape
        if isinstance(shape, BoardAt):
            where = "; on ".join(
                f"{option.packer.machine.name} it {self._hindrance(option.packer, shape.board)}"
                for option in queued.kind.options
            )
            return Obstacle.PLACE, f"it needs board {shape.board}: on {where}"
        wanted = _boards(queued.kind.request)
        most = max((option.packer for option in queued.kind.options), key=lambda packer: packer.free_boards)
        on = f"free on {most.machine.name}"
        if most.free_boards < wanted:
            aside = len(most.set_aside_boards)
            other = f", where {aside} {'is' if aside == 1 else 'are'} set aside" if aside else ""
            free = f"{most.free_boards} {'is' if most.free_boards == 1 else 'are'}"
            return Obstacle.BOARDS, f"it needs {counted(wanted, 'board')}, and {free} {on}{other}"
        keeping = self._keeping.get(most.machine.name)
        other = f", or kept for job {keeping}, which has waited longest" if keeping is not None else ""
        return (
            Obstacle.PLACE,
            f"{there_are(most.free_boards, 'board')} {on}, but not together as it needs them{other}",
        )

    def _hindrance(self, packer: Packer, board: Board) -> str:
        """Return why a board is not to be had, as the end of a sentence about it."""
        if board in packer.set_aside_boards:
            return "is set aside, and goes to no job until it is put back"
        if packer.is_free(board):
            keeping = self._keeping.get(packer.machine.name)
            if keeping is None:
                return "has just become free"
            return f"is kept for job {keeping}, which has waited longest"
        return "is in use"

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

    def _is_patient(self, queued: _Queued) -> bool:
        return self._now - queued.since >= self._patience

    def _keep_place(self, name: str, packer: Packer) -> Steps[None]:
        """Have a machine keep a place for the first job of those that have waited long for which it can."""
        for some in _chunks(list(self._queue.values())):
            for queued in some:
                if not self._is_patient(queued):
                    return
                yield from self._keep_place_for(name, packer, queued)
                if name in self._keeping:
                    return
            yield 1

    def _keep_place_for(self, name: str, packer: Packer, queued: _Queued) -> Steps[None]:
        if queued.kind.stage is _Stage.UNCHECKED:
            return
        option = next((option for option in queued.kind.options if option.packer is packer), None)
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
        self._fresh, self._in_vain, self._checks = {}, [], []
        for kind in self._kinds.values():
            kind.stage = _Stage.UNCHECKED
        self._checking = True
        self._rechecks = _halving(list(self._kinds.values()))

    def _options(self, request: JobRequest) -> Steps[list[_Option]]:
        options: list[_Option] = []
        for packer in self._suitable(request):
            could = yield from packer.wishes.could_meet(request)
            options += [_Option(packer, request)] * could
        return options

    def _suitable(self, request: JobRequest) -> list[Packer]:
        if request.machine is not None:
            packer = self._packers.get(request.machine)
            return [] if packer is None else [packer]
        return [packer for packer in self._packers.values() if request.tags <= packer.machine.tags]

    def _refusal(self, request: JobRequest) -> str:
        suitable = self._suitable(request)
        if request.machine is not None and not suitable:
            return f"There is no machine named {request.machine!r}; there are: {_names(self._packers)}."
        if not suitable:
            tags = ", ".join(sorted(request.tags))
            return f"No machine has all of the tags {tags}."
        reasons = "; ".join(why_not(packer.machine, request) for packer in suitable)
        return f"{in_words(request)} can never be had: {reasons}."


def _chunks(items: list[T]) -> Iterator[list[T]]:
    """Yield the items, as many at a time as can be glanced at in the time of a step."""
    return (items[first : first + _GLANCES_A_STEP] for first in range(0, len(items), _GLANCES_A_STEP))


def _packer(machine: Machine, earlier: Packer | None) -> Packer:
    """Return a machine's boards, taking over what is known of them."""
    if earlier is not None and earlier.machine == machine:
        earlier.keep_nothing()
        return earlier
    packer = Packer(machine)
    if earlier is not None:
        packer.take_over(earlier)
    return packer


def _halving(kinds: list[_Kind]) -> Iterator[_Kind]:
    """Yield the kind in the middle by the boards it needs, then those in the middle of each half, and so on.

    A machine that could meet a request could meet it with fewer boards: in this order most answers follow from others.
    """
    kinds.sort(key=_needs)
    spans = deque([(0, len(kinds))])
    while spans:
        first, last = spans.popleft()
        if first < last:
            middle = (first + last) // 2
            yield kinds[middle]
            spans += (first, middle), (middle + 1, last)


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _boards(request: JobRequest) -> int:
    match request.shape:
        case Boards(count):
            return count
        case Rectangle(size):
            return size.boards
        case _:
            return 1


def _fewest(request: JobRequest) -> int:
    return 1 if request.max_dead_boards is None else max(1, _boards(request) - request.max_dead_boards)


def _minds_others(request: JobRequest) -> bool:
    return request.require_torus or _fewest(request) < _boards(request)
