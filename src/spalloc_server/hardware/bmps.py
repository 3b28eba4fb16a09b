# All BMPs of a site: power orders are split by frame, and answered when every frame has done its part.
#
# How a frame is driven is frame.py's subject.
"""Carrying out power orders through BMPs."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from spalloc_server.core.machine import Machine
from spalloc_server.core.power import PowerOrder
from spalloc_server.core.silence import same_frame
from spalloc_server.hardware.frame import FrameDriver, Piece
from spinnaker.geometry import Board, Link
from spinnaker.places import Frame

Done = Callable[[int, Mapping[Board, str]], None]
Silence = Callable[[str, Frame, str | None], None]


class Bmps:
    """The BMPs of all machines."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        """Drive `machines`; no BMP is spoken to before `start` or the first order."""
        self._machines: dict[str, Machine] = {}
        self._frames: dict[tuple[str, Frame], FrameDriver] = {}
        self._retiring: dict[FrameDriver, asyncio.Task[None]] = {}
        self._silence: Silence = _nobody_told
        self._retries_of_retired = 0
        self._take_over(machines)

    def _take_over(self, machines: Iterable[Machine]) -> list[FrameDriver]:
        """Drive `machines` from now on; return the drivers of frames that are gone or changed."""
        before, drivers = self._machines, self._frames
        self._machines = {machine.name: machine for machine in machines}
        keys = {
            (machine.name, frame): machine for machine in self._machines.values() for frame in machine.bmps
        }
        kept = {
            key: drivers.pop(key)
            for key, machine in keys.items()
            if same_frame(before.get(machine.name), machine, key[1])
        }
        self._frames = {}
        for key, machine in keys.items():
            self._frames[key] = kept.get(key) or self._driver(machine, key[1], drivers)
        return list(drivers.values())

    def reconfigure(self, machines: Iterable[Machine]) -> None:
        """Take over changed machines; orders that are under way are finished through the BMPs they were begun with."""
        drivers = set(self._frames.values())
        for driver in self._take_over(machines):
            self._retries_of_retired += driver.conversation.retries
            self._retiring[driver] = asyncio.get_running_loop().create_task(self._retire(driver))
        for (machine, frame), driver in self._frames.items():
            if driver not in drivers:
                # What the driver before said last may have been heard as if it were said of the frame as it is now.
                self._silence(machine, frame, None)
                driver.start()

    async def _retire(self, driver: FrameDriver) -> None:
        await driver.finish()
        await driver.stop()
        del self._retiring[driver]

    @property
    def retries(self) -> int:
        """How many questions had to be asked again, of all BMPs since the start."""
        return self._retries_of_retired + sum(driver.conversation.retries for driver in self._frames.values())

    def start(self, silence: Silence) -> None:
        """Begin to check that the BMPs answer.

        Args:
            silence: Called with a machine, a frame and the reason when its BMP stops answering, and with None for
                the reason when it answers again.
        """
        self._silence = silence
        for driver in self._frames.values():
            driver.start()

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

    def _driver(
        self, machine: Machine, frame: Frame, leaving: Mapping[tuple[str, Frame], FrameDriver]
    ) -> FrameDriver:
        """Return a driver for a frame, which begins when those are done that are `leaving` it, or have left."""
        address = machine.bmps[frame]
        predecessors = {driver for driver in self._retiring if driver.address == address}
        predecessors |= {
            driver
            for key, driver in leaving.items()
            if key == (machine.name, frame) or driver.address == address
        }

        def tell(why: str | None) -> None:
            # What a driver finds that is finishing its last orders is no news of the frame as it is now.
            if self._frames.get((machine.name, frame)) is driver:
                self._silence(machine.name, frame, why)

        driver = FrameDriver(
            address, machine.in_frame(frame).values(), tell, machine.bmp_check_seconds, predecessors
        )
        return driver

    async def stop(self) -> None:
        """Stop talking to the hardware; orders that are not over yet are never answered."""
        retiring = dict(self._retiring)
        for task in retiring.values():
            task.cancel()
        await asyncio.gather(*retiring.values(), return_exceptions=True)
        await asyncio.gather(*(frame.stop() for frame in (*self._frames.values(), *retiring)))


def _nobody_told(_machine: str, _frame: Frame, _why: str | None) -> None:
    """Stand for whoever will want to know of silent BMPs."""


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
