"""Quotas: what the jobs of groups use while they run, when nothing is left, and which jobs end then.

A job uses a board-second a second for each board, from the allocation of its boards until it gives them back. What
ended allocations have cost is in the records of groups (groups.py), written together with the jobs'; what runs is added
here. So whenever a server is killed, a quota is what the history of allocations says.

All sums are whole numbers of board-microseconds: however many jobs come and go, nothing is rounded away.
"""

from dataclasses import dataclass, field
from itertools import islice
from math import inf

from spalloc_server.core.endings import Ending, Endings
from spalloc_server.core.groups import Group, GroupRules, Groups, of_boards
from spalloc_server.core.timekeeping import Timers

CAUSE = "quota"
"""What `Endings` calls the ending of a job by the quota of its group."""
SPENT_BELOW = 1.0
"""With less than this many board-seconds left, nothing is: no job is worth starting for them."""
ENDED_AT_ONCE = 200
"""How many waiting jobs end in one go; it takes a few milliseconds."""
MANY_JOBS = 200
"""If more jobs with boards than this are near their end, they are told at most once in `TOLD_AGAIN_SECONDS` that it has
moved: for thousands it takes a tenth of a second."""
TOLD_AGAIN_SECONDS = 1.0
OLD_TIMERS = 64
"""How many timers of groups may remain that are out of date, beyond the number of groups with jobs."""
_REASON = "The quota of group "
_MICRO = 1_000_000


@dataclass(slots=True)
class _Use:
    """The live jobs that are charged to one group."""

    waiting: dict[int, None] = field(default_factory=dict)
    """Jobs without boards."""
    running: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Jobs with boards: how many, and when they were allocated, in microseconds of the core's time."""
    rate: int = 0
    """The boards of all these."""
    offset: int = 0
    """The sum of boards times when they were allocated."""
    told_from: float = -inf
    """The first moment at which their users could be told of their end, in the core's time."""
    is_near: bool = False
    """Whether they are told of it."""
    told: float = -inf
    """When they were told last."""
    end: float = inf
    """The end of which they were told last."""
    timer: float = inf
    """When it is to be looked at next."""

    def stop(self, job: int) -> None:
        """Note that a job has no boards."""
        boards, since = self.running.pop(job, (0, 0))
        self.rate -= boards
        self.offset -= boards * since


class QuotasView:
    """What is used and left of quotas, read-only."""

    def __init__(self, groups: Groups) -> None:
        """Begin without jobs; `groups` has the quotas."""
        self._groups = groups
        self._uses: dict[str, _Use] = {}
        self._group_of: dict[int, str] = {}
        """The group of each live job that is charged to one."""
        self.rules = GroupRules()
        """What holds for all groups."""

    def jobs_of(self, group: str) -> list[int]:
        """Return the live jobs that are charged to a group, those with boards first."""
        use = self._uses.get(group)
        return [] if use is None else [*use.running, *use.waiting]

    def used(self, group: Group, now: float) -> float:
        """Return the board-seconds that a group has used, those of jobs with boards until now included."""
        use = self._uses.get(group.name)
        if use is None:
            return group.used
        return group.used + (use.rate * round(now * _MICRO) - use.offset) / _MICRO

    def left(self, group: Group, now: float) -> float | None:
        """Return the board-seconds that a group may still use, below 0 if it has used more; None for no limit."""
        return None if group.quota is None else group.quota - self.used(group, now)

    def refusal(self, name: str, now: float) -> str | None:
        """Return why no other job can be charged to a group, or None if one can."""
        group = self._groups.by_name.get(name)
        if group is None or not self._is_spent(group, now):
            return None
        used, quota = of_boards(self.used(group, now)), of_boards(group.quota or 0.0)
        return (
            f"group {name} has used {used} of its quota of {quota}; ask an administrator for more, or have another "
            "group charged"
        )

    def _is_spent(self, group: Group, now: float) -> bool:
        left = self.left(group, now)
        return left is not None and left < SPENT_BELOW

    def ending(self, job: int) -> Ending | None:
        """Return when and why the quota ends a job with boards, if no others come or go; None if it does not."""
        name = self._group_of.get(job)
        use = None if name is None else self._uses[name]
        group = None if name is None else self._groups.by_name.get(name)
        if use is None or group is None or job not in use.running:
            return None
        end = self._end(group, use)
        return None if end == inf else Ending(end, _why(group), near=end - self.rules.quota_warning)

    def _end(self, group: Group, use: _Use) -> float:
        """Return when nothing is left for a group's jobs with boards, in the core's time; infinity for never."""
        if group.quota is None or not use.rate:
            return inf
        at_last = (round((group.quota - group.used) * _MICRO) + use.offset) / use.rate / _MICRO
        return max(at_last, use.told_from + self.rules.quota_warning)


class Quotas(QuotasView):
    """What the live jobs of each group use, and when they have to end."""

    def __init__(self, groups: Groups, endings: Endings) -> None:
        """Begin without jobs.

        Args:
            groups: Has the quotas.
            endings: Ends jobs with boards, and tells their users before.
        """
        super().__init__(groups)
        self._endings = endings
        self._changed: dict[str, None] = {}
        """Groups whose jobs may have to end at another moment than was found last."""
        self._timers: Timers[str] = Timers()
        """When groups are to be looked at, because their end comes near."""

    # Jobs

    def wait(self, job: int, group: str | None) -> None:
        """Note that a new job waits for boards; nothing happens if no group is charged for it."""
        if group is not None:
            self._group_of[job] = group
            use = self._uses.get(group)
            if use is None:
                use = self._uses[group] = _Use()
            # Nothing has changed for others, and it would have been refused if nothing were left.
            use.waiting[job] = None

    def lose(self, job: int, now: float) -> None:
        """Note that a job has lost its boards, and waits for others."""
        group = self._group_of.get(job)
        if group is not None:
            self._uses[group].stop(job)
            self._uses[group].waiting[job] = None
            self._changed[group] = None
            self._endings.expect(job, CAUSE, None, now)

    def begin(self, job: int, boards: int, began: float) -> None:
        """Note when a job's boards were allocated, in the core's time; nothing happens if no group is charged."""
        group = self._group_of.get(job)
        if group is None:
            return
        use = self._uses[group]
        if job in use.waiting:
            # Whoever begins to use more after a start gets no time for that, and those who share the quota lose theirs.
            use.told_from = -inf
            del use.waiting[job]
        use.stop(job)
        since = round(began * _MICRO)
        use.running[job] = boards, since
        use.rate += boards
        use.offset += boards * since
        self._changed[group] = None

    def end(self, job: int) -> None:
        """Note that a job has ended."""
        group = self._group_of.pop(job, None)
        if group is None:
            return
        use = self._uses[group]
        use.stop(job)
        use.waiting.pop(job, None)
        if use.is_near:
            # Otherwise the end is further off than it was, which is seen when it is looked at next.
            self._changed[group] = None
        if not (use.running or use.waiting):
            del self._uses[group]

    # Quotas and rules

    def change(self, group: str) -> None:
        """Note that a group has another quota: it counts at once, also if users could not be told before."""
        use = self._uses.get(group)
        if use is not None:
            use.told_from = -inf
            self._changed[group] = None

    def follow_rules(self, rules: GroupRules) -> None:
        """Replace what holds for all groups."""
        self.rules = rules
        self._changed.update(dict.fromkeys(self._uses))

    def recalled(self, now: float) -> None:
        """Note that all jobs were taken up at a start: their users could not be told before this moment."""
        for name, use in self._uses.items():
            use.told_from = now
            self._changed[name] = None

    # What follows

    def follow(self, now: float) -> list[tuple[int, str]]:
        """Have jobs with boards end when nothing is left; return waiting jobs that must end now, with the reason.

        There may be more of these: `next` says so.
        """
        for name in self._timers.due(now):
            if name in self._uses and self._uses[name].timer <= now:
                self._uses[name].timer = inf
                self._changed[name] = None
        if not self._changed:
            return []
        changed, self._changed = self._changed, {}
        over: list[tuple[int, str]] = []
        for name in changed:
            group, use = self._groups.by_name.get(name), self._uses.get(name)
            if use is None or group is None:
                continue
            self._look(group, use, now)
            if use.waiting and self._is_spent(group, now):
                most = ENDED_AT_ONCE - len(over)
                over += [(job, _why(group)) for job in islice(use.waiting, most)]
                self._changed[name] = None
        return over

    def _look(self, group: Group, use: _Use, now: float) -> None:
        """Have a group's jobs with boards end when nothing is left of its quota; if that is far, look again before."""
        end = self._end(group, use)
        near = end - self.rules.quota_warning
        was_near, is_near = use.is_near, now >= near
        if was_near or is_near:
            soonest, again = min(end, use.end), use.told + TOLD_AGAIN_SECONDS
            if len(use.running) > MANY_JOBS and now < again < soonest - TOLD_AGAIN_SECONDS:
                self._look_at(group, use, again)
                return
            use.is_near, use.told, use.end = is_near, now, end
            ending = Ending(end, _why(group), near) if is_near else None
            for job in use.running:
                self._endings.expect(job, CAUSE, ending, now)
        if now < near:
            self._look_at(group, use, near)

    def _look_at(self, group: Group, use: _Use, when: float) -> None:
        """Have a group looked at no later than at a time."""
        if use.timer <= when:
            return
        use.timer = when
        self._timers.add(when, group.name)
        if len(self._timers) > 2 * len(self._uses) + OLD_TIMERS:
            self._timers.keep(lambda _: False)
            for name, one in self._uses.items():
                if one.timer < inf:
                    self._timers.add(one.timer, name)

    def next(self) -> float | None:
        """Return when `follow` has something to do, or None."""
        return -inf if self._changed else self._timers.next()


def _why(group: Group) -> str:
    """Return the reason of a job that ends because nothing of its group's quota is left."""
    return (
        f"{_REASON}{group.name} is used up: {of_boards(group.quota or 0.0)}. Ask an administrator for more, or have "
        "another group charged."
    )


def is_of_quota(reason: str | None) -> bool:
    """Return whether a job that the server ended with this reason was ended by a quota."""
    return reason is not None and reason.startswith(_REASON)
