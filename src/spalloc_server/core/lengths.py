"""How long jobs had their boards."""

from typing import NamedTuple

REMEMBERED = 5_000
"""How many lengths are remembered, those of the jobs that ended last."""


class Length(NamedTuple):
    """How long a job had its boards."""

    owner: str
    boards: int
    """How many it asked for."""
    seconds: float
    limit: float | None
    """Its time limit in seconds; None without one."""
