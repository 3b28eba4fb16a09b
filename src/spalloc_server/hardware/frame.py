# One frame: what each of its boards is wanted to be, and the conversation that makes it so.
#
# All that is asked of a frame while it is busy is done together in its next turn: one power-off, one power-on, one
# look at the FPGAs, one set of link writes, however many jobs they are for. A board that will not come up is tried
# again in the next turn, so that it holds up nobody who came later. Other frames have turns of their own.
"""Driving the boards of one frame."""

import asyncio
import logging
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
from spinnaker.scp import ScpReply, describe_result
from spinnaker.sdp import PacketError

_log = logging.getLogger(__name__)

POWER_TRIES = 3
"""How often a board whose FPGAs don't load is powered on."""

# A power command is answered when it is done: up to 10 s for power-on, so asking sooner would do it twice.
ON_PATIENCE = Patience(10.0, 10.0, 6)
OFF_PATIENCE = Patience(1.0, 10.0, 9)
REGISTER_PATIENCE = Patience(0.25, 1.0, 14)

SILENT_CHECK_SECONDS = 5.0
"""How often a BMP that did not answer is asked whether it does again."""
FRESH_SECONDS = 5.0
"""A BMP that was heard of within this time is not greeted before it is given something to do."""


@dataclass(slots=True)
class Piece:
    """The part of a power order that concerns one frame."""

    slots: frozenset[int]
    """Boards in the frame, 0 to 23."""
    on: bool
    cut: frozenset[tuple[int, Link]]
    """Links to be stopped once the boards are on."""
    done: Callable[[Mapping[int, str]], None]
    """Called once, with the boards that failed, and why."""
    _open: set[int] = field(init=False)
    _failed: dict[int, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with everything still to be done."""
        self._open = set(self.slots)

    def settle(self, slot: int, failure: str | None = None) -> None:
        """Note that a board is as wanted, or will not be, and why."""
        if slot not in self._open:
            return
        self._open.remove(slot)
        if failure is not None:
            self._failed[slot] = failure
        if not self._open:
            self.done(self._failed)


@dataclass(slots=True)
class _Goal:
    """What one board is wanted to be."""

    piece: Piece
    tries: int = 0


_Goals = dict[int, _Goal]


class _SilenceError(Exception):
    """The BMP did not answer at all; the message says so."""


class FrameDriver:
    """One frame's boards, through its BMP."""

    def __init__(
        self,
        address: str,
        slots: Iterable[int],
        silence: Callable[[str | None], None],
        check_seconds: float,
        predecessors: Iterable["FrameDriver"] = (),
    ) -> None:
        """Drive a frame.

        Args:
            address: Its BMP, `HOST` or `HOST:PORT`.
            slots: The boards that it has, 0 to 23.
            silence: Called with the reason when the BMP stops answering, and with None when it answers again.
            check_seconds: How often to ask an idle BMP whether it still answers.
            predecessors: Drivers that may still be at work with the same boards; nothing is begun before they have
                finished.
        """
        self.address = address
        self.conversation = Conversation(address)
        self._first_slot = min(slots, default=0)
        self._silence = silence
        self._silent = False
        self._check_seconds = check_seconds
        self._goals: _Goals = {}
        """What is to be done in the next turn."""
        self._under_way: _Goals = {}
        """What is done in this turn."""
        self._predecessors = list(predecessors)
        self._turns: asyncio.Task[None] | None = None
        self._next_check: asyncio.TimerHandle | None = None
        self._has_fpgas: bool | None = None
        """Whether the BMP is new enough for that; while it is not known, it is taken to be."""

    def start(self) -> None:
        """Begin to check that the BMP answers, now and from time to time."""
        self._begin()

    def add(self, piece: Piece) -> None:
        """Have a piece done in the next turn."""
        for slot in piece.slots:
            replaced = self._goals.pop(slot, None)
            self._goals[slot] = _Goal(piece)
            if replaced is not None:
                # What is wanted now is wanted later than that; nobody waits for it any more.
                replaced.piece.settle(slot)
        self._begin()

    async def finish(self) -> None:
        """Wait until all that was asked for is done, of the drivers before this one too."""
        # Even with nothing to do here: whoever waits for this driver waits for all who were there before it.
        for predecessor in tuple(self._predecessors):
            await predecessor.finish()
        # Not for a mere check: one of a BMP that isn't there takes long.
        if self._turns is not None and (self._goals or self._under_way):
            await asyncio.wait({self._turns})

    async def stop(self) -> None:
        """Drop everything and close the socket; nothing is called back any more."""
        self._goals.clear()
        self._cancel_check()
        if self._turns is not None:
            self._turns.cancel()
            await asyncio.gather(self._turns, return_exceptions=True)
        self.conversation.close()

    # Turns

    def _begin(self) -> None:
        if self._turns is None:
            self._cancel_check()
            self._turns = asyncio.get_running_loop().create_task(self._take_turns())

    def _cancel_check(self) -> None:
        if self._next_check is not None:
            self._next_check.cancel()
            self._next_check = None

    async def _take_turns(self) -> None:
        try:
            while self._predecessors:
                # Boards do what they were told last: that must be what is asked for here.
                await self._predecessors[-1].finish()
                self._predecessors.pop()
            while True:
                self._under_way, self._goals = self._goals, {}
                await self._safe_turn(self._under_way)
                self._under_way = {}
                if not self._goals:
                    break
        finally:
            self._turns = None
        wait = min(SILENT_CHECK_SECONDS, self._check_seconds) if self._silent else self._check_seconds
        self._next_check = asyncio.get_running_loop().call_later(wait, self._begin)

    async def _safe_turn(self, goals: _Goals) -> None:
        try:
            await self._turn(goals)
        except _SilenceError as silence:
            self._fall_silent(str(silence))
            _settle(goals, dict.fromkeys(goals, str(silence)))
        except Exception as fault:  # noqa: BLE001
            # Whatever went wrong in here, no job may wait for ever: to it, its boards failed.
            _log.exception("a turn of the frame with the BMP at %s failed", self.address)
            _settle(goals, dict.fromkeys(goals, f"its BMP at {self.address} could not be driven: {fault!r}"))

    async def _turn(self, goals: _Goals) -> None:
        await self._greet(min(goals, default=self._first_slot))
        off = {slot for slot, goal in goals.items() if not goal.piece.on}
        if off:
            _settle(goals, await self._power(off, on=False), off)
        on = {slot: goal for slot, goal in goals.items() if goal.piece.on}
        if on:
            failed = await self._power(on, on=True)
            up = {slot: goal for slot, goal in on.items() if slot not in failed}
            if up:
                failed |= await self._prepare(up)
            self._try_again(on, failed)

    def _try_again(self, goals: _Goals, failed: Mapping[int, str]) -> None:
        """Put the boards that failed off until the next turn, unless they have been tried often enough."""
        again = set()
        for slot in failed:
            goal = goals[slot]
            goal.tries += 1
            if goal.tries < POWER_TRIES and slot not in self._goals:
                self._goals[slot] = goal
                again.add(slot)
        _settle(goals, failed, goals.keys() - again)

    # Silence

    async def _greet(self, slot: int) -> None:
        """Make sure that the BMP answers, and learn what it can do.

        Raises:
            _SilenceError: It does not answer.
        """
        now = asyncio.get_running_loop().time()
        heard = self.conversation.heard
        fresh = not self._silent and heard is not None and now - heard < FRESH_SECONDS
        if fresh and self._has_fpgas is not None:
            return
        (reply,) = await self._ask([lambda sequence: version_request(slot, sequence)], REGISTER_PATIENCE)
        self._has_fpgas = _has_fpgas(reply)
        if self._silent:
            self._silent = False
            self._silence(None)

    def _fall_silent(self, why: str) -> None:
        # A BMP that comes back may be another one.
        self._has_fpgas = None
        if not self._silent:
            self._silent = True
            self._silence(why)

    # Questions

    async def _ask(self, questions: list[Question], patience: Patience) -> list[ScpReply | None]:
        """Ask questions and return the answers, None where none came.

        Raises:
            _SilenceError: No question was answered.
        """
        try:
            replies = await self.conversation.ask(questions, patience)
        except OSError as error:
            raise _SilenceError(f"its BMP at {self.address} can't be reached: {error}") from error
        if questions and all(reply is None for reply in replies):
            raise _SilenceError(self._unanswered())
        return replies

    def _unanswered(self) -> str:
        return f"its BMP at {self.address} does not answer"

    def _failure(self, reply: ScpReply | None) -> str | None:
        if reply is None:
            return self._unanswered()
        if not reply.ok:
            return f"its BMP at {self.address} answers {describe_result(reply.result)}"
        return None

    async def _power(self, slots: Iterable[int], *, on: bool) -> dict[int, str]:
        """Switch boards, and return those that failed.

        All at once; only if the BMP refuses that, one by one, so that a board that it refuses fails alone.
        """
        boards = sorted(slots)
        patience = ON_PATIENCE if on else OFF_PATIENCE
        (reply,) = await self._ask([_powering(boards, on=on)], patience)
        if self._failure(reply) is None:
            return {}
        replies = [reply]
        if len(boards) > 1:
            replies = await self._ask([_powering([board], on=on) for board in boards], patience)
        failures = {slot: self._failure(each) for slot, each in zip(boards, replies, strict=True)}
        return {slot: failure for slot, failure in failures.items() if failure is not None}

    async def _prepare(self, goals: _Goals) -> dict[int, str]:
        """Check the FPGAs of boards that are on and stop their links; return the boards that failed."""
        if self._has_fpgas is False:
            # A power command that came twice may be at work still. A BMP answers in order: not before that is done.
            await self._ask([lambda sequence: version_request(min(goals), sequence)], REGISTER_PATIENCE)
            return {}
        failed = await self._check_fpgas(goals)
        links = [
            (slot, link)
            for slot, goal in goals.items()
            if slot not in failed
            for where, link in goal.piece.cut
            if where == slot
        ]
        replies = await self._ask([_stopping(slot, link) for slot, link in links], REGISTER_PATIENCE)
        for (slot, link), reply in zip(links, replies, strict=True):
            failure = self._failure(reply)
            if failure is not None:
                failed[slot] = f"its link {link.name.lower()} can't be stopped: {failure}"
        return failed

    async def _check_fpgas(self, slots: Iterable[int]) -> dict[int, str]:
        wanted = [(slot, fpga) for slot in slots for fpga in range(FPGAS_PER_BOARD)]
        replies = await self._ask([_reading(slot, fpga) for slot, fpga in wanted], REGISTER_PATIENCE)
        failed: dict[int, str] = {}
        for (slot, fpga), reply in zip(wanted, replies, strict=True):
            if reply is None:
                failed.setdefault(slot, self._unanswered())
            elif not _identified(fpga, reply):
                failed.setdefault(slot, f"its FPGA {fpga} did not load")
        return failed


def _settle(goals: _Goals, failed: Mapping[int, str], slots: Iterable[int] | None = None) -> None:
    for slot in goals if slots is None else slots:
        goals[slot].piece.settle(slot, failed.get(slot))


def _identified(fpga: int, reply: ScpReply) -> bool:
    try:
        return reply.ok and identifies(fpga, word_of(reply))
    except PacketError:
        return False


def _has_fpgas(reply: ScpReply | None) -> bool | None:
    """Return whether a BMP is new enough to have FPGA registers, or None if its answer doesn't tell."""
    try:
        if reply is not None and reply.ok:
            return version_of(reply).number.major >= FIRST_MAJOR_WITH_FPGAS
    except PacketError:
        pass
    return None


def _powering(slots: Iterable[int], *, on: bool) -> Question:
    return lambda sequence: power_request(slots, on, sequence=sequence)


def _reading(slot: int, fpga: int) -> Question:
    return lambda sequence: read_fpga_request(slot, fpga, IDENTITY_REGISTER, sequence)


def _stopping(slot: int, link: Link) -> Question:
    register = stop_register(link)
    return lambda sequence: write_fpga_request(slot, register.fpga, register.address, 1, sequence)
