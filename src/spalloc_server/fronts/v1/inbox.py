"""Keeps the bytes that a client sent, and cuts them into lines only when the next line is needed.

If all bytes were cut at once, a client could make the server keep an object of forty bytes for each two that it sends.
"""

from spalloc_client.wire import WireError

_BLANK_BYTES = 4096
"""How much white space is skipped at once."""


class Inbox:
    """The unread bytes of one client."""

    __slots__ = ("_at", "_data", "_limit", "_searched", "taken")

    def __init__(self, limit: int) -> None:
        """Start empty; a line may have `limit` bytes."""
        self._data = b""
        self._at = 0
        self._searched = 0
        self._limit = limit
        self.taken = 0
        """How many bytes the last call of `next_line` took out: the line, and blank ones before it."""

    def __len__(self) -> int:
        """Return how many bytes are unread."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        """Append bytes."""
        if self._at == len(self._data):
            self._data = data
            self._searched = 0
        else:
            self._data = self._data[self._at :] + data
            self._searched -= self._at
        self._at = 0

    def is_blank(self, but_last: int) -> bool:
        """Return whether the unread bytes, except the last `but_last`, are all white space."""
        return not self._data[self._at : len(self._data) - but_last].strip()

    def next_line(self) -> bytes | None:
        """Return the next whole line, without its newline, or None if there is none yet. Blank lines are skipped.

        Raises:
            WireError: The line is too long. All unread bytes are dropped, since the next line can't be found.
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
        """Skip the blank lines that come next together: one by one, each would take as long as a command."""
        most = min(_BLANK_BYTES, self._limit)
        while piece := self._data[self._at : self._at + most]:
            blank = len(piece) - len(piece.lstrip())
            ended = self._data.rfind(b"\n", self._at, self._at + blank) + 1
            if not ended:
                break
            self._at = self._searched = ended

    def clear(self) -> None:
        """Drop all bytes."""
        self._data = b""
        self._at = self._searched = 0
