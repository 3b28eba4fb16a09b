"""The IP tags of a chip: the hosts that its packets go to, and the chips that packets of hosts go to.

The table and its commands only; no packet is sent by a tag.
"""

from ipaddress import IPv4Address
from struct import Struct

from spinnaker.scamp import FIXED_TAGS, NO_TAG, POOL_TAGS, TAG_BYTES, TAGS, IpTag, TagFlag, TagOperation
from spinnaker.scp import Result
from spinnaker.sdp import MAX_DATA_BYTES
from spinnaker_virtual.network import Address

_WORD = Struct("<I")
_DEFAULT_TIMEOUT = 9
_TIMEOUTS = 16


class TagTable:
    """The IP tags of a chip."""

    def __init__(self) -> None:
        self._tags: dict[int, IpTag] = {}
        self._timeout = _DEFAULT_TIMEOUT

    def command(self, arguments: tuple[int, int, int], sender: Address) -> tuple[Result, bytes]:
        """Carry out an IP tag command; return its result and the reply's data."""
        first, second, third = arguments
        tag = first & 0xFF
        try:
            operation = TagOperation(first >> 16 & 0xFF)
        except ValueError:
            return Result.ARGUMENT, b""
        if tag >= TAGS:
            return Result.ARGUMENT, b""
        match operation:
            case TagOperation.NEW:
                pool = range(FIXED_TAGS, FIXED_TAGS + POOL_TAGS)
                tag = next((number for number in pool if number not in self._tags), NO_TAG)
                return self._set(tag, first, second, third, sender)
            case TagOperation.SET:
                return self._set(tag, first, second, third, sender)
            case TagOperation.GET:
                if second * TAG_BYTES > MAX_DATA_BYTES:
                    return Result.ARGUMENT, b""
                wanted = range(tag, min(tag + second, TAGS))
                return Result.OK, b"".join(self._tags.get(number, IpTag()).encode() for number in wanted)
            case TagOperation.CLEAR:
                self._tags.pop(tag, None)
                return Result.OK, b""
            case TagOperation.TIMEOUT:
                data = bytes((self._timeout, TAG_BYTES, POOL_TAGS, FIXED_TAGS))
                if second < _TIMEOUTS:
                    self._timeout = second
                return Result.OK, data

    def _set(self, tag: int, first: int, second: int, third: int, sender: Address) -> tuple[Result, bytes]:
        if tag != NO_TAG:
            flags = TagFlag(first >> 20 & 0x0F00) | TagFlag.VALID
            steps = first >> 24 & 0xF
            timeout = 1 << steps - 1 if steps else 0
            reverse = bool(flags & TagFlag.REVERSE)
            host, host_port = sender
            port = host_port if flags & TagFlag.SENDER else second & 0xFFFF
            address = _WORD.pack(third)
            if not third and not reverse:
                address = IPv4Address(host).packed
            self._tags[tag] = IpTag(
                address=address,
                port=0 if reverse else port,
                timeout=timeout,
                flags=flags,
                reverse_port=second & 0xFFFF if reverse else 0,
                destination=second >> 16,
                destination_port=first >> 8 & 0xFF,
            )
        return Result.OK, _WORD.pack(tag)
