# One frame: what its boards are wanted to be, and the conversation that makes them so.
#
# All that is asked of a frame while it is busy is done together in its next turn: one power-off, one power-on, one
# look at the FPGAs, one set of link writes, however many jobs they are for. Other frames have turns of their own.
"""Driving the boards of one frame."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from spalloc_server.hardware.conversation import Conversation, Patience, Question
from spinnaker.bmp import (
    FIRST_MAJOR_WITH_FPGAS,
    power_request,
    read_fpga_request,
    version_of,
    version_request,
    word_of,
    write_fpga_request,
)
from spinnaker.fpga import FPGAS_PER_BOARD, IDENTITY_REGISTER, identifies, stop_register
from spinnaker.geometry import Link
from spinnaker.sdp import PacketError

POWER_TRIES = 3
"""How often a board whose FPGAs don't load is powered on."""

# A power command is answered when it is done: up to 10 s for power-on, so asking sooner would do it twice.
POWER_PATIENCE = Patience(10.0, 10.0, 5)
REGISTER_PATIENCE = Patience(0.25, 1.0, 12)


@dataclass(slots=True)
class Piece:
    """The part of a power order that concerns one frame."""

    slots: frozenset[int]
    """Boards in the frame, 0 to 23."""
    on: bool
    cut: frozenset[tuple[int, Link]]
    """Links to be stopped once the boards are on."""
    done: Callable[[Mapping[int, str]], None]
    """Called with the boards that failed, and why."""
    failed: dict[int, str] = field(default_factory=dict)


class FrameDriver:
    """One frame's boards, through its BMP."""

    def __init__(self, address: str) -> None:
        """Drive the frame whose BMP is at `address`, `HOST` or `HOST:PORT`."""
        self.address = address
        self.conversation = Conversation(address)
        self._wanted: list[Piece] = []
        self._turns: asyncio.Task[None] | None = None
        self._known_off: set[int] = set()
        self._has_fpgas: bool | None = None

    def add(self, piece: Piece) -> None:
        """Have a piece done in the next turn."""
        self._wanted.append(piece)
        if self._turns is None:
            self._turns = asyncio.get_running_loop().create_task(self._take_turns())

    async def retire(self) -> None:
        """Finish what was asked for, then stop."""
        try:
            if self._turns is not None:
                await asyncio.wait({self._turns})
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Drop everything and close the socket; nothing is called back any more."""
        self._wanted.clear()
        if self._turns is not None:
            self._turns.cancel()
            await asyncio.gather(self._turns, return_exceptions=True)
        self.conversation.close()

    async def _take_turns(self) -> None:
        try:
            while self._wanted:
                pieces, self._wanted = self._wanted, []
                await self._turn(pieces)
                for piece in pieces:
                    piece.done(piece.failed)
        finally:
            self._turns = None

    async def _turn(self, pieces: list[Piece]) -> None:
        # Where two pieces want the same board, the later one is what is wanted now.
        latest = {slot: piece for piece in pieces for slot in piece.slots}
        on = {slot for slot, piece in latest.items() if piece.on}
        off = set(latest) - on
        failed = await self._switch_off(off | (on - self._known_off))
        up = on - failed.keys()
        failed |= await self._bring_up(up)
        up -= failed.keys()
        failed |= await self._stop_links(
            [
                (slot, link)
                for piece in pieces
                for slot, link in piece.cut
                if slot in up and latest[slot] is piece
            ]
        )
        for slot, why in failed.items():
            latest[slot].failed[slot] = why

    async def _ask(self, questions: Mapping[int, list[Question]], patience: Patience) -> dict[int, str]:
        """Ask questions about boards, and return the boards of which one was not answered well."""
        flat = [(slot, question) for slot, theirs in questions.items() for question in theirs]
        try:
            replies = await self.conversation.ask([question for _, question in flat], patience)
        except OSError as error:
            return dict.fromkeys(questions, f"its BMP at {self.address} can't be reached: {error}")
        failed = {}
        for (slot, _), reply in zip(flat, replies, strict=True):
            if reply is None:
                failed[slot] = f"its BMP at {self.address} does not answer"
            elif not reply.ok:
                failed[slot] = f"its BMP at {self.address} answers {reply.result:#x}"
        return failed

    async def _power(self, slots: set[int], *, on: bool) -> dict[int, str]:
        if not slots:
            return {}
        self._known_off -= slots
        failed = await self._ask(
            {0: [lambda sequence: power_request(slots, on, sequence=sequence)]}, POWER_PATIENCE
        )
        if failed:
            return dict.fromkeys(slots, *failed.values())
        if not on:
            self._known_off |= slots
        return {}

    async def _switch_off(self, slots: set[int]) -> dict[int, str]:
        return await self._power(slots, on=False)

    async def _bring_up(self, slots: set[int]) -> dict[int, str]:
        """Power boards on until their FPGAs have loaded."""
        failed: dict[int, str] = {}
        for _ in range(POWER_TRIES):
            failed = await self._power(slots, on=True)
            if not failed:
                failed = await self._check_fpgas(slots)
            if not failed:
                break
            slots = set(failed)
            off = await self._switch_off(slots)
            if off:
                return failed | off
        return failed

    async def _check_fpgas(self, slots: Iterable[int]) -> dict[int, str]:
        if not await self._find_fpgas():
            return {}
        wanted = [(slot, fpga) for slot in slots for fpga in range(FPGAS_PER_BOARD)]
        questions = [_reading(slot, fpga) for slot, fpga in wanted]
        try:
            replies = await self.conversation.ask(questions, REGISTER_PATIENCE)
        except OSError as error:
            return dict.fromkeys(slots, f"its BMP at {self.address} can't be reached: {error}")
        failed = {}
        for (slot, fpga), reply in zip(wanted, replies, strict=True):
            if reply is None:
                failed[slot] = f"its BMP at {self.address} does not answer"
            elif not reply.ok or not identifies(fpga, word_of(reply)):
                failed[slot] = f"its FPGA {fpga} did not load"
        return failed

    async def _stop_links(self, links: Iterable[tuple[int, Link]]) -> dict[int, str]:
        if self._has_fpgas is False:
            return {}
        questions: dict[int, list[Question]] = {}
        for slot, link in links:
            questions.setdefault(slot, []).append(_stopping(slot, link))
        return await self._ask(questions, REGISTER_PATIENCE)

    async def _find_fpgas(self) -> bool:
        """Return whether the BMP is new enough to have FPGA registers; asked once."""
        if self._has_fpgas is None:
            try:
                (reply,) = await self.conversation.ask(
                    [lambda sequence: version_request(0, sequence)], REGISTER_PATIENCE
                )
                if reply is None or not reply.ok:
                    # Unknown as yet: the FPGAs' registers themselves will tell whether the BMP answers.
                    return True
                self._has_fpgas = version_of(reply).number.major >= FIRST_MAJOR_WITH_FPGAS
            except (OSError, PacketError):
                return True
        return self._has_fpgas


def _reading(slot: int, fpga: int) -> Question:
    return lambda sequence: read_fpga_request(slot, fpga, IDENTITY_REGISTER, sequence)


def _stopping(slot: int, link: Link) -> Question:
    register = stop_register(link)
    return lambda sequence: write_fpga_request(slot, register.fpga, register.address, 1, sequence)
