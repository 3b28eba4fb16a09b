"""The life of a board: its states, the happenings that lead from one to the next, and the objections to it.

Everything that decides a board's state stands in this table; the diagram in the docs is made from it. What follows
from a change (power orders, records, which boards jobs can get) is decided in upkeep.py and care.py.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, StrEnum


@dataclass(frozen=True, slots=True)
class Free:
    """Off, and available to jobs unless there is an objection."""


@dataclass(frozen=True, slots=True)
class Held:
    """A job has it."""

    job: int


@dataclass(frozen=True, slots=True)
class SwitchingOff:
    """Being switched off, by the power order of this number."""

    order: int


@dataclass(frozen=True, slots=True)
class Cooling:
    """Off, and cooling down."""

    until: float


@dataclass(frozen=True, slots=True)
class StayingOn:
    """Perhaps on: it could not be switched off, and is left alone until the next try."""

    until: float


@dataclass(frozen=True, slots=True)
class Resting:
    """Off, and left alone until its test."""

    until: float


@dataclass(frozen=True, slots=True)
class Testing:
    """Being switched on as a test, by the power order of this number."""

    order: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Perhaps on, but no longer configured, so that it cannot be switched off."""


BoardState = Free | Held | SwitchingOff | Cooling | StayingOn | Resting | Testing | Lost
"""The state of a board; times are the core's."""
Waiting = Cooling | StayingOn | Resting
"""States that end at a time, `until`."""
PerhapsOn = SwitchingOff | StayingOn | Testing | Lost
"""States without a job in which a board may be on: after a restart it is switched off first."""

FREE = Free()
LOST = Lost()


class BoardHappening(StrEnum):
    """What can happen to a board."""

    ALLOCATED = "a job got it"
    GIVEN_BACK = "its job gave it back"
    OFF = "it is off, and needs no test"
    OFF_IN_DOUBT = "it is off, and must pass a test"
    STAYED_ON = "it could not be switched off"
    COOLED = "it has cooled down"
    RESTED = "it has rested for long enough, its BMP answers again, or an administrator puts it back"
    TESTED = "the test is over, passed or failed"
    DOUBTED = "users reported it, or it strayed too often"
    STRAYED = "it is on again though it was switched off"
    REMOVED = "it is no longer configured, and off"
    REMOVED_ON = "it is no longer configured, and perhaps on"
    CONFIGURED = "it is configured again"
    FORGOTTEN = "an administrator puts it back, though it is no longer configured"
    RECALLED_ON = "the server starts, and it may be on"
    RECALLED_IN_DOUBT = "the server starts, and it must pass a test"


_Kind = type[BoardState]

BOARD_LIFE: dict[tuple[_Kind, BoardHappening], _Kind] = {
    (Free, BoardHappening.ALLOCATED): Held,
    (Free, BoardHappening.DOUBTED): SwitchingOff,
    (Free, BoardHappening.STRAYED): SwitchingOff,
    (Free, BoardHappening.RECALLED_ON): SwitchingOff,
    (Free, BoardHappening.RECALLED_IN_DOUBT): Resting,
    (Free, BoardHappening.REMOVED_ON): Lost,
    (Held, BoardHappening.GIVEN_BACK): SwitchingOff,
    (Held, BoardHappening.REMOVED_ON): Lost,
    (SwitchingOff, BoardHappening.OFF): Cooling,
    (SwitchingOff, BoardHappening.OFF_IN_DOUBT): Resting,
    (SwitchingOff, BoardHappening.STAYED_ON): StayingOn,
    (SwitchingOff, BoardHappening.STRAYED): SwitchingOff,
    (SwitchingOff, BoardHappening.REMOVED): Free,
    (SwitchingOff, BoardHappening.REMOVED_ON): Lost,
    (Cooling, BoardHappening.COOLED): Free,
    (Cooling, BoardHappening.DOUBTED): Resting,
    (Cooling, BoardHappening.STRAYED): SwitchingOff,
    (Cooling, BoardHappening.REMOVED): Free,
    (StayingOn, BoardHappening.RESTED): SwitchingOff,
    (StayingOn, BoardHappening.REMOVED_ON): Lost,
    (Resting, BoardHappening.RESTED): Testing,
    (Resting, BoardHappening.DOUBTED): Resting,
    (Resting, BoardHappening.STRAYED): SwitchingOff,
    (Resting, BoardHappening.REMOVED): Free,
    (Testing, BoardHappening.TESTED): SwitchingOff,
    (Testing, BoardHappening.REMOVED_ON): Lost,
    (Lost, BoardHappening.CONFIGURED): SwitchingOff,
    (Lost, BoardHappening.FORGOTTEN): Free,
}

_AFTER: dict[BoardHappening, dict[_Kind, _Kind]] = {
    happening: {start: end for (start, what), end in BOARD_LIFE.items() if what is happening}
    for happening in BoardHappening
}


def outcome(state: BoardState, happening: BoardHappening) -> _Kind | None:
    """Return what a board in a state becomes when something happens to it, or None if that can't happen."""
    return _AFTER[happening].get(type(state))


def check_change(before: Collection[_Kind], happening: BoardHappening, after: _Kind) -> None:
    """Check that `happening` leads from each of the states `before` to `after`.

    Raises:
        ValueError: It does not.
    """
    ends = _AFTER[happening]
    for start in before:
        if ends.get(start) is not after:
            raise ValueError(
                f"a board that is {in_words(start)} can't become {in_words(after)} because {happening.value}"
            )


def in_words(kind: _Kind) -> str:
    """Return the name of a state in words."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).lstrip()


class Condition(StrEnum):
    """The conditions that boards are counted by; every board is in one."""

    FREE = "free"
    """Available to jobs now."""
    HELD = "held"
    """A job has it."""
    SWITCHING_OFF = "switching_off"
    """Being switched off, or cooling down, after a job."""
    ASIDE = "aside"
    """Set aside because something is wrong with it; it is tested from time to time."""
    DRAINED = "drained"
    """Taken out of service by an administrator, and no longer held by a job."""
    SILENT = "silent"
    """Free, but in a frame whose BMP does not answer."""
    DEAD = "dead"
    """Configured as dead."""


class Objection(Enum):
    """A reason for which a board is not available; of several, the first one here decides the board's condition."""

    DRAINED = "an administrator has taken it out of service", Condition.DRAINED, False
    FAILED = "it did not do as it was told", Condition.ASIDE, True
    REPORTED = "enough users reported it", Condition.ASIDE, True
    SILENT = "its frame's BMP does not answer", Condition.SILENT, False
    DEAD = "it is configured as dead", Condition.DEAD, False

    def __init__(self, words: str, counted_as: Condition, needs_test: bool) -> None:
        """Define one."""
        self.words = words
        self.counted_as = counted_as
        """The condition of a board that is otherwise free."""
        self.needs_test = needs_test
        """Whether the board must pass a test once no job has it, which ends the objection."""


CURED_BY_A_TEST = tuple(objection for objection in Objection if objection.needs_test)


def condition(state: BoardState, objections: Collection[Objection]) -> Condition:
    """Return the condition that a board is counted by."""
    if isinstance(state, Held):
        return Condition.HELD
    # A drained board that rests does so until it is put back.
    is_off = isinstance(state, Free | Resting)
    for objection in Objection:
        if objection in objections and (is_off or objection.needs_test):
            return objection.counted_as
    return Condition.FREE if isinstance(state, Free) else Condition.SWITCHING_OFF
