"""What can be asked of a site that changes it: each command is a value, made by a front of what it was sent.

The engine's `do` is the only door by which they come in. It asks first whether the one who gives the command
may, and takes the effects afterwards. What changes nothing is questions.py's subject.
"""

from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from spalloc_server.core.effects import BoardKey
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.quotas import JobLimits
from spalloc_server.core.requests import JobRequest, RequestError
from spalloc_server.core.site import Site
from spalloc_server.core.trust import Trust
from spalloc_server.moment import Moment

T_co = TypeVar("T_co", covariant=True)

LONGEST_REASON = 1000
"""Characters of why a job was destroyed that are kept. What is longer is cut: a job can always be destroyed."""


class RefusedError(ValueError):
    """A command that is not done; the message is for whoever gave it."""


class Command(Generic[T_co]):
    """Something that the site is to do, and that comes to a `T_co`."""

    __slots__ = ()

    is_lasting: ClassVar[bool] = True
    """Whether it is worth nothing before it is recorded: then it is refused while nothing can be."""

    def refusal(self, site: Site, host: str) -> str | None:  # noqa: ARG002
        """Return why a client at `host` may not have it done, or None if it may."""
        return None

    def apply(self, site: Site, host: str, at: Moment) -> T_co:
        """Have the site do it, for a client at `host`."""
        raise NotImplementedError

    def tells_of(self) -> int | None:
        """Return the job of which the answer says something that must be recorded, whoever changed it; or None."""
        return None


@dataclass(frozen=True, slots=True)
class CreateJob(Command[int]):
    """Queue a new job; comes to its ID. One that can never run is destroyed by a decision, with the reason.

    Raises:
        RequestError: The keepalive is not more than 0.
    """

    request: JobRequest
    asked: Asked
    """The request in the client's words."""
    owner: str
    keepalive: float | None
    """Seconds without a word after which the job is destroyed; None for never."""

    def __post_init__(self) -> None:
        """Check the keepalive."""
        if self.keepalive is not None and self.keepalive <= 0:
            raise RequestError(
                f"keepalive is {self.keepalive}; it must be more than 0 seconds, or null for no limit"
            )

    def refusal(self, site: Site, host: str) -> str | None:
        """Return why there can't be one more job."""
        return site.refusal(self.owner, host)

    def apply(self, site: Site, host: str, at: Moment) -> int:
        """Queue the job."""
        return site.create_job(
            self.request, self.asked, owner=self.owner, keepalive=self.keepalive, host=host, at=at
        )


@dataclass(frozen=True, slots=True)
class DestroyJob(Command[None]):
    """End a job, whatever it is doing; one that isn't live makes no difference."""

    job: int
    reason: str | None = None
    """Why, for its owner to read; cut after `LONGEST_REASON` characters."""

    def refusal(self, site: Site, host: str) -> str | None:
        """Return why the client may not end the job."""
        return site.distrust(self.job, host)

    def apply(self, site: Site, host: str, at: Moment) -> None:
        """End the job."""
        reason = self.reason
        if reason is not None and len(reason) > LONGEST_REASON:
            reason = reason[: LONGEST_REASON - 1] + "…"
        site.destroy_job(self.job, reason, at, by=host)

    def tells_of(self) -> int | None:
        """Return the job: if it had just ended, it comes back where the server dies before that is recorded."""
        return self.job


@dataclass(frozen=True, slots=True)
class SetPower(Command[None]):
    """Switch a job's boards on (or reset them) or off; a job without boards makes no difference."""

    job: int
    on: bool

    def refusal(self, site: Site, host: str) -> str | None:
        """Return why the client may not switch the job's boards."""
        return site.distrust(self.job, host)

    def apply(self, site: Site, host: str, at: Moment) -> None:
        """Keep the job alive, and order its boards to be switched."""
        site.keep_alive(self.job, host, at)
        site.set_power(self.job, on=self.on)


@dataclass(frozen=True, slots=True)
class KeepAlive(Command[JobRecord | None]):
    """Note that somebody still wants a job; comes to what is known of it, or None if it isn't live.

    Nobody has to wait until that is recorded: it counts also while the disk fails.
    """

    is_lasting: ClassVar[bool] = False

    job: int

    def apply(self, site: Site, host: str, at: Moment) -> JobRecord | None:
        """Note it."""
        job = site.keep_alive(self.job, host, at)
        return None if job is None else job.record


@dataclass(frozen=True, slots=True)
class Report(Command[None]):
    """Take a user's report of a sick board."""

    board: BoardKey
    text: str
    """What the user says."""

    def apply(self, site: Site, host: str, at: Moment) -> None:
        """Take the report."""
        site.report_problem(self.board, host, self.text, at)


@dataclass(frozen=True, slots=True)
class SetRules(Command[None]):
    """Hold to other rules from now on; jobs that live already stay."""

    is_lasting: ClassVar[bool] = False

    limits: JobLimits
    trust: Trust

    def apply(self, site: Site, host: str, at: Moment) -> None:  # noqa: ARG002
        """Replace the rules."""
        site.limits, site.trust = self.limits, self.trust


@dataclass(frozen=True, slots=True)
class GroupBy(Command[bool]):
    """Let the addresses of IPv6 networks of one prefix count as one; comes to whether that is news."""

    is_lasting: ClassVar[bool] = False

    ipv6_prefix: int
    """0 to 128."""

    def apply(self, site: Site, host: str, at: Moment) -> bool:  # noqa: ARG002
        """Group the addresses again, if need be."""
        return site.group_by(self.ipv6_prefix)
