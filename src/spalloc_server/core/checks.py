"""On which machines jobs may run: found out for each group of jobs that ask for the same, a little at a time.

Where they run, and when, is the scheduler's subject.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.packing.reasons import in_words, why_not
from spalloc_server.core.packing.steps import Allowance, Steps
from spalloc_server.core.request_groups import Option, RequestGroup
from spalloc_server.core.requests import JobRequest

_CHECK_STEPS = 16
"""How long one request is checked before others that have been checked for less have their turn."""
_TURNS_AN_OLDEST = 4
"""Of so many turns, one is the oldest check's: it comes to an end, however many come that have had fewer."""


class _Check:
    """Finding out on which machines jobs of one group may run."""

    def __init__(self, group: RequestGroup, number: int, work: Steps[list[Option]]) -> None:
        self.group = group
        self.work = work
        self._number = number
        self.spent = 0.0
        """Steps that were taken for it in turns that it had for having had least."""
        self.is_over = False

    def __lt__(self, other: "_Check") -> bool:
        # Who has had least goes on: an odd request that takes long delays nobody's that takes as long as most do.
        return (self.spent, self._number) < (other.spent, other._number)


class Checks:
    """The checks of all groups, under way or still to be begun."""

    def __init__(self, packers: Mapping[str, Packer], groups: Sequence[RequestGroup] = ()) -> None:
        """Begin with no checks.

        Args:
            packers: the machines, by name.
            groups: groups that have waited before, and are to be checked when there is time.
        """
        self._packers = packers
        self._waiting = _halving(list(groups))
        self._under_way: list[_Check] = []
        """A heap."""
        self._oldest: deque[_Check] = deque()
        """The same in the order in which they were begun, with some that are over."""
        self._turns = 0
        self._begun = 0
        """How many checks have been begun so far."""
        self.pending = bool(groups)
        """Whether there may be more to check."""

    def begin(self, group: RequestGroup) -> bool:
        """Begin to find out what a group may run on; return whether all machines know that already."""
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
        """Check nothing that is under way or to be begun: nobody waits."""
        self._under_way.clear()
        self._oldest.clear()
        self._waiting = iter(())
        self.pending = False

    def go_on(self, allowance: Allowance) -> Iterator[RequestGroup]:
        """Yield groups that have been checked, each with its options."""
        while allowance.left > 0:
            # Those who come now are checked before those who waited already when the machines changed, most of whom
            # can wait on.
            if not self._under_way or self._under_way[0].spent:
                waiting = next(self._waiting, None)
                if waiting is not None:
                    self._begin(waiting)
                elif not self._under_way:
                    self.pending = False
                    return
            check = self._whose_turn()
            if not check.group.jobs:
                self._end(check)
                continue
            turn = Allowance(_CHECK_STEPS)
            done = turn.do(check.work)
            spent = _CHECK_STEPS - turn.left
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
        if self._turns % _TURNS_AN_OLDEST:
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
        """Return in words why no machine can meet a request."""
        suitable = self._suitable(request)
        if request.machine is not None and not suitable:
            return f"There is no machine named {request.machine!r}; there are: {_names(self._packers)}."
        if not suitable:
            tags = ", ".join(sorted(request.tags))
            return f"No machine has all of the tags {tags}."
        reasons = "; ".join(why_not(packer.machine, request) for packer in suitable)
        return f"{in_words(request)} can never be had: {reasons}."


def _halving(groups: list[RequestGroup]) -> Iterator[RequestGroup]:
    """Yield the group in the middle by the boards it needs, then those in the middle of each half, and so on.

    A machine that could meet a request could meet it with fewer boards: in this order most answers follow from others.
    """
    groups.sort(key=lambda group: group.fewest)
    spans = deque([(0, len(groups))])
    while spans:
        first, last = spans.popleft()
        if first < last:
            middle = (first + last) // 2
            yield groups[middle]
            spans += (first, middle), (middle + 1, last)


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
