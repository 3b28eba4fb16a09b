"""By how much a job is moved in the order of the queue: fair share between people, and priorities.

A job stands later in the order than it came by the time that the whole site would need for what its owner's jobs have
used lately and for those of them that already wait. This is decided once, when the job comes, and recorded with it: a
restart or a move to other boards changes nothing. Which job starts when is decided in scheduler.py.

**Whose.** Without accounts, anybody can give any owner's name. So both the owner and the host that the job comes from
are counted, and the one that has used more decides: whoever invents owners shares the part of one host. Hosts that many
people share are to be named by the administrator; there, only owners are counted. A job of an account is counted for
that instead of the host.

**Groups.** Where groups share as well, a job also stands back by what its group has used. That is added to what its
owner's jobs have: so groups go in turns, and within a group the people.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, log, log2
from typing import NamedTuple

from spalloc_server.core.effects import Share
from spalloc_server.core.limits import began_before
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.share_rules import ShareRules
from spalloc_server.core.timekeeping import Moment

WAITING_WEIGHT = 4.0
"""How much more a board-second counts that somebody's waiting jobs are expected to use than one that was used."""
MOST_REMEMBERED = 1000
"""Of how many people and hosts without jobs it is remembered what they used; those that used least are forgotten."""
_FORGOTTEN_AT_ONCE = 100
_APART = 0.001
"""By how many seconds a job stands behind the one before, so that no rounding puts it before that."""
_LN_2 = log(2.0)
_GROUP = "group "


class Asking(NamedTuple):
    """A job, as far as it counts here."""

    job: int
    owner: str
    host: str
    """The address that it came from."""
    tags: frozenset[str]
    """The tags that it asks for."""
    since: float
    """When it came, in the core's time."""
    work: float
    """The board-seconds that it is expected to use."""
    account: str | None = None
    """The account that created it; None for a client without one."""
    group: str | None = None
    """The group that is charged for it; None for none."""


@dataclass(slots=True)
class _Party:
    """What one owner, host, account or group has used, and what its jobs want."""

    is_group: bool

    used: float
    """Board-seconds as of `at`, where older ones count less."""
    at: float
    """In the core's time."""
    boards: int = 0
    """How many its jobs have."""
    waiting: float = 0.0
    """The board-seconds that its waiting jobs are expected to use."""
    jobs: int = 0
    """How many of its jobs wait or have boards."""
    line: list[tuple[float, int]] = field(default_factory=list)
    """Its waiting jobs in order: where each stands but for priorities, and its ID."""

    def settle(self, now: float, half_life: float) -> None:
        """Count what its jobs have used since `at`."""
        seconds = now - self.at
        if seconds > 0:
            left = 2.0 ** (-seconds / half_life)
            self.used = self.used * left + self.boards * (1.0 - left) * half_life / _LN_2
            self.at = now


@dataclass(slots=True)
class _Counted:
    """As what a live job is counted."""

    parties: tuple[_Party, ...]
    names: tuple[str, ...]
    work: float
    order: float = 0.0
    """Where it stands in the order, before priorities."""
    boards: int = 0
    """How many it has; 0 while it waits."""


class Shares:
    """What owners, hosts, accounts and groups have used lately and still want, and by how much a new job is moved."""

    def __init__(self, neighbours: Neighbours) -> None:
        """Begin with nothing used; `neighbours` says which addresses count as one host."""
        self._neighbours = neighbours
        self._rules = ShareRules()
        self.move_any = False
        """Whether any job can be moved by the rules."""
        self._parties: dict[str, _Party] = {}
        self._jobs: dict[int, _Counted] = {}
        self._idle: dict[str, None] = {}
        """Those without jobs."""
        self._news: dict[str, None] = {}
        """Whose records are to be written or removed."""

    @property
    def rules(self) -> ShareRules:
        """By which rules jobs are moved."""
        return self._rules

    def follow(self, rules: ShareRules, now: float) -> bool:
        """Change the rules; jobs that wait stay where they are.

        Returns:
            whether the live jobs must be counted from now on: see `has` and `waits`.
        """
        before, self._rules = self._rules, rules
        self.move_any = rules.move_any
        for party in self._parties.values():
            party.settle(now, before.half_life)
        if not rules.enabled:
            self._parties, self._jobs, self._idle, self._news = {}, {}, {}, {}
        return rules.enabled and not before.enabled

    # Jobs

    def moved_back(self, job: Asking, boards: int, now: float) -> float:
        """Count a new job, and return by how many seconds it stands later in the order than it came.

        It is less than 0 for a job that stands earlier. Priorities aside, the jobs of one owner or host keep their
        order: none stands before another that came earlier and still waits.

        Args:
            job: The job.
            boards: How many boards the site has.
            now: The core's time.
        """
        rules = self._rules
        moved = 0.0
        if rules.enabled:
            counted = self._count(job, now)
            of_group = last = 0.0
            for party in counted.parties:
                party.settle(now, rules.half_life)
                wanted = (party.used + WAITING_WEIGHT * max(0.0, party.waiting)) / max(1, boards)
                if party.is_group:
                    of_group = wanted
                    continue
                moved = max(moved, wanted)
                if party.line:
                    last = max(last, party.line[-1][0] + _APART - job.since)
            moved = min(max(moved + of_group, last), rules.most_moved)
            self._line_up(job.job, counted, job.since + moved)
        return rules.within(moved - self._priority(job))

    def waits(self, job: Asking, moved_back: float, now: float) -> None:
        """Count a job that waits already."""
        if self._rules.enabled:
            moved = moved_back + self._priority(job)
            self._line_up(job.job, self._count(job, now), job.since + moved)

    def has(self, job: Asking, moved_back: float, boards: int, began: float) -> None:
        """Count a job that has had boards since `began` (the core's time); jobs come here in the order of that."""
        if self._rules.enabled:
            counted = self._count(job, began)
            counted.order = job.since + moved_back + self._priority(job)
            self._run(counted, boards, began)

    def _priority(self, job: Asking) -> float:
        return self._rules.priority(job.owner, job.tags, job.account, job.group)

    def begin(self, job: int, boards: int, now: float) -> None:
        """Note that a job has got boards."""
        counted = self._jobs.get(job)
        if counted is not None:
            self._leave_line(job, counted)
            self._run(counted, boards, now)

    def lose(self, job: int, now: float) -> None:
        """Note that a job has lost its boards, and waits again where it stood before."""
        counted = self._jobs.get(job)
        if counted is not None:
            self._stop(counted, now)
            self._line_up(job, counted, counted.order)

    def end(self, job: int, now: float) -> None:
        """Note that a job has ended, whether it had boards or not."""
        counted = self._jobs.pop(job, None)
        if counted is None:
            return
        if counted.boards:
            self._stop(counted, now)
            self._news.update(dict.fromkeys(counted.names))
        else:
            self._leave_line(job, counted)
        for name, party in zip(counted.names, counted.parties, strict=True):
            party.jobs -= 1
            if not party.jobs:
                self._idle[name] = None
        if len(self._idle) >= MOST_REMEMBERED + _FORGOTTEN_AT_ONCE:
            self._forget()

    def _line_up(self, job: int, counted: _Counted, order: float) -> None:
        counted.order = order
        for party in counted.parties:
            party.waiting += counted.work
            insort(party.line, (order, job))

    def _leave_line(self, job: int, counted: _Counted) -> None:
        for party in counted.parties:
            del party.line[bisect_left(party.line, (counted.order, job))]
            party.waiting = party.waiting - counted.work if party.line else 0.0

    def _run(self, counted: _Counted, boards: int, now: float) -> None:
        counted.boards = boards
        for party in counted.parties:
            party.settle(now, self._rules.half_life)
            party.boards += boards

    def _stop(self, counted: _Counted, now: float) -> None:
        for party in counted.parties:
            party.settle(now, self._rules.half_life)
            party.boards -= counted.boards
        counted.boards = 0

    # Whose

    def _count(self, job: Asking, now: float) -> _Counted:
        """Count a job for its owner, for its account or host unless many people share that, and for its group."""
        rules, names = self._rules, [f"owner {job.owner}"]
        if job.account is not None:
            if job.account not in rules.shared_accounts:
                names.append(f"account {job.account}")
        elif job.host not in rules.shared_hosts:
            names.append(f"host {self._neighbours.of(job.host)}")
        if rules.groups and job.group is not None:
            names.append(f"{_GROUP}{job.group}")
        for name in names:
            if name not in self._parties:
                self._parties[name] = _party(name, 0.0, now)
        parties = tuple([self._parties[name] for name in names])
        for name, party in zip(names, parties, strict=True):
            party.jobs += 1
            self._idle.pop(name, None)
        counted = self._jobs[job.job] = _Counted(parties, tuple(names), job.work)
        return counted

    def _forget(self) -> None:
        """Forget those without jobs that have used least."""
        half_life = self._rules.half_life

        def amount(name: str) -> float:
            party = self._parties[name]
            return log2(party.used) + party.at / half_life if party.used > 0 else -inf

        for name in sorted(self._idle, key=amount)[: len(self._idle) - MOST_REMEMBERED]:
            del self._parties[name], self._idle[name]
            self._news[name] = None

    # Records

    def recall(self, shares: Mapping[str, Share | None], latest: float | None, at: Moment) -> None:
        """Continue from records, before any job is counted.

        Args:
            shares: What was recorded.
            latest: The latest time in the records, in seconds of Unix time; None if there is none.
            at: Now.
        """
        if self._rules.enabled:
            for name, share in shares.items():
                if share is not None:
                    self._parties[name] = _party(name, share.used, began_before(share.at, latest, at))
                    self._idle[name] = None

    def take_news(self, at: Moment) -> dict[str, Share | None]:
        """Return what is to be recorded since the last time; None removes a record."""
        if not self._news:
            return {}
        news, self._news = self._news, {}
        found = [(name, self._parties.get(name)) for name in news]
        return {
            name: None if party is None else Share(party.used, at.wall - (at.now - party.at))
            for name, party in found
        }


def _party(name: str, used: float, at: float) -> _Party:
    return _Party(name.startswith(_GROUP), used, at)
