# A request as one machine sees it: which rectangles would do and how much of them may be missing.
#
# Worked out once for each kind of request; nothing here changes with occupancy.
"""What a machine must provide for a request."""

from dataclasses import dataclass

from spinnaker.geometry import Size


@dataclass(frozen=True, slots=True)
class Demand:
    """A request for rectangles of triads, made ready for one machine."""

    rectangles: tuple[Size, ...]
    """The sizes to try."""
    boards: int
    """How many boards are asked for."""
    fewest: int
    """How many boards are put up with: those asked for less the dead ones that may be missing; at least 1."""
    max_dead_links: int | None
    require_torus: bool

    def spare(self, size: Size) -> int:
        """How many boards of a rectangle are more than asked for, so that other jobs may have them."""
        return max(0, size.boards - self.boards)
