"""The shapes of what commands return, for type checkers and readers.

Nothing here is imported at run time.
"""

from typing import TypedDict


class JobStatus(TypedDict):
    """What `get_job_state` returns."""

    state: int
    """A value of `JobState`."""
    power: bool | None
    keepalive: float | None
    """Seconds."""
    reason: str | None
    start_time: float | None
    """Seconds since the epoch."""
    keepalivehost: str | None


class JobMachineInfo(TypedDict):
    """What `get_job_machine_info` returns."""

    width: int | None
    """Chips."""
    height: int | None
    """Chips."""
    connections: list[tuple[tuple[int, int], str]] | None
    """((x, y), hostname), the chip's coordinates relative to the job; arrays of arrays on the wire."""
    machine_name: str | None
    boards: list[list[int]] | None
    """[x, y, z]."""


class JobDescription(TypedDict):
    """One entry of what `list_jobs` returns."""

    job_id: int
    owner: str
    start_time: float | None
    keepalive: float | None
    state: int
    power: bool | None
    args: list[int]
    kwargs: dict[str, object]
    allocated_machine_name: str | None
    boards: list[list[int]] | None
    keepalivehost: str | None


class EndedJobDescription(JobDescription):
    """One entry of what `list_ended_jobs` returns: machine and boards are those that the job had last."""

    reason: str | None
    ended: float
    """Seconds since the epoch."""


class QueuePosition(TypedDict):
    """What `job_queue_position` returns."""

    position: int
    """1 for the job that has waited longest."""
    of: int
    """How many jobs wait."""
    reason: str
    """What it waits for, one sentence."""


class JobTimesAnswer(TypedDict):
    """What `job_times` returns; `spalloc_client.job_answers.Times` says what the parts mean."""

    time_limit: float | None
    ends_in: float | None
    why: str | None
    expected_seconds: float | None
    expected_by: str | None
    expected_start: list[float] | None


class JobEnding(TypedDict):
    """What a notification says of a job that is about to be ended."""

    job_id: int
    seconds: float | None
    """Seconds until then; None if it will not be ended after all."""
    reason: str | None


class MachineDescription(TypedDict):
    """One entry of what `list_machines` returns."""

    name: str
    tags: list[str]
    width: int
    """Triads."""
    height: int
    """Triads."""
    dead_boards: list[list[int]]
    """[x, y, z]."""
    dead_links: list[list[int]]
    """[x, y, z, link]."""


class BoardLocation(TypedDict):
    """What `where_is` returns."""

    machine: str
    logical: list[int]
    """[x, y, z]."""
    physical: list[int]
    """[cabinet, frame, board]."""
    chip: list[int]
    """[x, y] in the machine."""
    board_chip: list[int]
    """[x, y] on the board."""
    job_id: int | None
    job_chip: list[int] | None
    """[x, y] in the job."""


class NotificationBody(TypedDict, total=False):
    """What `wait_for_notification` returns: one of these."""

    jobs_changed: list[int]
    machines_changed: list[str]
    job_ending: JobEnding
    """From servers that know time limits, once `notify_job_ending` asked for it."""
