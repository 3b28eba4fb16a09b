"""A process of its own that writes to chips of a board and reads back what it wrote, as fast as the board answers.

Fill memory and compare: `python -m tests.spinnaker_virtual.megabytes HOST BYTES x,y ...`; prints what differs.
"""

import socket
import sys
from collections.abc import Iterable
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


class Host:
    """Asks a board for many things at once.

    Sequence numbers go on from one exchange to the next, so that the second answer to what was asked twice is not taken
    for the answer to something else.
    """

    def __init__(self, board: socket.socket) -> None:
        self._board = board
        self._sent = 0
        self._waiting: dict[int, tuple[int, bytes]] = {}
        self._found: dict[int, bytes] = {}

    def exchange(self, command: int, x: int, y: int, pieces: Iterable[tuple[int, bytes]]) -> dict[int, bytes]:
        """Send a command for each piece of memory, by its offset and data; return the replies' data by offset."""
        self._found = {}
        for offset, data in pieces:
            sequence = self._sent = self._sent + 1 & 0xFFFF
            place = (REPLY_WANTED, 255, 0, 255, y, x, 0, 0)
            request = _REQUEST.pack(*place, command, sequence, SDRAM + offset, _PIECE, 2) + data
            self._waiting[sequence] = offset, request
            self._board.send(request)
            if len(self._waiting) == _WINDOW:
                self._collect(_WINDOW // 2)
        self._collect(0)
        return self._found

    def _collect(self, left: int) -> None:
        tries = 0
        while len(self._waiting) > left:
            try:
                reply = self._board.recv(1024)
            except BlockingIOError:
                tries += 1
                assert tries < _TRIES, f"{len(self._waiting)} requests are not answered"
                for _, request in self._waiting.values():
                    self._board.send(request)
                continue
            result, sequence = _REPLY.unpack_from(reply)
            asked = self._waiting.pop(sequence, None)
            if asked is not None:
                assert result == Result.OK, hex(result)
                self._found[asked[0]] = reply[_REPLY.size :]


def check(host: Host, x: int, y: int, size: int) -> bool:
    """Write `size` bytes to a chip and return whether they are read back."""
    offsets = range(0, size, _PIECE)
    host.exchange(ScampCommand.WRITE, x, y, ((offset, _content(x, y, offset)) for offset in offsets))
    found = host.exchange(ScampCommand.READ, x, y, ((offset, b"") for offset in offsets))
    return all(found[offset] == _content(x, y, offset) for offset in offsets)


def main(address: str, size: str, *chips: str) -> None:
    """Check chips one after the other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as board:
        # The system's own timeout: with Python's, each packet would cost two system calls more.
        board.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        board.connect((address, SDP_PORT))
        host = Host(board)
        for chip in chips:
            x, y = map(int, chip.split(","))
            if not check(host, x, y, int(size)):
                print(f"{chip} differs")


if __name__ == "__main__":
    main(*sys.argv[1:])
