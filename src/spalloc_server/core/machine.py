"""What a machine is: the facts in its configuration, which stay the same until the configuration changes.

What is allocated on it belongs to packing/.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spinnaker.geometry import Board, BoardLink, Size
from spinnaker.places import Frame, Place

DEFAULT_TAG = "default"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as its configuration describes it."""

    name: str
    size: Size
    """Width and height in triads."""
    tags: frozenset[str] = frozenset({DEFAULT_TAG})
    dead_boards: frozenset[Board] = frozenset()
    dead_links: frozenset[BoardLink] = frozenset()
    """Both ends of each dead link."""
    places: Mapping[Board, Place] = field(default_factory=dict)
    """Where each live board stands."""
    addresses: Mapping[Board, str] = field(default_factory=dict)
    """The host name or address of each live board's Ethernet-connected chip."""
    bmps: Mapping[Frame, str] = field(default_factory=dict)
    """The host name or address of each frame's BMP."""
    settle_seconds: float = 5.0
    """How long boards need after power-on before they accept a boot image."""
    cool_down_seconds: float = 0.0
    """How long boards cool down after power-off before another job can have them."""
    board_retry_seconds: float = 60.0
    """How long a board that failed is left alone before it is tried again; doubled at each failure."""
    reports_to_set_aside: int = 3
    """How many hosts that have had a board lately must report it before it is set aside."""
    reports_share: float = 0.1
    """How many of the live boards may be set aside for reports at one time, from 0 to 1; at least one if not 0."""
    report_rest_seconds: float = 86_400.0
    """How long a board that was set aside for users' reports is left alone before it is tested."""
    bmp_check_seconds: float = 30.0
    """How often a BMP that has nothing to do is asked whether it still answers."""

    _frames: Mapping[Frame, Mapping[Board, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort the boards by frame, since they are often looked up by frame."""
        frames: dict[Frame, dict[Board, int]] = {}
        for board, place in self.places.items():
            frames.setdefault(place.in_frame, {})[board] = place.board
        object.__setattr__(self, "_frames", frames)

    def in_frame(self, frame: Frame) -> Mapping[Board, int]:
        """Return the live boards of a frame, each with its number in it, 0 to 23."""
        return self._frames.get(frame, {})
