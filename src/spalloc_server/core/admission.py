"""Who may end a job or switch its boards, how many jobs there may be, and the sentences that refuse others.

A job belongs to the account that created it; one that was created without an account, by v1, is told from others by
addresses only. Who may connect at all is decided by the fronts.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from spalloc_client.states import JobState
from spalloc_server.core.askers import Asker
from spalloc_server.core.networks import (
    NO_NAMES,
    NOWHERE,
    Neighbours,
    NetworkNames,
    Networks,
    is_loopback,
    same_host,
)
from spalloc_server.core.refusals import Refusal, Sort
from spalloc_server.core.rights import Right, may, those_with
from spalloc_server.words import counted

if TYPE_CHECKING:
    # For types alone: a configuration is checked without msgspec, which records need.
    from spalloc_server.core.jobs import JobRecord


class Control(Enum):
    """Who may destroy a job and power its boards."""

    ANYONE = "anyone"
    """Everyone who can connect by v1, as with the 2023 server."""
    OWNER = "owner"
    """The host that the job was created from, and administrators."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a site trusts."""

    control: Control = Control.ANYONE
    administrators: Networks = NOWHERE
    """Addresses that may destroy and power every job."""
    accounts: NetworkNames = NO_NAMES
    """As which account clients of v1 in some networks ask, who have no password to log in with."""

    def refusal(self, job: "JobRecord", by: Asker) -> Refusal | None:
        """Return why somebody may not destroy or power `job`, or reach its boards; None if they may."""
        why = self._why_not(job, by)
        return None if why is None else Refusal(why, Sort.FORBIDDEN)

    def _why_not(self, job: "JobRecord", by: Asker) -> str | None:
        login, host = by.login, by.host
        if login is not None:
            if not may(login, Right.USE):
                return f"the account {login.account} may look at jobs, but not change any or reach its boards"
            if is_for(job, by):
                return None
            whose = "an account" if job.account is None else f"the account {login.account}"
            return f"job {job.id} was not created by {whose}"
        if host in self.administrators:
            return None
        if job.account is not None:
            return (
                f"job {job.id} belongs to an account: only this account and administrators may destroy it, switch its "
                "boards or extend it; log in to the account over HTTPS"
            )
        if self.control is Control.ANYONE or same_host(host, job.owner_host):
            return None
        return (
            f"job {job.id} was created from {job.owner_host or 'a host that is not known'}, and this server lets "
            f"only that host and administrators destroy a job or switch its boards; this is {host or 'unknown'}"
        )

    def keeps_alive(self, job: "JobRecord", by: Asker) -> bool:
        """Return whether a message of somebody keeps a job alive; by v1, everybody's does but for jobs of accounts."""
        if by.login is not None:
            return may(by.login, Right.USE) and is_for(job, by)
        return job.account is None or by.host in self.administrators


def is_for(job: "JobRecord", by: Asker) -> bool:
    """Return whether somebody who has logged in may see all of a job, and use it unless they may only look."""
    login = by.login
    if login is None:
        return False
    if may(login, Right.USE_ALL):
        return True
    if job.account is None:
        # Behind a proxy that is not named, everybody comes from this computer.
        return by.host == job.owner_host and not is_loopback(by.host)
    return job.account == login.account


def owner_refusal(owner: str | None, by: Asker) -> str | None:
    """Return why somebody may not create a job of this owner, or None if they may.

    Clients of v1 name their owner themselves, and nobody can tell whether it is they.
    """
    login = by.login
    if login is None or login.is_by_network or owner in (None, login.account) or may(login, Right.NAME_OWNER):
        return None
    return (
        f"only {those_with(Right.NAME_OWNER)} can specify another owner; the owner of this job is the account that "
        f"creates it, {login.account}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """How many live jobs there may be, each limit 1 or more; when a limit is lowered, live jobs stay."""

    live: int = 50_000
    """Jobs in all, queued ones and those with boards."""
    queued: int = 20_000
    """Jobs that wait for boards."""
    of_one_owner: int = 15_000
    """Live jobs of one owner."""
    from_one_host: int = 15_000
    """Live jobs created from one address, or from one network of IPv6 (`networks.py`), or by one account."""
    queued_from_one_host: int = 1_000
    """The queued jobs among these: each may cost time with every change."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("live", "queued", "of_one_owner", "from_one_host", "queued_from_one_host"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")


class Headcount:
    """How many live jobs there are, by owner, and by host or account.

    Addresses of one network count as one (`networks.py`).
    """

    def __init__(self, neighbours: Neighbours) -> None:
        """Begin with none; `neighbours` says which addresses count as one."""
        self._neighbours = neighbours
        self._counted: dict[int, tuple[str, str, bool]] = {}
        """As what each live job is counted: its owner, its source (`source_of`), and whether it is queued."""
        self._queued = 0
        self._of_owner: Counter[str] = Counter()
        self._from_host: Counter[str] = Counter()
        self._queued_from_host: Counter[str] = Counter()

    def note(self, record: "JobRecord") -> None:
        """Count a job as it is now; one that has ended no longer counts."""
        state = record.state
        before = self._counted.pop(record.id, None)
        if state is JobState.destroyed:
            now = None
        else:
            now = self._counted[record.id] = record.owner, record.source, state is JobState.queued
        if now == before:
            return
        if before is not None:
            self._count(*before, -1)
        if now is not None:
            self._count(*now, 1)

    def _count(self, owner: str, source: str, queued: bool, change: int) -> None:
        neighbours = self._neighbours.of(source)
        _add(self._of_owner, owner, change)
        _add(self._from_host, neighbours, change)
        if queued:
            self._queued += change
            _add(self._queued_from_host, neighbours, change)

    def recount(self) -> None:
        """Count again, after the rule for neighbours has changed."""
        self._from_host.clear()
        self._queued_from_host.clear()
        # By source first, as there are few with many jobs.
        jobs = Counter((source, queued) for _, source, queued in self._counted.values())
        for (source, queued), count in jobs.items():
            neighbours = self._neighbours.of(source)
            _add(self._from_host, neighbours, count)
            if queued:
                _add(self._queued_from_host, neighbours, count)

    def refusal(self, limits: JobLimits, owner: str, source: str) -> Refusal | None:
        """Return why another job may not be created, or None if it may.

        Args:
            limits: The limits to apply.
            owner: The owner of the new job.
            source: As whom the client is counted (`source_of`).
        """
        neighbours = self._neighbours.of(source)
        for count, setting, limit, of_whom in (
            (
                self._queued_from_host.get(neighbours, 0),
                "queued_from_one_host",
                limits.queued_from_one_host,
                "created from {here} waiting for boards",
            ),
            (
                self._from_host.get(neighbours, 0),
                "from_one_host",
                limits.from_one_host,
                "created from {here}",
            ),
            (self._of_owner.get(owner, 0), "of_one_owner", limits.of_one_owner, "of the owner {owner!r}"),
            (self._queued, "queued", limits.queued, "waiting for boards"),
            (len(self._counted), "live", limits.live, "here"),
        ):
            if count >= limit:
                is_or_are = "is" if count == 1 else "are"
                those = of_whom.format(here=neighbours or "this host", owner=owner[:60])
                return Refusal(
                    f"there {is_or_are} {counted(count, 'job')} {those}, and this server allows {limit} (its setting "
                    f"jobs.{setting}); destroy some, or try again when some have ended",
                    Sort.CROWDED,
                )
        return None


def _add(counter: Counter[str], name: str, change: int) -> None:
    # `counter[name] += change` is slow for names that a Counter does not have.
    count = counter.get(name, 0) + change
    if count:
        counter[name] = count
    else:
        del counter[name]
