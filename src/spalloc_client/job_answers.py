"""What the server says of a job, read once and for all: behind this file no reply is other than the protocol has it."""

from __future__ import annotations

from spalloc_client.errors import ProtocolError
from spalloc_client.states import JobState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeGuard

    from spalloc_client.wire import Json


class Status:
    """A job's state as the server gave it."""

    __slots__ = ("keepalive", "power", "reason", "start_time", "state")

    def __init__(
        self,
        state: JobState,
        power: bool | None,
        keepalive: float | None,
        reason: str | None,
        start_time: float | None,
    ) -> None:
        self.state = state
        self.power = power if state in (JobState.power, JobState.ready) else None
        """Whether the boards are, or are to be, on; None without boards."""
        self.keepalive = keepalive
        """Seconds, or None."""
        self.reason = reason if state == JobState.destroyed else None
        self.start_time = start_time
        """When the job was created, by the server's clock; None if the server does not know."""


UNKNOWN = Status(JobState.unknown, None, None, None, None)
"""That of a job which the server does not know."""


class MachineInfo:
    """The boards of a job as the server gave them; every part None until there are any."""

    __slots__ = ("boards", "connections", "height", "machine_name", "width")

    def __init__(
        self,
        width: int | None,
        height: int | None,
        connections: Mapping[tuple[int, int], str] | None,
        machine_name: str | None,
        boards: tuple[tuple[int, int, int], ...] | None,
    ) -> None:
        self.width = width
        self.height = height
        self.connections = connections
        self.machine_name = machine_name
        self.boards = boards

    @property
    def hostname(self) -> str | None:
        """The name of chip (0, 0)."""
        return None if self.connections is None else self.connections.get((0, 0))

    def same_as(self, other: MachineInfo) -> bool:
        """Whether these are the same boards."""
        return (self.machine_name, self.boards) == (other.machine_name, other.boards)

    @property
    def places(self) -> str:
        """Where the boards are, for people."""
        first = "" if self.hostname is None else f", chip (0, 0) being {self.hostname}"
        return f"{', '.join(map(str, self.boards or ()))} of {self.machine_name}{first}"

    @property
    def connections_copy(self) -> dict[tuple[int, int], str] | None:
        """The connections, for a caller to do with as they please."""
        return None if self.connections is None else dict(self.connections)

    @property
    def boards_copy(self) -> list[list[int]] | None:
        """The boards, for a caller to do with as they please."""
        return None if self.boards is None else [list(board) for board in self.boards]


def is_id(value: Json) -> TypeGuard[int]:
    """Return whether a reply is a job's ID."""
    return type(value) is int  # not isinstance: true and false are no IDs


def unexpected(command: str, value: Json) -> ProtocolError:
    """Return the error that a reply is not what the protocol says."""
    return ProtocolError(f"the server's reply to {command} is not what the protocol says: {value!r:.200}")


def read_status(value: Json) -> Status:
    """Read the reply to `get_job_state`.

    Raises:
        ProtocolError: It is none.
    """
    try:
        entries = _entries(value)
        power, keepalive, reason, start_time = (
            entries.get(key) for key in ("power", "keepalive", "reason", "start_time")
        )
        if (
            (power is None or isinstance(power, bool))
            and (keepalive is None or (isinstance(keepalive, int | float) and keepalive > 0))
            and (reason is None or isinstance(reason, str))
            and (start_time is None or isinstance(start_time, int | float))
        ):
            return Status(JobState(entries["state"]), power, keepalive, reason, start_time)
    except (KeyError, ValueError) as error:
        raise unexpected("get_job_state", value) from error
    raise unexpected("get_job_state", value)


def read_machine_info(value: Json) -> MachineInfo:
    """Read the reply to `get_job_machine_info`.

    Raises:
        ProtocolError: It is none.
    """
    try:
        entries = _entries(value)
        connections, boards = entries["connections"], entries["boards"]
        return MachineInfo(
            width=entries["width"],
            height=entries["height"],
            connections=None if connections is None else {(x, y): name for (x, y), name in connections},
            machine_name=entries["machine_name"],
            boards=None if boards is None else tuple((x, y, z) for x, y, z in boards),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise unexpected("get_job_machine_info", value) from error


def _entries(value: Json) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError("not an object")
