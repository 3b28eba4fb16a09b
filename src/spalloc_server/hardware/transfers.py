"""Reads and writes the memory of booted boards by SCP, as much at once as SCAMP has room for.

Whose boards they are, and how many transfers there may be, is decided in fronts/http/boards/memory.py.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from struct import Struct
from types import TracebackType
from typing import Self

from spalloc_server.hardware.conversation import BmpConversation, Patience, Question, SilenceError
from spinnaker.geometry import Chip
from spinnaker.memory_map import ROUTER, ROUTER_UNBUFFERED
from spinnaker.scamp import RouterOperation, ScampCommand
from spinnaker.scp import Result, ScpReply, describe_result
from spinnaker.sdp import MAX_DATA_BYTES, Endpoint, SdpHeader

PATIENCE = Patience(first_seconds=0.5, longest_seconds=1.0, tries=4)
"""A board that does not answer is given up after 3.5 s: clients of the HTTP service wait for 10 s."""
PACKETS_AT_ONCE = 256
"""How many packets are asked for before what came is handed on."""
FILTERS = 16
"""Diagnostic filters of a router."""

_WORD = Struct("<I")
_COMMAND = Struct("<HHIII")
"""A command, its sequence number, and its three arguments."""
_BYTES, _HALF_WORDS, _WORDS = range(3)
_COUNTERS = ROUTER_UNBUFFERED + 0x2C
_RESET_AND_ENABLE_ALL = 0xFFFF_FFFF
_FILTER_REGISTERS = ROUTER + 0x200
_NO_CHIP = frozenset({Result.NO_ROUTE, Result.DEAD, Result.P2P_NO_REPLY, Result.TIMEOUT})
"""What a board answers for a chip that is dead."""


class TransferError(Exception):
    """A transfer that can't go on; the message says why."""


class SilentBoardError(TransferError):
    """The board does not answer."""


Pace = Callable[[int], Awaitable[None]]
"""Called with how many packets are about to be sent: waits for their turn.

Raises:
    TransferError: They may not be sent any more.
"""


class BoardMemory:
    """The memory of the chips that are reached over one board's Ethernet."""

    def __init__(self, address: str, pace: Pace) -> None:
        """Reach a board.

        Args:
            address: Its host name or address, with or without a port.
            pace: See `Pace`.
        """
        self._address = address
        self._pace = pace
        self._conversation = BmpConversation(address, lambda *_: None)

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket."""
        self._conversation.close()

    def abandon(self, why: TransferError) -> None:
        """Send nothing more, and have the transfer in progress end with `why`."""
        self._conversation.abandon(why)

    async def read(self, chip: Chip, start: int, size: int) -> AsyncIterator[bytes]:
        """Yield `size` bytes of a chip's memory from the address `start`, in pieces of 64 KiB at most.

        Raises:
            TransferError: The board does not answer, or refuses.
        """
        header = _header(chip)
        for offset in range(start, start + size, PACKETS_AT_ONCE * MAX_DATA_BYTES):
            end = min(start + size, offset + PACKETS_AT_ONCE * MAX_DATA_BYTES)
            requests = [
                _request(header, ScampCommand.READ, at, min(MAX_DATA_BYTES, end - at))
                for at in range(offset, end, MAX_DATA_BYTES)
            ]
            yield b"".join([reply.data for reply in await self._done(requests)])

    async def write(self, chip: Chip, start: int, data: AsyncIterable[bytes]) -> int:
        """Write bytes, in pieces of any length, to a chip's memory from the address `start`; return how many.

        Raises:
            TransferError: The board does not answer, or refuses; earlier pieces have been written.
        """
        at, left, most = start, bytearray(), PACKETS_AT_ONCE * MAX_DATA_BYTES
        async for piece in data:
            left += piece
            while len(left) >= most:
                await self._write(chip, at, bytes(left[:most]))
                at += most
                del left[:most]
        if left:
            await self._write(chip, at, bytes(left))
        return at + len(left) - start

    async def clear_routers(self, chips: Iterable[Chip], filters: Mapping[int, int]) -> int:
        """Clear the routes of chips, reset their counters and set diagnostic filters; return how many chips there are.

        Args:
            chips: The chips; those that are dead are left out.
            filters: Values of 32 bits by the filter's number, 0 to 15.

        Raises:
            TransferError: The board does not answer, or refuses.
        """
        asked = list(chips)
        operation = _COMMAND.pack(ScampCommand.ROUTER, 0, RouterOperation.INITIALISE, 0, 0)
        clear = [_header(chip) + operation for chip in asked]
        replies = await self._ask(clear)
        self._check(replies, tolerated=_NO_CHIP)
        live = [chip for chip, reply in zip(asked, replies, strict=True) if reply.ok]
        words = {_COUNTERS: _RESET_AND_ENABLE_ALL}
        words |= {_FILTER_REGISTERS + 4 * number: value for number, value in filters.items()}
        writes = [
            _request(_header(chip), ScampCommand.WRITE, at, 4, _WORD.pack(value))
            for chip in live
            for at, value in words.items()
        ]
        for first in range(0, len(writes), PACKETS_AT_ONCE):
            await self._done(writes[first : first + PACKETS_AT_ONCE])
        return len(live)

    async def _write(self, chip: Chip, start: int, data: bytes) -> None:
        pieces = ((start + at, data[at : at + MAX_DATA_BYTES]) for at in range(0, len(data), MAX_DATA_BYTES))
        header = _header(chip)
        await self._done(
            [_request(header, ScampCommand.WRITE, at, len(piece), piece) for at, piece in pieces]
        )

    async def _done(self, requests: list[bytes]) -> list[ScpReply]:
        replies = await self._ask(requests)
        self._check(replies)
        return replies

    def _check(self, replies: Iterable[ScpReply], tolerated: frozenset[Result] = frozenset()) -> None:
        for reply in replies:
            if not reply.ok and reply.result not in tolerated:
                there = reply.header.source
                raise TransferError(
                    f"chip ({there.x}, {there.y}) refused, over the board at {self._address}: "
                    f"{describe_result(reply.result)}"
                )

    async def _ask(self, requests: list[bytes]) -> list[ScpReply]:
        await self._pace(len(requests))
        # As questions to one slot: a board that has answered none of a few is not asked the others.
        questions = [Question(request, slot=0) for request in requests]
        try:
            answers = await self._conversation.ask(questions, PATIENCE)
        except SilenceError as error:
            raise TransferError(
                f"the board at {self._address} can't be reached: {error.__cause__}"
            ) from error
        replies = [answer for answer in answers if answer is not None]
        if len(replies) < len(answers):
            missing = len(answers) - len(replies)
            raise SilentBoardError(
                f"the board at {self._address} did not answer {missing} of {len(answers)} packets: it is not booted, "
                "or there is no such memory"
            )
        return replies


def _header(chip: Chip) -> bytes:
    return SdpHeader(Endpoint(chip.x, chip.y, 0)).encode()


def _request(header: bytes, command: ScampCommand, at: int, size: int, data: bytes = b"") -> bytes:
    """Return the datagram of a request about memory: thousands are made a second."""
    # Registers can only be read and written as whole words.
    unit = _BYTES if (at | size) & 1 else _HALF_WORDS if (at | size) & 2 else _WORDS
    return b"".join((header, _COMMAND.pack(command, 0, at, size, unit), data))
