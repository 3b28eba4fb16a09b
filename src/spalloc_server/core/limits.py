"""How long jobs may have boards: which limit a new job gets, and when a limit ends a job.

A limit counts from the moment at which the boards are allocated. What ends a job, and when its user is told, is in
endings.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from spalloc_client.durations import in_words
from spalloc_server.core.endings import Ending
from spalloc_server.core.requests import JobRequest
from spalloc_server.core.timekeeping import Moment, is_likely

CAUSE = "limit"
"""What `Endings` calls the ending of a job by its limit."""
DEFAULT_WARNING_SECONDS = 300.0
HOW_TO_GET_MORE = (
    "ask for more with --time, or before the end with spalloc-job --extend (over HTTP, PUT its time-limit)"
)
"""What is said to the owner of a job that its limit ends."""
_REASON = "Its time limit is "


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """What limits the jobs of a site, a machine or a tag may have, in seconds, each more than 0."""

    default: float | None = None
    """The limit of a job that gives none; None for `longest`."""
    longest: float | None = None
    """The longest that a job may have; None for any."""


@dataclass(frozen=True, slots=True)
class LimitRules:
    """Which limits jobs may have, and when they are told that theirs is near."""

    default_time_limit: float | None = None
    """As in `TimeLimits`, for jobs to which no other applies."""
    longest_time_limit: float | None = None
    time_limit_warning: float = DEFAULT_WARNING_SECONDS
    """How many seconds before its limit ends a job its user is told; half of the limit where that is less."""
    of_tags: Mapping[str, TimeLimits] = field(default_factory=dict)
    of_machines: Mapping[str, TimeLimits] = field(default_factory=dict)

    def of(self, request: JobRequest) -> TimeLimits:
        """Return the limits for a request: its machine's, else the strictest of its tags', else the site's."""
        if request.machine is not None:
            named = [self.of_machines.get(request.machine, TimeLimits())]
        else:
            named = [self.of_tags[tag] for tag in request.tags if tag in self.of_tags]
        default = _least((limits.default for limits in named), self.default_time_limit)
        longest = _least((limits.longest for limits in named), self.longest_time_limit)
        return TimeLimits(_least((default, longest), None), longest)

    def chosen(self, request: JobRequest, time_limit: float | None) -> float | None:
        """Return the limit of a new job that asks for this one, or with None for none; None if it is not limited."""
        return self.of(request).default if time_limit is None else time_limit

    def refusal(self, request: JobRequest, time_limit: float | None) -> str | None:
        """Return why a job with this request can't have a limit (seconds; None for the default), or None if it can."""
        longest = self.of(request).longest
        if time_limit is None or longest is None or time_limit <= longest:
            return None
        where = f" on machine {request.machine}" if request.machine in self.of_machines else ""
        return (
            f"the time limit is {in_words(time_limit)}; the longest that this server allows{where} is "
            f"{in_words(longest)}"
        )

    def ending(self, time_limit: float | None, began: float | None, told_from: float = -inf) -> Ending | None:
        """Return how its limit ends a job.

        Args:
            time_limit: The limit in seconds; None for none.
            began: When it got its boards, in the core's time; None if it has none.
            told_from: The first moment at which its user can be told; the job does not end before that was possible.
        """
        if time_limit is None or began is None:
            return None
        warning = min(self.time_limit_warning, time_limit / 2)
        end = max(began + time_limit, told_from + warning)
        why = f"{_REASON}{in_words(time_limit)}; {HOW_TO_GET_MORE}."
        return Ending(end, why, near=end - warning)


def _least(limits: Iterable[float | None], otherwise: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=otherwise)


def is_of_limit(reason: str | None) -> bool:
    """Return whether a job that the server ended with this reason was ended by its limit."""
    return reason is not None and reason.startswith(_REASON)


def began_before(allocated: float, latest: float | None, at: Moment) -> float:
    """Return when boards were allocated, in the core's time, if that was before this start of the server.

    The time while the server was down counts. But a clock that was set wrong meanwhile must not end all jobs: if it
    differs from the records by too much, only the time that they tell of counts.

    Args:
        allocated: When the boards were allocated, in seconds of Unix time.
        latest: The latest time in the records, in seconds of Unix time; None if there is none.
        at: Now.
    """
    wall = at.wall if latest is None or is_likely(latest, at.wall) else latest
    return at.now - max(0.0, wall - allocated)
