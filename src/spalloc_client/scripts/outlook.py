"""Watches a job while its user has the boards: a thread with a connection of its own.

wording.py words the news, and the caller decides what to do with them.
"""

from __future__ import annotations

import threading

from spalloc_client.errors import ProtocolError, ProtocolTimeoutError, SpallocServerException
from spalloc_client.job_answers import MachineInfo, Status
from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.scripts.ends import Ends
from spalloc_client.scripts.wording import ended, lost_from_sight, moved, seen_again
from spalloc_client.states import JobState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from spalloc_client.job_answers import Connections
    from spalloc_client.scripts.ends import Wish
    from spalloc_client.scripts.wording import Happened

_CHECK_EVERY = 30.0
"""Seconds without news after which the server is asked: a dead connection is noticed within this time."""

_PATIENCE = 5.0
"""Seconds that a server has to connect and to answer."""

_LAST_PATIENCE = 1.0
"""The same for the last look, which a user waits for."""

_ENDED = (JobState.destroyed, JobState.unknown)
_TROUBLE = (OSError, ProtocolError, ProtocolTimeoutError, SpallocServerException)


class Outlook:
    """A thread that watches a job."""

    def __init__(
        self,
        job_id: int,
        server: tuple[str, int],
        connections: Connections,
        tell: Callable[[Happened], None],
        reconnect_delay: float,
        wish: Wish | None = None,
        send: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Describe it.

        Args:
            job_id: The job, which is ready.
            server: Its server's host name and port.
            connections: The boards that its user knows.
            tell: Called at each thing that happens, in this thread, or in the one that takes the last look.
            reconnect_delay: Seconds between attempts to reach a server that is away.
            wish: A signal to send before the server ends the job, and when.
            send: Sends it, from that thread.
        """
        self._job_id = job_id
        self._server = server
        self._known: Connections | None = connections
        self._tell = tell
        self._delay = reconnect_delay
        self._looking = threading.Lock()
        self._over = threading.Event()
        self._away = False
        self._ends = Ends(job_id, self._tell_in_time, wish, send)

    def start(self) -> None:
        """Begin to watch; the process may end without waiting for this."""
        threading.Thread(target=self._look_out, name="spalloc-outlook", daemon=True).start()

    def stop(self) -> None:
        """Stop telling."""
        with self._looking:
            self._over.set()

    def last_look(self) -> None:
        """Look once more, now that the boards are about to be given back."""
        if not self._away and not self._over.is_set():
            try:
                with ProtocolClient(*self._server, timeout=_LAST_PATIENCE) as client:
                    self._look(client, _LAST_PATIENCE)
            except _TROUBLE:
                return  # giving the job back meets the same trouble, and says so

    def _look_out(self) -> None:
        while not self._over.is_set():
            try:
                with ProtocolClient(*self._server, timeout=_PATIENCE) as client:
                    # Asked for before the first look, so that no change falls between the two.
                    client.notify_job(self._job_id, timeout=_PATIENCE)
                    self._ends.subscribe(client, _PATIENCE)
                    while self._look(client, _PATIENCE):
                        self._wait_for_change(client, self._ends.look(client, _PATIENCE))
            except _TROUBLE as error:
                with self._looking:
                    if not self._away and not self._over.is_set():
                        self._away = True
                        self._tell(lost_from_sight(self._job_id, self._server, error))
                self._over.wait(self._delay)

    def _look(self, client: ProtocolClient, timeout: float) -> bool:
        """Ask for the job's state, and tell what is new; return whether to watch on."""
        status = Status(client.get_job_state(self._job_id, timeout=timeout))
        connections = MachineInfo(
            client.get_job_machine_info(self._job_id, timeout=timeout)
        ).sorted_connections
        with self._looking:
            if self._over.is_set():
                return False
            if self._away:
                self._away = False
                self._tell(seen_again(self._job_id, self._server))
            if status.number in _ENDED:
                self._over.set()
                asked_here = status.ended_here or self._is_this_host(status.ended_by)
                self._tell(ended(self._job_id, status.number, status.reason, asked_here=asked_here))
                return False
            if connections != self._known:
                self._known = connections
                self._tell(moved(self._job_id, self._known))
        return True

    def _wait_for_change(self, client: ProtocolClient, at_most: float | None) -> None:
        within = _CHECK_EVERY if at_most is None else min(at_most, _CHECK_EVERY)
        try:
            self._ends.hear(client.wait_for_notification(within))
        except ProtocolTimeoutError:
            return

    def _tell_in_time(self, event: Happened) -> None:
        with self._looking:
            if not self._over.is_set():
                self._tell(event)

    def _is_this_host(self, address: str | None) -> bool:
        if address is None:
            return False
        from spalloc_client.scripts.this_host import is_this_host

        return is_this_host(address, self._server[0])
