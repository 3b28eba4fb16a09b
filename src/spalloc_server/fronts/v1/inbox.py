"""Bytes that a client sent and that have not been looked at: cut into lines only when the next one is wanted.

Cutting everything at once would let a client turn each two bytes it sends into an object of forty.
"""

from spalloc_client.wire import WireError

_BLANK_BYTES = 4096
"""How much white space is passed over at a time."""


class Inbox:
    """The bytes of one client that are still to be read, as lines."""

    __slots__ = ("_at", "_data", "_limit", "_searched", "taken")

    def __init__(self, limit: int) -> None:
        """Start with nothing; a line may have `limit` bytes."""
        self._data = b""
        self._at = 0
        self._searched = 0
        self._limit = limit
        self.taken = 0
        """How many bytes were taken out when last asked for a line: it and the blank ones before it."""

    def __len__(self) -> int:
        """Return how many bytes wait."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._at == len(self._data):
            self._data = data
            self._searched = 0
        else:
            self._data = self._data[self._at :] + data
            self._searched -= self._at
        self._at = 0

    def is_blank(self, but_last: int) -> bool:
        """Return whether there is nothing but white space in all that waits, the last so many bytes left out."""
        return not self._data[self._at : len(self._data) - but_last].strip()

    def next_line(self) -> bytes | None:
        """Return the next whole line, without its newline, or None if there is none yet. Blank lines are dropped.

        Raises:
            WireError: The line is too long. What waits is let go: the stream can't be followed from there.
        """
        began = self._at
        while True:
            end = self._data.find(b"\n", self._searched)
            self._searched = len(self._data) if end < 0 else end + 1
            if (len(self._data) if end < 0 else end) - self._at > self._limit:
                self.clear()
                raise WireError(f"a line is longer than the {self._limit} bytes that are allowed")
            if end < 0:
                self.taken = self._at - began
                return None
            line = self._data[self._at : end]
            self._at = end + 1
            if line and not line.isspace():
                self.taken = self._at - began
                return line
            self._pass_over_blank_lines()

    def _pass_over_blank_lines(self) -> None:
        """Go on behind the blank lines that come next: one by one, each would take as long as a command."""
        most = min(_BLANK_BYTES, self._limit)
        while piece := self._data[self._at : self._at + most]:
            blank = len(piece) - len(piece.lstrip())
            ended = self._data.rfind(b"\n", self._at, self._at + blank) + 1
            if not ended:
                break
            self._at = self._searched = ended

    def clear(self) -> None:
        """Let everything go."""
        self._data = b""
        self._at = self._searched = 0
