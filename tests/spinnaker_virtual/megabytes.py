# A process of its own that writes to chips of a board and reads back what it wrote, as fast as the board answers.
"""Fill memory and compare: `python -m tests.spinnaker_virtual.megabytes HOST BYTES x,y ...`; prints what differs."""

import socket
import sys
from collections.abc import Callable, Iterator
from struct import Struct

from spinnaker.memory_map import SDRAM
from spinnaker.scamp import ScampCommand
from spinnaker.scp import Result
from spinnaker.sdp import REPLY_WANTED, SDP_PORT

_REQUEST = Struct("<2x8B2H3I")
_REPLY = Struct("<10xHH")
_PIECE = 256
_WINDOW = 48
_TRIES = 5
_CONTENT = Struct("<4I")
_PATIENCE = Struct("@ll").pack(2, 0)  # seconds and microseconds


def _content(x: int, y: int, offset: int) -> bytes:
    return _CONTENT.pack(x, y, offset, ~offset & 0xFFFF_FFFF) * (_PIECE // _CONTENT.size)


def _request(command: int, x: int, y: int, sequence: int, offset: int, data: bytes) -> bytes:
    head = _REQUEST.pack(REPLY_WANTED, 255, 0, 255, y, x, 0, 0, command, sequence, SDRAM + offset, _PIECE, 2)
    return head + data


def _exchange(board: socket.socket, requests: Iterator[bytes], take: Callable[[int, bytes], None]) -> None:
    """Send requests, whose sequence numbers count up from 0, and take their replies, a window at a time."""
    waiting: dict[int, bytes] = {}
    for number, request in enumerate(requests):
        waiting[number & 0xFFFF] = request
        board.send(request)
        if len(waiting) == _WINDOW:
            _collect(board, waiting, take, _WINDOW // 2)
    _collect(board, waiting, take, 0)


def _collect(
    board: socket.socket, waiting: dict[int, bytes], take: Callable[[int, bytes], None], left: int
) -> None:
    tries = 0
    while len(waiting) > left:
        try:
            reply = board.recv(1024)
        except BlockingIOError:
            tries += 1
            assert tries < _TRIES, f"{len(waiting)} requests are not answered"
            for request in waiting.values():
                board.send(request)
            continue
        result, sequence = _REPLY.unpack_from(reply)
        if waiting.pop(sequence, None) is not None:
            assert result == Result.OK, hex(result)
            take(sequence, reply[_REPLY.size :])


def check(board: socket.socket, x: int, y: int, size: int) -> bool:
    """Write `size` bytes to a chip and return whether they are read back."""
    offsets = range(0, size, _PIECE)
    writes = (
        _request(ScampCommand.WRITE, x, y, n & 0xFFFF, offset, _content(x, y, offset))
        for n, offset in enumerate(offsets)
    )
    _exchange(board, writes, lambda _, __: None)
    found: dict[int, bytes] = {}
    reads = (_request(ScampCommand.READ, x, y, n & 0xFFFF, offset, b"") for n, offset in enumerate(offsets))
    _exchange(board, reads, found.__setitem__)
    return all(found[n & 0xFFFF] == _content(x, y, offset) for n, offset in enumerate(offsets))


def main(host: str, size: str, *chips: str) -> None:
    """Check chips one after the other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as board:
        # The system's own timeout: with Python's, each packet would cost two system calls more.
        board.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        board.connect((host, SDP_PORT))
        for chip in chips:
            x, y = map(int, chip.split(","))
            if not check(board, x, y, int(size)):
                print(f"{chip} differs")


if __name__ == "__main__":
    main(*sys.argv[1:])
