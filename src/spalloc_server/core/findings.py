"""What the hardware does by itself: BMPs fall silent, and boards stray from what was ordered.

A silent frame's boards cannot be switched until its BMP answers. A board strays if it is found not to be as it was
ordered, though it passed every test, such as after a reset. site.py decides what follows.
"""

from collections import deque
from collections.abc import Callable, Mapping

from spalloc_server.core.effects import BoardKey
from spalloc_server.core.machine import Machine
from spalloc_server.core.objections import Fault
from spinnaker.geometry import Board
from spinnaker.places import Frame


class SilentFrames:
    """Which frames of a site are silent, and why."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        """Begin with no frame silent."""
        self._machines = machines
        self.why: dict[tuple[str, Frame], str] = {}
        """Machine and frame of each silent BMP, and what is wrong with it."""

    def note(self, machine: str, frame: Frame, why: str | None) -> tuple[Board, ...]:
        """Note that a frame is silent, or with None that it answers; return its boards if this is a change."""
        if ((machine, frame) in self.why) == (why is not None) or not self._has(machine, frame):
            return ()
        if why is None:
            del self.why[machine, frame]
        else:
            self.why[machine, frame] = why
        return tuple(self._machines[machine].in_frame(frame))

    def _has(self, machine: str, frame: Frame) -> bool:
        return machine in self._machines and frame in self._machines[machine].bmps

    def has(self, key: BoardKey) -> bool:
        """Return whether a board is in a silent frame."""
        machine = self._machines.get(key.machine)
        place = None if machine is None else machine.places.get(key.board)
        return place is not None and (key.machine, place.in_frame) in self.why

    def machines_change(self, after: Mapping[str, Machine]) -> dict[str, tuple[Board, ...]]:
        """Note that frames that are removed or changed are no longer silent; return their boards by machine.

        A changed frame becomes silent again only if its BMP does not answer when it is asked next.
        """
        boards: dict[str, tuple[Board, ...]] = {}
        for name, frame in list(self.why):
            before, new = self._machines[name], after.get(name)
            if new is None or not same_frame(before, new, frame):
                boards[name] = (*boards.get(name, ()), *self.note(name, frame, None))
        return boards


def same_frame(before: Machine | None, after: Machine, frame: Frame) -> bool:
    """Return whether a change of its machine makes no difference to how a frame is driven."""
    return (
        before is not None
        and before.bmps.get(frame) == after.bmps.get(frame)
        and before.bmp_check_seconds == after.bmp_check_seconds
        and before.in_frame(frame) == after.in_frame(frame)
    )


STRAY_TRIES = 3
"""A board that strays this often within `STRAY_SECONDS` has failed, and fails again with each further stray."""
STRAY_SECONDS = 3600.0
"""How long a stray counts."""
MOST_STRAYS = 12
"""How many strays of a board are remembered; with this many, it rests for the longest time."""


class Strays:
    """The latest strays of each board."""

    def __init__(self) -> None:
        """Begin with none."""
        self._times: dict[BoardKey, deque[float]] = {}

    def add(self, key: BoardKey, why: str, now: float) -> Fault | None:
        """Note that a board strayed; return its fault if this was too often, or None.

        Args:
            key: The board.
            why: How it strayed.
            now: The core's time.
        """
        times = self._times.setdefault(key, deque(maxlen=MOST_STRAYS))
        times.append(now)
        lately = sum(now - each <= STRAY_SECONDS for each in times)
        if lately < STRAY_TRIES:
            return None
        told = f"{lately} times within an hour it was not as it was ordered, the last time: {why}"
        return Fault(told, failures=lately - STRAY_TRIES + 1)

    def forget_all_but(self, knows: Callable[[BoardKey], bool]) -> None:
        """Forget the boards that no longer exist."""
        self._times = {key: times for key, times in self._times.items() if knows(key)}
