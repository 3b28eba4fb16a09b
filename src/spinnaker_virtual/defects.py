"""What is dead on a board, with its chips as numbers.

Facts of one board; which boards and cables of a machine are dead is in machine.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spinnaker.geometry import BOARD_CHIPS, Link

LOCAL = {chip: number for number, chip in enumerate(BOARD_CHIPS)}
"""The number of a chip on its board, 0 to 47, in the order of `BOARD_CHIPS`; 0 is the Ethernet-connected one."""

ALL_CHIPS = (1 << len(BOARD_CHIPS)) - 1
"""The chips of a board, one bit each."""


@dataclass(frozen=True, slots=True)
class Defects:
    """What is dead on a board, besides cables; by chip number."""

    chips: frozenset[int] = frozenset()
    cores: Mapping[int, int] = field(default_factory=dict)
    """For each chip that has any, the physical numbers of its dead cores, one bit each."""
    links: frozenset[tuple[int, Link]] = frozenset()
    """Links of chips, one end or both."""


NO_DEFECTS = Defects()
