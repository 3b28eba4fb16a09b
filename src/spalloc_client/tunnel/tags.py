"""What of the traffic with SCAMP must be rewritten on its way: addresses that boards and programs tell each other.

- An IP tag tells a board where to send packets of its own. The program's address means nothing there; the board is told
  to send to whoever sets the tag, which is the tunnel's channel.
- The same tags, when they are read, tell the program's address again.
- A chip tells the address of its board, by which programs reach the other boards, when it is asked for information or
  its memory is read: it becomes the tunnel's.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from struct import Struct
from typing import NamedTuple, TypeAlias

from spinnaker.memory_map import SYSTEM_RAM, SYSTEM_RAM_UNBUFFERED, SystemVariable
from spinnaker.scamp import TAG_BYTES, ScampCommand, TagOperation
from spinnaker.scp import Result, ScpRequest
from spinnaker.sdp import HEADER_BYTES, UDP_PADDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

Address: TypeAlias = tuple[str, int]
"""Where a program's socket is."""

_COMMAND_AT = UDP_PADDING + HEADER_BYTES
_COMMAND = Struct("<HH")
_DATA_AT = _COMMAND_AT + _COMMAND.size
_ADDRESS_IN_INFORMATION = 32
_ADDRESS_BYTES = 4
_PORT_IN_TAG = 10
_PORT = Struct("<H")
_CORE_AT = UDP_PADDING + 2

SENDER = 1 << 30
"""Of an IP tag command: send to whoever sent it."""
_REVERSE = 1 << 29


class SetTag(NamedTuple):
    """A command that sets an IP tag, for the tunnel to send."""

    tag: int
    chip: tuple[int, int]
    """The chip that the command is for; (255, 255) for the one that gets it."""
    sequence: int
    destination: Address | None
    """Where the program wants packets; None for where it sends from."""
    datagram: bytes
    """What the board is told."""


class ClearTag(NamedTuple):
    """A command that clears an IP tag."""

    tag: int


class ReverseTag(NamedTuple):
    """A command that has a board take packets for its cores at a UDP port."""

    port: int


class TagQuestion(NamedTuple):
    """A question for IP tags."""

    sequence: int
    first: int
    """The first of those that are read."""


class AddressQuestion(NamedTuple):
    """A question whose answer has the address of the chip's board."""

    sequence: int
    at: int
    """Where it is in the answer's data."""


def concerns(data: bytes) -> bool:
    """Whether a datagram to a board's SCP port may have to be looked at; quick, since nearly none has."""
    if len(data) < _DATA_AT or data[_CORE_AT]:
        return False
    command = data[_COMMAND_AT]
    if command == ScampCommand.READ:
        return len(data) > _PAGE_AT and data[_PAGE_AT] in _PAGES
    return command in _COMMANDS


_COMMANDS = (ScampCommand.IP_TAG, ScampCommand.INFORMATION)
_PAGE_AT = _DATA_AT + 3
_PAGES = (SYSTEM_RAM >> 24, SYSTEM_RAM_UNBUFFERED >> 24)
_VARIABLE = SystemVariable.IP_ADDRESS.address - SYSTEM_RAM


def read(data: bytes) -> SetTag | ClearTag | ReverseTag | TagQuestion | AddressQuestion | None:
    """Return what a datagram that `concerns` says to SCAMP; None if it can stay as it is."""
    request = ScpRequest.decode(data)
    if request.command == ScampCommand.INFORMATION:
        return AddressQuestion(request.sequence, _ADDRESS_IN_INFORMATION)
    if request.command == ScampCommand.READ:
        at = _VARIABLE - (request.argument_1 & 0xFF_FFFF)
        return (
            AddressQuestion(request.sequence, at) if 0 <= at <= request.argument_2 - _ADDRESS_BYTES else None
        )
    operation, tag = request.argument_1 >> 16 & 0xFF, request.argument_1 & 0xFF
    if operation == TagOperation.GET:
        return TagQuestion(request.sequence, tag)
    if operation == TagOperation.CLEAR:
        return ClearTag(tag)
    if operation != TagOperation.SET:
        return None
    if request.argument_1 & _REVERSE:
        return ReverseTag(request.argument_2 & 0xFFFF)
    host = str(IPv4Address(request.argument_3.to_bytes(_ADDRESS_BYTES, "little")))
    asked = None if request.argument_1 & SENDER else (host, request.argument_2 & 0xFFFF)
    told = request._replace(argument_1=request.argument_1 | SENDER, argument_3=0)
    to = request.header.destination
    return SetTag(tag, (to.x, to.y), request.sequence, asked, told.encode())


def sequence_of(data: bytes) -> int | None:
    """Return the sequence number of an answer of SCAMP; None if the datagram is none."""
    if len(data) < _DATA_AT:
        return None
    result, sequence = _COMMAND.unpack_from(data, _COMMAND_AT)
    return sequence if Result.OK <= result <= Result.TRANSMISSION else None


def with_local_address(data: bytes, at: int, addresses: Mapping[bytes, bytes]) -> bytes:
    """Return an answer that has a board's address in its data, with the tunnel's in its place."""
    at += _DATA_AT
    local = addresses.get(data[at : at + _ADDRESS_BYTES])
    return data if local is None else data[:at] + local + data[at + _ADDRESS_BYTES :]


def with_destinations(data: bytes, first: int, destinations: Mapping[int, Address]) -> bytes:
    """Return an answer with IP tags, from number `first` on, with the places where their packets really go."""
    changed = bytearray(data)
    for tag, at in enumerate(range(_DATA_AT, len(data) - TAG_BYTES + 1, TAG_BYTES), first):
        if tag in destinations:
            host, port = destinations[tag]
            changed[at : at + _ADDRESS_BYTES] = IPv4Address(host).packed
            _PORT.pack_into(changed, at + _PORT_IN_TAG, port)
    return bytes(changed)
