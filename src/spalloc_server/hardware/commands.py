"""What one BMP is told and asked, and what its answers mean: power, FPGAs, and the links that they stop.

What was told is looked at afterwards, for as far as a BMP can tell: it may acknowledge what it has not done,
and the network may bring a command of earlier once more. Which boards are to be what, and when, is frame.py's
subject.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from spalloc_server.hardware.conversation import (
    TRANSIENT,
    WINDOW,
    Conversation,
    Doubt,
    Patience,
    Question,
    SilenceError,
)
from spinnaker.bmp import (
    FIRST_MAJOR_WITH_FPGAS,
    Adc,
    Information,
    information_request,
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

# A power command is answered when it is done: up to 10 s for power-on, so asking sooner would do it twice.
ON_PATIENCE = Patience(10.0, 10.0, 6)
OFF_PATIENCE = Patience(1.0, 10.0, 9)
ON_BRIEFLY = replace(ON_PATIENCE, tries=1)
"""For boards that others wait for: 10 s."""
OFF_BRIEFLY = replace(OFF_PATIENCE, tries=3)
"""The same for power-off: 7 s."""
REGISTER_PATIENCE = Patience(0.25, 1.0, 14)
BOARD_TRIES = 4
"""How often a board is asked that answers nothing while other boards wait: 2.75 s."""

LINK_TRIES = 3
"""How often links that are not as they were ordered are set again before their board is given up."""
OFF_LOOK_PAUSES = (0.0, 0.1, 0.4)
"""Seconds before each look at the voltages of boards that were switched off: they need a moment to fall."""
RUNNING_VOLTS = 0.6
"""A board whose 1.2 V rails have more than this is on."""

_STOP_BIT = 1


_End = tuple[int, Link, bool]
"""A board, a link of it, and whether it is to be stopped."""
_Fpga = tuple[int, int]
"""A board, and the number of an FPGA on it."""


@dataclass(slots=True)
class Findings:
    """What a look at boards has shown."""

    failed: dict[int, str] = field(default_factory=dict)
    """Boards that are not as wanted, and that could not be set right, with the reason."""
    mended: dict[int, frozenset[Link]] = field(default_factory=dict)
    """Links that were not as wanted and had to be set again, by board."""


class BmpCommands:
    """One frame's BMP."""

    def __init__(self, address: str, slots: Iterable[int], doubt: Doubt, *, brief: bool = False) -> None:
        """Talk with a BMP.

        Args:
            address: Its address, `HOST` or `HOST:PORT`.
            slots: The boards that it has, 0 to 23.
            doubt: Is told what `Conversation` tells it.
            brief: Whether a board that answers nothing is soon asked no more, so that it does not hold up others.
        """
        self.address = address
        self.unheard: set[int] = set()
        """Boards that did not answer a question; whoever has dealt with them removes them."""
        self._slots = sorted(slots)
        self._brief = brief
        self._patience = replace(REGISTER_PATIENCE, board_tries=BOARD_TRIES if brief else None)
        self.conversation = Conversation(address, doubt)
        self.has_fpgas: bool | None = None
        """Whether the BMP is new enough for that; while it is not known, it is taken to be."""

    async def greet(self, slot: int) -> None:
        """Make sure that the BMP answers, for one board or else for another, and learn what it can do.

        Raises:
            SilenceError: It does not answer.
        """
        (reply,) = await self.conversation.ask([_greeting(slot)], self._patience)
        if _is_in_vain(reply):
            reply = await self._hear_anybody({slot}) or reply
        if reply is None:
            raise SilenceError(self._unanswered())
        self.has_fpgas = _has_fpgas(reply)

    async def _hear_anybody(self, but: Collection[int]) -> ScpReply | None:
        """Return what the BMP answers for any board, rather another than those in `but`; None if it does not."""
        slots = sorted(self._slots, key=but.__contains__)[:WINDOW]
        greetings = [_greeting(slot) for slot in slots]
        replies = await self.conversation.ask(greetings, REGISTER_PATIENCE, one_will_do=True)
        heard = [reply for reply in replies if reply is not None]
        return next((reply for reply in heard if not _is_in_vain(reply)), heard[0] if heard else None)

    async def power(self, slots: Iterable[int], *, on: bool) -> dict[int, str]:
        """Switch boards, and return those that failed.

        All at once; only if the BMP does not do that, one by one, so that a board that can't be switched fails alone.
        As long as it takes is waited only for a single board that holds up no others.

        Raises:
            SilenceError: The BMP does not answer.
        """
        boards = sorted(slots)
        briefly = ON_BRIEFLY if on else OFF_BRIEFLY
        patience = briefly
        if len(boards) == 1 and not self._brief:
            patience = ON_PATIENCE if on else OFF_PATIENCE
        (reply,) = await self._ask([_powering(boards, on=on)], patience)
        if self._failure(reply) is None:
            return {}
        replies = [reply] * len(boards)
        if len(boards) > 1 and not (self._brief and _is_in_vain(reply)):
            # Each once more than all together: what is lost now counts as a try.
            singly = replace(briefly, tries=briefly.tries + 1)
            replies = await self._ask([_powering([board], on=on) for board in boards], singly)
        by_board = dict(zip(boards, replies, strict=True))
        self.unheard |= {slot for slot, each in by_board.items() if _is_in_vain(each)}
        failures = {slot: self._failure(each) for slot, each in by_board.items()}
        return {slot: failure for slot, failure in failures.items() if failure is not None}

    async def still_on(self, slots: Iterable[int]) -> dict[int, str]:
        """Return which of the boards that were switched off are on, or perhaps are, and why.

        A board whose BMP can't tell counts as off; one that does not answer may be on.

        Raises:
            SilenceError: The BMP does not answer.
        """
        on = [] if self.has_fpgas is False else sorted(slots)
        untold: dict[int, str] = {}
        for pause in OFF_LOOK_PAUSES:
            if not on:
                break
            if pause:
                await asyncio.sleep(pause)
            replies = dict(
                zip(on, await self._ask([_sensing(slot) for slot in on], self._patience), strict=True)
            )
            untold |= {slot: self._vain(reply) for slot, reply in replies.items() if _is_in_vain(reply)}
            on = [slot for slot, reply in replies.items() if _is_running(reply)]
        still_on = f"it is on, although its BMP at {self.address} has switched it off"
        return untold | dict.fromkeys(on, still_on)

    async def isolate(self, wanted: Mapping[int, frozenset[Link]], *, fresh: bool) -> Findings:
        """See that boards run and that of their links only these are stopped, and set right what isn't so.

        Of boards on a BMP without FPGA registers, it is only waited until it has done all that it was told.

        Args:
            wanted: For each board, the links that are to be stopped.
            fresh: Whether the boards were just powered on: then their links are stopped first, and what the BMP does
                not tell of them is a failure; of others it is taken to be right.

        Raises:
            SilenceError: The BMP does not answer.
        """
        if self.has_fpgas is False:
            # A power command that came twice may be at work still. A BMP answers in order: not before that is done.
            await self._ask([_greeting(min(wanted))], self._patience)
            return Findings()
        findings, left = Findings(), wanted
        refused: dict[int, str] = {}
        wrong = {slot: dict.fromkeys(cut, True) for slot, cut in wanted.items()} if fresh else {}
        for tries in range(LINK_TRIES + 1):
            ends = [(slot, link, stop) for slot, links in wrong.items() for link, stop in links.items()]
            replies = await self._ask([_writing_stop(*end) for end in ends], self._patience)
            refused = self._refused(ends, replies)
            if tries == 0:
                findings.failed |= {slot: why for slot, why in refused.items() if slot in self.unheard}
                left = {slot: cut for slot, cut in wanted.items() if slot not in findings.failed}
            wrong = await self._wrong_links(left, findings, fresh=fresh)
            if not wrong:
                return findings
            left = {slot: left[slot] for slot in wrong}
            for slot, links in wrong.items():
                findings.mended[slot] = findings.mended.get(slot, frozenset()) | links.keys()
        for slot, links in wrong.items():
            findings.failed[slot] = refused.get(slot) or self._disobedience(links)
        return findings

    async def _wrong_links(
        self, wanted: Mapping[int, frozenset[Link]], findings: Findings, *, fresh: bool
    ) -> dict[int, dict[Link, bool]]:
        """Return the links that are not as wanted, and how they should be: True for stopped."""
        ends = [(slot, link) for slot in wanted for link in Link]
        # A register that keeps what was written to it is part of an FPGA that runs. The others must tell who they are.
        unwritten = [fpga for fpga in _fpgas(wanted if fresh else ()) if not _is_written(fpga, wanted)]
        replies = await self._ask(
            [_reading_stop(slot, link) for slot, link in ends] + _identifying(unwritten), self._patience
        )
        not_running = self._not_running(unwritten, replies[len(ends) :], "did not load")
        wrong: dict[int, dict[Link, bool]] = defaultdict(dict)
        doubtful = set()
        for (slot, link), reply in zip(ends, replies[: len(ends)], strict=True):
            value = _word(reply)
            if value is None:
                if fresh:
                    why = self._failure(reply) or "its BMP's answer is too short"
                    findings.failed.setdefault(slot, f"its link {_name(link)} can't be looked at: {why}")
                continue
            if value & ~_STOP_BIT:
                doubtful.add(slot)
            if bool(value & _STOP_BIT) != (link in wanted[slot]):
                wrong[slot][link] = link in wanted[slot]
        if fresh:
            doubtful |= wrong.keys()
        doubtful = {slot for slot in doubtful - not_running.keys() if not self._is_left(slot)}
        if doubtful:
            # A register that reads like that may be one of a board that is off, or whose FPGAs did not load.
            fpgas = _fpgas(doubtful)
            found = await self._ask(_identifying(fpgas), self._patience)
            how = "did not load" if fresh else "has stopped running"
            not_running |= self._not_running(fpgas, found, how)
        findings.failed |= not_running
        return {
            slot: links
            for slot, links in wrong.items()
            if slot not in findings.failed and not self._is_left(slot)
        }

    def _is_left(self, slot: int) -> bool:
        """Return whether a board is left for when it holds up no others."""
        return self._brief and slot in self.unheard

    def _refused(self, ends: Sequence[_End], replies: Sequence[ScpReply | None]) -> dict[int, str]:
        refused: dict[int, str] = {}
        for (slot, link, stop), reply in zip(ends, replies, strict=True):
            failure = self._failure(reply)
            if failure is not None:
                done = "stopped" if stop else "started"
                refused.setdefault(slot, f"its link {_name(link)} can't be {done}: {failure}")
        return refused

    def _not_running(
        self, fpgas: Sequence[_Fpga], replies: Sequence[ScpReply | None], how: str
    ) -> dict[int, str]:
        """Return the boards one of whose FPGAs is not itself, and which."""
        failed: dict[int, str] = {}
        for (slot, fpga), reply in zip(fpgas, replies, strict=True):
            if reply is None or _is_in_vain(reply):
                failed.setdefault(slot, self._vain(reply))
            elif not _identified(fpga, reply):
                failed.setdefault(slot, f"its FPGA {fpga} {how}")
        return failed

    def _disobedience(self, links: Mapping[Link, bool]) -> str:
        told = [
            f"{', '.join(names)} {'are not' if stop else 'are still'} stopped"
            for stop in (True, False)
            if (names := sorted(_name(link) for link, wanted in links.items() if wanted is stop))
        ]
        return f"its links {' and '.join(told)}, although its BMP at {self.address} has set them"

    async def _ask(self, questions: Sequence[Question], patience: Patience) -> list[ScpReply | None]:
        """Ask questions and return the answers, None where none came.

        Raises:
            SilenceError: No question was answered, nor is one about another board.
        """
        replies = await self.conversation.ask(questions, patience)
        slots = {question.slot for question in questions if question.slot is not None}
        silent = bool(questions) and all(reply is None for reply in replies)
        if silent and await self._hear_anybody(slots) is None:
            raise SilenceError(self._unanswered())
        self.unheard |= {
            question.slot
            for question, reply in zip(questions, replies, strict=True)
            if question.slot is not None and _is_in_vain(reply)
        }
        return replies

    def _unanswered(self) -> str:
        return f"its BMP at {self.address} does not answer"

    def _vain(self, reply: ScpReply | None) -> str:
        return self._failure(reply) or self._unanswered()

    def _failure(self, reply: ScpReply | None) -> str | None:
        if reply is None:
            return self._unanswered()
        if not reply.ok:
            return f"its BMP at {self.address} answers {describe_result(reply.result)}"
        return None


def _fpgas(slots: Iterable[int]) -> list[_Fpga]:
    return [(slot, fpga) for slot in slots for fpga in range(FPGAS_PER_BOARD)]


def _is_written(fpga: _Fpga, stopped: Mapping[int, frozenset[Link]]) -> bool:
    slot, number = fpga
    return any(stop_register(link).fpga == number for link in stopped[slot])


def _is_in_vain(reply: ScpReply | None) -> bool:
    return reply is None or reply.result in TRANSIENT


def _name(link: Link) -> str:
    return link.name.lower().replace("_", "-")


def _word(reply: ScpReply | None) -> int | None:
    """Return a register's value, or None if the answer holds none."""
    try:
        return word_of(reply) if reply is not None and reply.ok else None
    except PacketError:
        return None


def _identified(fpga: int, reply: ScpReply) -> bool:
    value = _word(reply)
    return value is not None and identifies(fpga, value)


def _is_running(reply: ScpReply | None) -> bool:
    """Return whether a board is on, going by its sensors."""
    try:
        return reply is not None and reply.ok and max(Adc.decode(reply.data).volts_1_2) > RUNNING_VOLTS
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


# The same few questions are asked for every job: they are put together once.


def _powering(slots: Sequence[int], *, on: bool) -> Question:
    return Question(power_request(slots, on), frozenset(slots))


@cache
def _greeting(slot: int) -> Question:
    return Question(version_request(slot), slot=slot)


@cache
def _sensing(slot: int) -> Question:
    return Question(information_request(slot, Information.ADC), slot=slot)


def _identifying(fpgas: Iterable[_Fpga]) -> list[Question]:
    return [_reading_identity(*each) for each in fpgas]


@cache
def _reading_identity(slot: int, fpga: int) -> Question:
    return Question(read_fpga_request(slot, fpga, IDENTITY_REGISTER), slot=slot)


@cache
def _reading_stop(slot: int, link: Link) -> Question:
    return Question(read_fpga_request(slot, *stop_register(link)), slot=slot)


@cache
def _writing_stop(slot: int, link: Link, stop: bool) -> Question:
    return Question(write_fpga_request(slot, *stop_register(link), int(stop)), frozenset({slot}), slot)
