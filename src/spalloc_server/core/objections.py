"""The objections to one board, and how long it is left alone because of them.

board_life.py defines the kinds of objections; boards.py keeps the objections of all boards.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from spalloc_server.core.board_life import Objection

MOST_DOUBLINGS = 40
"""How often a rest is doubled at most: a board may fail for years, and 2.0 to that power would overflow."""
LONGEST_REST_SECONDS = 3600.0
"""The longest rest that failures lead to, unless the rest after one failure is configured to be longer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a board."""

    why: str
    rest_seconds: float | None = None
    """How long the board is left alone; None for a time that follows from its failures."""
    failures: int = 1
    """How often it has failed, 1 or more; each failure doubles the rest."""
    objection: Objection = Objection.FAILED
    """`FAILED` or `REPORTED`."""


@dataclass(frozen=True, slots=True)
class Drained:
    """That an administrator took a board out of service, until it is put back."""

    why: str
    by: str
    """The administrator's name."""
    since: float
    """When it was drained, in seconds of Unix time."""

    @property
    def words(self) -> str:
        """The reason that users read."""
        return f"drained: {self.why}"


@dataclass(slots=True)
class Objections:
    """All objections to one board."""

    why: dict[Objection, str] = field(default_factory=dict)
    """Every objection with its reason, the latest last."""
    failures: int = 0
    proven: bool = True
    """Whether the board needs no test before it is free: it has not failed, or has passed one since."""
    rest_seconds: float | None = None
    """How long it rests before its next test; None for a time that follows from its failures."""
    drained: Drained | None = None
    """Who drained it, when and why; None if it is not drained."""
    since: dict[Objection, float] = field(default_factory=dict)
    """When each objection began, in seconds of Unix time; those are left out of which an old record does not tell."""

    @property
    def fault(self) -> str | None:
        """The latest reason for which the board must pass a test, or None."""
        return next((why for what, why in reversed(self.why.items()) if what.needs_test), None)

    @property
    def other(self) -> str | None:
        """The latest reason that a test does not end, or None."""
        return next((why for what, why in reversed(self.why.items()) if not what.needs_test), None)

    @property
    def fault_since(self) -> float | None:
        """Since when the board must pass a test, in seconds of Unix time; None if unknown."""
        return min((when for what, when in self.since.items() if what.needs_test), default=None)

    def add(self, objection: Objection, why: str, when: float | None) -> None:
        """Add an objection, or renew it as the latest; `when` is Unix time, or None if unknown."""
        self.why.pop(objection, None)
        self.why[objection] = why
        if when is not None:
            self.since.setdefault(objection, when)

    def drain(self, drained: Drained) -> None:
        """Object because an administrator drained the board; a second drain replaces the first."""
        self.add(Objection.DRAINED, drained.words, drained.since)
        self.drained = drained

    def blame(self, fault: Fault, when: float | None) -> None:
        """Object because of a fault: the board must rest and then pass a test."""
        self.add(fault.objection, fault.why, when)
        self.failures = max(self.failures, fault.failures)
        self.proven = False
        self.rest_seconds = fault.rest_seconds

    def fail(self, why: str, when: float) -> None:
        """Note that the board failed once more."""
        self.add(Objection.FAILED, why, when)
        self.failures += 1

    def withdraw(self, objections: Collection[Objection]) -> None:
        """Drop objections; if none of the rest asks for a test, the board's failures are forgotten."""
        for objection in objections:
            self.why.pop(objection, None)
            self.since.pop(objection, None)
        if Objection.DRAINED not in self.why:
            self.drained = None
        if self.fault is None:
            self.failures, self.proven, self.rest_seconds = 0, True, None

    def __bool__(self) -> bool:
        """Whether there is any objection."""
        return bool(self.why)

    def rest_after(self, first: float) -> float:
        """Return how many seconds the board rests before a test; `first` is the rest after one failure."""
        return self.retry_after(first) if self.rest_seconds is None else self.rest_seconds

    def retry_after(self, first: float) -> float:
        """Return how many seconds the board is left alone after its latest failure; `first` is that after one."""
        doublings = min(self.failures - 1, MOST_DOUBLINGS)
        return min(first * 2.0**doublings, max(first, LONGEST_REST_SECONDS))
