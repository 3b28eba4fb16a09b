"""One frame: what each of its boards is wanted to be, and the turns in which that is done.

All that is asked of a frame while it is busy is done together in its next turn: one power-off, one power-on,
one set of link writes, one look at what came of it, however many jobs they are for. A board that will not
come up is tried again in the next turn, so that it holds up nobody who came later. Other frames have turns of
their own. So have, beside the others of their frame, boards that do not answer what the BMP answers for them:
they take long.

What was done is looked at again: a moment after anything may have been carried out twice, and whenever the
BMP is asked whether it still answers. How boards are told and looked at is the subject of commands.py.
"""

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from spalloc_server.hardware.commands import BmpCommands, Findings
from spalloc_server.hardware.conversation import LATEST_SECONDS, SilenceError
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
    resolve: Callable[[int, str | None], None]
    """Called when a board is as wanted, or will not be, and why; may be called for it again, which means nothing."""


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


@dataclass(slots=True)
class _Lane:
    """Turns that are taken one after another, with some of a frame's boards."""

    bmp: BmpCommands
    under_way: _Goals = field(default_factory=dict)
    """What is done in this turn."""
    turns: asyncio.Task[None] | None = None
    next_turn: asyncio.TimerHandle | None = None
    began_at: float = -math.inf
    """When the latest turn began, in the event loop's time."""

    def cancel_next_turn(self) -> None:
        """Have no turn at a time that was planned."""
        if self.next_turn is not None:
            self.next_turn.cancel()
            self.next_turn = None


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
        self._slots = frozenset(slots)
        self._main = _Lane(BmpCommands(address, self._slots, self._doubt, brief=True))
        self._apart = _Lane(BmpCommands(address, self._slots, self._doubt))
        self._lanes = (self._main, self._apart)
        self._slow: set[int] = set()
        """Boards that answered nothing for long, and hold up nobody apart from the others."""
        self.listener = listener
        self._silent = False
        self._check_seconds = check_seconds
        self._goals: _Goals = {}
        """What is to be done in the next turn."""
        self._standing: dict[int, Standing] = {}
        """What boards are that nothing else is wanted of."""
        self._doubts: dict[int, float] = {}
        """Boards that may have been told something again, and when that is over at the latest."""
        self._look_at_all = math.inf
        """When all boards are to be looked at next."""
        self._predecessors = list(predecessors)
        self._check_at = 0.0

    @property
    def retries(self) -> int:
        """Questions that had to be asked again, since the start."""
        return sum(lane.bmp.conversation.retries for lane in self._lanes)

    def start(self) -> None:
        """Begin to check that the BMP answers, now and from time to time."""
        self._doubt_all()
        self._look_at_all = asyncio.get_running_loop().time() + self._check_seconds
        self._begin(self._main)

    def add(self, piece: Piece) -> None:
        """Have a piece done in the next turn."""
        for slot in piece.cut:
            self._standing.pop(slot, None)
            replaced = self._goals.pop(slot, None)
            self._goals[slot] = _Goal(piece)
            if replaced is not None:
                # What is wanted now is wanted later than that; nobody waits for it any more.
                replaced.piece.resolve(slot, None)
        self._begin_wanted()

    def watch(self, slot: int, standing: Standing) -> None:
        """Take it that somebody else made a board what it is, unless something is wanted of it."""
        if slot not in self._goals and not any(slot in lane.under_way for lane in self._lanes):
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
        while busy := {
            lane.turns for lane in self._lanes if lane.turns and (lane.under_way or self._wanted(lane))
        }:
            await asyncio.wait(busy)

    async def stop(self) -> None:
        """Drop everything and close the socket; nothing is called back any more."""
        self._goals.clear()
        self._standing.clear()
        for lane in self._lanes:
            lane.cancel_next_turn()
        turns = [lane.turns for lane in self._lanes if lane.turns is not None]
        for each in turns:
            each.cancel()
        await asyncio.gather(*turns, return_exceptions=True)
        for lane in self._lanes:
            lane.bmp.conversation.close()

    # Turns

    def _begin(self, lane: _Lane) -> None:
        if lane.turns is None:
            lane.cancel_next_turn()
            lane.turns = asyncio.get_running_loop().create_task(self._take_turns(lane))

    def _begin_wanted(self) -> None:
        for lane in self._lanes:
            if self._wanted(lane):
                self._begin(lane)

    def _lane_of(self, slot: int) -> _Lane:
        return self._apart if slot in self._slow else self._main

    def _wanted(self, lane: _Lane) -> _Goals:
        """Return what is to be done in a lane's next turn."""
        return {slot: goal for slot, goal in self._goals.items() if self._lane_of(slot) is lane}

    async def _take_turns(self, lane: _Lane) -> None:
        try:
            await self._await_predecessors()
            while True:
                await self._await_others(lane)
                lane.under_way = self._wanted(lane)
                for slot in lane.under_way:
                    del self._goals[slot]
                try:
                    await self._turn(lane, lane.under_way)
                except SilenceError as silence:
                    self._fall_silent(str(silence))
                    self._fail(lane.under_way, str(silence))
                except Exception as fault:  # noqa: BLE001
                    # Whatever went wrong in here, no job may wait for ever: to it, its boards failed.
                    _log.exception("a turn of the frame with the BMP at %s failed", self.address)
                    self._fail(lane.under_way, f"its BMP at {self.address} could not be driven: {fault!r}")
                lane.under_way = {}
                self._begin_wanted()
                if not self._wanted(lane):
                    break
        finally:
            lane.turns = None
        if lane is self._main:
            wait = min(SILENT_CHECK_SECONDS, self._check_seconds) if self._silent else self._check_seconds
            self._check_at = asyncio.get_running_loop().time() + wait
        self._plan()

    async def _await_predecessors(self) -> None:
        """Begin nothing before them: boards do what they were told last, and that must be what is asked for here."""
        while self._predecessors:
            predecessor = self._predecessors[-1]
            await predecessor.finish()
            if predecessor in self._predecessors:
                self._predecessors.remove(predecessor)
                self._doubt_all()

    async def _await_others(self, lane: _Lane) -> None:
        """Begin no turn right behind another: what is asked for meanwhile costs little more together."""
        loop = asyncio.get_running_loop()
        rest = lane.began_at + TURN_SECONDS - loop.time()
        if rest > 0:
            await asyncio.sleep(rest)
        lane.began_at = loop.time()

    def _plan(self) -> None:
        """Have each lane's next turn when there is something to look at, unless there is one before."""
        loop = asyncio.get_running_loop()
        for lane in self._lanes:
            if lane.turns is not None:
                continue
            at = self._check_at if lane is self._main else math.inf
            doubts = [
                until
                for slot, until in self._doubts.items()
                if slot in self._standing and self._lane_of(slot) is lane
            ]
            if doubts and not self._silent and self._main.bmp.has_fpgas is not False:
                at = min(at, max(min(doubts), loop.time()) + GATHER_SECONDS)
            if at < math.inf and (lane.next_turn is None or lane.next_turn.when() > at):
                lane.cancel_next_turn()
                lane.next_turn = loop.call_at(at, self._begin, lane)

    def _sort(self, lane: _Lane, slots: AbstractSet[int]) -> None:
        """Note which of the boards of a turn are slow, and which are not any more."""
        if lane is self._apart:
            self._slow -= slots - lane.bmp.unheard
        else:
            self._slow |= slots & lane.bmp.unheard
            self._look_apart(lane.bmp.unheard)

    def _look_apart(self, slots: Iterable[int]) -> None:
        """Have boards looked at that are slow."""
        now = asyncio.get_running_loop().time()
        for slot in slots:
            if slot in self._slow and slot in self._standing:
                self._doubts.setdefault(slot, now)

    async def _turn(self, lane: _Lane, goals: _Goals) -> None:
        """Do what is wanted, and look at boards.

        Raises:
            SilenceError: The BMP does not answer.
        """
        lane.bmp.unheard.clear()
        await self._greet(lane, goals)
        off = {slot: goal for slot, goal in goals.items() if not goal.piece.on}
        if off:
            failed = await lane.bmp.power(off, on=False)
            left = self._still_wanted(off, failed)
            self._be_sure_of(left)
            failed |= await lane.bmp.still_on(left)
            self._resolve(off, off.keys() - failed.keys())
            self._try_again(lane, off, failed)
        on = {slot: goal for slot, goal in goals.items() if goal.piece.on}
        if on:
            if lane.bmp.has_fpgas is False:
                await self._outwait_doubts(on)
            failed = await lane.bmp.power(on, on=True)
            up = self._still_wanted(on, failed)
            if up:
                self._be_sure_of(up)
                cuts = {slot: goal.piece.cut[slot] for slot, goal in up.items()}
                findings = await lane.bmp.isolate(cuts, fresh=True)
                self._tell_of_retries(findings)
                failed |= findings.failed
            self._resolve(on, on.keys() - failed.keys())
            self._try_again(lane, on, failed)
        looked_at = await self._look(lane)
        self._sort(lane, goals.keys() | looked_at)

    async def _outwait_doubts(self, slots: Iterable[int]) -> None:
        """Wait until boards can't be told again what they were told before.

        Of a BMP that can't be looked at, nobody would learn that a power-off that was sent twice came after a power-on.
        """
        now = asyncio.get_running_loop().time()
        rest = max((self._doubts.get(slot, now) for slot in slots), default=now) - now
        if rest > 0:
            await asyncio.sleep(rest)

    def _still_wanted(self, goals: _Goals, failed: Mapping[int, str]) -> _Goals:
        """Return the boards that did not fail and of which nothing else is wanted by now."""
        return {slot: goal for slot, goal in goals.items() if slot not in failed and slot not in self._goals}

    def _tell_of_retries(self, findings: Findings) -> None:
        for slot, links in findings.mended.items():
            if slot not in findings.failed:
                self.listener.retried(slot, f"{_named(links)} had to be set again")

    def _try_again(self, lane: _Lane, goals: _Goals, failed: Mapping[int, str]) -> None:
        """Put the boards that failed off until the next turn, unless they have been tried often enough."""
        for slot, why in failed.items():
            goal = goals[slot]
            # One that was not waited for as long as it takes has not been tried; that is done apart.
            goal.tries += lane is self._apart or slot not in lane.bmp.unheard
            if goal.tries < POWER_TRIES and slot not in self._goals:
                self._goals[slot] = goal
                self.listener.retried(slot, why)
            else:
                goal.piece.resolve(slot, why)

    def _resolve(self, goals: _Goals, slots: Iterable[int]) -> None:
        """Note that boards are as wanted."""
        for slot in slots:
            piece = goals[slot].piece
            if slot not in self._goals:
                self._standing[slot] = Standing(piece.order, piece.on, piece.cut[slot])
            piece.resolve(slot, None)

    def _fail(self, goals: _Goals, why: str) -> None:
        """Give up what has not been put off until the next turn."""
        for slot, goal in goals.items():
            if self._goals.get(slot) is not goal:
                goal.piece.resolve(slot, why)

    # Looks

    def _doubt(self, slots: frozenset[int], until: float) -> None:
        """Note that boards may be told something again, until then at the latest."""
        for slot in slots:
            self._doubts[slot] = max(until, self._doubts.get(slot, until))
        self._plan()

    def _doubt_all(self) -> None:
        """Note that whoever drove the frame until now may have left something on its way, to be heard of by nobody."""
        until = asyncio.get_running_loop().time() + LATEST_SECONDS
        self._doubts = {slot: max(until, self._doubts.get(slot, until)) for slot in self._slots}

    def _be_sure_of(self, slots: Iterable[int]) -> None:
        """Have no doubts of boards that are looked at from now on, but of what may still come."""
        now = asyncio.get_running_loop().time()
        for slot in slots:
            if self._doubts.get(slot, now + 1) <= now:
                del self._doubts[slot]

    def _due(self, lane: _Lane) -> dict[int, Standing]:
        """Return the boards that are to be looked at now."""
        now = asyncio.get_running_loop().time()
        standing = {slot: each for slot, each in self._standing.items() if self._lane_of(slot) is lane}
        if lane is self._main and now >= self._look_at_all:
            self._look_at_all = now + self._check_seconds
            self._look_apart(self._slow)
            return standing
        # Those of which nothing stands are looked at when they have become something.
        self._doubts = {
            slot: until for slot, until in self._doubts.items() if slot in self._standing or until > now
        }
        return {
            slot: standing[slot]
            for slot, until in self._doubts.items()
            if slot in standing and until + GATHER_SECONDS <= now
        }

    async def _look(self, lane: _Lane) -> AbstractSet[int]:
        """Look at boards, set right the links that are not as ordered, and tell of boards that are not what they were.

        Returns:
            the boards that were looked at.

        Raises:
            SilenceError: The BMP does not answer.
        """
        due = {} if lane.bmp.has_fpgas is False else self._due(lane)
        if not due:
            return due.keys()
        self._be_sure_of(due)
        on = {slot: standing.cut for slot, standing in due.items() if standing.on}
        strayed = await lane.bmp.still_on(due.keys() - on.keys())
        if on:
            findings = await lane.bmp.isolate(on, fresh=False)
            strayed |= findings.failed
            for slot, links in findings.mended.items():
                if links >= on[slot] > frozenset():
                    # By itself, a link that was stopped does not flow again: they all do on a board that was reset.
                    strayed.setdefault(slot, "it was reset")
                elif slot not in findings.failed:
                    self.listener.mended(slot, f"{_named(links)} were not as ordered")
        lost: dict[int, dict[int, str]] = defaultdict(dict)
        for slot, why in strayed.items():
            if lane is self._main and slot in lane.bmp.unheard:
                # It is looked at again, apart.
                continue
            # If something else was wanted of it meanwhile, it may well be what that makes of it.
            if self._standing.get(slot) is due[slot]:
                del self._standing[slot]
                lost[due[slot].order][slot] = why
        for order, slots in lost.items():
            self.listener.strayed(order, slots)
        return due.keys()

    # Silence

    async def _greet(self, lane: _Lane, goals: _Goals) -> None:
        """Make sure that the BMP answers, and learn what it can do.

        Raises:
            SilenceError: It does not answer.
        """
        now = asyncio.get_running_loop().time()
        heard = [each.bmp.conversation.heard for each in self._lanes]
        fresh = not self._silent and any(when is not None and now - when < FRESH_SECONDS for when in heard)
        if not fresh or self._main.bmp.has_fpgas is None:
            prompt = goals.keys() - self._slow or self._slots - self._slow or self._slots
            await lane.bmp.greet(min(prompt, default=0))
            self._main.bmp.has_fpgas = lane.bmp.has_fpgas
            if self._silent:
                self._silent = False
                # Its boards may have been without power, too.
                self._look_at_all = now
                self.listener.silent(None)
        self._apart.bmp.has_fpgas = self._main.bmp.has_fpgas

    def _fall_silent(self, why: str) -> None:
        # A BMP that comes back may be another one.
        self._main.bmp.has_fpgas = None
        if not self._silent:
            self._silent = True
            self.listener.silent(why)


def _named(links: Iterable[Link]) -> str:
    return "links " + ", ".join(sorted(link.name.lower().replace("_", "-") for link in links))
