"""What servers answer, checked once: past this file no command looks into a dictionary from the wire.

Reading only; asking is server.py's, showing each command's own.
"""

from __future__ import annotations

from spalloc_client.states import JobState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias

Answer: TypeAlias = "Mapping[str, Any]"
BoardTuple: TypeAlias = "tuple[int, int, int]"
Connections: TypeAlias = "tuple[tuple[int, int, str], ...]"
"""x, y and host name of each Ethernet-connected chip, sorted."""


class AnswerError(Exception):
    """The server's answer lacks something that the protocol promises; the message says what."""


class Listed:
    """A live job, as `list_jobs` describes it."""

    __slots__ = (
        "arguments",
        "boards",
        "host",
        "job_id",
        "keepalive",
        "machine",
        "options",
        "owner",
        "power",
        "start_time",
        "state",
    )
    job_id: int
    owner: str
    """Who it belongs to; it may hold any characters."""
    start_time: float | None
    """When it was created, seconds since 1970."""
    keepalive: float | None
    """Seconds it lives without a sign of life, or None for ever."""
    host: str | None
    """Where its last sign of life came from, if the server tells."""
    state: int
    """A `JobState`, or the number of one that is not known here."""
    power: bool | None
    """Whether its boards are wanted on; None when it has none."""
    machine: str | None
    """The machine its boards are on, or None while it has none."""
    boards: tuple[BoardTuple, ...] | None
    """Its boards, or None while it has none."""
    arguments: tuple[object, ...]
    """What it asked for, by position."""
    options: Mapping[str, object]
    """What it asked for, by name."""

    def __init__(self, answer: Answer) -> None:
        """Read it.

        Raises:
            AnswerError: Something is missing.
        """
        try:
            self.job_id = answer["job_id"]
            self.owner = str(answer["owner"])
            self.start_time = answer["start_time"]
            self.keepalive = answer["keepalive"]
            self.host = _optional_text(answer.get("keepalivehost"))
            self.state = answer["state"]
            self.power = answer["power"]
            self.machine = _optional_text(answer["allocated_machine_name"])
            self.boards = boards_of_answer(answer["boards"])
            self.arguments = tuple(answer["args"])
            self.options = answer["kwargs"]
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable("a job", error) from error


class MachineAnswer:
    """A machine, as `list_machines` describes it."""

    __slots__ = ("dead_boards", "dead_links", "height", "name", "set_aside_boards", "tags", "width")
    name: str
    tags: tuple[str, ...]
    width: int
    """Triads."""
    height: int
    """Triads."""
    dead_boards: frozenset[BoardTuple]
    dead_links: frozenset[tuple[int, int, int, int]]
    """x, y and z of a board, and the number of one of its links."""
    set_aside_boards: dict[BoardTuple, str]
    """Boards that jobs don't get for now, and why; servers of others don't tell."""

    def __init__(self, answer: Answer) -> None:
        """Read it.

        Raises:
            AnswerError: Something is missing.
        """
        try:
            self.name = str(answer["name"])
            self.tags = tuple(str(tag) for tag in answer["tags"])
            self.width = int(answer["width"])
            self.height = int(answer["height"])
            self.dead_boards = frozenset(_board(board) for board in answer["dead_boards"])
            self.dead_links = frozenset((x, y, z, link) for x, y, z, link in answer["dead_links"])
            aside = answer.get("set_aside_boards", ())
            self.set_aside_boards = {_board((x, y, z)): str(why) for x, y, z, why in aside}
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable("a machine", error) from error

    @property
    def live_boards(self) -> int:
        """How many of its boards are not dead."""
        return 3 * self.width * self.height - len(self.dead_boards)


class Status:
    """The state of any job, also one that is no more, as `get_job_state` describes it."""

    __slots__ = ("ended_by", "ended_here", "host", "keepalive", "power", "reason", "start_time", "state")
    state: int
    power: bool | None
    reason: str | None
    """Why it was destroyed, if the server tells; it may hold any characters."""
    keepalive: float | None
    start_time: float | None
    host: str | None
    ended_here: bool
    """Whether its end was asked for from the address that this was asked from, as far as the server tells."""
    ended_by: str | None
    """The address of the host that asked for its end, if one did and the server tells."""

    def __init__(self, answer: Answer) -> None:
        """Read it.

        Raises:
            AnswerError: Something is missing.
        """
        try:
            self.state = answer["state"]
            self.power = answer["power"]
            self.reason = _optional_text(answer["reason"])
            self.keepalive = answer["keepalive"]
            self.start_time = answer["start_time"]
            self.host = _optional_text(answer.get("keepalivehost"))
            self.ended_here = answer.get("ended_here") is True
            self.ended_by = _optional_text(answer.get("ended_by"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _unreadable("a job's state", error) from error


class Network:
    """A job's part of a machine, as `get_job_machine_info` describes it; all None while it has no boards."""

    __slots__ = ("connections", "height", "width")
    width: int | None
    """Chips."""
    height: int | None
    """Chips."""
    connections: Connections | None

    def __init__(self, answer: Answer) -> None:
        """Read it.

        Raises:
            AnswerError: Something is missing.
        """
        try:
            self.width = answer["width"]
            self.height = answer["height"]
            connections = answer["connections"]
            if connections is not None:
                connections = tuple(sorted((x, y, str(host)) for (x, y), host in connections))
            self.connections = connections
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable("a job's boards", error) from error


class Location:
    """A board or chip, as `where_is` describes it."""

    __slots__ = ("board_chip", "chip", "job_chip", "job_id", "logical", "machine", "physical")
    machine: str
    logical: tuple[int, ...]
    """The board's x, y and z."""
    physical: tuple[int, ...]
    """Cabinet, frame and board."""
    chip: tuple[int, ...]
    """x and y in the machine."""
    board_chip: tuple[int, ...]
    """x and y on the board."""
    job_id: int | None
    job_chip: tuple[int, ...] | None
    """x and y in the job."""

    def __init__(self, answer: Answer) -> None:
        """Read it.

        Raises:
            AnswerError: Something is missing.
        """
        try:
            self.machine = str(answer["machine"])
            self.logical = tuple(answer["logical"])
            self.physical = tuple(answer["physical"])
            self.chip = tuple(answer["chip"])
            self.board_chip = tuple(answer["board_chip"])
            self.job_id = answer["job_id"]
            self.job_chip = None if answer["job_chip"] is None else tuple(answer["job_chip"])
        except (KeyError, TypeError) as error:
            raise _unreadable("a place", error) from error


def listed(answer: object) -> list[Listed]:
    """Read the answer to `list_jobs`: live jobs, oldest first.

    Raises:
        AnswerError: It is no list of jobs.
    """
    return [Listed(job) for job in _sequence("list_jobs", answer)]


def machines(answer: object) -> list[MachineAnswer]:
    """Read the answer to `list_machines`: highest priority first.

    Raises:
        AnswerError: It is no list of machines.
    """
    return [MachineAnswer(machine) for machine in _sequence("list_machines", answer)]


def boards_of_answer(answer: object) -> tuple[BoardTuple, ...] | None:
    """Read a list of boards, or None."""
    if answer is None:
        return None
    if not isinstance(answer, list):
        raise TypeError("boards are no list")
    return tuple([_board(board) for board in answer])


def state_name(state: int) -> str:
    """Return a state's name, or its number when it has none."""
    try:
        return JobState(state).name
    except ValueError:
        return str(state)


def _board(answer: Sequence[int]) -> BoardTuple:
    x, y, z = answer
    return x, y, z


def _optional_text(answer: object) -> str | None:
    return None if answer is None else str(answer)


def _sequence(command: str, answer: object) -> Sequence[Answer]:
    if not isinstance(answer, list):
        raise AnswerError(f"its answer to {command} is no list")
    return answer


def _unreadable(what: str, error: Exception) -> AnswerError:
    if isinstance(error, KeyError):
        return AnswerError(f"its description of {what} lacks {error}")
    return AnswerError(f"its description of {what} is not as the protocol says: {error}")
