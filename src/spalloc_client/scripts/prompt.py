"""The prompt: waits for Enter on standard input, and prints news of the job meanwhile.

outlook.py brings the news.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from functools import partial

from spalloc_client.polling import POLLIN
from spalloc_client.scripts.interruption import Interruptions, Stopped
from spalloc_client.scripts.outcome import SUCCESS, USAGE, CommandError
from spalloc_client.scripts.waiting import DESTROYED
from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.text import Style, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from typing import Self

    from spalloc_client.scripts.wording import Happened


class Keyboard:
    """Standard input; while entered, what is typed ends the main thread's wait."""

    def __init__(self, interruptions: Interruptions) -> None:
        self._interruptions = interruptions
        self._descriptor = sys.stdin.fileno()
        self._read: list[bytes | OSError] = []
        """What the reading thread has read: Windows has one, since poll can't wait for standard input there."""

    def __enter__(self) -> Self:
        if sys.platform == "win32":
            threading.Thread(target=self._read_on, name="spalloc-keyboard", daemon=True).start()
        else:
            self._interruptions.bell.hear(self._descriptor, POLLIN)
        return self

    def __exit__(self, *_: object) -> None:
        if sys.platform != "win32":
            self._interruptions.bell.ignore(self._descriptor)

    def wait(self) -> bytes | None:
        """Wait for something typed or for the bell; return what was typed, empty at its end, None if it was the bell.

        Raises:
            OSError: Standard input can't be read.
            Stopped: A signal came.
        """
        # Of several readings the bell may have told once, and it does not ring again for those still here.
        heard = self._interruptions.wait(0.0 if self._read else None)
        if self._descriptor in heard:
            # Apart, as in the background reading stops us, and another process may have read the input.
            return self._interruptions.outcome_of(partial(os.read, self._descriptor, 4096))
        if not self._read:
            return None
        read = self._read.pop(0)
        if isinstance(read, OSError):
            raise read
        return read

    def _read_on(self) -> None:
        read: bytes | OSError = b"\n"
        while isinstance(read, bytes) and read:
            try:
                read = os.read(self._descriptor, 4096)
            except OSError as error:
                read = error
            self._read.append(read)
            self._interruptions.bell.ring()


def await_enter(news: deque[Happened], interruptions: Interruptions) -> int:
    """Wait until the user is done, or the job is; return the exit status."""
    console = output()
    prompt = Text("<Press enter when done>", Style.DIM).coded(console.colour)
    console.write(prompt)
    try:
        with Keyboard(interruptions) as keyboard:
            while True:
                typed = keyboard.wait()
                if typed == b"":
                    console.write("\n")
                    return SUCCESS
                if typed is not None and b"\n" in typed:
                    return SUCCESS
                while news:
                    event = news.popleft()
                    console.write("\n")
                    messages().print([event.line])
                    if event.is_end:
                        return DESTROYED
                    console.write(prompt)
    except Stopped as stopped:
        if stopped.number != signal.SIGINT:
            raise
        console.write("\n")
        return SUCCESS
    except OSError as error:
        raise CommandError(USAGE, f"can't wait for Enter on standard input: {error.strerror}") from error
