"""Words that several commands share: times, owners, and jobs as JSON.

Small and quick to import; whole tables and lists are each command's own.
"""

from __future__ import annotations

import time

from spalloc_client.scripts.answers import state_name
from spalloc_client.terminal.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spalloc_client.scripts.answers import Listed
    from spalloc_client.scripts.queue import Place

_TIME_FORMAT = "%d/%m/%Y %H:%M:%S"


def local_time(timestamp: float | None) -> str:
    """Return a time in seconds since 1970 as local date and time, empty for None."""
    return "" if timestamp is None else time.strftime(_TIME_FORMAT, time.localtime(timestamp))


def owner_and_host(job: Listed) -> str:
    """Return who a job belongs to, and where its last sign of life came from if that is known."""
    owner = printable(job.owner)
    return owner if job.host is None else f"{owner} ({printable(job.host)})"


def asked_for(arguments: Sequence[object]) -> str:
    """Return in words how much a job asks for: the positional arguments that made it."""
    if not arguments or tuple(arguments) == (1,):
        return "1 board"
    words = [printable(str(argument)) for argument in arguments]
    if len(words) == 1:
        return f"{words[0]} boards"
    if len(words) == 2:
        return f"{words[0]}x{words[1]} triads"
    return f"board ({', '.join(words)})"


def place_json(place: Place | None) -> dict[str, object] | None:
    """Return a place in the queue as a JSON object, or None; its keys are documented and stay."""
    if place is None:
        return None
    return {"position": place.position, "of": place.of, "reason": place.reason or None}


def job_json(job: Listed) -> dict[str, object]:
    """Return a live job as a JSON object; its keys are documented and stay."""
    return {
        "job_id": job.job_id,
        "owner": job.owner,
        "host": job.host,
        "state": state_name(job.state),
        "power": job.power,
        "start_time": job.start_time,
        "keepalive": job.keepalive,
        "machine": job.machine,
        "boards": job.boards,
        "args": job.arguments,
        "kwargs": job.options,
    }
