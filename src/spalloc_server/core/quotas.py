"""How many jobs there may be, and the sentence for whoever wants one more.

Counts are kept in site.py's events; what one connection may take is the fronts' subject.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.networks import Groups
from spalloc_server.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """How many jobs may live at once, each limit 1 or more; those that live already when one is lowered stay."""

    live: int = 50_000
    """Jobs in all, queued ones and those with boards."""
    queued: int = 20_000
    """Jobs that wait for boards."""
    of_one_owner: int = 15_000
    """Live jobs of one owner."""
    from_one_host: int = 15_000
    """Live jobs created from one address, or from one network of IPv6 (`networks.py`)."""
    queued_from_one_host: int = 1_000
    """Those of them that wait for boards: each may cost the others a look at every change."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("live", "queued", "of_one_owner", "from_one_host", "queued_from_one_host"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")


class Headcount:
    """How many live jobs there are, of whom and from where.

    Addresses of one network count as one (`networks.py`).
    """

    def __init__(self, groups: Groups) -> None:
        """Begin with none; `groups` says which addresses count as one."""
        self._groups = groups
        self._live = self._queued = 0
        self._of_owner: Counter[str] = Counter()
        self._from_host: Counter[str] = Counter()
        self._queued_from_host: Counter[str] = Counter()

    def add(self, record: JobRecord) -> None:
        """Count a job that has come, and waits."""
        self._live += 1
        _count(self._of_owner, record.owner, 1)
        _count(self._from_host, self._groups.of(record.owner_host), 1)
        self.lose_boards(record)

    def remove(self, record: JobRecord) -> None:
        """Count a job no more, which has ended and has no boards."""
        self._live -= 1
        _count(self._of_owner, record.owner, -1)
        _count(self._from_host, self._groups.of(record.owner_host), -1)
        self.get_boards(record)

    def get_boards(self, record: JobRecord) -> None:
        """Note that a job waits no more."""
        self._queued -= 1
        _count(self._queued_from_host, self._groups.of(record.owner_host), -1)

    def lose_boards(self, record: JobRecord) -> None:
        """Note that a job waits again."""
        self._queued += 1
        _count(self._queued_from_host, self._groups.of(record.owner_host), 1)

    def regroup(self, jobs: Iterable[tuple[str, bool]]) -> None:
        """Count again, after the rule for grouping addresses has changed.

        Args:
            jobs: Where each job was created from, and whether it waits.
        """
        self._from_host.clear()
        self._queued_from_host.clear()
        # By host first: of many jobs, few hosts.
        for (host, waits), count in Counter(jobs).items():
            group = self._groups.of(host)
            _count(self._from_host, group, count)
            if waits:
                _count(self._queued_from_host, group, count)

    def refusal(self, limits: JobLimits, owner: str, host: str) -> str | None:
        """Return why no job more is taken from `owner` at `host`, or None if one is.

        Args:
            limits: What is allowed.
            owner: Whose job it would be.
            host: Where it would come from.
        """
        group = self._groups.of(host)
        for count, setting, limit, of_whom in (
            (
                self._queued_from_host.get(group, 0),
                "queued_from_one_host",
                limits.queued_from_one_host,
                "created from {here} waiting for boards",
            ),
            (self._from_host.get(group, 0), "from_one_host", limits.from_one_host, "created from {here}"),
            (self._of_owner.get(owner, 0), "of_one_owner", limits.of_one_owner, "of the owner {owner!r}"),
            (self._queued, "queued", limits.queued, "waiting for boards"),
            (self._live, "live", limits.live, "here"),
        ):
            if count >= limit:
                is_or_are = "is" if count == 1 else "are"
                those = of_whom.format(here=group or "this host", owner=owner[:60])
                return (
                    f"there {is_or_are} {counted(count, 'job')} {those}, and this server allows {limit} (its setting "
                    f"jobs.{setting}); destroy some, or try again when some have ended"
                )
        return None


def _count(counter: Counter[str], name: str, change: int) -> None:
    # Not as `counter[name] += change`: a Counter is slow with names that it does not have.
    count = counter.get(name, 0) + change
    if count:
        counter[name] = count
    else:
        del counter[name]
