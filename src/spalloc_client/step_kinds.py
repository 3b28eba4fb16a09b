"""What the decisions of job_steps.py ask of those who carry them out, job.py and aio/job.py."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from typing import Any, TypeAlias, TypeVar

    from spalloc_client.progress import Progress
    from spalloc_client.wire import Json

    T = TypeVar("T")
    Steps: TypeAlias = "Generator[Step, Any, T]"


class Now:
    """The time, in seconds on a clock that never goes back. Result: float."""

    __slots__ = ()


class Connected:
    """Whether there is a connection that no trouble was seen on. Result: bool."""

    __slots__ = ()


class Connect:
    """Connect, unless connected; OSError if that can't be. Result: bool, whether the connection is new."""

    __slots__ = ("looking_up", "within")

    def __init__(self, within: float | None) -> None:
        self.within = within
        self.looking_up: object = 0.0
        """Seconds that looking up the server's name took, beyond `within`; set by the driver."""


class Disconnect:
    """Give the connection up. Result: None."""

    __slots__ = ()


class Ask:
    """Send a command and wait for its reply; the errors of `ProtocolClient.call`. Result: Json."""

    __slots__ = ("args", "command", "kwargs", "within")

    def __init__(
        self,
        command: str,
        args: tuple[Json, ...],
        within: float | None,
        kwargs: Mapping[str, Json] | None = None,
    ) -> None:
        self.command = command
        self.args = args
        self.kwargs = kwargs or {}
        self.within = within


class Salvage:
    """Wait once more for the reply to create_job. Result: Json; None if there is none, or none was asked."""

    __slots__ = ("within",)

    def __init__(self, within: float) -> None:
        self.within = within


class Arrived:
    """How many notifications this connection has brought. Result: int."""

    __slots__ = ()


class Watch:
    """Wait until it has brought more than `seen`; ProtocolTimeoutError, ProtocolError. Result: None."""

    __slots__ = ("seen", "within")

    def __init__(self, seen: int, within: float | None) -> None:
        self.seen = seen
        self.within = within


class Sleep:
    """Wait. Result: None."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class StartHelper:
    """Start the keepalive helper, which has no job yet. Result: None."""

    __slots__ = ()


class Adopt:
    """Have the helper keep this job alive. Result: None."""

    __slots__ = ("job_id", "keepalive", "start_time")

    def __init__(self, job_id: int, keepalive: float, start_time: float | None) -> None:
        self.job_id = job_id
        self.keepalive = keepalive
        self.start_time = start_time
        """When the job was created, by the server's clock; None if that is not known yet."""


class Identify:
    """Tell the helper when the job was created. Result: None."""

    __slots__ = ("start_time",)

    def __init__(self, start_time: float) -> None:
        self.start_time = start_time


class StopHelper:
    """End the keepalive helper, if there is one. Result: None."""

    __slots__ = ()


class Listened:
    """Whether somebody wants to know how a job comes on: the log's reader, or the program. Result: bool."""

    __slots__ = ()


class Tell:
    """Tell how far the job has come. Result: None."""

    __slots__ = ("progress",)

    def __init__(self, progress: Progress) -> None:
        self.progress = progress


class Log:
    """Write a line to the log. Result: None."""

    __slots__ = ("message", "warning")

    def __init__(self, message: str, *, warning: bool = False) -> None:
        self.message = message
        self.warning = warning


Step: TypeAlias = (
    "Now | Connected | Connect | Disconnect | Ask | Salvage | Arrived | Watch | Sleep | StartHelper | Adopt "
    "| Identify | StopHelper | Listened | Tell | Log"
)
