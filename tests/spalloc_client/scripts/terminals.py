"""Real pseudo-terminals for commands to run in, and what is to be seen on them.

pyte understands the codes that commands write, as a terminal does.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import pyte

PATIENCE = 30.0


class Terminal:
    """A command in a terminal of its own."""

    def __init__(
        self,
        line: Sequence[str],
        columns: int = 80,
        lines: int = 24,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._news = threading.Condition()
        self.written = b""
        """All that has been written to the terminal."""
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            _size(0, columns, lines)
            os.execve(line[0], list(line), {**os.environ, "TERM": "xterm-256color", **(environment or {})})
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self._reader.join(PATIENCE)
        os.close(self._master)

    def _read(self) -> None:
        over = False
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                # Once is not enough: Linux may say so of a terminal closed this moment, and still have what was
                # written last.
                if over:
                    return
                over = True
                continue
            with self._news:
                self.written += data
                self._stream.feed(data)
                self._news.notify_all()

    @property
    def rows(self) -> list[str]:
        """What is to be seen, row by row, without spaces at the ends and empty rows below."""
        rows = [row.rstrip() for row in self._screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed, and hands it over line by line, as shells expect it."""
        modes = termios.tcgetattr(self._master)[3]
        return bool(modes & termios.ECHO and modes & termios.ICANON)

    def until(self, seen: Callable[[list[str]], bool] | str) -> list[str]:
        """Wait until the screen shows a string, or a function accepts its rows; return the rows."""
        accepts = seen if callable(seen) else (lambda rows: any(seen in row for row in rows))
        with self._news:
            assert self._news.wait_for(lambda: accepts(self.rows), PATIENCE), "\n".join(self.rows)
            return self.rows

    def type(self, keys: str) -> None:
        """Type keys; `\\x03` is Ctrl-C."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Change the window's size, as a person does by its corner."""
        with self._news:
            self._screen.resize(lines, columns)
        _size(self._master, columns, lines)
        os.kill(self.pid, signal.SIGWINCH)

    def end(self, keys: str = "") -> int:
        """Type keys, wait for the command's end and return its status, negative for a signal."""
        if keys:
            self.type(keys)
        ended = os.pidfd_open(self.pid)
        try:
            assert select.select([ended], [], [], PATIENCE)[0], "\n".join(self.rows)
        finally:
            os.close(ended)
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        self._reader.join(PATIENCE)
        return os.waitstatus_to_exitcode(status)


def _size(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
