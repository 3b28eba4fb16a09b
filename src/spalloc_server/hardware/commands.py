"""The commands to one BMP and the meaning of its answers: power, FPGAs, and the links that FPGAs stop.

A BMP may acknowledge a command that it has not done, and the network may deliver an earlier command a second time. So
the result of each command is read back, as far as the BMP can tell it. Which boards are powered, and when, is not
decided here but in frame.py.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from spalloc_server.hardware.conversation import (
    TRANSIENT,
    WINDOW,
    BmpConversation,
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

# A power command is answered when it is done, after up to 10 s for power-on: sending it again sooner would do it twice.
ON_PATIENCE = Patience(10.0, 10.0, 6)
OFF_PATIENCE = Patience(1.0, 10.0, 9)
ON_BRIEFLY = replace(ON_PATIENCE, tries=1)
"""For boards while others wait: 10 s."""
OFF_BRIEFLY = replace(OFF_PATIENCE, tries=3)
"""The same for power-off: 7 s."""
REGISTER_PATIENCE = Patience(0.25, 1.0, 14)
BOARD_TRIES = 4
"""How often a board that does not answer is asked while other boards wait: 2.75 s."""

LINK_TRIES = 3
"""How often links that are not as ordered are set again before their board counts as failed."""
OFF_LOOK_PAUSES = (0.0, 0.1, 0.4)
"""Seconds before each reading of the voltages of boards that were switched off: they take a moment to fall."""
RUNNING_VOLTS = 0.6
"""A board whose 1.2 V rails have more than this is on."""

_STOP_BIT = 1


_End = tuple[int, Link, bool]
"""A board, one of its links, and whether that is to be stopped."""
_Fpga = tuple[int, int]
"""A board, and the number of an FPGA on it."""


@dataclass(slots=True)
class Findings:
    """What a check of boards has shown."""

    failed: dict[int, str] = field(default_factory=dict)
    """Boards that are not as ordered and could not be corrected, with the reason."""
    corrected: dict[int, frozenset[Link]] = field(default_factory=dict)
    """Links that were not as ordered and had to be set again, by board."""


class BmpCommands:
    """One frame's BMP."""

    def __init__(self, address: str, slots: Iterable[int], doubt: Doubt, *, brief: bool = False) -> None:
        """Talk with a BMP.

        Args:
            address: Its address, `HOST` or `HOST:PORT`.
            slots: Its boards, 0 to 23.
            doubt: Called by `BmpConversation`.
            brief: Whether to give up soon on a board that does not answer, so that it does not delay others.
        """
        self.address = address
        self.unanswered: set[int] = set()
        """Boards that did not answer a question; the caller clears it."""
        self._slots = sorted(slots)
        self._brief = brief
        self._patience = replace(REGISTER_PATIENCE, board_tries=BOARD_TRIES if brief else None)
        self.conversation = BmpConversation(address, doubt)
        self.has_fpgas: bool | None = None
        """Whether the BMP is new enough to have FPGA registers; while that is unknown, it is assumed to."""

    async def greet(self, slot: int) -> None:
        """Make sure that the BMP answers, for one board or else for another, and find out what it can do.

        Raises:
            SilenceError: It does not answer.
        """
        (reply,) = await self.conversation.ask([_greeting(slot)], self._patience)
        if _is_missing(reply):
            reply = await self._greet_any({slot}) or reply
        if reply is None:
            raise SilenceError(self._no_answer())
        self.has_fpgas = _has_fpgas(reply)

    async def _greet_any(self, but: Collection[int]) -> ScpReply | None:
        """Return the BMP's answer for any board, if possible not one of `but`; None if it does not answer."""
        slots = sorted(self._slots, key=but.__contains__)[:WINDOW]
        greetings = [_greeting(slot) for slot in slots]
        replies = await self.conversation.ask(greetings, REGISTER_PATIENCE, one_will_do=True)
        heard = [reply for reply in replies if reply is not None]
        return next((reply for reply in heard if not _is_missing(reply)), heard[0] if heard else None)

    async def power(self, slots: Iterable[int], *, on: bool) -> dict[int, str]:
        """Switch boards, and return those that failed, with reasons.

        They are switched together. If the BMP does not do that, they are switched one by one, so that a board that
        can't be switched fails alone. Only a single board that delays no others is waited for to the end.

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
        if len(boards) > 1 and not (self._brief and _is_missing(reply)):
            # One try more than all together had: a packet that is lost now counts as a try.
            singly = replace(briefly, tries=briefly.tries + 1)
            replies = await self._ask([_powering([board], on=on) for board in boards], singly)
        by_board = dict(zip(boards, replies, strict=True))
        self.unanswered |= {slot for slot, each in by_board.items() if _is_missing(each)}
        failures = {slot: self._failure(each) for slot, each in by_board.items()}
        return {slot: failure for slot, failure in failures.items() if failure is not None}

    async def still_on(self, slots: Iterable[int]) -> dict[int, str]:
        """Return which of the boards that were switched off are on, or may be, with reasons.

        A board whose BMP can't tell counts as off; one that does not answer counts as perhaps on.

        Raises:
            SilenceError: The BMP does not answer.
        """
        on = [] if self.has_fpgas is False else sorted(slots)
        unknown: dict[int, str] = {}
        for pause in OFF_LOOK_PAUSES:
            if not on:
                break
            if pause:
                await asyncio.sleep(pause)
            replies = dict(
                zip(on, await self._ask([_sensing(slot) for slot in on], self._patience), strict=True)
            )
            unknown |= {
                slot: self._why_missing(reply) for slot, reply in replies.items() if _is_missing(reply)
            }
            on = [slot for slot, reply in replies.items() if _is_running(reply)]
        still_on = f"it is on, although its BMP at {self.address} has switched it off"
        return unknown | dict.fromkeys(on, still_on)

    async def isolate(
        self, wanted: Mapping[int, frozenset[Link]], *, fresh: bool, findings: Findings | None = None
    ) -> Findings:
        """Make sure that boards run, and that exactly the wanted links of them are stopped.

        On a BMP without FPGA registers, this only waits until it has done all earlier commands.

        Args:
            wanted: For each board, the links that are to be stopped.
            fresh: Whether the boards were just powered on. Then their links are stopped first, and a link that can't
                be read is a failure; otherwise it is assumed to be as wanted.
            findings: What is found is added to these, so that it is known even if the BMP falls silent over it.

        Raises:
            SilenceError: The BMP does not answer.
        """
        findings = findings or Findings()
        if self.has_fpgas is False:
            # A power command that came twice may still be in progress. A BMP answers in order: once that is done.
            await self._ask([_greeting(min(wanted))], self._patience)
            return findings
        left = wanted
        refused: dict[int, str] = {}
        wrong = {slot: dict.fromkeys(cut, True) for slot, cut in wanted.items()} if fresh else {}
        for tries in range(LINK_TRIES + 1):
            ends = [(slot, link, stop) for slot, links in wrong.items() for link, stop in links.items()]
            replies = await self._ask([_writing_stop(*end) for end in ends], self._patience)
            refused = self._refused(ends, replies)
            if tries == 0:
                findings.failed |= {slot: why for slot, why in refused.items() if slot in self.unanswered}
                left = {slot: cut for slot, cut in wanted.items() if slot not in findings.failed}
            wrong = await self._wrong_links(left, findings, fresh=fresh)
            if not wrong:
                return findings
            left = {slot: left[slot] for slot in wrong}
            for slot, links in wrong.items():
                findings.corrected[slot] = findings.corrected.get(slot, frozenset()) | links.keys()
        for slot, links in wrong.items():
            findings.failed[slot] = refused.get(slot) or self._not_obeyed(links)
        return findings

    async def _wrong_links(
        self, wanted: Mapping[int, frozenset[Link]], findings: Findings, *, fresh: bool
    ) -> dict[int, dict[Link, bool]]:
        """Return the links that are not as wanted, and how they should be: True for stopped."""
        ends = [(slot, link) for slot in wanted for link in Link]
        # An FPGA whose register keeps what was written to it runs. The others are asked for their identity.
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
                    findings.failed.setdefault(slot, f"its link {_name(link)} can't be checked: {why}")
                continue
            if value & ~_STOP_BIT:
                doubtful.add(slot)
            if bool(value & _STOP_BIT) != (link in wanted[slot]):
                wrong[slot][link] = link in wanted[slot]
        if fresh:
            doubtful |= wrong.keys()
        doubtful = {slot for slot in doubtful - not_running.keys() if not self._is_left(slot)}
        if doubtful:
            # A board that is off, or whose FPGAs did not load, may give such values.
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
        """Return whether a board is left to the turns of slow boards."""
        return self._brief and slot in self.unanswered

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
        """Return the boards with an FPGA that does not identify itself, and say which FPGA."""
        failed: dict[int, str] = {}
        for (slot, fpga), reply in zip(fpgas, replies, strict=True):
            if reply is None or _is_missing(reply):
                failed.setdefault(slot, self._why_missing(reply))
            elif not _identified(fpga, reply):
                failed.setdefault(slot, f"its FPGA {fpga} {how}")
        return failed

    def _not_obeyed(self, links: Mapping[Link, bool]) -> str:
        told = [
            f"{', '.join(names)} {'are not' if stop else 'are still'} stopped"
            for stop in (True, False)
            if (names := sorted(_name(link) for link, wanted in links.items() if wanted is stop))
        ]
        return f"its links {' and '.join(told)}, although its BMP at {self.address} has set them"

    async def _ask(self, questions: Sequence[Question], patience: Patience) -> list[ScpReply | None]:
        """Ask questions and return the answers, None where none came.

        Raises:
            SilenceError: No question was answered, and neither was one about another board.
        """
        replies = await self.conversation.ask(questions, patience)
        slots = {question.slot for question in questions if question.slot is not None}
        silent = bool(questions) and all(reply is None for reply in replies)
        if silent and await self._greet_any(slots) is None:
            raise SilenceError(self._no_answer())
        self.unanswered |= {
            question.slot
            for question, reply in zip(questions, replies, strict=True)
            if question.slot is not None and _is_missing(reply)
        }
        return replies

    def _no_answer(self) -> str:
        return f"its BMP at {self.address} does not answer"

    def _why_missing(self, reply: ScpReply | None) -> str:
        return self._failure(reply) or self._no_answer()

    def _failure(self, reply: ScpReply | None) -> str | None:
        if reply is None:
            return self._no_answer()
        if not reply.ok:
            return f"its BMP at {self.address} answers {describe_result(reply.result)}"
        return None


def _fpgas(slots: Iterable[int]) -> list[_Fpga]:
    return [(slot, fpga) for slot in slots for fpga in range(FPGAS_PER_BOARD)]


def _is_written(fpga: _Fpga, stopped: Mapping[int, frozenset[Link]]) -> bool:
    slot, number = fpga
    return any(stop_register(link).fpga == number for link in stopped[slot])


def _is_missing(reply: ScpReply | None) -> bool:
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
    """Return whether a board is on, according to its voltages."""
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


# The same few questions are asked for every job: each is encoded once.


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
