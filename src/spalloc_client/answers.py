"""Reads what servers answer about all jobs, about machines and about places.

job_answers.py reads what they answer about one job.
"""

from __future__ import annotations

from spalloc_client.job_answers import AnswerError, Reading, boards_or_none, number_or_none, text_or_none
from spalloc_client.states import JobState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spalloc_client.job_answers import BoardTuple


class Listed:
    """A live job, as `list_jobs` describes it."""

    __slots__ = (
        "allocated", "arguments", "boards", "host", "job_id", "keepalive", "machine", "options", "owner", "power",
        "start_time", "state", "time_limit",
    )  # fmt: skip
    job_id: int
    owner: str
    """Its owner, which may contain any characters."""
    start_time: float | None
    """When it was created, seconds since 1970."""
    keepalive: float | None
    """Seconds for which it lives without a sign of life, or None for ever."""
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
    time_limit: float | None
    """Seconds for which it may have its boards; None for any number, or if the server does not tell."""
    allocated: float | None
    """When it got its boards, seconds since 1970; None without boards, or if the server does not tell."""

    def __init__(self, answer: object, command: str = "list_jobs") -> None:
        with Reading(command, answer) as said:
            self.job_id = said["job_id"]
            self.owner = str(said["owner"])
            self.start_time = said["start_time"]
            self.keepalive = said["keepalive"]
            self.host = text_or_none(said.get("keepalivehost"))
            self.state = said["state"]
            self.power = said["power"]
            self.machine = text_or_none(said["allocated_machine_name"])
            self.boards = boards_or_none(said["boards"])
            self.arguments = tuple(said["args"])
            self.options = said["kwargs"]
            self.time_limit = number_or_none(said.get("time_limit"))
            self.allocated = number_or_none(said.get("allocated"))


class Ended(Listed):
    """A job that has ended, as `list_ended_jobs` describes it: its machine and boards are what it had last."""

    __slots__ = ("ended", "reason")
    ended: float
    """When it ended, seconds since 1970."""
    reason: str | None
    """The reason, if any was given; it may contain any characters."""

    def __init__(self, answer: object) -> None:
        super().__init__(answer, "list_ended_jobs")
        with Reading("list_ended_jobs", answer) as said:
            self.ended = float(said["ended"])
            self.reason = text_or_none(said["reason"])


class ReservationAnswer:
    """A reservation of boards of a machine, as `list_machines` describes it."""

    __slots__ = ("begins", "boards", "ends", "ends_jobs", "name", "owners", "reason")
    name: str
    begins: float
    """Seconds since 1970."""
    ends: float
    """Seconds since 1970."""
    owners: tuple[str, ...]
    """Whose jobs may use the boards; of nobody if it is for maintenance."""
    reason: str
    ends_jobs: bool
    """Whether it ends jobs of others when it begins."""
    boards: frozenset[BoardTuple]

    def __init__(self, answer: object) -> None:
        with Reading("list_machines", answer) as said:
            self.name = str(said["name"])
            self.begins, self.ends = float(said["from"]), float(said["to"])
            self.owners = tuple(str(owner) for owner in said["owners"])
            self.reason = str(said["reason"])
            self.ends_jobs = bool(said["ends_jobs"])
            self.boards = frozenset((x, y, z) for x, y, z in said["boards"])


class MachineAnswer:
    """A machine, as `list_machines` describes it."""

    __slots__ = (
        "dead_boards",
        "dead_links",
        "height",
        "name",
        "reservations",
        "set_aside_boards",
        "tags",
        "width",
    )
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
    """Boards that are set aside, with the reasons; other servers don't report them."""
    reservations: tuple[ReservationAnswer, ...]
    """Those that are not over; other servers have none."""

    def __init__(self, answer: object) -> None:
        with Reading("list_machines", answer) as said:
            self.name = str(said["name"])
            self.tags = tuple(str(tag) for tag in said["tags"])
            self.width = int(said["width"])
            self.height = int(said["height"])
            self.dead_boards = frozenset((x, y, z) for x, y, z in said["dead_boards"])
            self.dead_links = frozenset((x, y, z, link) for x, y, z, link in said["dead_links"])
            self.set_aside_boards = {(x, y, z): str(why) for x, y, z, why in said.get("set_aside_boards", ())}
            self.reservations = tuple(map(ReservationAnswer, said.get("reservations", ())))

    @property
    def live_boards(self) -> int:
        """How many of its boards are not dead."""
        return 3 * self.width * self.height - len(self.dead_boards)


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

    def __init__(self, answer: object) -> None:
        with Reading("where_is", answer) as said:
            self.machine = str(said["machine"])
            self.logical = tuple(said["logical"])
            self.physical = tuple(said["physical"])
            self.chip = tuple(said["chip"])
            self.board_chip = tuple(said["board_chip"])
            self.job_id = said["job_id"]
            self.job_chip = None if said["job_chip"] is None else tuple(said["job_chip"])


def listed(answer: object) -> list[Listed]:
    """Read the answer to `list_jobs`: live jobs, oldest first."""
    return [Listed(job) for job in entries("list_jobs", answer)]


def machines(answer: object) -> list[MachineAnswer]:
    """Read the answer to `list_machines`: highest priority first."""
    return [MachineAnswer(machine) for machine in entries("list_machines", answer)]


def entries(command: str, answer: object) -> Sequence[object]:
    """Read an answer that is a list."""
    if not isinstance(answer, list):
        raise AnswerError(command, answer)
    return answer


def state_name(state: int) -> str:
    """Return a state's name, or its number when it has none."""
    try:
        return JobState(state).name
    except ValueError:
        return str(state)
