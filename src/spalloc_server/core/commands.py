"""What can be asked of a site that changes it: each command is a value that a front makes of a message.

Commands come in by the engine's `do` only. It first asks whether the client may give the command, and takes the
effects afterwards. See questions.py for questions, which change nothing.
"""

from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from spalloc_server.core.admission import JobLimits, Trust
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.requests import JobRequest, RequestError
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment

T_co = TypeVar("T_co", covariant=True)

LONGEST_REASON = 1000
"""How many characters of a reason are kept; a longer one is cut, so that a job can always be destroyed."""


class RefusedError(ValueError):
    """A command that is refused; the message is for the client."""


class Command(Generic[T_co]):
    """Something that the site is to do; the result is a `T_co`."""

    __slots__ = ()

    is_lasting: ClassVar[bool] = True
    """Whether it only counts once it is recorded; then it is refused while records can't be written."""

    def refusal(self, site: Site, host: str) -> str | None:  # noqa: ARG002
        """Return why a client at `host` may not give the command, or None if it may."""
        return None

    def apply(self, site: Site, host: str, at: Moment) -> T_co:
        """Do it for a client at `host`, and return the result."""
        raise NotImplementedError

    def tells_of(self) -> int | None:
        """Return the job whose record must be on disk before the answer is sent, whoever changed it; or None."""
        return None


@dataclass(frozen=True, slots=True)
class CreateJob(Command[int]):
    """Queue a new job; the result is its ID. A job that can never run is destroyed later, with the reason.

    Raises:
        RequestError: The keepalive is not more than 0.
    """

    request: JobRequest
    asked: Asked
    """The arguments as the client gave them."""
    owner: str
    keepalive: float | None
    """Seconds without a message after which the job is destroyed; None for never."""

    def __post_init__(self) -> None:
        """Check the keepalive."""
        if self.keepalive is not None and self.keepalive <= 0:
            raise RequestError(
                f"keepalive is {self.keepalive}; it must be more than 0 seconds, or null for no limit"
            )

    def refusal(self, site: Site, host: str) -> str | None:
        """Return why no other job is allowed, or None if one is."""
        return site.refusal(self.owner, host)

    def apply(self, site: Site, host: str, at: Moment) -> int:
        """Queue the job."""
        return site.create_job(
            self.request, self.asked, owner=self.owner, keepalive=self.keepalive, host=host, at=at
        )


@dataclass(frozen=True, slots=True)
class DestroyJob(Command[None]):
    """Destroy a job in any state; nothing happens if it isn't live."""

    job: int
    reason: str | None = None
    """The reason, for its owner; cut after `LONGEST_REASON` characters."""

    def refusal(self, site: Site, host: str) -> str | None:
        """Return why the client may not destroy the job."""
        return site.access_refusal(self.job, host)

    def apply(self, site: Site, host: str, at: Moment) -> None:
        """Destroy the job."""
        reason = self.reason
        if reason is not None and len(reason) > LONGEST_REASON:
            reason = reason[: LONGEST_REASON - 1] + "…"
        site.destroy_job(self.job, reason, at, by=host)

    def tells_of(self) -> int | None:
        """Return the job: if it had just ended, and the server died before that is recorded, it would be live again."""
        return self.job


@dataclass(frozen=True, slots=True)
class SetPower(Command[None]):
    """Switch a job's boards on (or reset them) or off; a job that is not live is ignored."""

    job: int
    on: bool

    def refusal(self, site: Site, host: str) -> str | None:
        """Return why the client may not switch the job's boards."""
        return site.access_refusal(self.job, host)

    def apply(self, site: Site, host: str, at: Moment) -> None:
        """Keep the job alive, and order its boards to be switched."""
        site.keep_alive(self.job, host, at)
        site.set_power(self.job, on=self.on)


@dataclass(frozen=True, slots=True)
class KeepAlive(Command[JobRecord | None]):
    """Note that somebody still wants a job; the result is its record, or None if it isn't live.

    The answer does not wait for the disk, so that a keepalive counts even while the disk fails.
    """

    is_lasting: ClassVar[bool] = False

    job: int

    def apply(self, site: Site, host: str, at: Moment) -> JobRecord | None:
        """Note it and return the record."""
        job = site.keep_alive(self.job, host, at)
        return None if job is None else job.record


@dataclass(frozen=True, slots=True)
class Report(Command[None]):
    """Add a user's report of a faulty board."""

    board: BoardKey
    text: str
    """The user's words."""

    def apply(self, site: Site, host: str, at: Moment) -> None:
        """Add the report."""
        site.report_problem(self.board, host, self.text, at)


@dataclass(frozen=True, slots=True)
class SetRules(Command[None]):
    """Replace the rules for new commands; live jobs stay."""

    is_lasting: ClassVar[bool] = False

    limits: JobLimits
    trust: Trust

    def apply(self, site: Site, host: str, at: Moment) -> None:  # noqa: ARG002
        """Replace the rules."""
        site.limits, site.trust = self.limits, self.trust


@dataclass(frozen=True, slots=True)
class GroupBy(Command[bool]):
    """Count the addresses of an IPv6 network as one; the result is whether the prefix changed."""

    is_lasting: ClassVar[bool] = False

    ipv6_prefix: int
    """Length of a network's prefix, 0 to 128 bits."""

    def apply(self, site: Site, host: str, at: Moment) -> bool:  # noqa: ARG002
        """Group the addresses again if the prefix changed."""
        return site.group_by(self.ipv6_prefix)
