"""Which messages a datagram becomes, and where a message's datagram goes: a tunnel without I/O and without a clock.

A `Carrier` is given what happens, and returns what is to be done, in order: messages for the service, datagrams for
programs on this computer, ports to listen at.

Rules that hold here:
- Each program's socket has its own channel to each port that it talks to: boards answer to where packets came from.
- Each IP tag has a channel of its own: what comes there that answers no command is the tag's.
- Channels live as long as a connection to the service. Those of IP tags are opened again on the next one, and the tags
  set again; others when a program sends something.
- As with UDP, what can't be carried is lost.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple, TypeAlias

from spalloc_client.tunnel import messages, tags
from spinnaker.sdp import SDP_PORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from spalloc_client.tunnel.tags import Address

MOST_CHANNELS = 512
"""When there are more, the one that was used least recently is closed; those of IP tags stay."""

MOST_WAITING = 64
"""Datagrams that wait for a channel to open; later ones are lost."""

_MOST_QUESTIONS = 64
_NOWHERE = "0.0.0.0"

Board: TypeAlias = tuple[int, int]
"""The Ethernet-connected chip of a board, as the job sees it."""


class Port(NamedTuple):
    """A UDP port of a board, and so the socket that stands for it on this computer."""

    board: Board
    number: int


class Delivery(NamedTuple):
    """Send a datagram from the socket that stands for a port."""

    port: Port
    to: Hashable
    """The address, or whatever else was given as the sender."""
    data: bytes


class Listen(NamedTuple):
    """Have a socket for this port, too: a program has told the board to listen there."""

    port: Port


Effect: TypeAlias = "bytes | Delivery | Listen"
"""What is to be done: bytes are a message for the service."""


class _Channel:
    """A way to a port of a board, for one socket of a program or for one IP tag."""

    __slots__ = (
        "correlation",
        "key",
        "number",
        "port",
        "prefix",
        "questions",
        "sender",
        "tag",
        "used",
        "waiting",
    )

    def __init__(self, key: Hashable, port: Port, sender: Hashable) -> None:
        self.key = key
        self.port = port
        self.sender = sender
        """Where answers go."""
        self.number: int | None = None
        self.prefix: bytes | None = None
        """What its messages begin with; None until it is open."""
        self.correlation = 0
        self.waiting: list[bytes] = []
        self.questions: dict[int, tags.TagQuestion | tags.AddressQuestion] = {}
        """Questions whose answers must be rewritten, by sequence number."""
        self.tag: _Tag | None = None
        self.used = 0


class _Tag:
    """What an IP tag's channel is for."""

    __slots__ = ("command", "destination", "number", "pending", "sequence")

    def __init__(self, number: int) -> None:
        self.number = number
        self.destination: Hashable = None
        """Where its packets go."""
        self.command = b""
        """What sets it."""
        self.sequence = 0
        """Of that command."""
        self.pending: dict[int, Hashable] = {}
        """Who waits for the answer to which command; None for nobody."""


class Carrier:
    """The channels of one job's boards."""

    def __init__(self, boards: Mapping[Board, str], local: Mapping[Board, str]) -> None:
        """Begin without a connection.

        Args:
            boards: The addresses that the boards have where they stand; names that are no addresses are not rewritten.
            local: The addresses that they have on this computer.
        """
        self._boards = boards
        self._addresses = {
            packed: IPv4Address(local[board]).packed
            for board, name in boards.items()
            if board in local and (packed := _packed(name)) is not None
        }
        self._channels: dict[Hashable, _Channel] = {}
        self._open: dict[int, _Channel] = {}
        self._opening: dict[int, _Channel] = {}
        self._connected = False
        self._count = 0
        self.refusal: str | None = None
        """Why the service would not open a channel, the last time that it would not."""

    # What happens

    def connected(self) -> list[Effect]:
        """There is a connection to the service, without channels."""
        self._connected = True
        effects: list[Effect] = []
        for channel in list(self._channels.values()):
            if channel.tag is not None:
                channel.waiting = [channel.tag.command]
                channel.tag.pending[channel.tag.sequence] = None
                effects.append(self._ask_for(channel))
            elif channel.waiting:
                effects.append(self._ask_for(channel))
        return effects

    def lost(self) -> None:
        """The connection is lost, and its channels with it."""
        self._connected = False
        self._open.clear()
        self._opening.clear()
        for channel in list(self._channels.values()):
            channel.number = channel.prefix = None
            if channel.tag is None:
                del self._channels[channel.key]

    def take(self, port: Port, sender: Hashable, data: bytes) -> list[Effect]:
        """A program has sent a datagram to the socket that stands for a port."""
        if port.number == SDP_PORT and tags.concerns(data):
            return self._look(port, sender, data)
        return self._send(self._channel((port, sender), port, sender), data)

    def hear(self, message: bytes) -> list[Effect]:
        """The service has sent a message.

        Raises:
            ProtocolError: It is none that services send.
        """
        said = messages.read(message)
        if isinstance(said, messages.Heard):
            channel = self._open.get(said.channel)
            return [] if channel is None else self._deliver(channel, said.data)
        if isinstance(said, messages.Opened):
            opened = self._opening.pop(said.correlation, None)
            return [] if opened is None else self._begin(opened, said.channel)
        if isinstance(said, messages.Failed):
            failed = self._opening.pop(said.correlation, None)
            self.refusal = said.why
            if failed is not None:
                failed.waiting.clear()
                self._channels.pop(failed.key, None)
        return []

    def forget(self, port: Port, sender: Hashable) -> list[Effect]:
        """A program needs its channel no more."""
        channel = self._channels.pop((port, sender), None)
        return [] if channel is None else self._close(channel)

    # Channels

    def _channel(self, key: Hashable, port: Port, sender: Hashable) -> _Channel:
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = _Channel(key, port, sender)
        self._count += 1
        channel.used = self._count
        return channel

    def _send(self, channel: _Channel, data: bytes) -> list[Effect]:
        if channel.prefix is not None:
            return (
                [channel.prefix + data] if len(data) <= messages.MESSAGE_BYTES - messages.PREFIX_BYTES else []
            )
        if len(channel.waiting) < MOST_WAITING:
            channel.waiting.append(data)
        if not self._connected or channel.correlation in self._opening:
            return []
        return [*self._make_room(), self._ask_for(channel)]

    def _ask_for(self, channel: _Channel) -> bytes:
        self._count += 1
        channel.correlation = self._count & 0xFFFF_FFFF
        self._opening[channel.correlation] = channel
        return messages.opening(channel.correlation, *channel.port.board, channel.port.number)

    def _begin(self, channel: _Channel, number: int) -> list[Effect]:
        if self._channels.get(channel.key) is not channel:
            return [messages.closing(0, number)]
        channel.number, channel.prefix = number, messages.prefix(number)
        self._open[number] = channel
        waiting, channel.waiting = channel.waiting, []
        return [effect for data in waiting for effect in self._send(channel, data)]

    def _make_room(self) -> list[Effect]:
        others = [channel for channel in self._open.values() if channel.tag is None]
        if len(others) < MOST_CHANNELS:
            return []
        oldest = min(others, key=lambda channel: channel.used)
        del self._channels[oldest.key]
        return self._close(oldest)

    def _close(self, channel: _Channel) -> list[Effect]:
        if channel.number is None:
            return []
        self._open.pop(channel.number, None)
        return [messages.closing(0, channel.number)]

    # What has to be rewritten

    def _look(self, port: Port, sender: Hashable, data: bytes) -> list[Effect]:
        said = tags.read(data)
        if isinstance(said, tags.SetTag):
            return self._set_tag(port, sender, said)
        channel = self._channel((port, sender), port, sender)
        effects: list[Effect] = []
        if isinstance(said, tags.TagQuestion | tags.AddressQuestion):
            channel.questions[said.sequence] = said
            if len(channel.questions) > _MOST_QUESTIONS:
                del channel.questions[next(iter(channel.questions))]
        elif isinstance(said, tags.ReverseTag):
            effects.append(Listen(Port(port.board, said.port)))
        elif isinstance(said, tags.ClearTag):
            gone = self._channels.pop((port.board, said.tag), None)
            effects += [] if gone is None else self._close(gone)
        return [*effects, *self._send(channel, data)]

    def _set_tag(self, port: Port, sender: Hashable, said: tags.SetTag) -> list[Effect]:
        board = said.chip if said.chip in self._boards else port.board
        channel = self._channel((board, said.tag), Port(board, SDP_PORT), sender)
        tag = channel.tag = channel.tag or _Tag(said.tag)
        tag.command, tag.sequence = said.datagram, said.sequence
        tag.pending[said.sequence] = sender
        if said.destination is None:
            tag.destination = sender
        elif said.destination[0] == _NOWHERE and isinstance(sender, tuple):
            tag.destination = (sender[0], said.destination[1])
        else:
            tag.destination = said.destination
        return self._send(channel, said.datagram)

    def _deliver(self, channel: _Channel, data: bytes) -> list[Effect]:
        if channel.tag is not None:
            return self._deliver_of_tag(channel, channel.tag, data)
        if channel.questions and (sequence := tags.sequence_of(data)) is not None:
            question = channel.questions.pop(sequence, None)
            if isinstance(question, tags.AddressQuestion):
                data = tags.with_local_address(data, question.at, self._addresses)
            elif question is not None:
                data = tags.with_destinations(data, question.first, self._destinations(channel.port.board))
        return [Delivery(channel.port, channel.sender, data)]

    def _deliver_of_tag(self, channel: _Channel, tag: _Tag, data: bytes) -> list[Effect]:
        sequence = tags.sequence_of(data) if tag.pending else None
        if sequence is not None and sequence in tag.pending:
            waits = tag.pending.pop(sequence)
            return [] if waits is None else [Delivery(channel.port, waits, data)]
        return [Delivery(channel.port, tag.destination, data)]

    def _destinations(self, board: Board) -> dict[int, Address]:
        return {
            channel.tag.number: channel.tag.destination
            for channel in self._channels.values()
            if channel.tag is not None
            and channel.port.board == board
            and isinstance(channel.tag.destination, tuple)
        }


def _packed(name: str) -> bytes | None:
    try:
        return IPv4Address(name).packed
    except ValueError:
        return None
