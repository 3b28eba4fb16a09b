"""Usage: who used what. Which questions there are, and what answers them; charges.py says what a job's boards cost.

Charges are added up where they are kept, in the store.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

DEFAULT_SECONDS = 30 * 86_400.0
"""How long a period is of which only one end was given."""
MOST_PARTS = 10_000
"""How many owners, say, an answer names at most."""


class By(StrEnum):
    """What usage is told of one by one."""

    OWNER = "owner"
    ACCOUNT = "account"
    GROUP = "group"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """What somebody wants to know."""

    begins: float
    """The beginning of the period, in seconds of Unix time."""
    ends: float
    """The end of the period, likewise; later than its beginning."""
    by: By = By.OWNER
    account: str | None = None
    """Of whose jobs only; None for all."""
    most: int = MOST_PARTS
    """How many parts are wanted at most: those that used most."""


class Used(NamedTuple):
    """What was used within a period."""

    who: str | None
    """The name of an owner, say; None for jobs without an account or a group, and for all together."""
    jobs: int
    """How many jobs had boards."""
    board_seconds: float
    """Boards times seconds within the period; of jobs that have their boards still, up to the present."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The answer."""

    question: UsageQuestion
    parts: Sequence[Used]
    """Those that used most first."""
    whole: Used
    """All together, parts that are left out as well."""
    left_out: int = 0
    """How many more parts there are."""
    complete_since: float | None = None
    """Charges of earlier allocations may be missing, in seconds of Unix time; None if all are kept."""

    @property
    def is_complete(self) -> bool:
        """Whether all charges of the period are kept."""
        return self.complete_since is None or self.complete_since <= self.question.begins


def flaw(begins: float, ends: float) -> str | None:
    """Return what is wrong with a period, or None: the words follow "the period"."""
    return None if begins < ends else "must begin before it ends"
