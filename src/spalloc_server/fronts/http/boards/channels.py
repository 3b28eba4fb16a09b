"""The UDP channels of one websocket, each a socket of its own; all of them reach boards of one job only.

relay.py says what the boards are, and whether they are the job's still. No websocket is known here.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import islice

from spalloc_server.fronts.http.boards.messages import (
    MESSAGE_BYTES,
    Answer,
    Close,
    CloseCode,
    Closed,
    Failed,
    Listen,
    Listening,
    Message,
    MessageError,
    MessageTo,
    Open,
    Opened,
)
from spalloc_server.fronts.http.boards.streams import QUANTUM, Stream
from spalloc_server.runtime import is_among_last_descriptors
from spalloc_server.words import counted
from spinnaker.geometry import Chip
from spinnaker.sdp import SDP_PORT

HIGHEST_PORT = 65_535
_HEADER_BYTES = 8
_MOST_BYTES = MESSAGE_BYTES - _HEADER_BYTES
"""The longest payload that fits into a message."""


class Room:
    """How many channels there may be, of one websocket and of all."""

    def __init__(self, of_one: int, in_all: int) -> None:
        """Begin with none."""
        self.of_one = of_one
        self.in_all = in_all
        self.taken = 0
        """How many there are."""
        self._of_account: Counter[str] = Counter()

    @property
    def of_account(self) -> int:
        """How many there may be of one account: some are always left to others."""
        return max(self.of_one, self.in_all // 2)

    def enter(self, account: str) -> None:
        """Count a channel."""
        self.taken += 1
        self._of_account[account] += 1

    def leave(self, account: str) -> None:
        """Note that a channel is closed."""
        self.taken -= 1
        self._of_account[account] -= 1
        if not self._of_account[account]:
            del self._of_account[account]

    def refusal(self, own: int, account: str) -> str | None:
        """Return why a websocket of an account that has `own` channels can't have another, or None if it can."""
        if own >= self.of_one:
            return (
                f"this websocket has {counted(own, 'channel')}, and may have {self.of_one}; close some first"
            )
        count = self._of_account.get(account, 0)
        if count >= self.of_account:
            return (
                f"{account} has {counted(count, 'channel')}, and may have {self.of_account}; close some first"
            )
        if self.taken >= self.in_all:
            return f"all {self.in_all} channels that this server has room for are in use; try again later"
        return None


@dataclass(eq=False, slots=True)
class _Channel:
    number: int
    socket: socket.socket
    is_listener: bool
    head: bytes
    """What each message from it begins with."""


class Channels:
    """The channels of one websocket."""

    def __init__(
        self,
        addresses: Mapping[Chip, str],
        holds: Callable[[], bool],
        hear: Callable[[bytes], bool],
        stream: Stream,
        numbers: Iterator[int],
        room: Room,
        account: str,
    ) -> None:
        """Make a set of channels that has none yet.

        Args:
            addresses: The host name or address of each board, by the place of its Ethernet-connected chip in the job.
            holds: Returns whether the boards are the job's still; asked before every packet.
            hear: Is given each message for the client; returns whether further ones may be given now. If not, what
                comes from boards waits, or is lost, as in a network, until `resume`.
            stream: What may be carried from boards.
            numbers: The numbers of new channels.
            room: Where channels are counted.
            account: Whose they are.
        """
        self._addresses = addresses
        self._holds = holds
        self._hear = hear
        self._stream = stream
        self._numbers = numbers
        self._room = room
        self._account = account
        self._loop = asyncio.get_running_loop()
        self._channels: dict[int, _Channel] = {}
        self._resolved: dict[Chip, str] = {}
        self._sources: frozenset[str] = frozenset()
        """The addresses of all boards, once there is a listener."""
        self._parked: dict[_Channel, None] = {}
        """Channels whose sockets are not read for now, the first to be read again first."""
        self._paused = False
        """Whether the client can't be given more for now."""
        self._closed = False

    def __len__(self) -> int:
        """Return how many channels are open."""
        return len(self._channels)

    def send(self, message: Message) -> None:
        """Send a payload to the board of a channel; without such a channel, or over a listener, it is lost."""
        channel = self._channels.get(message.channel)
        if channel is not None and not channel.is_listener and self._holds():
            try:
                channel.socket.send(message.data)
            except OSError:
                return  # as in a network, a packet may be lost: the board is off, or the system has no room

    async def send_to(self, message: MessageTo) -> None:
        """Send a payload from a listener to a board.

        Raises:
            MessageError: The channel is no listener, or the job has no such board or port.
        """
        channel = self._channels.get(message.channel)
        if channel is None:
            return
        if not channel.is_listener:
            raise MessageError(CloseCode.MALFORMED, f"channel {message.channel} has a board: use operation 2")
        chip = Chip(message.x, message.y)
        refusal = self._refusal(chip, message.port)
        if refusal is not None:
            raise MessageError(CloseCode.MALFORMED, refusal)
        with contextlib.suppress(OSError):
            address = await self._address(chip)
            if self._is_open(channel) and self._holds():
                channel.socket.sendto(message.data, (address, message.port))

    async def answer(self, request: Open | Close | Listen) -> Answer:
        """Open or close a channel, and return the answer."""
        if isinstance(request, Close):
            return Closed(request.correlation, request.channel if self._close(request.channel) else 0)
        refusal = self._room.refusal(len(self._channels), self._account)
        if refusal is None and isinstance(request, Open):
            refusal = self._refusal(Chip(request.x, request.y), request.port)
        if refusal is not None:
            return Failed(request.correlation, refusal)
        try:
            if isinstance(request, Open):
                return await self._open(request)
            return await self._listen(request)
        except OSError as error:
            return Failed(request.correlation, f"no channel could be opened: {error.strerror or error}")

    def resume(self) -> None:
        """Read again what comes from boards, after `hear` has asked to wait."""
        self._paused = False
        self._unpark()

    def close(self) -> None:
        """Close all channels, for good: nothing is sent to a board any more when this returns."""
        self._closed = True
        self._stream.forget()
        for number in list(self._channels):
            self._close(number)

    async def _open(self, request: Open) -> Answer:
        address = await self._address(Chip(request.x, request.y))
        opened = _datagram_socket()
        try:
            opened.connect((address, request.port))
        except BaseException:
            opened.close()
            raise
        kept = self._keep(opened, is_listener=False)
        return (
            Failed(request.correlation, kept) if isinstance(kept, str) else Opened(request.correlation, kept)
        )

    async def _listen(self, request: Listen) -> Answer:
        for chip in self._addresses:
            await self._address(chip)
        self._sources = frozenset(self._resolved.values())
        opened = _datagram_socket()
        try:
            # Boards are given one address to send to: the one from which this computer reaches them.
            with _datagram_socket() as towards:
                towards.connect((next(iter(self._resolved.values())), SDP_PORT))
                opened.bind((towards.getsockname()[0], 0))
            host, port = opened.getsockname()
        except BaseException:
            opened.close()
            raise
        kept = self._keep(opened, is_listener=True)
        if isinstance(kept, str):
            return Failed(request.correlation, kept)
        return Listening(request.correlation, kept, IPv4Address(host), port)

    def _keep(self, opened: socket.socket, *, is_listener: bool) -> int | str:
        """Make a socket a channel and return its number; or why it can't be one any more, and it is closed."""
        # While an address was looked up, others may have opened channels, and the boards may be lost.
        refusal = self._room.refusal(len(self._channels), self._account)
        if self._closed or not self._holds():
            refusal = "the job no longer has its boards"
        if refusal is not None:
            opened.close()
            return refusal
        number = next(self._numbers)
        channel = _Channel(number, opened, is_listener, Message(number, b"").encode())
        self._channels[number] = channel
        self._room.enter(self._account)
        self._read(channel)
        return number

    def _close(self, number: int) -> bool:
        channel = self._channels.pop(number, None)
        if channel is None:
            return False
        self._room.leave(self._account)
        if channel in self._parked:
            del self._parked[channel]
        else:
            self._loop.remove_reader(channel.socket)
        channel.socket.close()
        return True

    def _is_open(self, channel: _Channel) -> bool:
        return self._channels.get(channel.number) is channel

    def _refusal(self, chip: Chip, port: int) -> str | None:
        if not 0 < port <= HIGHEST_PORT:
            return f"there is no UDP port {port}; there are 1 to {HIGHEST_PORT}"
        if chip not in self._addresses:
            return f"no board of the job has its Ethernet-connected chip at {chip}"
        return None

    async def _address(self, chip: Chip) -> str:
        found = self._resolved.get(chip)
        if found is None:
            name = self._addresses[chip]
            try:
                found = str(IPv4Address(name))
            except ValueError:
                answers = await self._loop.getaddrinfo(
                    name, SDP_PORT, family=socket.AF_INET, type=socket.SOCK_DGRAM
                )
                found = str(answers[0][4][0])
            self._resolved[chip] = found
        return found

    def _read(self, channel: _Channel) -> None:
        self._loop.add_reader(channel.socket, self._take, channel)

    def _park(self, channel: _Channel) -> None:
        self._loop.remove_reader(channel.socket)
        self._parked[channel] = None
        if not self._paused:
            self._stream.when_ready(self._unpark)

    def _unpark(self) -> None:
        for channel in list(islice(self._parked, QUANTUM)):
            del self._parked[channel]
            self._read(channel)
        if self._parked and not self._paused:
            self._stream.when_ready(self._unpark)

    def _take(self, channel: _Channel) -> None:
        """Take one datagram that has come to a channel; the loop calls again at once if there are more."""
        if self._paused or not self._stream.borrow():
            self._park(channel)
            return
        try:
            data, (host, _) = channel.socket.recvfrom(_MOST_BYTES + 1)
        except OSError:
            self._stream.credit += 1
            return  # an earlier packet was refused: the board is off, or has nothing at this port
        is_from_board = not channel.is_listener or host in self._sources
        if is_from_board and len(data) <= _MOST_BYTES and self._holds():
            self._paused = not self._hear(channel.head + data)


def _datagram_socket() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if is_among_last_descriptors(opened.fileno()):
        # They are for connections: with none left, nobody could even log in.
        opened.close()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    opened.setblocking(False)
    return opened
