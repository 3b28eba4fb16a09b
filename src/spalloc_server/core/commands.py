"""What can be asked of a site that changes it: each command is a value that a front makes of a message.

Commands come in by the engine's `do` only. It first asks whether the client may give the command, and takes the
effects afterwards. See questions.py for questions, which change nothing.
"""

from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, Generic, TypeVar

from spalloc_client.durations import in_words
from spalloc_server.core.accounts import IDLE_SECONDS, Account
from spalloc_server.core.admission import JobLimits, Trust, owner_refusal
from spalloc_server.core.askers import Asker
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.groups import GroupRules, choice_refusal, chosen
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.limits import LimitRules
from spalloc_server.core.refusals import Refusal, Sort
from spalloc_server.core.requests import JobRequest, RequestError
from spalloc_server.core.rights import Right, may
from spalloc_server.core.share_rules import ShareRules
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment

T_co = TypeVar("T_co", covariant=True)

LONGEST_REASON = 1000
"""How many characters of a reason are kept; a longer one is cut, so that a job can always be destroyed."""


class RefusedError(ValueError):
    """A command that is refused; the message is for the client."""

    def __init__(self, why: str) -> None:
        """Refuse it: `why` is a sentence, and may be a `Refusal`."""
        super().__init__(why)
        self.sort = why.sort if isinstance(why, Refusal) else Sort.WRONG


class Command(Generic[T_co]):
    """Something that the site is to do; the result is a `T_co`."""

    __slots__ = ()

    is_lasting: ClassVar[bool] = True
    """Whether it only counts once it is recorded; then it is refused while records can't be written."""

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return why somebody may not give the command, or None if they may."""
        return None

    def apply(self, site: Site, by: Asker, at: Moment) -> T_co:
        """Do it for somebody, and return the result.

        Raises:
            RefusedError: It may not be done at this moment; nothing is changed.
        """
        raise NotImplementedError

    def tells_of(self) -> int | None:
        """Return the job whose record must be on disk before the answer is sent, whoever changed it; or None."""
        return None


@dataclass(frozen=True, slots=True)
class CreateJob(Command[int]):
    """Queue a new job; the result is its ID. A job that can never run is destroyed later, with the reason.

    Raises:
        RequestError: The keepalive or the time limit is not more than 0.
    """

    request: JobRequest
    asked: Asked
    """The arguments as the client gave them."""
    owner: str | None
    """None for the account that creates it."""
    keepalive: float | None
    """Seconds without a message after which the job is destroyed; None for never."""
    time_limit: float | None = None
    """Seconds for which the job may have boards; None for the site's default."""
    group: str | None = None
    """The group that is to be charged; None for the account's default."""

    def __post_init__(self) -> None:
        """Check the times."""
        if self.keepalive is not None and self.keepalive <= 0:
            raise RequestError(
                f"keepalive is {self.keepalive}; it must be more than 0 seconds, or null for no limit"
            )
        if self.time_limit is not None:
            _check_limit(self.time_limit, ", or null for the site's default")

    def refusal(self, site: Site, by: Asker) -> str | None:
        """Return why no other job is allowed, or none of that owner, limit or group; None if it is."""
        login = by.login
        if login is not None and not may(login, Right.USE):
            return Refusal(
                f"the account {login.account} may look at jobs, but not create any", Sort.FORBIDDEN
            )
        refusal = (
            owner_refusal(self.owner, by)
            or site.refusal(self._owner(by), by)
            or site.time_limits.refusal(self.request, self.time_limit)
        )
        if refusal is None and (login or self.group or site.quotas.rules.required):
            refusal = self._group_refusal(site, by)
        return refusal

    def _group_refusal(self, site: Site, by: Asker) -> str | None:
        """Return why no group can be charged for the job, or not the one that is asked for."""
        account, any_group = _account(site, by), may(by.login, Right.NAME_GROUP)
        return choice_refusal(site.groups, site.quotas.rules, account, self.group, any_group=any_group)

    def apply(self, site: Site, by: Asker, at: Moment) -> int:
        """Queue the job.

        Raises:
            RefusedError: Nothing is left of the quota that it would use.
        """
        group = None if by.login is None else chosen(_account(site, by), self.group)
        refusal = None if group is None else site.quotas.refusal(group, at.now)
        if refusal is not None:
            raise RefusedError(refusal)
        return site.create_job(
            self.request,
            self.asked,
            owner=self._owner(by),
            keepalive=self.keepalive,
            by=by,
            at=at,
            time_limit=self.time_limit,
            group=group,
        )

    def _owner(self, by: Asker) -> str:
        return self.owner or ("" if by.login is None else by.login.account)


def _account(site: Site, by: Asker) -> Account | None:
    """Return the account that somebody has logged in to; None for none."""
    return None if by.login is None else site.accounts.by_name.get(by.login.account)


def _check_limit(time_limit: float, otherwise: str = "") -> None:
    if not 0 < time_limit < inf:
        raise RequestError(f"the time limit is {time_limit:g} s; it must be more than 0 seconds{otherwise}")


@dataclass(frozen=True, slots=True)
class DestroyJob(Command[None]):
    """Destroy a job in any state; nothing happens if it isn't live."""

    job: int
    reason: str | None = None
    """The reason, for its owner; cut after `LONGEST_REASON` characters."""

    def refusal(self, site: Site, by: Asker) -> str | None:
        """Return why the client may not destroy the job."""
        return site.access_refusal(self.job, by)

    def apply(self, site: Site, by: Asker, at: Moment) -> None:
        """Destroy the job."""
        reason = self.reason
        if reason is not None and len(reason) > LONGEST_REASON:
            reason = reason[: LONGEST_REASON - 1] + "…"
        site.destroy_job(self.job, reason, at, by=by)

    def tells_of(self) -> int | None:
        """Return the job: if it had just ended, and the server died before that is recorded, it would be live again."""
        return self.job


@dataclass(frozen=True, slots=True)
class ExtendJob(Command[float]):
    """Change the time limit of a live job, to a longer or a shorter one; the result is the new limit.

    Raises:
        RequestError: The limit is not more than 0.
    """

    job: int
    time_limit: float
    """In seconds, counted from when the job got its boards."""

    def __post_init__(self) -> None:
        """Check the limit."""
        _check_limit(self.time_limit)

    def refusal(self, site: Site, by: Asker) -> str | None:
        """Return why the client may not give the job this limit."""
        job = site.jobs.get(self.job)
        if job is None:
            return Refusal(f"job {self.job} is not live, so its time limit can't be changed", Sort.OVER)
        return site.access_refusal(self.job, by) or site.limit_refusal(job, self.time_limit)

    def apply(self, site: Site, by: Asker, at: Moment) -> float:
        """Keep the job alive, and change its limit.

        Raises:
            RefusedError: The job has had its boards for longer than that.
        """
        job = site.jobs[self.job]
        if job.began is not None and at.now >= job.began + self.time_limit:
            raise RefusedError(
                f"job {self.job} has had its boards for {in_words(at.now - job.began)}, and its time limit counts from "
                f"then; give a longer one than {in_words(self.time_limit)}, or destroy the job"
            )
        site.keep_alive(self.job, by, at)
        site.limit_job(job, self.time_limit, at)
        return self.time_limit

    def tells_of(self) -> int | None:
        """Return the job: the limit that it had already may not be on disk yet."""
        return self.job


@dataclass(frozen=True, slots=True)
class SetPower(Command[None]):
    """Switch a job's boards on (or reset them) or off; a job that is not live is ignored."""

    job: int
    on: bool

    def refusal(self, site: Site, by: Asker) -> str | None:
        """Return why the client may not switch the job's boards."""
        return site.access_refusal(self.job, by)

    def apply(self, site: Site, by: Asker, at: Moment) -> None:
        """Keep the job alive, and order its boards to be switched."""
        site.keep_alive(self.job, by, at)
        site.set_power(self.job, on=self.on)


@dataclass(frozen=True, slots=True)
class KeepAlive(Command[JobRecord | None]):
    """Note that somebody still wants a job; the result is its record, or None if it isn't live.

    The answer does not wait for the disk, so that a keepalive counts even while the disk fails.
    """

    is_lasting: ClassVar[bool] = False

    job: int

    def apply(self, site: Site, by: Asker, at: Moment) -> JobRecord | None:
        """Note it and return the record."""
        job = site.keep_alive(self.job, by, at)
        return None if job is None else job.record


@dataclass(frozen=True, slots=True)
class Report(Command[None]):
    """Add a user's report of a faulty board."""

    board: BoardKey
    text: str
    """The user's words."""

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return that whoever asks may only look: reports can take a board from others."""
        login = by.login
        if login is None or may(login, Right.USE):
            return None
        return Refusal(f"the account {login.account} may look at boards, but not report any", Sort.FORBIDDEN)

    def apply(self, site: Site, by: Asker, at: Moment) -> None:
        """Add the report."""
        site.report_problem(self.board, by.source, self.text, at)


@dataclass(frozen=True, slots=True)
class SetRules(Command[None]):
    """Replace the rules for new commands; live jobs stay."""

    is_lasting: ClassVar[bool] = False

    limits: JobLimits
    trust: Trust
    time_limits: LimitRules = field(default_factory=LimitRules)
    shares: ShareRules = field(default_factory=ShareRules)
    session_idle_seconds: float = IDLE_SECONDS
    groups: GroupRules = field(default_factory=GroupRules)

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Replace the rules."""
        is_new = self.trust.accounts != site.trust.accounts
        site.accounts.end_idle_after(self.session_idle_seconds, at)
        site.limits, site.trust, site.time_limits = self.limits, self.trust, self.time_limits
        site.quotas.follow_rules(self.groups)
        if is_new and site.accounts.is_recalled:
            site.tell_of_missing_accounts()
        site.share_by(self.shares, at)


@dataclass(frozen=True, slots=True)
class SetNeighbours(Command[bool]):
    """Count the addresses of an IPv6 network as one; the result is whether the prefix changed."""

    is_lasting: ClassVar[bool] = False

    ipv6_prefix: int
    """Length of a network's prefix, 0 to 128 bits."""

    def apply(self, site: Site, by: Asker, at: Moment) -> bool:  # noqa: ARG002
        """Count addresses by it if the prefix changed."""
        return site.set_neighbours(self.ipv6_prefix)
