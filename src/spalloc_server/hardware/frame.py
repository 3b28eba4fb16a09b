"""Drives one frame: keeps the order for each board, and carries orders out in turns.

All orders that come while a frame is busy are done together in its next turn: one power-off, one power-on, one set of
link writes, one check of the result, however many jobs they are for. A board that does not come up is tried again in
the next turn, so that it does not delay later orders. Each frame has its own turns. Boards that do not answer, although
the frame's BMP does, take long; they have turns apart from the frame's other boards.

Results are checked again: soon after a command may have been carried out twice, and whenever the BMP is asked whether
it still answers. See commands.py for the packets. Orders come from core/.
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
"""How often a board that does not come up, or go off, is switched before it counts as failed."""
SILENT_CHECK_SECONDS = 5.0
"""Seconds between checks whether a silent BMP answers again."""
TURN_SECONDS = 0.004
"""The least time from the beginning of one turn to that of the next."""
FRESH_SECONDS = 5.0
"""A BMP that answered within this time is not greeted again before a turn."""
GATHER_SECONDS = 0.2
"""How long a check of a board waits, to be made with others: commands that are carried out twice seldom come alone."""


@dataclass(slots=True)
class Piece:
    """The part of a power order that concerns one frame."""

    order: int
    """The order's number."""
    on: bool
    cut: Mapping[int, frozenset[Link]]
    """Each board's slot, 0 to 23, with its links that are to be stopped once it is on."""
    resolve: Callable[[int, str | None], None]
    """Called with a board's slot and None once it is as ordered, or the reason why it failed; further calls for the
    same board are ignored."""


@dataclass(slots=True)
class _Goal:
    """An order for one board that is still to be done."""

    piece: Piece
    tries: int = 0


_Goals = dict[int, _Goal]


@dataclass(frozen=True, slots=True)
class BoardState:
    """The state that an order left one board in, and in which it should stay."""

    order: int
    """The order's number."""
    on: bool
    cut: frozenset[Link]
    """The links that are stopped."""


@dataclass(slots=True)
class _Lane:
    """A sequence of turns with some of a frame's boards."""

    bmp: BmpCommands
    under_way: _Goals = field(default_factory=dict)
    """The goals of the present turn."""
    turns: asyncio.Task[None] | None = None
    next_turn: asyncio.TimerHandle | None = None
    began_at: float = -math.inf
    """When the latest turn began, in the event loop's time."""

    def cancel_next_turn(self) -> None:
        """Cancel the turn that is planned."""
        if self.next_turn is not None:
            self.next_turn.cancel()
            self.next_turn = None


class FrameListener(Protocol):
    """Is told what a frame's driver finds."""

    def silent(self, why: str | None) -> None:
        """Called when the BMP stops answering (`why` is the reason) or answers again (None)."""

    def retried(self, slot: int, why: str) -> None:
        """Called when a board has to be commanded again, with the reason."""

    def corrected(self, slot: int, why: str) -> None:
        """Called when a board was not as ordered and was corrected, without disturbing what runs on it."""

    def strayed(self, order: int, slots: Mapping[int, str]) -> None:
        """Called when boards are no longer as an order left them, with reasons; they are left so until a new order."""


class FrameDriver:
    """Drives one frame's boards through its BMP."""

    def __init__(
        self,
        address: str,
        slots: Iterable[int],
        listener: FrameListener,
        check_seconds: float,
        predecessors: Iterable["FrameDriver"] = (),
    ) -> None:
        """Drive a frame.

        Args:
            address: Its BMP, `HOST` or `HOST:PORT`.
            slots: Its boards, 0 to 23.
            listener: Is told what the driver finds.
            check_seconds: Seconds between checks of an idle BMP and its boards.
            predecessors: Drivers that may still be at work with the same boards; this one waits for them.
        """
        self.address = address
        self._slots = frozenset(slots)
        self._main = _Lane(BmpCommands(address, self._slots, self._doubt, brief=True))
        self._apart = _Lane(BmpCommands(address, self._slots, self._doubt))
        self._lanes = (self._main, self._apart)
        self._slow: set[int] = set()
        """Boards that did not answer for long; they have turns apart from the others."""
        self.listener = listener
        self._silent = False
        self._check_seconds = check_seconds
        self._goals: _Goals = {}
        """Orders for the next turn, by slot."""
        self._states: dict[int, BoardState] = {}
        """The states in which the latest orders left boards that have no goal."""
        self._doubts: dict[int, float] = {}
        """Boards for which a command may still arrive a second time, and until when that is possible."""
        self._check_all_at = math.inf
        """When all boards are to be checked next."""
        self._predecessors = list(predecessors)
        self._check_at = 0.0

    @property
    def retries(self) -> int:
        """How many questions had to be asked again since the start."""
        return sum(lane.bmp.conversation.retries for lane in self._lanes)

    def start(self) -> None:
        """Begin to check that the BMP answers, now and from time to time."""
        self._doubt_all()
        self._check_all_at = asyncio.get_running_loop().time() + self._check_seconds
        self._begin(self._main)

    def add(self, piece: Piece) -> None:
        """Have a part of an order done in the next turn."""
        for slot in piece.cut:
            self._states.pop(slot, None)
            replaced = self._goals.pop(slot, None)
            self._goals[slot] = _Goal(piece)
            if replaced is not None:
                # The earlier order is obsolete, and nobody waits for it.
                replaced.piece.resolve(slot, None)
        self._begin_needed()

    def watch(self, slot: int, state: BoardState) -> None:
        """Check from now on that a board stays in a state that another driver left it in, unless it has a goal."""
        if slot not in self._goals and not any(slot in lane.under_way for lane in self._lanes):
            self._states[slot] = state
            self._plan()

    def hand_over(self, successor: "FrameDriver") -> None:
        """Have another driver watch the boards of this one, as far as it has them."""
        for slot, state in self._states.items():
            if slot in successor._slots and slot not in successor._states:
                successor.watch(slot, state)

    async def finish(self) -> None:
        """Wait until all orders are done, including those of the drivers before this one."""
        # Even with no orders here: a driver that waits for this one must wait for all earlier ones.
        for predecessor in tuple(self._predecessors):
            await predecessor.finish()
        # A turn without orders is not waited for: with a dead BMP it takes long.
        while busy := {
            lane.turns for lane in self._lanes if lane.turns and (lane.under_way or self._next_goals(lane))
        }:
            await asyncio.wait(busy)

    async def stop(self) -> None:
        """Drop all orders and close the sockets; callbacks are no longer called."""
        self._goals.clear()
        self._states.clear()
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

    def _begin_needed(self) -> None:
        for lane in self._lanes:
            if self._next_goals(lane):
                self._begin(lane)

    def _lane_of(self, slot: int) -> _Lane:
        return self._apart if slot in self._slow else self._main

    def _next_goals(self, lane: _Lane) -> _Goals:
        """Return the goals of a lane's next turn."""
        return {slot: goal for slot, goal in self._goals.items() if self._lane_of(slot) is lane}

    async def _take_turns(self, lane: _Lane) -> None:
        try:
            await self._await_predecessors()
            while True:
                await self._await_others(lane)
                lane.under_way = self._next_goals(lane)
                for slot in lane.under_way:
                    del self._goals[slot]
                try:
                    await self._turn(lane, lane.under_way)
                except SilenceError as silence:
                    self._fall_silent(str(silence))
                    self._fail(lane.under_way, str(silence))
                except Exception as fault:  # noqa: BLE001
                    # A fault of ours must not make a job wait for ever: its boards count as failed.
                    _log.exception("a turn of the frame with the BMP at %s failed", self.address)
                    self._fail(lane.under_way, f"its BMP at {self.address} could not be driven: {fault!r}")
                lane.under_way = {}
                self._begin_needed()
                if not self._next_goals(lane):
                    break
        finally:
            lane.turns = None
        if lane is self._main:
            wait = min(SILENT_CHECK_SECONDS, self._check_seconds) if self._silent else self._check_seconds
            self._check_at = asyncio.get_running_loop().time() + wait
        self._plan()

    async def _await_predecessors(self) -> None:
        """Wait for the earlier drivers: the command that a board gets last must be this driver's."""
        while self._predecessors:
            predecessor = self._predecessors[-1]
            await predecessor.finish()
            if predecessor in self._predecessors:
                self._predecessors.remove(predecessor)
                self._doubt_all()

    async def _await_others(self, lane: _Lane) -> None:
        """Leave a short time between turns: orders that come meanwhile cost little more together."""
        loop = asyncio.get_running_loop()
        rest = lane.began_at + TURN_SECONDS - loop.time()
        if rest > 0:
            await asyncio.sleep(rest)
        lane.began_at = loop.time()

    def _plan(self) -> None:
        """Plan each lane's next turn for when boards are to be checked, unless there is an earlier one."""
        loop = asyncio.get_running_loop()
        for lane in self._lanes:
            if lane.turns is not None:
                continue
            at = self._check_at if lane is self._main else math.inf
            doubts = [
                until
                for slot, until in self._doubts.items()
                if slot in self._states and self._lane_of(slot) is lane
            ]
            if doubts and not self._silent and self._main.bmp.has_fpgas is not False:
                at = min(at, max(min(doubts), loop.time()) + GATHER_SECONDS)
            if at < math.inf and (lane.next_turn is None or lane.next_turn.when() > at):
                lane.cancel_next_turn()
                lane.next_turn = loop.call_at(at, self._begin, lane)

    def _update_slow(self, lane: _Lane, slots: AbstractSet[int]) -> None:
        """Note which of a turn's boards did not answer, and which do again."""
        if lane is self._apart:
            self._slow -= slots - lane.bmp.unanswered
        else:
            self._slow |= slots & lane.bmp.unanswered
            self._check_apart(lane.bmp.unanswered)

    def _check_apart(self, slots: Iterable[int]) -> None:
        """Have those of these boards that are slow checked apart."""
        now = asyncio.get_running_loop().time()
        for slot in slots:
            if slot in self._slow and slot in self._states:
                self._doubts.setdefault(slot, now)

    async def _turn(self, lane: _Lane, goals: _Goals) -> None:
        """Do orders, then check boards.

        Raises:
            SilenceError: The BMP does not answer.
        """
        lane.bmp.unanswered.clear()
        await self._greet(lane, goals)
        checked: AbstractSet[int] = frozenset()
        if goals and (doubtful := self._doubtful(lane, gathered_for=0.0)):
            # Before anything is switched: that takes seconds, and a border of a job that runs may be open.
            checked = await self._check(lane, doubtful)
            self._update_slow(lane, checked)
        off = {slot: goal for slot, goal in goals.items() if not goal.piece.on}
        if off:
            failed = await lane.bmp.power(off, on=False)
            left = self._still_current(off, failed)
            self._clear_doubts(left)
            failed |= await lane.bmp.still_on(left)
            self._note_done(off, off.keys() - failed.keys())
            self._try_again(lane, off, failed)
        on = {slot: goal for slot, goal in goals.items() if goal.piece.on}
        if on:
            if lane.bmp.has_fpgas is False:
                await self._outwait_doubts(on)
            failed = await lane.bmp.power(on, on=True)
            up = self._still_current(on, failed)
            if up:
                self._clear_doubts(up)
                cuts = {slot: goal.piece.cut[slot] for slot, goal in up.items()}
                findings = await lane.bmp.isolate(cuts, fresh=True)
                self._report_retries(findings)
                failed |= findings.failed
            self._note_done(on, on.keys() - failed.keys())
            self._try_again(lane, on, failed)
        checked |= await self._check(lane, self._due(lane))
        self._update_slow(lane, goals.keys() | checked)

    async def _outwait_doubts(self, slots: Iterable[int]) -> None:
        """Wait until no earlier command for these boards can arrive a second time.

        On a BMP whose boards can't be checked, a second power-off after the power-on would go unnoticed.
        """
        now = asyncio.get_running_loop().time()
        rest = max((self._doubts.get(slot, now) for slot in slots), default=now) - now
        if rest > 0:
            await asyncio.sleep(rest)

    def _still_current(self, goals: _Goals, failed: Mapping[int, str]) -> _Goals:
        """Return the goals that did not fail and have not been replaced by later orders."""
        return {slot: goal for slot, goal in goals.items() if slot not in failed and slot not in self._goals}

    def _report_retries(self, findings: Findings) -> None:
        for slot, links in findings.corrected.items():
            if slot not in findings.failed:
                self.listener.retried(slot, f"{_named(links)} had to be set again")

    def _try_again(self, lane: _Lane, goals: _Goals, failed: Mapping[int, str]) -> None:
        """Plan another try in the next turn for the boards that failed; those that used up their tries have failed."""
        for slot, why in failed.items():
            goal = goals[slot]
            # The main lane does not wait long for a board that does not answer: only a try apart counts.
            goal.tries += lane is self._apart or slot not in lane.bmp.unanswered
            if goal.tries < POWER_TRIES and slot not in self._goals:
                self._goals[slot] = goal
                self.listener.retried(slot, why)
            else:
                goal.piece.resolve(slot, why)

    def _note_done(self, goals: _Goals, slots: Iterable[int]) -> None:
        """Note that boards are as ordered."""
        for slot in slots:
            piece = goals[slot].piece
            if slot not in self._goals:
                self._states[slot] = BoardState(piece.order, piece.on, piece.cut[slot])
            piece.resolve(slot, None)

    def _fail(self, goals: _Goals, why: str) -> None:
        """Give up goals, except those that are tried again in the next turn."""
        for slot, goal in goals.items():
            if self._goals.get(slot) is not goal:
                goal.piece.resolve(slot, why)

    # Checks

    def _doubt(self, slots: frozenset[int], until: float) -> None:
        """Note that a command for these boards may arrive a second time, until `until` at the latest."""
        for slot in slots:
            self._doubts[slot] = max(until, self._doubts.get(slot, until))
        self._plan()

    def _doubt_all(self) -> None:
        """Note that commands of an earlier driver may still arrive, at any board."""
        until = asyncio.get_running_loop().time() + LATEST_SECONDS
        self._doubts = {slot: max(until, self._doubts.get(slot, until)) for slot in self._slots}

    def _clear_doubts(self, slots: Iterable[int]) -> None:
        """Drop the doubts about boards that are about to be checked, unless a second copy may still arrive."""
        now = asyncio.get_running_loop().time()
        for slot in slots:
            if self._doubts.get(slot, now + 1) <= now:
                del self._doubts[slot]

    def _due(self, lane: _Lane) -> dict[int, BoardState]:
        """Return the boards that are to be checked now: all from time to time, else those in doubt."""
        now = asyncio.get_running_loop().time()
        if lane is self._main and now >= self._check_all_at and lane.bmp.has_fpgas is not False:
            self._check_all_at = now + self._check_seconds
            self._check_apart(self._slow)
            return {slot: state for slot, state in self._states.items() if self._lane_of(slot) is lane}
        return self._doubtful(lane, gathered_for=GATHER_SECONDS)

    def _doubtful(self, lane: _Lane, *, gathered_for: float) -> dict[int, BoardState]:
        """Return the boards in doubt for which nothing more has been expected for this many seconds.

        A board with a goal has no state yet; its doubt is kept until it has one.
        """
        latest = asyncio.get_running_loop().time() - gathered_for
        return {
            slot: self._states[slot]
            for slot, until in self._doubts.items()
            if until <= latest and slot in self._states and self._lane_of(slot) is lane
        }

    async def _check(self, lane: _Lane, due: Mapping[int, BoardState]) -> AbstractSet[int]:
        """Check boards, correct links that are not as ordered, and report boards that strayed.

        Returns:
            The boards that were checked.

        Raises:
            SilenceError: The BMP does not answer.
        """
        if not due or lane.bmp.has_fpgas is False:
            return frozenset()
        self._clear_doubts(due)
        on = {slot: state.cut for slot, state in due.items() if state.on}
        findings = Findings()
        try:
            findings.failed |= await lane.bmp.still_on(due.keys() - on.keys())
            if on:
                await lane.bmp.isolate(on, fresh=False, findings=findings)
        except SilenceError:
            # What was seen before is not seen again: corrections may be carried out although no answer tells so.
            self._report_strayed(lane, due, findings)
            raise
        strayed = self._report_strayed(lane, due, findings)
        for slot in findings.corrected.keys() - findings.failed.keys() - strayed:
            self.listener.corrected(slot, f"{_named(findings.corrected[slot])} were not as ordered")
        return due.keys()

    def _report_strayed(
        self, lane: _Lane, due: Mapping[int, BoardState], findings: Findings
    ) -> AbstractSet[int]:
        """Report those of the boards that were checked that strayed, and return them."""
        # A board that did not answer in the main lane is checked again in the lane for slow boards.
        left = lane.bmp.unanswered if lane is self._main else frozenset[int]()
        strayed = {slot: why for slot, why in findings.failed.items() if slot not in left}
        for slot, links in findings.corrected.items():
            # A stopped link never starts by itself. If all of a board's did, the board was reset.
            if links >= due[slot].cut > frozenset():
                strayed.setdefault(slot, "it was reset")
        by_order: dict[int, dict[int, str]] = defaultdict(dict)
        for slot, why in strayed.items():
            # If it got a new order during the check, that order may explain its state.
            if self._states.get(slot) is due[slot]:
                del self._states[slot]
                by_order[due[slot].order][slot] = why
        for order, slots in by_order.items():
            self.listener.strayed(order, slots)
        return strayed.keys()

    # Silence

    async def _greet(self, lane: _Lane, goals: _Goals) -> None:
        """Make sure that the BMP answers, and find out whether it has FPGA registers.

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
                # Its boards may have lost their power, too.
                self._check_all_at = now
                self.listener.silent(None)
        self._apart.bmp.has_fpgas = self._main.bmp.has_fpgas

    def _fall_silent(self, why: str) -> None:
        # It may be replaced by one of another version.
        self._main.bmp.has_fpgas = None
        if not self._silent:
            self._silent = True
            self.listener.silent(why)


def _named(links: Iterable[Link]) -> str:
    return "links " + ", ".join(sorted(link.name.lower().replace("_", "-") for link in links))
