# All BMPs of a site: power orders are split by frame, and answered when every frame has done its part.
#
# How a frame is driven is frame.py's subject.
"""Carrying out power orders through BMPs."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from spalloc_server.core.machine import Machine
from spalloc_server.core.power import PowerOrder
from spalloc_server.hardware.frame import FrameDriver, Piece
from spinnaker.geometry import Board, Link
from spinnaker.places import Frame

Done = Callable[[int, Mapping[Board, str]], None]


class Bmps:
    """The BMPs of all machines."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        """Drive `machines`; no BMP is spoken to before the first order."""
        self._machines = {machine.name: machine for machine in machines}
        self._frames = {
            (machine.name, frame): FrameDriver(address)
            for machine in self._machines.values()
            for frame, address in machine.bmps.items()
        }

    def carry_out(self, order: PowerOrder, done: Done) -> None:
        """Begin an order; `done` gets its number and the boards that failed, and why, when all frames are done."""
        machine = self._machines[order.machine]
        slots: dict[Frame, dict[int, Board]] = defaultdict(dict)
        for board in order.boards:
            place = machine.places[board]
            slots[place.in_frame][place.board] = board
        cut: dict[Frame, set[tuple[int, Link]]] = defaultdict(set)
        for board, link in order.cut:
            place = machine.places[board]
            cut[place.in_frame].add((place.board, link))
        answer = _Answer(order.number, len(slots), done)
        for frame, boards in slots.items():
            piece = Piece(frozenset(boards), order.on, frozenset(cut[frame]), answer.of_frame(boards))
            self._frames[machine.name, frame].add(piece)

    async def stop(self) -> None:
        """Stop talking to the hardware; orders that are not over yet are never answered."""
        await asyncio.gather(*(frame.stop() for frame in self._frames.values()))


class _Answer:
    """Gathers what the frames of one order say."""

    def __init__(self, number: int, frames: int, done: Done) -> None:
        self._number = number
        self._missing = frames
        self._done = done
        self._failed: dict[Board, str] = {}

    def of_frame(self, boards: Mapping[int, Board]) -> Callable[[Mapping[int, str]], None]:
        """Return what a frame calls with the slots that failed."""

        def take(failed: Mapping[int, str]) -> None:
            self._failed.update({boards[slot]: why for slot, why in failed.items()})
            self._missing -= 1
            if not self._missing:
                self._done(self._number, self._failed)

        return take
