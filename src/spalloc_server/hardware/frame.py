# One frame: what each of its boards is wanted to be, and the turns in which that is done.
#
# All that is asked of a frame while it is busy is done together in its next turn: one power-off, one power-on, one
# set of link writes, one look at what came of it, however many jobs they are for. A board that will not come up is
# tried again in the next turn, so that it holds up nobody who came later. Other frames have turns of their own.
#
# What was done is looked at again: a moment after anything may have been carried out twice, and whenever the BMP is
# asked whether it still answers. How boards are told and looked at is the subject of commands.py.
"""Driving the boards of one frame."""

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from spalloc_server.hardware.commands import BmpCommands, SilenceError
from spalloc_server.hardware.conversation import LATEST_SECONDS
from spinnaker.geometry import Link

_log = logging.getLogger(__name__)

POWER_TRIES = 3
"""How often a board is switched that does not come up, or does not go off."""
SILENT_CHECK_SECONDS = 5.0
"""How often a BMP that did not answer is asked whether it does again."""
TURN_SECONDS = 0.004
"""How long it takes at least from the beginning of one turn to that of the next."""
FRESH_SECONDS = 5.0
"""A BMP that was heard of within this time is not greeted before it is given something to do."""
GATHER_SECONDS = 0.2
"""How long a look at boards waits for others that are to be looked at: what is carried out twice seldom comes alone."""


@dataclass(slots=True)
class Piece:
    """The part of a power order that concerns one frame."""

    order: int
    """The order's number."""
    on: bool
    cut: Mapping[int, frozenset[Link]]
    """Each board in the frame, 0 to 23, with its links that are to be stopped once it is on."""
    done: Callable[[Mapping[int, str]], None]
    """Called once, with the boards that failed, and why."""
    _open: set[int] = field(init=False)
    _failed: dict[int, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with everything still to be done."""
        self._open = set(self.cut)

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


@dataclass(frozen=True, slots=True)
class Standing:
    """What one board was made to be, and is from then on."""

    order: int
    """The number of the order that it was for."""
    on: bool
    cut: frozenset[Link]
    """The links that are stopped."""


class Listener(Protocol):
    """Whoever wants to know how a frame's boards do."""

    def silent(self, why: str | None) -> None:
        """Take it that the BMP does not answer, and why, or with None that it answers again."""

    def retried(self, slot: int, why: str) -> None:
        """Take it that a board had to be told more than once to become what it was to be."""

    def mended(self, slot: int, why: str) -> None:
        """Take it that a board was not any more as it had been made, and was set right without disturbing it."""

    def strayed(self, order: int, slots: Mapping[int, str]) -> None:
        """Take it that boards are not any more what an order made of them, and why; they are left to new orders."""


class FrameDriver:
    """One frame's boards, through its BMP."""

    def __init__(
        self,
        address: str,
        slots: Iterable[int],
        listener: Listener,
        check_seconds: float,
        predecessors: Iterable["FrameDriver"] = (),
    ) -> None:
        """Drive a frame.

        Args:
            address: Its BMP, `HOST` or `HOST:PORT`.
            slots: The boards that it has, 0 to 23.
            listener: Is told how they do.
            check_seconds: How often to ask an idle BMP whether it still answers, and to look at its boards.
            predecessors: Drivers that may still be at work with the same boards; nothing is begun before they have
                finished.
        """
        self.address = address
        self._bmp = BmpCommands(address, self._doubt)
        self.conversation = self._bmp.conversation
        self._slots = frozenset(slots)
        self.listener = listener
        self._silent = False
        self._check_seconds = check_seconds
        self._goals: _Goals = {}
        """What is to be done in the next turn."""
        self._under_way: _Goals = {}
        """What is done in this turn."""
        self._standing: dict[int, Standing] = {}
        """What boards are that nothing else is wanted of."""
        self._doubts: dict[int, float] = {}
        """Boards that may have been told something again, and when that is over at the latest."""
        self._look_at_all = math.inf
        """When all boards are to be looked at next."""
        self._predecessors = list(predecessors)
        self._turns: asyncio.Task[None] | None = None
        self._next_turn: asyncio.TimerHandle | None = None
        self._began_at = -math.inf
        """When the latest turn began, in the event loop's time."""
        self._check_at = 0.0

    def start(self) -> None:
        """Begin to check that the BMP answers, now and from time to time."""
        now = asyncio.get_running_loop().time()
        # Whoever drove the frame before may have left something on its way.
        self._doubts = dict.fromkeys(self._slots, now + LATEST_SECONDS)
        self._look_at_all = now + self._check_seconds
        self._begin()

    def add(self, piece: Piece) -> None:
        """Have a piece done in the next turn."""
        for slot in piece.cut:
            self._standing.pop(slot, None)
            replaced = self._goals.pop(slot, None)
            self._goals[slot] = _Goal(piece)
            if replaced is not None:
                # What is wanted now is wanted later than that; nobody waits for it any more.
                replaced.piece.settle(slot)
        self._begin()

    def watch(self, slot: int, standing: Standing) -> None:
        """Take it that somebody else made a board what it is, unless something is wanted of it."""
        if slot not in self._goals and slot not in self._under_way:
            self._standing[slot] = standing
            self._plan()

    def hand_over(self, successor: "FrameDriver") -> None:
        """Have boards that nothing is wanted of here watched by the driver that follows, as far as it has them."""
        for slot, standing in self._standing.items():
            if slot in successor._slots and slot not in successor._standing:
                successor.watch(slot, standing)

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
        self._standing.clear()
        self._cancel_next_turn()
        if self._turns is not None:
            self._turns.cancel()
            await asyncio.gather(self._turns, return_exceptions=True)
        self.conversation.close()

    # Turns

    def _begin(self) -> None:
        if self._turns is None:
            self._cancel_next_turn()
            self._turns = asyncio.get_running_loop().create_task(self._take_turns())

    def _cancel_next_turn(self) -> None:
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None

    async def _take_turns(self) -> None:
        try:
            while self._predecessors:
                # Boards do what they were told last: that must be what is asked for here.
                await self._predecessors[-1].finish()
                self._predecessors.pop()
            while True:
                await self._await_others()
                self._under_way, self._goals = self._goals, {}
                await self._safe_turn(self._under_way)
                self._under_way = {}
                if not self._goals:
                    break
        finally:
            self._turns = None
        wait = min(SILENT_CHECK_SECONDS, self._check_seconds) if self._silent else self._check_seconds
        self._check_at = asyncio.get_running_loop().time() + wait
        self._plan()

    async def _await_others(self) -> None:
        """Begin no turn right behind another: what is asked for meanwhile costs little more together."""
        loop = asyncio.get_running_loop()
        rest = self._began_at + TURN_SECONDS - loop.time()
        if rest > 0:
            await asyncio.sleep(rest)
        self._began_at = loop.time()

    def _plan(self) -> None:
        """Have the next turn when there is something to look at, unless there is one before."""
        if self._turns is not None:
            return
        loop = asyncio.get_running_loop()
        at = self._check_at
        doubts = [until for slot, until in self._doubts.items() if slot in self._standing]
        if doubts and not self._silent and self._bmp.has_fpgas is not False:
            at = min(at, max(min(doubts), loop.time()) + GATHER_SECONDS)
        if self._next_turn is None or self._next_turn.when() > at:
            self._cancel_next_turn()
            self._next_turn = loop.call_at(at, self._begin)

    async def _safe_turn(self, goals: _Goals) -> None:
        try:
            await self._turn(goals)
        except SilenceError as silence:
            self._fall_silent(str(silence))
            why = str(silence)
        except Exception as fault:  # noqa: BLE001
            # Whatever went wrong in here, no job may wait for ever: to it, its boards failed.
            _log.exception("a turn of the frame with the BMP at %s failed", self.address)
            why = f"its BMP at {self.address} could not be driven: {fault!r}"
        else:
            return
        left = [slot for slot, goal in goals.items() if self._goals.get(slot) is not goal]
        self._settle(goals, dict.fromkeys(left, why), left)

    async def _turn(self, goals: _Goals) -> None:
        await self._greet(min(goals or self._slots, default=0))
        off = {slot: goal for slot, goal in goals.items() if not goal.piece.on}
        if off:
            failed = await self._bmp.power(off, on=False)
            left = self._still_wanted(off, failed)
            self._be_sure_of(left)
            unmoved = await self._bmp.still_on(left)
            self._settle(off, failed, off.keys() - unmoved.keys())
            self._try_again(off, unmoved)
        on = {slot: goal for slot, goal in goals.items() if goal.piece.on}
        if on:
            failed = await self._bmp.power(on, on=True)
            up = self._still_wanted(on, failed)
            if up:
                failed |= await self._prepare(up)
            self._settle(on, {}, on.keys() - failed.keys())
            self._try_again(on, failed)
        await self._look()

    def _still_wanted(self, goals: _Goals, failed: Mapping[int, str]) -> _Goals:
        """Return the boards that did not fail and of which nothing else is wanted by now."""
        return {slot: goal for slot, goal in goals.items() if slot not in failed and slot not in self._goals}

    async def _prepare(self, goals: _Goals) -> dict[int, str]:
        """Stop the links of boards that were powered on, and look at what came of it; return the boards that failed."""
        if self._bmp.has_fpgas is False:
            await self._bmp.settle_old(min(goals))
            return {}
        self._be_sure_of(goals)
        findings = await self._bmp.isolate({slot: goal.piece.cut[slot] for slot, goal in goals.items()})
        for slot, links in findings.mended.items():
            if slot not in findings.failed:
                self.listener.retried(slot, f"{_named(links)} had to be set again")
        return findings.failed

    def _try_again(self, goals: _Goals, failed: Mapping[int, str]) -> None:
        """Put the boards that failed off until the next turn, unless they have been tried often enough."""
        for slot, why in failed.items():
            goal = goals[slot]
            goal.tries += 1
            if goal.tries < POWER_TRIES and slot not in self._goals:
                self._goals[slot] = goal
                self.listener.retried(slot, why)
            else:
                goal.piece.settle(slot, why)

    def _settle(self, goals: _Goals, failed: Mapping[int, str], slots: Iterable[int]) -> None:
        for slot in slots:
            piece, why = goals[slot].piece, failed.get(slot)
            if why is None and slot not in self._goals:
                self._standing[slot] = Standing(piece.order, piece.on, piece.cut[slot])
            piece.settle(slot, why)

    # Looks

    def _doubt(self, slots: frozenset[int], until: float) -> None:
        """Note that boards may be told something again, until then at the latest."""
        for slot in slots:
            self._doubts[slot] = max(until, self._doubts.get(slot, until))
        self._plan()

    def _be_sure_of(self, slots: Iterable[int]) -> None:
        """Have no doubts of boards that are looked at from now on, but of what may still come."""
        now = asyncio.get_running_loop().time()
        for slot in slots:
            if self._doubts.get(slot, now + 1) <= now:
                del self._doubts[slot]

    def _due(self) -> dict[int, Standing]:
        """Return the boards that are to be looked at now."""
        now = asyncio.get_running_loop().time()
        if now >= self._look_at_all:
            self._look_at_all = now + self._check_seconds
            return dict(self._standing)
        # Those of which nothing stands are looked at when they have become something.
        self._doubts = {
            slot: until for slot, until in self._doubts.items() if slot in self._standing or until > now
        }
        return {
            slot: self._standing[slot]
            for slot, until in self._doubts.items()
            if slot in self._standing and until + GATHER_SECONDS <= now
        }

    async def _look(self) -> None:
        """Look at boards, set right the links that are not as ordered, and tell of boards that are not what they were.

        Raises:
            SilenceError: The BMP does not answer.
        """
        due = {} if self._bmp.has_fpgas is False else self._due()
        if not due:
            return
        self._be_sure_of(due)
        on = {slot: standing.cut for slot, standing in due.items() if standing.on}
        strayed = await self._bmp.still_on(due.keys() - on.keys())
        if on:
            findings = await self._bmp.look(on)
            strayed |= findings.failed
            for slot, links in findings.mended.items():
                if links >= on[slot] > frozenset():
                    # By itself, a link that was stopped does not flow again: they all do on a board that was reset.
                    strayed.setdefault(slot, "it was reset")
                elif slot not in findings.failed:
                    self.listener.mended(slot, f"{_named(links)} were not as ordered")
        lost: dict[int, dict[int, str]] = defaultdict(dict)
        for slot, why in strayed.items():
            # If something else was wanted of it meanwhile, it may well be what that makes of it.
            if self._standing.get(slot) is due[slot]:
                del self._standing[slot]
                lost[due[slot].order][slot] = why
        for order, slots in lost.items():
            self.listener.strayed(order, slots)

    # Silence

    async def _greet(self, slot: int) -> None:
        """Make sure that the BMP answers, and learn what it can do.

        Raises:
            SilenceError: It does not answer.
        """
        now = asyncio.get_running_loop().time()
        heard = self.conversation.heard
        fresh = not self._silent and heard is not None and now - heard < FRESH_SECONDS
        if fresh and self._bmp.has_fpgas is not None:
            return
        await self._bmp.greet(slot)
        if self._silent:
            self._silent = False
            # Its boards may have been without power, too.
            self._look_at_all = now
            self.listener.silent(None)

    def _fall_silent(self, why: str) -> None:
        # A BMP that comes back may be another one.
        self._bmp.has_fpgas = None
        if not self._silent:
            self._silent = True
            self.listener.silent(why)


def _named(links: Iterable[Link]) -> str:
    return "links " + ", ".join(sorted(link.name.lower().replace("_", "-") for link in links))
