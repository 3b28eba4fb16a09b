"""The kinds of steps that job_steps.py asks job.py and aio/job.py to carry out."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from typing import Any, Generic, TypeAlias, TypeVar

    from spalloc_client.progress import Progress
    from spalloc_client.wire import Json

    T = TypeVar("T")
    Steps: TypeAlias = Generator["Step", Any, T]

    class Gives(Generic[T]):
        """A thing to do, which gives a `T`: `now = yield from Now()`."""

        def __iter__(self) -> Steps[T]:
            """Yield the step, and return what it gives."""

else:

    class Gives:
        """The same without `typing`, whose import takes longer than ours."""

        __slots__ = ()

        def __class_getitem__(cls, _: object) -> type:
            return cls

        def __iter__(self):
            return (yield self)


class Now(Gives[float]):
    """The time, in seconds on a clock that never goes back."""

    __slots__ = ()


class Connected(Gives[bool]):
    """Whether there is a connection without known trouble."""

    __slots__ = ()


class Connect(Gives[bool]):
    """Connect, unless connected; OSError if that fails. Gives whether the connection is new."""

    __slots__ = ("looking_up", "within")

    def __init__(self, within: float | None) -> None:
        self.within = within
        self.looking_up: object = 0.0
        """Seconds that looking up the server's name took, beyond `within`; set by the driver."""


class Disconnect(Gives[None]):
    """Give the connection up."""

    __slots__ = ()


class Ask(Gives["Json"]):
    """Send a command and wait for its reply; the errors of `ProtocolClient.call`."""

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


class FinishCreation(Gives["Json"]):
    """Wait once more for the reply to create_job. Gives None if there is none, or none was asked."""

    __slots__ = ("within",)

    def __init__(self, within: float) -> None:
        self.within = within


class Arrived(Gives[int]):
    """How many notifications this connection has brought."""

    __slots__ = ()


class Watch(Gives[None]):
    """Wait until it has brought more than `seen`; ProtocolTimeoutError, ProtocolError."""

    __slots__ = ("seen", "within")

    def __init__(self, seen: int, within: float | None) -> None:
        self.seen = seen
        self.within = within


class Sleep(Gives[None]):
    """Wait."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class StartHelper(Gives[None]):
    """Start the keepalive helper, which has no job yet."""

    __slots__ = ()


class Adopt(Gives[None]):
    """Tell the helper to keep this job alive."""

    __slots__ = ("job_id", "keepalive", "start_time")

    def __init__(self, job_id: int, keepalive: float, start_time: float | None) -> None:
        self.job_id = job_id
        self.keepalive = keepalive
        self.start_time = start_time
        """When the job was created, by the server's clock; None if that is not known yet."""


class Identify(Gives[None]):
    """Tell the helper when the job was created."""

    __slots__ = ("start_time",)

    def __init__(self, start_time: float) -> None:
        self.start_time = start_time


class StopHelper(Gives[None]):
    """End the keepalive helper, if there is one."""

    __slots__ = ()


class Listened(Gives[bool]):
    """Whether progress is wanted, in the log or by the program."""

    __slots__ = ()


class Tell(Gives[None]):
    """Report the job's progress."""

    __slots__ = ("progress",)

    def __init__(self, progress: Progress) -> None:
        self.progress = progress


class Log(Gives[None]):
    """Write a line to the log."""

    __slots__ = ("message", "warning")

    def __init__(self, message: str, *, warning: bool = False) -> None:
        self.message = message
        self.warning = warning


Step: TypeAlias = (
    "Now | Connected | Connect | Disconnect | Ask | FinishCreation | Arrived | Watch | Sleep | StartHelper | Adopt "
    "| Identify | StopHelper | Listened | Tell | Log"
)
