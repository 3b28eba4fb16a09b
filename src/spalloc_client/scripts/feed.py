"""Keeps in touch with a server that may go away and come back: a thread that asks again whenever something changes.

watching.py shows the answers.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from spalloc_client.errors import ProtocolError, ProtocolTimeoutError

if TYPE_CHECKING:
    from spalloc_client.protocol_client import ProtocolClient
    from spalloc_client.scripts.server import Server
    from spalloc_client.terminal.text import Text

T = TypeVar("T")

_RETRY = 1.0
"""Seconds between attempts to connect again."""

_AT_MOST_EVERY = 0.1
"""Seconds between two questions, however much changes: users read no faster, and the server has other clients."""

_CHECK_EVERY = 30.0
"""Seconds without news after which the server is asked whether it is still there."""


class View(Protocol[T]):
    """What a command shows of a server's state: asked for as a value, which is then drawn."""

    def subscribe(self, client: ProtocolClient, timeout: float | None) -> None:
        """Ask to be told when it changes."""

    def ask(self, client: ProtocolClient, timeout: float | None) -> T:
        """Return the current state; `timeout` is in seconds, for each answer, None for no limit."""

    def draw(self, shown: T, columns: int | None, lines: int | None) -> list[Text]:
        """Return it as lines, for a window of this size; None where there is no window or no limit."""

    def status(self, shown: T) -> int:
        """Return the exit status of a command that has shown this."""

    def is_final(self, shown: T) -> bool:
        """Return whether what is shown is final."""

    def json(self, shown: T) -> object:
        """Return it as a JSON object."""


class Shown(Generic[T]):
    """The current state."""

    def __init__(self, shown: T) -> None:
        self.shown = shown


class Unreachable:
    """The server can no longer be reached, for a reason; it is tried again."""

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble


class Failed:
    """Nothing more will come, because of an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Feed(Generic[T]):
    """A thread that keeps asking a server for a view, at first and after each change."""

    def __init__(self, view: View[T], server: Server, ring: Callable[[], None]) -> None:
        """Describe the feed.

        Args:
            view: What to ask for.
            server: The server to ask.
            ring: Called, in the feed's thread, when there is news to take.
        """
        self._view = view
        self._server = server
        self._ring = ring
        self._news: deque[Shown[T] | Unreachable | Failed] = deque()
        self._has_shown = False

    def start(self) -> None:
        """Start the thread, which ends with the process."""
        threading.Thread(target=self._run, name="spalloc-feed", daemon=True).start()

    def take(self) -> list[Shown[T] | Unreachable | Failed]:
        """Return what is new since the last call, oldest first."""
        taken = []
        while self._news:
            taken.append(self._news.popleft())
        return taken

    def _run(self) -> None:
        while True:
            try:
                with self._server.connect() as client:
                    self._follow(client)
            except (OSError, ProtocolError, ProtocolTimeoutError) as error:
                # A server that was never there is an error of the command; one that was there may come back.
                if not self._has_shown:
                    self._tell(Failed(error))
                    return
                self._tell(
                    Unreachable((error.strerror if isinstance(error, OSError) else None) or str(error))
                )
                time.sleep(_RETRY)
            except Exception as error:  # noqa: BLE001  # the main thread knows what to do about it
                self._tell(Failed(error))
                return

    def _follow(self, client: ProtocolClient) -> None:
        timeout = self._server.timeout
        # Asked for before the first view, so that no change falls between the two.
        self._view.subscribe(client, timeout)
        while True:
            self._tell(Shown(self._view.ask(client, timeout)))
            self._has_shown = True
            time.sleep(_AT_MOST_EVERY)
            self._wait_for_change(client)

    def _wait_for_change(self, client: ProtocolClient) -> None:
        while True:
            try:
                client.wait_for_notification(_CHECK_EVERY)
                break
            except ProtocolTimeoutError:
                # Not the view itself: some of its questions count as a sign of life of the job they are about.
                client.version(timeout=self._server.timeout)
        while client.wait_for_notification(-1.0) is not None:
            # One question covers all notifications so far.
            continue

    def _tell(self, news: Shown[T] | Unreachable | Failed) -> None:
        self._news.append(news)
        self._ring()
