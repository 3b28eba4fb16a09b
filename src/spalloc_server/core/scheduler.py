# Whose turn it is: the queue, and which jobs start where when something has changed.
#
# Where a job may be put on a machine is packing's subject; a job's life after it has started is the site's.
"""The scheduler: jobs that wait, machines, and the rule that brings them together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle
from spinnaker.geometry import Board


@dataclass(frozen=True, slots=True)
class Start:
    """A job that starts now, and what it gets."""

    job: int
    allocation: Allocation


class Obstacle(Enum):
    """What a queued job waits for."""

    TURN = "turn"
    """Nothing: it starts at the next decision."""
    BOARDS = "boards"
    """More boards must become free."""
    PLACE = "place"
    """Enough boards are free, but not together in a rectangle that would do."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where a queued job stands and what it waits for."""

    position: int
    """1 at the head of the queue."""
    queued: int
    """How many jobs wait, this one included."""
    obstacle: Obstacle
    sentence: str
    """The same in words."""


@dataclass(slots=True)
class _Queued:
    job: int
    request: JobRequest
    since: float
    tried: bool = False
    """Whether it has been found not to fit since boards last became free."""


class Scheduler:
    """The queue of all jobs and the boards of all machines."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._packers = {machine.name: Packer(machine) for machine in machines}
        self._queue: dict[int, _Queued] = {}
        self._set_aside: dict[str, set[Board]] = {}
        self._in_use: dict[str, set[Board]] = {}

    # The queue

    def submit(self, job: int, request: JobRequest, now: float) -> str | None:
        """Queue a job, or return the sentence that says why it can never run and leave it out.

        Args:
            job: the job's ID.
            request: what it asks for.
            now: the time in seconds.
        """
        refusal = self._refusal(request)
        if refusal is None:
            self._queue[job] = _Queued(job, request, now)
        return refusal

    def withdraw(self, job: int) -> None:
        """Take a job out of the queue; one that is not there makes no difference."""
        self._queue.pop(job, None)

    def decide(self, now: float) -> list[Start]:  # noqa: ARG002
        """Return the jobs that start now, and take their boards."""
        starts = []
        for queued in list(self._queue.values()):
            if queued.tried:
                continue
            allocation = self._find(queued.request)
            if allocation is None:
                queued.tried = True
            else:
                del self._queue[queued.job]
                self.occupy(allocation.machine, allocation.boards)
                starts.append(Start(queued.job, allocation))
        return starts

    def waiting(self, job: int) -> Waiting:
        """Return where a queued job stands and what it waits for.

        Raises:
            KeyError: the job is not in the queue.
        """
        queued = self._queue[job]
        position = list(self._queue).index(job) + 1
        place = f"It is number {position} of {len(self._queue)} in the queue"
        if not queued.tried:
            return Waiting(position, len(self._queue), Obstacle.TURN, f"{place} and about to be looked at.")
        wanted = _boards(queued.request)
        most = max(packer.free_boards for packer in self._suitable(queued.request))
        if most < wanted:
            sentence = f"{place} and waits for boards: it needs {wanted}, and {most} are free."
            return Waiting(position, len(self._queue), Obstacle.BOARDS, sentence)
        sentence = (
            f"{place} and waits for a place: {most} boards are free, but not together as it needs them."
        )
        return Waiting(position, len(self._queue), Obstacle.PLACE, sentence)

    # Boards

    def free_boards(self, machine: str) -> int:
        """Return how many boards of a machine could be given to a job now."""
        return self._packers[machine].free_boards

    def release(self, machine: str, boards: Iterable[Board], now: float) -> None:  # noqa: ARG002
        """Note that boards are free again; a machine that is no longer configured makes no difference."""
        gone = list(boards)
        self._in_use.get(machine, set()).difference_update(gone)
        if machine in self._packers:
            self._packers[machine].give_back(gone)
            self._look_again()

    def occupy(self, machine: str, boards: Iterable[Board]) -> None:
        """Note that boards are not free, whatever the reason."""
        taken = list(boards)
        self._in_use.setdefault(machine, set()).update(taken)
        if machine in self._packers:
            self._packers[machine].take(taken)

    def restore_running(self, job: int, request: JobRequest, allocation: Allocation) -> None:  # noqa: ARG002
        """Note that a job runs already."""
        self.occupy(allocation.machine, allocation.boards)

    def set_aside(self, machine: str, board: Board) -> None:
        """Give a live board to no job until it is put back; the job that has it keeps it."""
        self._set_aside.setdefault(machine, set()).add(board)
        self._packers[machine].set_aside(board)

    def put_back(self, machine: str, board: Board) -> None:
        """Let jobs have a board again that was set aside."""
        self._set_aside.get(machine, set()).discard(board)
        self._packers[machine].put_back(board)
        self._look_again()

    # Configuration

    def reconfigure(self, machines: Sequence[Machine], now: float) -> list[tuple[int, str]]:  # noqa: ARG002
        """Take over changed machines, and return the queued jobs that can never run now, each with the sentence.

        These jobs leave the queue. Running jobs keep their boards on machines that stay.
        """
        self._packers = {machine.name: Packer(machine) for machine in machines}
        for name, packer in self._packers.items():
            packer.take(self._in_use.get(name, ()))
            for board in self._set_aside.get(name, ()):
                packer.set_aside(board)
        for gone in set(self._in_use) | set(self._set_aside):
            if gone not in self._packers:
                self._in_use.pop(gone, None)
                self._set_aside.pop(gone, None)
        refused = []
        for queued in list(self._queue.values()):
            refusal = self._refusal(queued.request)
            if refusal is not None:
                del self._queue[queued.job]
                refused.append((queued.job, refusal))
        self._look_again()
        return refused

    # Inside

    def _look_again(self) -> None:
        for queued in self._queue.values():
            queued.tried = False

    def _suitable(self, request: JobRequest) -> list[Packer]:
        if request.machine is not None:
            packer = self._packers.get(request.machine)
            return [] if packer is None else [packer]
        return [packer for packer in self._packers.values() if request.tags <= packer.machine.tags]

    def _find(self, request: JobRequest) -> Allocation | None:
        for packer in self._suitable(request):
            allocation = packer.find(request)
            if allocation is not None:
                return allocation
        return None

    def _refusal(self, request: JobRequest) -> str | None:
        suitable = self._suitable(request)
        if any(packer.is_possible(request) for packer in suitable):
            return None
        if request.machine is not None and not suitable:
            return f"There is no machine named {request.machine!r}; there are: {_names(self._packers)}."
        if not suitable:
            tags = ", ".join(sorted(request.tags))
            return f"No machine has all of the tags {tags}."
        names = _names(packer.machine.name for packer in suitable)
        return f"{_wish(request)} can not be had on {names}."


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _boards(request: JobRequest) -> int:
    match request.shape:
        case Boards(count):
            return count
        case Rectangle(size):
            return size.boards
        case _:
            return 1


def _wish(request: JobRequest) -> str:
    match request.shape:
        case AnyBoard():
            return "A board"
        case BoardAt(board):
            return f"Board {board}"
        case Boards(count):
            return f"A rectangle with {count} boards"
        case Rectangle(size):
            return f"A rectangle of {size} triads"
