"""When jobs that wait may get boards: asked of the server for all of them at once, and worded for users."""

from __future__ import annotations

import time

from spalloc_client.errors import SpallocServerException
from spalloc_client.extensions import has_extensions
from spalloc_client.job_answers import AnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from spalloc_client.protocol_client import ProtocolClient

    Start: TypeAlias = tuple[float, float]

_COMMAND = "job_starts"
_TRIES = 10
_TRY_AGAIN = 0.3
"""Seconds between two questions to a server that works the answer out."""
_UNITS = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"), (1.0, "second"))
_MOST_OF_SMALLER = 2
"""Up to this many of a unit, the next smaller one is used."""


def starts_of(client: ProtocolClient, timeout: float | None) -> Mapping[int, Start]:
    """Ask in how many seconds the first jobs of the queue may get boards, at least and at most.

    Args:
        client: A connection.
        timeout: Seconds to wait for each answer.

    Returns:
        The jobs for which it is known, by ID; none if the server does not know the question.
    """
    if not has_extensions(client.call("list_machines", timeout=timeout)):
        return {}
    try:
        for _ in range(_TRIES):
            answer = client.call(_COMMAND, timeout=timeout)
            if answer is not None:
                return _read(answer)
            time.sleep(_TRY_AGAIN)
    except SpallocServerException:
        pass  # an older server of this project
    return {}


def _read(answer: object) -> Mapping[int, Start]:
    if not isinstance(answer, dict):
        raise AnswerError(_COMMAND, answer)
    try:
        return {int(job): (float(earliest), float(latest)) for job, (earliest, latest) in answer.items()}
    except (TypeError, ValueError) as error:
        raise AnswerError(_COMMAND, answer, error) from error


def in_words(start: Start) -> str:
    """Say when a job may start: `within 20 minutes`, `in 5 to 20 minutes`, `in 2 to 3 hours`."""
    earliest, latest = (max(0.0, seconds) for seconds in start)
    seconds, word = next((unit for unit in _UNITS if latest > _MOST_OF_SMALLER * unit[0]), _UNITS[-1])
    least, most = int(earliest // seconds), max(1, -int(-latest // seconds))
    named = f"{most} {word}{'' if most == 1 else 's'}"
    return (
        f"in {least} to {named}" if 0 < least < most else f"in about {named}" if least else f"within {named}"
    )
