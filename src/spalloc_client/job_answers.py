"""Reads what servers answer about one job; answers.py reads lists, machines and places.

Only these two files look into dictionaries from the wire. Values have attributes, and what can't be read raises
AnswerError.
"""

from __future__ import annotations

from spalloc_client.errors import ProtocolError
from spalloc_client.states import JobState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias, TypeGuard

    BoardTuple: TypeAlias = tuple[int, int, int]
    Connections: TypeAlias = tuple[tuple[int, int, str], ...]


class AnswerError(ProtocolError):
    """The server's answer is not what the protocol says; the message says which and how."""

    def __init__(self, command: str, answer: object, error: Exception | None = None) -> None:
        lack = f" (it lacks {error})" if isinstance(error, KeyError) else ""
        super().__init__(
            f"the server's reply to {command} is not what the protocol says{lack}: {answer!r:.200}"
        )


class Reading:
    """While entered, whatever can't be read of an answer raises AnswerError."""

    __slots__ = ("_answer", "_command")

    def __init__(self, command: str, answer: object) -> None:
        self._command = command
        self._answer = answer

    def __enter__(self) -> Mapping[str, Any]:
        if not isinstance(self._answer, dict):
            raise AnswerError(self._command, self._answer)
        return self._answer

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        if isinstance(error, LookupError | TypeError | ValueError):
            raise AnswerError(self._command, self._answer, error) from error


def is_id(value: object) -> TypeGuard[int]:
    """Return whether a reply is a whole number, as a job's ID is."""
    return type(value) is int  # not isinstance: true and false are none


def _a(kind: type[Any], value: object) -> Any:
    """A value of a type, or None."""
    if value is None or isinstance(value, kind):
        return value
    raise TypeError(f"{value!r} is no {kind.__name__}")


def number_or_none(value: object) -> float | None:
    """Read a number, or null."""
    if value is None or isinstance(value, int | float):
        return value
    raise TypeError(f"{value!r} is no number")


def _positive(value: object) -> float | None:
    number = number_or_none(value)
    if number is not None and not number > 0:
        raise ValueError(f"{number} is not above 0")
    return number


def text_or_none(value: object) -> str | None:
    """Read any string, or null."""
    return None if value is None else str(value)


def boards_or_none(value: object) -> tuple[BoardTuple, ...] | None:
    """Read a list of boards, or null."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError("boards are no list")
    return tuple([(x, y, z) for x, y, z in value])


class Status:
    """The state of any job, also one that no longer exists, as `get_job_state` describes it."""

    __slots__ = ("ended_by", "ended_here", "host", "keepalive", "number", "power", "reason", "start_time")
    number: int
    """A `JobState`, or the number of an unknown one."""
    power: bool | None
    """Whether its boards are, or will be, on; None without boards."""
    keepalive: float | None
    """Seconds, or None."""
    reason: str | None
    """Why it was destroyed, if the server says; it may contain any characters."""
    start_time: float | None
    """When it was created, by the server's clock; None if the server does not know."""
    host: str | None
    """The address of its last sign of life, if the server says."""
    ended_here: bool
    """Whether its end was asked for from the address that this was asked from, as far as the server tells."""
    ended_by: str | None
    """The address of the host that asked for its end, if one did and the server tells."""

    def __init__(self, answer: object) -> None:
        with Reading("get_job_state", answer) as said:
            state = said["state"]
            if not is_id(state):
                raise TypeError("a state is a number")
            self.number = state
            self.power = _a(bool, said.get("power")) if state in (JobState.power, JobState.ready) else None
            self.keepalive = _positive(said.get("keepalive"))
            self.reason = _a(str, said.get("reason")) if state == JobState.destroyed else None
            self.start_time = number_or_none(said.get("start_time"))
            self.host = text_or_none(said.get("keepalivehost"))
            self.ended_here = said.get("ended_here") is True
            self.ended_by = text_or_none(said.get("ended_by"))

    @property
    def state(self) -> JobState:
        """The job's state.

        Raises:
            AnswerError: It is unknown here.
        """
        try:
            return JobState(self.number)
        except ValueError as error:
            raise AnswerError("get_job_state", {"state": self.number}) from error


class Times:
    """How long a job may have its boards, as the server says; every part None where it says nothing."""

    __slots__ = ("ends_in", "expected_by", "expected_seconds", "expected_start", "time_limit", "why")
    time_limit: float | None
    """Seconds that it may have its boards, counted from the moment when they were allocated; None for any number."""
    ends_in: float | None
    """Seconds until the server ends it; None while no end is set."""
    why: str | None
    """The reason that the server will give then; it may contain any characters."""
    expected_seconds: float | None
    """Seconds for which it is expected to have boards from now on."""
    expected_by: str | None
    """What that is expected by: `limit`, `alike jobs` or `reservation`."""
    expected_start: tuple[float, float] | None
    """Seconds from now, at least and at most, until a job that waits is expected to get its boards."""

    def __init__(self, answer: object) -> None:
        with Reading("job_times", answer) as said:
            self.time_limit = _positive(said.get("time_limit"))
            self.ends_in = number_or_none(said.get("ends_in"))
            self.why = text_or_none(said.get("why"))
            self.expected_seconds = number_or_none(said.get("expected_seconds"))
            self.expected_by = text_or_none(said.get("expected_by"))
            start = said.get("expected_start")
            earliest, latest = start or (0.0, 0.0)
            self.expected_start = None if start is None else (float(earliest), float(latest))


NO_TIMES = Times({})
"""Of a job that is no more, or whose server knows no time limits."""


UNKNOWN = Status({"state": JobState.unknown.value})
"""The state of a job that the server does not know."""


class MachineInfo:
    """The boards of a job as the server gave them; every part None until there are any."""

    __slots__ = ("boards", "connections", "height", "machine_name", "width")
    width: int | None
    """Chips."""
    height: int | None
    """Chips."""
    connections: Mapping[tuple[int, int], str] | None
    """The host name of each Ethernet-connected chip."""
    machine_name: str | None
    boards: tuple[BoardTuple, ...] | None
    """x, y and z of each."""

    def __init__(self, answer: object) -> None:
        with Reading("get_job_machine_info", answer) as said:
            connections = said["connections"]
            self.width = said["width"]
            self.height = said["height"]
            self.connections = None if connections is None else {(x, y): name for (x, y), name in connections}
            self.machine_name = said["machine_name"]
            self.boards = boards_or_none(said["boards"])

    @property
    def hostname(self) -> str | None:
        """The name of chip (0, 0)."""
        return None if self.connections is None else self.connections.get((0, 0))

    def reached_at(self, names: Mapping[tuple[int, int], str]) -> MachineInfo:
        """Return the same boards by other names, as far as there are some."""
        other = MachineInfo.__new__(MachineInfo)
        other.width, other.height, other.boards = self.width, self.height, self.boards
        other.machine_name = self.machine_name
        other.connections = {chip: names.get(chip, name) for chip, name in (self.connections or {}).items()}
        return other

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
        """A copy of the connections, which the caller may change."""
        return None if self.connections is None else dict(self.connections)

    @property
    def boards_copy(self) -> list[list[int]] | None:
        """A copy of the boards, which the caller may change."""
        return None if self.boards is None else [list(board) for board in self.boards]

    @property
    def sorted_connections(self) -> Connections | None:
        """x, y and host name of each Ethernet-connected chip, sorted."""
        if self.connections is None:
            return None
        return tuple(sorted((x, y, str(name)) for (x, y), name in self.connections.items()))


NO_BOARDS = MachineInfo(dict.fromkeys(("width", "height", "connections", "machine_name", "boards")))
"""The boards of a job without boards."""
