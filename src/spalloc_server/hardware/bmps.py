"""All BMPs of a site: splits power orders by frame, and answers each when all its frames have done their part.

See frame.py for how one frame is driven.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from spalloc_server.core.effects import BoardKey, PowerOrder, about_board
from spalloc_server.core.findings import same_frame
from spalloc_server.core.machine import Machine
from spalloc_server.hardware.frame import BoardState, FrameDriver, FrameListener, Piece
from spinnaker.geometry import Board, Link
from spinnaker.places import Frame

Done = Callable[[int, Mapping[Board, str]], None]

_log = logging.getLogger(__name__)


class BmpListener(Protocol):
    """Is told what checks of BMPs and boards find."""

    def frame_silent(self, machine: str, frame: Frame, why: str | None) -> None:
        """Called when a frame's BMP stops answering (`why` is the reason) or answers again (None)."""

    def boards_strayed(self, machine: str, order: int, boards: Mapping[Board, str]) -> None:
        """Called when boards are no longer as an order left them, with the reason for each."""


class Bmps:
    """The BMPs of all machines."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        """Drive `machines`; nothing is sent to a BMP before `start` or the first order."""
        self._machines: dict[str, Machine] = {}
        self._frames: dict[tuple[str, Frame], FrameDriver] = {}
        self._retiring: dict[FrameDriver, asyncio.Task[None]] = {}
        self.listener: BmpListener = _NoListener()
        """Is told what checks find."""
        self.board_retries: Counter[BoardKey] = Counter()
        """How often each board had to be commanded again; only configured boards that had to."""
        self._retries_of_retired = 0
        self._drive(machines)

    def _drive(self, machines: Iterable[Machine]) -> list[FrameDriver]:
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
        """Change to these machines; orders in progress are finished by the BMPs that began them."""
        drivers = set(self._frames.values())
        leaving = self._drive(machines)
        for key in [key for key in self.board_retries if not self._has(key)]:
            del self.board_retries[key]
        for driver in leaving:
            self._retries_of_retired += driver.retries
            self._retiring[driver] = asyncio.get_running_loop().create_task(self._retire(driver))
        for (machine, frame), driver in self._frames.items():
            if driver not in drivers:
                # The previous driver's last report may have been counted against the new frame.
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
        """How many questions to BMPs had to be asked again since the start."""
        return self._retries_of_retired + sum(driver.retries for driver in self._frames.values())

    def start(self, listener: BmpListener) -> None:
        """Begin to check that BMPs answer and that boards stay as ordered; `listener` is told what is found."""
        self.listener = listener
        for driver in self._frames.values():
            driver.start()

    def carry_out(self, order: PowerOrder, done: Done) -> None:
        """Begin an order; at its end, `done` is called with its number and the boards that failed, with reasons."""
        progress = _Progress(order, done)
        for frame, (boards, cut) in self._split(order).items():
            piece = Piece(order.number, order.on, cut, progress.resolver(boards))
            self._frames[order.machine, frame].add(piece)

    def watch(self, order: PowerOrder) -> None:
        """Check from time to time that boards are still as an earlier process's order left them."""
        for frame, (_, cut) in self._split(order).items():
            for slot, stopped in cut.items():
                self._frames[order.machine, frame].watch(slot, BoardState(order.number, order.on, stopped))

    def _split(self, order: PowerOrder) -> dict[Frame, tuple[dict[int, Board], dict[int, frozenset[Link]]]]:
        """Return an order's boards and their links that are to be stopped, by frame and by slot."""
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
        """Return a new driver for a frame; it begins when earlier drivers of it, or of its BMP, have finished."""
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
            _FrameReporter(self, machine, frame),
            machine.bmp_check_seconds,
            predecessors,
        )

    def is_current(self, listener: FrameListener, machine: str, frame: Frame) -> bool:
        """Return whether `listener` is that of the frame's present driver, not of an earlier one that is finishing."""
        driver = self._frames.get((machine, frame))
        return driver is not None and driver.listener is listener

    def _has(self, key: BoardKey) -> bool:
        return key.machine in self._machines and key.board in self._machines[key.machine].places

    async def stop(self) -> None:
        """Stop talking to the hardware; unfinished orders are never answered."""
        retiring = dict(self._retiring)
        for task in retiring.values():
            task.cancel()
        await asyncio.gather(*retiring.values(), return_exceptions=True)
        await asyncio.gather(*(frame.stop() for frame in (*self._frames.values(), *retiring)))


class _NoListener:
    """The listener before `Bmps.start`: it ignores what checks find."""

    def frame_silent(self, machine: str, frame: Frame, why: str | None) -> None:
        """Do nothing."""

    def boards_strayed(self, machine: str, order: int, boards: Mapping[Board, str]) -> None:
        """Do nothing."""


class _FrameReporter:
    """Passes on what one frame's driver finds, with the machine's name, and boards' coordinates for their slots."""

    def __init__(self, bmps: Bmps, machine: Machine, frame: Frame) -> None:
        self._bmps = bmps
        self._machine = machine.name
        self._frame = frame
        self._boards = {slot: board for board, slot in machine.in_frame(frame).items()}

    def silent(self, why: str | None) -> None:
        # An earlier driver, which is finishing its orders, may talk to a BMP that the frame no longer has.
        if self._bmps.is_current(self, self._machine, self._frame):
            self._bmps.listener.frame_silent(self._machine, self._frame, why)

    def retried(self, slot: int, why: str) -> None:
        self._note(logging.INFO, slot, "%s %s is commanded again: %s", why)

    def corrected(self, slot: int, why: str) -> None:
        self._note(logging.WARNING, slot, "%s %s was corrected: %s", why)

    def strayed(self, order: int, slots: Mapping[int, str]) -> None:
        boards = {self._boards[slot]: why for slot, why in slots.items()}
        self._bmps.listener.boards_strayed(self._machine, order, boards)

    def _note(self, level: int, slot: int, text: str, why: str) -> None:
        key = BoardKey(self._machine, self._boards[slot])
        self._bmps.board_retries[key] += 1
        _log.log(level, text, key.machine, key.board, why, extra=about_board(key))


class _Progress:
    """Gathers the results of one order's boards."""

    def __init__(self, order: PowerOrder, done: Done) -> None:
        self._number = order.number
        self._missing = set(order.boards)
        self._done = done
        self._failed: dict[Board, str] = {}

    def resolver(self, boards: Mapping[int, Board]) -> Callable[[int, str | None], None]:
        """Return the function that a frame calls with each board's result; only a board's first result counts."""

        def resolve(slot: int, failure: str | None) -> None:
            board = boards[slot]
            if board not in self._missing:
                return
            self._missing.remove(board)
            if failure is not None:
                self._failed[board] = failure
            if not self._missing:
                self._done(self._number, self._failed)

        return resolve
