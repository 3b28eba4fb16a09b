"""All BMPs of a site: power orders are split by frame, and answered when every frame has done its part.

How a frame is driven is frame.py's subject.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from spalloc_server.core.effects import BoardKey, PowerOrder, about_board
from spalloc_server.core.findings import same_frame
from spalloc_server.core.machine import Machine
from spalloc_server.hardware.frame import FrameDriver, Piece, Standing
from spalloc_server.hardware.frame import Listener as FrameListener
from spinnaker.geometry import Board, Link
from spinnaker.places import Frame

Done = Callable[[int, Mapping[Board, str]], None]

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Whoever wants to know what becomes of BMPs and boards."""

    def frame_silent(self, machine: str, frame: Frame, why: str | None) -> None:
        """Take it that a frame's BMP stopped answering, and why, or with None that it answers again."""

    def boards_strayed(self, machine: str, order: int, boards: Mapping[Board, str]) -> None:
        """Take it that boards are not any more what an order made of them, and why."""


class Bmps:
    """The BMPs of all machines."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        """Drive `machines`; no BMP is spoken to before `start` or the first order."""
        self._machines: dict[str, Machine] = {}
        self._frames: dict[tuple[str, Frame], FrameDriver] = {}
        self._retiring: dict[FrameDriver, asyncio.Task[None]] = {}
        self.listener: Listener = _Nobody()
        """Who is told what becomes of them."""
        self.board_retries: Counter[BoardKey] = Counter()
        """How often each board had to be told again to be as ordered; only boards that there are, and that had to."""
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
        leaving = self._take_over(machines)
        for key in [key for key in self.board_retries if not self._has(key)]:
            del self.board_retries[key]
        for driver in leaving:
            self._retries_of_retired += driver.retries
            self._retiring[driver] = asyncio.get_running_loop().create_task(self._retire(driver))
        for (machine, frame), driver in self._frames.items():
            if driver not in drivers:
                # What the driver before said last may have been heard as if it were said of the frame as it is now.
                self.listener.frame_silent(machine, frame, None)
                driver.start()

    async def _retire(self, driver: FrameDriver) -> None:
        await driver.finish()
        for successor in self._frames.values():
            if successor.address == driver.address:
                driver.hand_over(successor)
        await driver.stop()
        del self._retiring[driver]

    @property
    def retries(self) -> int:
        """How many questions had to be asked again, of all BMPs since the start."""
        return self._retries_of_retired + sum(driver.retries for driver in self._frames.values())

    def start(self, listener: Listener) -> None:
        """Begin to check that BMPs answer and boards stay as they were made; `listener` is told how they do."""
        self.listener = listener
        for driver in self._frames.values():
            driver.start()

    def carry_out(self, order: PowerOrder, done: Done) -> None:
        """Begin an order; `done` gets its number and the boards that failed, and why, when all frames are done."""
        answer = _Answer(order, done)
        for frame, (boards, cut) in self._split(order).items():
            piece = Piece(order.number, order.on, cut, answer.of_frame(boards))
            self._frames[order.machine, frame].add(piece)

    def watch(self, order: PowerOrder) -> None:
        """Look from time to time whether boards are as they were made by an order to an earlier process."""
        for frame, (_, cut) in self._split(order).items():
            for slot, stopped in cut.items():
                self._frames[order.machine, frame].watch(slot, Standing(order.number, order.on, stopped))

    def _split(self, order: PowerOrder) -> dict[Frame, tuple[dict[int, Board], dict[int, frozenset[Link]]]]:
        """Return the boards of an order and their links that are to be stopped, by frame and by place in it."""
        places = self._machines[order.machine].places
        stopped: dict[Board, list[Link]] = {board: [] for board in order.boards}
        for board, link in order.cut:
            stopped[board].append(link)
        pieces: dict[Frame, tuple[dict[int, Board], dict[int, frozenset[Link]]]] = {}
        for board, links in stopped.items():
            place = places[board]
            boards, cut = pieces.setdefault(place.in_frame, ({}, {}))
            boards[place.board] = board
            cut[place.board] = frozenset(links)
        return pieces

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

        return FrameDriver(
            address,
            machine.in_frame(frame).values(),
            _OfFrame(self, machine, frame),
            machine.bmp_check_seconds,
            predecessors,
        )

    def is_told_by(self, listener: FrameListener, machine: str, frame: Frame) -> bool:
        """Return whether `listener` is who hears the driver of a frame as it is now."""
        driver = self._frames.get((machine, frame))
        return driver is not None and driver.listener is listener

    def _has(self, key: BoardKey) -> bool:
        return key.machine in self._machines and key.board in self._machines[key.machine].places

    async def stop(self) -> None:
        """Stop talking to the hardware; orders that are not over yet are never answered."""
        retiring = dict(self._retiring)
        for task in retiring.values():
            task.cancel()
        await asyncio.gather(*retiring.values(), return_exceptions=True)
        await asyncio.gather(*(frame.stop() for frame in (*self._frames.values(), *retiring)))


class _Nobody:
    """Stands for whoever will want to know."""

    def frame_silent(self, machine: str, frame: Frame, why: str | None) -> None:
        """Take no note."""

    def boards_strayed(self, machine: str, order: int, boards: Mapping[Board, str]) -> None:
        """Take no note."""


class _OfFrame:
    """Says of which machine and boards it is what the driver of a frame tells."""

    def __init__(self, bmps: Bmps, machine: Machine, frame: Frame) -> None:
        self._bmps = bmps
        self._machine = machine.name
        self._frame = frame
        self._boards = {slot: board for board, slot in machine.in_frame(frame).items()}

    def silent(self, why: str | None) -> None:
        # What a driver finds that is finishing its last orders is no news of the frame as it is now.
        if self._bmps.is_told_by(self, self._machine, self._frame):
            self._bmps.listener.frame_silent(self._machine, self._frame, why)

    def retried(self, slot: int, why: str) -> None:
        self._note(logging.INFO, slot, "%s %s is told again what to be: %s", why)

    def mended(self, slot: int, why: str) -> None:
        self._note(logging.WARNING, slot, "%s %s was set right: %s", why)

    def strayed(self, order: int, slots: Mapping[int, str]) -> None:
        boards = {self._boards[slot]: why for slot, why in slots.items()}
        self._bmps.listener.boards_strayed(self._machine, order, boards)

    def _note(self, level: int, slot: int, text: str, why: str) -> None:
        key = BoardKey(self._machine, self._boards[slot])
        self._bmps.board_retries[key] += 1
        _log.log(level, text, key.machine, key.board, why, extra=about_board(key))


class _Answer:
    """Gathers what becomes of the boards of one order."""

    def __init__(self, order: PowerOrder, done: Done) -> None:
        self._number = order.number
        self._missing = set(order.boards)
        self._done = done
        self._failed: dict[Board, str] = {}

    def of_frame(self, boards: Mapping[int, Board]) -> Callable[[int, str | None], None]:
        """Return what a frame calls for each of its boards; only the first time counts."""

        def take(slot: int, failure: str | None) -> None:
            board = boards[slot]
            if board not in self._missing:
                return
            self._missing.remove(board)
            if failure is not None:
                self._failed[board] = failure
            if not self._missing:
                self._done(self._number, self._failed)

        return take
