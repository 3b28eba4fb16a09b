# Whose turn it is: the queue, and which jobs start where when something has changed.
#
# Where a job may be put on a machine is packing's subject; a job's life after it has started is the site's.
"""The scheduler: jobs that wait, machines, and the rule that brings them together.

The rule: jobs are looked at in the order in which they came, and each starts as soon as there is a place for it. The
job that has waited longest, once that is longer than `PATIENCE`, has a place kept for it, in which no other job may
start. This is the place whose longest-running job has been running the shortest time, and a better one takes over
when boards become free.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.packer import Packer, Wish
from spalloc_server.core.packing.reasons import in_words, why_not
from spalloc_server.core.requests import BoardAt, Boards, JobRequest, Rectangle
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
    until: int = 0
    """How many boards must have been gained there before there can be a place."""
    no_place_with: frozenset[Board] | None = None
    """The boards that were set aside when it was found that no place could be kept for their sake."""
    _wish: Wish | None = None

    @property
    def wish(self) -> Wish:
        """The request as the machine sees it: worked out when there are enough boards to look at."""
        if self._wish is None:
            self._wish = self.packer.wish(self.request)
            assert self._wish is not None
        return self._wish


@dataclass(slots=True, eq=False)
class _Kind:
    """The waiting jobs that ask for the same: when there is no place for one of them there is none for any."""

    request: JobRequest
    options: list[_Option]
    fewest: int
    """How many boards each needs at the least."""
    minds_others: bool
    """Whether a board that no live link connects to a job's own may keep it from its place."""
    jobs: dict[int, "_Queued"] = field(default_factory=dict)
    """In the order in which they came."""
    in_vain: bool = False
    """Whether one was found no place; there can be one for another only when more boards become available."""

    def is_hopeful(self) -> bool:
        """Return whether there can be a place by the number of boards that have become available."""
        for option in self.options:  # noqa: SIM110 - asked for every kind at every event
            if option.packer.gained >= option.until:
                return True
        return False


class _Queued(NamedTuple):
    """A job that waits."""

    job: int
    since: float
    kind: _Kind
    order: tuple[float, int]
    """Smaller than that of every job that came later."""


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


class _Line:
    """The jobs of one kind that are still to be looked at, as one of several lines to merge by order of arrival."""

    def __init__(self, kind: _Kind) -> None:
        self.kind = kind
        self.queued = next(iter(kind.jobs.values()))
        self.order = self.queued.order

    def advance(self) -> bool:
        """Go on to the next job, if there is one; the last may have left the queue since, none else."""
        for queued in self.kind.jobs.values():
            if queued.order > self.order:
                self.queued, self.order = queued, queued.order
                return True
        return False

    def __lt__(self, other: "_Line") -> bool:
        return self.order < other.order


class Scheduler:
    """The queue of all jobs and the boards of all machines."""

    def __init__(self, machines: Sequence[Machine], *, patience: float = PATIENCE) -> None:
        """Start with empty machines.

        Args:
            machines: the machines, those to be filled first in front.
            patience: seconds after which the job that has waited longest has a place kept for it.
        """
        self._packers = {machine.name: Packer(machine) for machine in machines}
        self._patience = patience
        self._queue: dict[int, _Queued] = {}
        self._kinds: dict[JobRequest, _Kind] = {}
        self._fresh: dict[_Kind, None] = {}
        """The kinds that are to be looked at in any case."""
        self._in_vain: list[_Kind] = []
        """The others, those that need the fewest boards first."""
        self._keeping: dict[str, int] = {}
        """For each machine that keeps a place, the job it is kept for."""
        self._kept_until: dict[str, int] = {}
        """For each machine that keeps a place, how many boards must have been gained before the job can start."""

    # The queue

    def submit(self, job: int, request: JobRequest, since: float) -> str | None:
        """Queue a job, or leave it out and return the sentence that says why it can never run.

        Args:
            job: the job's ID.
            request: what it asks for.
            since: the time in seconds at which it came. A job that had boards and lost them came when it was created:
                it stands before all that came later.
        """
        kind = self._kinds.get(request)
        if kind is None:
            options = self._options(request)
            if not options:
                return self._refusal(request)
            kind = self._kinds[request] = _Kind(request, options, _fewest(request), _minds_others(request))
            self._fresh[kind] = None
        queued = _Queued(job, since, kind, (since, job))
        _line_up(self._queue, queued)
        _line_up(kind.jobs, queued)
        return None

    def withdraw(self, job: int) -> None:
        """Take a job out of the queue; one that is not there makes no difference."""
        if job in self._queue:
            self._leave(job)

    def _leave(self, job: int) -> None:
        kind = self._queue.pop(job).kind
        del kind.jobs[job]
        if not kind.jobs:
            del self._kinds[kind.request]
            if kind.in_vain:
                del self._in_vain[
                    self._in_vain.index(kind, bisect_left(self._in_vain, kind.fewest, key=_needs))
                ]
            else:
                del self._fresh[kind]
        if job in self._keeping.values():
            for name in [name for name, kept_for in self._keeping.items() if kept_for == job]:
                del self._keeping[name]
                self._packers[name].keep_nothing()

    def decide(self, now: float) -> list[Start]:
        """Return the jobs that start now, and take their boards."""
        starts: list[Start] = []
        settled = False
        while not settled:
            for name in list(self._keeping):
                self._start_kept(name, starts)
            settled = self._start_others(starts)
            self._keep_places(now)
        return starts

    def _start_others(self, starts: list[Start]) -> bool:
        """Start all jobs that can start outside the places that are kept, in the order in which they came.

        Returns:
            whether that is all: a job that starts elsewhere opens the place that was kept for it to others.
        """
        lines = [_Line(kind) for kind in self._fresh]
        most = max([packer.look() for packer in self._packers.values()], default=0)
        if most and self._in_vain:
            hopeful = [kind for kind in self._up_to(most) if kind.is_hopeful()]
            if hopeful:
                least = hopeful[0].fewest
                largest = max([packer.largest_gain(least) for packer in self._packers.values()])
                lines += [_Line(kind) for kind in hopeful if kind.fewest <= largest or kind.minds_others]
        heapify(lines)
        settled = True
        while lines:
            line = lines[0]
            queued = line.queued
            kept = queued.job in self._keeping.values()
            allocation = self._find(line.kind, queued.job)
            if allocation is not None:
                self._begin(queued.job, allocation, starts)
                settled = settled and not kept
            elif not kept:
                self._was_in_vain(line.kind)
                heappop(lines)
                continue
            if line.advance():
                heapreplace(lines, line)
            else:
                heappop(lines)
        return settled

    def _up_to(self, boards: int) -> list[_Kind]:
        """Return the kinds in vain that could do with so many boards."""
        return self._in_vain[: bisect_right(self._in_vain, boards, key=_needs)]

    def _was_in_vain(self, kind: _Kind) -> None:
        if not kind.in_vain:
            kind.in_vain = True
            del self._fresh[kind]
            insort(self._in_vain, kind, key=_needs)

    def _find(self, kind: _Kind, job: int) -> Allocation | None:
        for option in kind.options:
            packer = option.packer
            if packer.gained < option.until or self._keeping.get(packer.machine.name) == job:
                continue
            short = kind.fewest - packer.open_boards
            if short <= 0:
                found = packer.find(option.wish, again=kind.in_vain)
                if isinstance(found, Allocation):
                    return found
                short = found.boards
            option.until = packer.gained + short
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
                    f"a place of {packer.kept_boards} boards is kept for it on {name}, "
                    f"{packer.awaited} of which are still in use"
                )
        if not queued.kind.in_vain:
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
            return Obstacle.BOARDS, f"it needs {wanted} boards, and {most.free_boards} are {on}{other}"
        keeping = self._keeping.get(most.machine.name)
        other = f", or kept for job {keeping}, which has waited longest" if keeping is not None else ""
        return (
            Obstacle.PLACE,
            f"{most.free_boards} boards are {on}, but not together as it needs them{other}",
        )

    def _hindrance(self, packer: Packer, board: Board) -> str:
        """Return why a board is not to be had, as the end of a sentence about it."""
        if board in packer.set_aside_boards:
            return "is set aside, and goes to no job until it is put back"
        if packer.is_free(board):
            return f"is kept for job {self._keeping[packer.machine.name]}, which has waited longest"
        return "is in use"

    def _begin(self, job: int, allocation: Allocation, starts: list[Start]) -> None:
        self._leave(job)
        self.occupy(allocation.machine, allocation.boards)
        starts.append(Start(job, allocation))

    # Places that are kept

    def _start_kept(self, name: str, starts: list[Start]) -> None:
        """Start the job that a place is kept for, or keep it a better one."""
        packer = self._packers[name]
        if not packer.keeps:
            return  # boards of the place were set aside since; another is looked for in the end
        if packer.gained_for_kept >= self._kept_until[name]:
            found = packer.find_for_kept()
            if isinstance(found, Allocation):
                self._begin(self._keeping[name], found, starts)
                return
            self._kept_until[name] = packer.gained_for_kept + found.boards
        packer.keep_better()

    def _keep_places(self, now: float) -> None:
        """Have each machine keep a place for the job that has waited longest of those that may run there."""
        for name, packer in self._packers.items():
            if name in self._keeping:
                if packer.keeps:
                    continue
                del self._keeping[name]
            for queued in self._queue.values():
                if now - queued.since < self._patience:
                    break
                option = next((option for option in queued.kind.options if option.packer is packer), None)
                if option is None or queued.job in self._keeping.values():
                    continue
                if option.no_place_with != packer.set_aside_boards:
                    packer.keep(option.wish)
                    if packer.keeps:
                        self._keeping[name] = queued.job
                        self._kept_until[name] = 0
                        break
                    option.no_place_with = packer.set_aside_boards

    # Boards

    def free_boards(self, machine: str) -> int:
        """Return how many boards of a machine are free, the ones kept for a waiting job included."""
        return self._packers[machine].free_boards

    def release(self, machine: str, boards: Iterable[Board], now: float) -> None:  # noqa: ARG002
        """Note that boards are free again; a machine that is no longer configured makes no difference."""
        if machine in self._packers:
            self._packers[machine].give_back(boards)

    def occupy(self, machine: str, boards: Iterable[Board]) -> None:
        """Note that boards are not free, whatever the reason."""
        if machine in self._packers:
            self._packers[machine].take(boards)

    def restore_running(self, job: int, request: JobRequest, allocation: Allocation) -> None:  # noqa: ARG002
        """Note that a job runs already; the ones that have been running longest come first."""
        self.occupy(allocation.machine, allocation.boards)

    def set_aside(self, machine: str, board: Board) -> None:
        """Give a live board to no job until it is put back; the job that has it keeps it."""
        if machine in self._packers:
            packer = self._packers[machine]
            packer.set_aside(board)
            if not packer.keeps:
                # The place that was kept had the board in it: whoever waited for it gets another at the next decision.
                self._keeping.pop(machine, None)

    def put_back(self, machine: str, board: Board) -> None:
        """Let jobs have a board again that was set aside."""
        if machine in self._packers:
            self._packers[machine].put_back(board)

    # Configuration

    def reconfigure(self, machines: Sequence[Machine], now: float) -> list[tuple[int, str]]:  # noqa: ARG002
        """Take over changed machines, and return the queued jobs that can never run now, each with the sentence.

        These jobs leave the queue. Running jobs keep their boards on machines that stay.
        """
        before, self._packers = self._packers, {machine.name: Packer(machine) for machine in machines}
        self._keeping.clear()
        for name, packer in self._packers.items():
            if name in before:
                packer.take_over(before[name])
        kinds = sorted(self._kinds.values(), key=_needs)
        for kind in _halving(kinds):
            kind.options = self._options(kind.request)
        self._look_anew()
        why = {kind: self._refusal(kind.request) for kind in kinds if not kind.options}
        hopeless = [queued for queued in self._queue.values() if queued.kind in why]
        for queued in hopeless:
            self._leave(queued.job)
        return [(queued.job, why[queued.kind]) for queued in hopeless]

    def _look_anew(self) -> None:
        """Forget which jobs were found no place."""
        for kind in self._in_vain:
            kind.in_vain = False
        self._fresh, self._in_vain = dict.fromkeys(self._kinds.values()), []

    def _options(self, request: JobRequest) -> list[_Option]:
        return [_Option(packer, request) for packer in self._suitable(request) if packer.could_meet(request)]

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


def _halving(kinds: Sequence[_Kind]) -> Iterator[_Kind]:
    """Yield the kind in the middle, then those in the middle of each half, and so on.

    A machine that could meet a request could meet it with fewer boards: in this order most answers follow from others.
    """
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
