"""The spots that are kept for jobs that have waited long, one on each machine at most: for which jobs, and when.

Where a spot is kept, and when others may use it, is decided in keeping.py, one machine at a time; the rule, as users
are told it, is in scheduler.py.
"""

from collections.abc import Callable, Mapping
from math import inf

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.finding import Finder
from spalloc_server.core.keeping import Keeper
from spalloc_server.core.packing.packer import Expected
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.request_groups import Arrivals, Option, Queued, RequestGroups, Stage, chunks

VAGUE_LIMIT = 86_400.0
"""A time limit of this many seconds, or more, says little."""
PASSED_OVER = 64
"""How many jobs, at most, that have not waited for long may stand before the one for which a spot is kept."""

Start = Callable[[Queued, Allocation], None]
"""Called for a job that starts, with what it gets."""


class KeptSpots:
    """The jobs for which spots are kept."""

    def __init__(
        self,
        keepers: Mapping[str, Keeper],
        queue: Arrivals,
        groups: RequestGroups,
        finder: Finder,
        patience: float,
        patience_with_limit: float,
    ) -> None:
        """Begin with none.

        Args:
            keepers: the machines, by name; changed in place.
            queue: the jobs that wait, and
            groups: what they ask for; both are changed in place.
            finder: finds what jobs get now.
            patience: seconds after which a spot is kept for the job that has waited longest, without a limit.
            patience_with_limit: the same for a job with a time limit; no more than `patience`.
        """
        self.kept_for: dict[int, str] = {}
        """The jobs for which a spot is kept, each with the machine."""
        self.next_look = inf
        """When a spot may be kept though nothing happens until then."""
        self._keepers, self._queue, self._groups = keepers, queue, groups
        self._finder = finder
        self._patience, self._patience_with_limit = patience, patience_with_limit
        self._most_moved = 0.0
        """No job that waits is moved back by more seconds."""

    def came(self, queued: Queued) -> None:
        """Note a job that is about to be queued."""
        self._most_moved = max(queued.moved_back, self._most_moved if self._queue else 0.0)

    def left(self, job: int) -> None:
        """Keep nothing any more for a job that is no longer queued."""
        machine = self.kept_for.pop(job, None)
        if machine is not None:
            self._keepers[machine].drop()
        for keeper in self._keepers.values():
            if keeper.lost is not None and keeper.lost.queued.job == job:
                keeper.lost = None

    def lose(self, machine: str) -> None:
        """Keep nothing on a machine for now: kept boards were set aside. With the next decision, others are kept."""
        self._keepers[machine].lose()
        self.kept_for = {job: name for job, name in self.kept_for.items() if name != machine}

    def when(self, job: int) -> float | None:
        """Return when the spot is expected to be free that is kept for a job; None if none is."""
        machine = self.kept_for.get(job)
        kept = None if machine is None else self._keepers[machine].kept
        return None if kept is None else kept.when

    # Parts of a decision

    def start_jobs(self, start: Start) -> Steps[None]:
        """Start the jobs for which spots are kept, as far as they can start."""
        # In the order of the machines: a restart does not know in which order the spots were kept.
        kept = [keeper.kept.queued.job for keeper in self._keepers.values() if keeper.kept is not None]
        for job in kept:
            yield from self._start_there(job, start)

    def improve(self) -> Steps[None]:
        """Move spots that are late to where they are free sooner, and shut them if it is time."""
        for name, keeper in self._keepers.items():
            yield from self._improve(name, keeper)

    def count_idle(self) -> Steps[None]:
        """Count the boards that are kept idle though a job that waits could use them, where it is time to."""
        for keeper in self._keepers.values():
            if keeper.must_count(self._finder.now):
                yield from self._note_idle(keeper)

    def keep(self, start: Start) -> Steps[None]:
        """Keep a spot on each machine without one, for the first job that has waited long enough and may run there."""
        self.next_look = inf
        if not self._may_keep():
            return
        passed_over = 0
        for some in chunks(list(self._queue)):
            for queued in some:
                came = queued.order[0] - queued.moved_back
                if self._finder.now < came + self._patience_with_limit:
                    self.next_look = min(self.next_look, came + self._patience_with_limit)
                    # Jobs that came earlier may stand behind it, if they were moved.
                    passed_over += 1
                    longest = self._finder.now - queued.order[0] + self._most_moved
                    if longest < self._patience_with_limit or passed_over == PASSED_OVER:
                        return
                    continue
                says_much = (queued.alike.limit or VAGUE_LIMIT) < VAGUE_LIMIT
                if not says_much and self._finder.now < came + self._patience:
                    self.next_look = min(self.next_look, came + self._patience)
                elif queued.job not in self.kept_for and self._queue.has(queued):
                    yield from self._keep_for(queued, start)
                    if not self._may_keep():
                        return
            yield 1

    def _may_keep(self) -> bool:
        """Return whether a spot may be kept on any machine."""
        for keeper in self._keepers.values():
            if keeper.kept is None and keeper.budget.left < 0:
                paid_back = keeper.budget.paid_back(keeper.packer.live_boards)
                self.next_look = min(self.next_look, paid_back)
        return any(keeper.may_keep() for keeper in self._keepers.values())

    def _keep_for(self, queued: Queued, start: Start) -> Steps[None]:
        """Keep the spot for a job that is expected to be free soonest, on a machine where nothing is kept."""
        best: tuple[float, str, Option, Expected] | None = None
        for option in queued.group.options:
            packer = option.packer
            name, aside = packer.machine.name, packer.set_aside_boards
            if not self._keepers[name].may_keep(queued.job) or option.unkeepable_with == aside:
                continue
            wish = yield from option.wish()
            spot = yield from self._keepers[name].soonest(queued, wish, self._finder.now)
            if spot is None:
                option.unkeepable_with = aside
            elif best is None or spot.when < best[0]:
                best = spot.when, name, option, spot
        if best is not None and self._queue.has(queued):
            _, name, option, spot = best
            if self._keepers[name].may_keep(queued.job) and option.packer.is_usable(spot.boards):
                self._keepers[name].keep(queued, spot, self._finder.now)
                self.kept_for[queued.job] = name
                yield from self._start_there(queued.job, start)

    def _start_there(self, job: int, start: Start) -> Steps[None]:
        """Start a job for which a spot is kept, there or elsewhere on that machine, if it can start."""
        name = self.kept_for.get(job)
        if name is None or job not in self._queue:
            return
        queued = self._queue[job]
        option = queued.group.option(self._keepers[name].packer)
        if option is None:
            return
        found = yield from self._finder.find_for_kept(queued, option)
        if found is not None and self._queue.has(queued):
            start(queued, found)

    def _improve(self, name: str, keeper: Keeper) -> Steps[None]:
        group = None if keeper.kept is None else keeper.kept.queued.group
        is_known = group is not None and group.stage is not Stage.UNCHECKED
        if group is not None and is_known and group.option(keeper.packer) is None:
            keeper.drop()  # the job may no longer run here: the machine's tags have changed, for example
        yield from keeper.improve(self._finder.now)
        if keeper.kept is None:
            self.kept_for = {job: other for job, other in self.kept_for.items() if other != name}

    def _note_idle(self, keeper: Keeper) -> Steps[None]:
        packer = keeper.packer
        kept, idle = packer.kept_and_free, 0
        if kept:
            for some in chunks(self._groups.within(packer.opened_boards)):
                for group in some:
                    if group.alike and idle < kept:
                        idle += yield from self._finder.denied(group, packer)
                yield 1
        keeper.keeps_idle(min(kept, idle), self._finder.now)
