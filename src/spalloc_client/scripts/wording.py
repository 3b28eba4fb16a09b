"""Wording that several commands share: times, owners, jobs as JSON, and messages to users who wait for or have boards.

Values only, small and quick to import; each command makes its own tables and lists.
"""

from __future__ import annotations

import time

from spalloc_client.answers import state_name
from spalloc_client.checks import server_name
from spalloc_client.states import JobState
from spalloc_client.terminal.text import Style, Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spalloc_client.answers import Listed
    from spalloc_client.job_answers import Connections
    from spalloc_client.scripts.queue import QueuePosition
    from spalloc_client.scripts.starts import Start

_TIME_FORMAT = "%d/%m/%Y %H:%M:%S"


def local_time(timestamp: float | None) -> str:
    """Return a time in seconds since 1970 as local date and time, empty for None."""
    return "" if timestamp is None else time.strftime(_TIME_FORMAT, time.localtime(timestamp))


def owner_and_host(job: Listed) -> str:
    """Return a job's owner, and the address of its last sign of life if that is known."""
    owner = printable(job.owner)
    return owner if job.host is None else f"{owner} ({printable(job.host)})"


def asked_for(arguments: Sequence[object]) -> str:
    """Return in words how much a job requests: its positional arguments."""
    if not arguments or tuple(arguments) == (1,):
        return "1 board"
    words = [printable(str(argument)) for argument in arguments]
    if len(words) == 1:
        return f"{words[0]} boards"
    if len(words) == 2:
        return f"{words[0]}x{words[1]} triads"
    return f"board ({', '.join(words)})"


def place_json(place: QueuePosition | None) -> dict[str, object] | None:
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
        "time_limit": job.time_limit,
        "allocated": job.allocated,
    }


def duration(seconds: float) -> str:
    """Return a time waited as `0:07`, `12:34` or `1:02:03`."""
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def sentence(job_id: int, state: int, reason: str | None = None) -> Text:
    """Return what to say about a job that has come to `state`."""
    if state == JobState.queued:
        return Text(f"Job {job_id}: Waiting in queue...", Style.YELLOW)
    if state == JobState.power:
        return Text(f"Job {job_id}: Waiting for power on...", Style.YELLOW)
    if state == JobState.ready:
        return Text(f"Job {job_id}: Ready!", Style.GREEN)
    if state == JobState.destroyed:
        why = "." if reason is None else f": {printable(reason)}"
        return Text(f"Job {job_id}: Destroyed{why}", Style.RED)
    if state == JobState.unknown:
        return Text(f"Job {job_id}: Job not recognised by server.", Style.RED)
    return Text(f"Job {job_id}: Entered an unrecognised state {state}.", Style.RED)


def freed(job_id: int | None, *, had_boards: bool = False) -> Text:
    """Return what to say once a job has been given back."""
    return Text(f"Job {job_id}: Destroyed{', its boards are free' if had_boards else ''}.", Style.GREEN)


def kept(job_id: int | None) -> Text:
    """Return what to say of a job that is left for later."""
    return Text(f"Job {job_id}: Kept; to go on with it: spalloc --resume {job_id}", Style.GREEN)


def cause(place: QueuePosition | None, wanted: str | None, start: Start | None = None) -> Text | None:
    """Return why a job waits; None if that is unknown.

    Args:
        place: Its place in the queue, if known.
        wanted: How much it asks for, if known.
        start: In how many seconds it may start, at least and at most, if known.
    """
    expected = ""
    if start is not None:
        from spalloc_client.scripts.starts import in_words

        expected = f"expected to start {in_words(start)}"
    why = place.cause if place is not None else ""
    if wanted and why.startswith(f"it needs {wanted},"):
        parts: tuple[str | None, ...] = (
            f"I{why[1:].removesuffix('.')}" if expected else f"I{why[1:]}",
            expected,
        )
    else:
        parts = (wanted and f"Asks for {wanted}", why.removesuffix(".") if expected else why, expected)
    said = [part for part in parts if part]
    return Text("; ".join(said), Style.DIM) if said else None


def waiting(job_id: int, state: int, waited: float, place: QueuePosition | None) -> Text:
    """Return what to say while a job stays in `state`.

    Args:
        job_id: The job.
        state: Queued or power.
        waited: Seconds since the job was asked for.
        place: Its place in the queue, if known.
    """
    line = sentence(job_id, state) + " " + duration(waited)
    return line + f" ({place})" if place is not None and state == JobState.queued else line


class Happened:
    """Something that happened to a job while its user had its boards."""

    __slots__ = ("connections", "is_end", "line", "spoils")
    line: Text
    """What to say."""
    is_end: bool
    """Whether the job no longer exists."""
    spoils: bool
    """Whether it means that the user lost the boards for a time."""
    connections: Connections | None
    """The boards it has now, if these are others."""

    def __init__(
        self,
        line: Text,
        *,
        is_end: bool = False,
        spoils: bool = False,
        connections: Connections | None = None,
    ) -> None:
        self.line = line
        self.is_end = is_end
        self.spoils = spoils
        self.connections = connections


def ended(job_id: int, state: int, reason: str | None, *, asked_here: bool) -> Happened:
    """Return what to say of a job that no longer exists; `asked_here` is whether this host asked for that."""
    if asked_here:
        return Happened(sentence(job_id, state, reason), is_end=True)
    why = "." if reason is None else f": {printable(reason)}"
    if state == JobState.unknown:
        why = ": the server no longer knows it."
    return Happened(Text(f"Job {job_id} was revoked{why}", Style.RED), is_end=True, spoils=True)


def moved(job_id: int, connections: Connections | None) -> Happened:
    """Return what to say of a job that has other boards now, or none at present."""
    if connections:
        words = f"Job {job_id} was moved to other boards: the hostname is {printable(connections[0][2])} now."
    else:
        words = f"Job {job_id} has lost its boards, and waits for others."
    return Happened(Text(words, Style.RED), spoils=True, connections=connections)


def lost_from_sight(job_id: int, server: tuple[str, int], error: Exception) -> Happened:
    """Return what to say when the server of a job can no longer be reached."""
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    words = f"Job {job_id}: The server {_named(server)} is out of reach ({printable(why)}), trying again..."
    return Happened(Text(words, Style.YELLOW))


def seen_again(job_id: int, server: tuple[str, int]) -> Happened:
    """Return what to say when it is reached again."""
    return Happened(Text(f"Job {job_id}: Connected to {_named(server)} again.", Style.GREEN))


def _named(server: tuple[str, int]) -> str:
    hostname, port = server
    return printable(server_name(hostname, port))
