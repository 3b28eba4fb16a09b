"""What speaks against each board, and for how long a board is left alone for it.

Which objections there are stands in board_life.py; what a board does meanwhile is boards.py's subject.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from spalloc_server.core.board_life import Objection

MOST_DOUBLINGS = 40
"""How often a rest is doubled at most: a board may fail for years, and no number grows for as long."""
LONGEST_REST_SECONDS = 3600.0
"""However often a board has failed, it is tried again after so long at the latest."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a board."""

    why: str
    rest_seconds: float | None = None
    """How long the board is to be left alone; None for as long as its failures ask for."""
    failures: int = 1
    """How often it has failed, 1 or more; it is left alone twice as long for each."""
    objection: Objection = Objection.FAILED
    """Whose word it is: the board's own, or its users'."""


@dataclass(frozen=True, slots=True)
class Drained:
    """An administrator's word that a board goes to no job until it is put back."""

    why: str
    by: str
    """Who said it."""
    since: float
    """When, in seconds of Unix time."""

    @property
    def words(self) -> str:
        """What is said of such a board."""
        return f"drained: {self.why}"


@dataclass(slots=True)
class Objections:
    """All that speaks against one board."""

    why: dict[Objection, str] = field(default_factory=dict)
    """Every objection with its reason, the latest last."""
    failures: int = 0
    proven: bool = True
    """Whether the board may be given to jobs once it is off; one that would not come up must pass a test first."""
    rest_seconds: float | None = None
    """How long it has still to rest before its next test, where that does not follow from its failures."""
    drained: Drained | None = None
    """The administrator's word, as long as it stands."""
    since: dict[Objection, float] = field(default_factory=dict)
    """Since when there is each objection, in seconds of Unix time; of those that began before records told, nothing."""

    @property
    def fault(self) -> str | None:
        """The latest of the reasons for which the board must pass a test, or None."""
        return next((why for what, why in reversed(self.why.items()) if what.needs_test), None)

    @property
    def other(self) -> str | None:
        """The latest of the reasons that no test is about, or None."""
        return next((why for what, why in reversed(self.why.items()) if not what.needs_test), None)

    @property
    def fault_since(self) -> float | None:
        """Since when the board must pass a test, in seconds of Unix time; None if that is not known."""
        return min((when for what, when in self.since.items() if what.needs_test), default=None)

    def add(self, objection: Objection, why: str, when: float | None) -> None:
        """Object for a reason, the latest from now on; `when` is Unix time, or None if it is not known."""
        self.why.pop(objection, None)
        self.why[objection] = why
        if when is not None:
            self.since.setdefault(objection, when)

    def drain(self, word: Drained) -> None:
        """Object because an administrator says so; a later word takes the place of an earlier one."""
        self.add(Objection.DRAINED, word.words, word.since)
        self.drained = word

    def blame(self, fault: Fault, when: float | None) -> None:
        """Object because of a fault: the board must rest and pass a test."""
        self.add(fault.objection, fault.why, when)
        self.failures = max(self.failures, fault.failures)
        self.proven = False
        self.rest_seconds = fault.rest_seconds

    def fail(self, why: str, when: float) -> None:
        """Note that the board failed once more."""
        self.add(Objection.FAILED, why, when)
        self.failures += 1

    def withdraw(self, objections: Collection[Objection]) -> None:
        """Drop objections; a board that then needs no test is treated as if it had never failed."""
        for objection in objections:
            self.why.pop(objection, None)
            self.since.pop(objection, None)
        if Objection.DRAINED not in self.why:
            self.drained = None
        if self.fault is None:
            self.failures, self.proven, self.rest_seconds = 0, True, None

    def __bool__(self) -> bool:
        """Whether anything speaks against the board."""
        return bool(self.why)

    def rest_after(self, first: float) -> float:
        """Return how many seconds the board rests before a test, where it rests `first` after one failure."""
        return self.retry_after(first) if self.rest_seconds is None else self.rest_seconds

    def retry_after(self, first: float) -> float:
        """Return how many seconds the board is left alone after its last failure, `first` after one."""
        doublings = min(self.failures - 1, MOST_DOUBLINGS)
        return min(first * 2.0**doublings, max(first, LONGEST_REST_SECONDS))
