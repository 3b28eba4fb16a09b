"""The steps about a job's time limit and its end; job_steps.py has those about everything else.

Most programs set no limit and import nothing of this.
"""

from __future__ import annotations

from spalloc_client import checks
from spalloc_client.errors import JobDestroyedError, SpallocServerException
from spalloc_client.extensions import knows_times
from spalloc_client.job_answers import NO_TIMES, AnswerError, Times
from spalloc_client.states import JobState
from spalloc_client.step_kinds import Ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from spalloc_client.job_steps import JobSteps
    from spalloc_client.step_kinds import Steps
    from spalloc_client.wire import Json


def _knows_times(steps: JobSteps, ask: Callable[..., Steps[Any]]) -> Steps[bool]:
    """Find out whether the server knows time limits, unless it is known to."""
    if not steps.knows_times:
        steps.knows_times = yield from knows_times(ask)
    return steps.knows_times


def times(steps: JobSteps) -> Steps[Times]:
    """Ask how long the job may have its boards."""
    if not (yield from _knows_times(steps, steps.ask)):
        return NO_TIMES
    try:
        return _read((yield from steps.ask("job_times", steps.job_id)))
    except JobDestroyedError:
        return NO_TIMES


def _read(answer: Json) -> Times:
    return NO_TIMES if answer is None else Times(answer)


def extend(steps: JobSteps, time_limit: object) -> Steps[float]:
    """Give the job another time limit, and return the one that it has then.

    Raises:
        ValueError: It is no duration.
        JobDestroyedError: The job is no more.
        SpallocServerException: The server refuses, or knows no time limits.
    """
    seconds = checks.duration("time_limit", time_limit)
    if not (yield from _knows_times(steps, steps.ask)):
        raise SpallocServerException("the server knows no time limits")
    given = yield from steps.ask("extend_job", steps.job_id, seconds)
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise AnswerError("extend_job", given)
    return given


def wait_for_ending(steps: JobSteps, before: object, timeout: float | None) -> Steps[Times | None]:
    """Wait until the job has little time left.

    Args:
        steps: The job.
        before: How little.
        timeout: Seconds to wait, or None to wait as long as the job lives.

    Returns:
        The job's times; None if the timeout passed first.

    Raises:
        ValueError: `before` is no duration.
        JobDestroyedError: The job is no more.
    """
    least = checks.duration("before", before)

    def look(within: float | None) -> Steps[tuple[Times | None, float | None]]:
        status = yield from steps.look(within)
        if status.state in (JobState.destroyed, JobState.unknown):
            raise JobDestroyedError(status.reason or f"job {steps.job_id} is no more, no reason given")

        def ask(command: str, *args: Json) -> Steps[Json]:
            return (yield from Ask(command, args, within))

        if not (yield from _knows_times(steps, ask)):
            return None, None
        told = _read((yield from ask("job_times", steps.job_id)))
        if told.ends_in is None:
            return None, None
        return (told, None) if told.ends_in <= least else (None, told.ends_in - least)

    return (yield from steps.watch(look, timeout))
