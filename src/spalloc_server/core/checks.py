"""On which machines jobs may run, and why on none: checked for each group of jobs that ask for the same, in slices.

Where they run, and when, is decided in scheduler.py.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.demand import holds
from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.packing.steps import Allowance, Steps
from spalloc_server.core.request_groups import Option, RequestGroup
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle, RectangleAt
from spalloc_server.words import counted
from spinnaker.geometry import contains

_TURN_STEPS = 16
"""How many steps of work a check has before it is the turn of another."""
_TURNS_PER_OLDEST = 4
"""One of this many turns is the oldest check's, so that it ends, however many checks are begun meanwhile."""


class _Check:
    """The check of one group."""

    def __init__(self, group: RequestGroup, number: int, work: Steps[list[Option]]) -> None:
        self.group = group
        self.work = work
        self._number = number
        self.spent = 0.0
        """Steps of work done for it, except in turns that it had for being the oldest."""
        self.is_over = False

    def __lt__(self, other: "_Check") -> bool:
        # The check with the least work so far goes on: an odd request that takes long does not delay ordinary ones.
        return (self.spent, self._number) < (other.spent, other._number)


class Checks:
    """The checks of all groups, under way or still to be begun."""

    def __init__(self, packers: Mapping[str, Packer], groups: Sequence[RequestGroup] = ()) -> None:
        """Begin with no check under way.

        Args:
            packers: the machines, by name.
            groups: groups that wait already, to be checked when there is time.
        """
        self._packers = packers
        self._waiting = _halving(list(groups))
        self._under_way: list[_Check] = []
        """A heap of the checks that are not over."""
        self._oldest: deque[_Check] = deque()
        """The same checks in the order in which they were begun, and some that are over."""
        self._turns = 0
        self._begun = 0
        """How many checks have been begun so far."""
        self.pending = bool(groups)
        """Whether there may be more to check."""

    def begin(self, group: RequestGroup) -> bool:
        """Begin to check a group; return whether the result is known already."""
        suitable = self._suitable(group.request)
        if suitable and all(packer.wishes.is_known_to_meet(group.request) for packer in suitable):
            group.options = [Option(packer, group.request) for packer in suitable]
            return True
        self._begin(group)
        return False

    def _begin(self, group: RequestGroup) -> None:
        self._begun += 1
        self.pending = True
        check = _Check(group, self._begun, self._options(group.request))
        heappush(self._under_way, check)
        self._oldest.append(check)

    def stop(self) -> None:
        """Drop all checks: no job waits."""
        self._under_way.clear()
        self._oldest.clear()
        self._waiting = iter(())
        self.pending = False

    def go_on(self, allowance: Allowance) -> Iterator[RequestGroup]:
        """Go on with the checks, and yield the groups whose check is over, with their options."""
        while allowance.left > 0:
            # Jobs that come now are checked before those that waited already when the machines changed: most of these
            # must wait in any case.
            if not self._under_way or self._under_way[0].spent:
                waiting = next(self._waiting, None)
                if waiting is not None:
                    self._begin(waiting)
                elif not self._under_way:
                    self.pending = False
                    return
            check = self._whose_turn()
            if not check.group.alike:
                self._end(check)
                continue
            turn = Allowance(_TURN_STEPS)
            done = turn.do(check.work)
            spent = _TURN_STEPS - turn.left
            allowance.left -= spent + 1
            if done is not None:
                self._end(check)
                (check.group.options,) = done
                yield check.group
            elif check is self._under_way[0]:
                check.spent += spent
                heapreplace(self._under_way, check)

    def _whose_turn(self) -> _Check:
        self._turns += 1
        if self._turns % _TURNS_PER_OLDEST:
            return self._under_way[0]
        while self._oldest[0].is_over:
            self._oldest.popleft()
        return self._oldest[0]

    def _end(self, check: _Check) -> None:
        check.is_over = True
        if check is self._under_way[0]:
            heappop(self._under_way)
        else:
            self._under_way.remove(check)
            heapify(self._under_way)

    def _options(self, request: JobRequest) -> Steps[list[Option]]:
        options: list[Option] = []
        for packer in self._suitable(request):
            could = yield from packer.wishes.could_meet(request)
            options += [Option(packer, request)] * could
        return options

    def _suitable(self, request: JobRequest) -> list[Packer]:
        if request.machine is not None:
            packer = self._packers.get(request.machine)
            return [] if packer is None else [packer]
        return [packer for packer in self._packers.values() if request.tags <= packer.machine.tags]

    def refusal(self, request: JobRequest) -> str:
        """Return as a sentence why no machine can ever meet a request."""
        suitable = self._suitable(request)
        if request.machine is not None and not suitable:
            names = ", ".join(self._packers) or "none"
            return f"There is no machine named {request.machine!r}; there are: {names}."
        if not suitable:
            tags = ", ".join(sorted(request.tags))
            return f"No machine has all of the tags {tags}."
        reasons = "; ".join(_why_not(packer.machine, request) for packer in suitable)
        return f"{_in_words(request)} can never be allocated: {reasons}."


def _in_words(request: JobRequest) -> str:
    """Return what a request asks for, as the beginning of a sentence."""
    match request.shape:
        case AnyBoard():
            return "A board"
        case BoardAt(board):
            return f"Board {board}"
        case Boards(count):
            boards = counted(count, "board")
            return f"A torus of {boards}" if request.require_torus else f"A rectangle with {boards}"
        case Rectangle(size):
            return f"A {'torus' if request.require_torus else 'rectangle'} of {size} triads"
        case RectangleAt(origin, size):
            return f"The rectangle of {size} triads at board {origin}"


def _why_not(machine: Machine, request: JobRequest) -> str:
    """Return why a machine can never meet a request, as a clause that names the machine."""
    name, size = machine.name, machine.size
    match request.shape:
        case AnyBoard():
            return f"{name} has no live board"
        case BoardAt(board):
            return f"on {name} it is dead" if contains(size, board) else f"{name} has only {size} triads"
        case Rectangle(asked) | RectangleAt(_, asked) if not holds(size, asked):
            return f"{name} has only {size} triads"
        case Rectangle(asked) if request.require_torus and asked != size:
            return f"only the whole of {name}, {size} triads, can be a torus"
        case RectangleAt(origin, _) if not contains(size, origin):
            return f"{name} has only {size} triads"
        case Boards(count) if count > size.boards:
            return f"{name} has only {counted(size.boards, 'board')}"
    live = counted(size.boards - len(machine.dead_boards), "live board")
    limits = []
    if isinstance(request.shape, Boards):
        limits.append(f"min_ratio {request.min_ratio:g}")
    if request.max_dead_boards is not None:
        limits.append(f"max_dead_boards {request.max_dead_boards}")
    if request.max_dead_links is not None:
        limits.append(f"max_dead_links {request.max_dead_links}")
    if request.require_torus:
        limits.append("require_torus")
    under = f" ({', '.join(limits)})" if limits else ""
    return f"too few of the {live} of {name} are connected in one rectangle{under}"


def _halving(groups: list[RequestGroup]) -> Iterator[RequestGroup]:
    """Yield the group in the middle by the boards it needs, then those in the middle of each half, and so on.

    A machine that can meet a request can meet it with fewer boards: in this order most results follow from others.
    """
    groups.sort(key=lambda group: group.fewest)
    spans = deque([(0, len(groups))])
    while spans:
        first, last = spans.popleft()
        if first < last:
            middle = (first + last) // 2
            yield groups[middle]
            spans += (first, middle), (middle + 1, last)
