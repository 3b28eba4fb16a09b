"""How long jobs may have their boards, and when they end: asked of the server, and worded for users.

outlook.py asks here while a user has the boards.
"""

from __future__ import annotations

import signal
import sys
import time

from spalloc_client import durations
from spalloc_client.errors import SpallocServerException
from spalloc_client.extensions import has_extensions
from spalloc_client.job_answers import NO_TIMES, Times
from spalloc_client.scripts.wording import Happened
from spalloc_client.terminal.text import Style, Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from spalloc_client.protocol_client import ProtocolClient

    Wish: TypeAlias = tuple[str, float | None]

USUAL: Wish = ("USR1", None)
"""The signal before a job's end, and how many seconds before; None for when the server tells of it."""

_SAME = 2.0
"""Seconds by which an end that is told twice may seem to differ."""


def times_of(client: ProtocolClient, job_id: int, timeout: float | None, machines: object) -> Times | None:
    """Ask for a job's times.

    Args:
        client: A connection.
        job_id: The job.
        timeout: Seconds to wait for the answer.
        machines: The server's answer to `list_machines`.

    Returns:
        The times, with nothing in them for a job that is not live; None if the server knows no time limits.
    """
    if not has_extensions(machines):
        return None
    try:
        answer = client.job_times(job_id, timeout=timeout)
    except SpallocServerException:
        return None
    return NO_TIMES if answer is None else Times(answer)


def times_json(times: Times) -> dict[str, object]:
    """Return a job's times as a JSON object; its keys are documented and stay."""
    return {name: getattr(times, name) for name in Times.__slots__}


def limit_of(job_id: int, times: Times) -> str:
    """Return in a sentence how long a job may have its boards."""
    if times.time_limit is None:
        return f"Job {job_id}: It has no time limit."
    sentence = f"Job {job_id}: It may have its boards for {durations.in_words(times.time_limit)}"
    if times.ends_in is None:
        return f"{sentence}."
    return f"{sentence}, of which {durations.in_words(times.ends_in)} are left."


def shorter(before: float | None, now: float | None) -> str:
    """Return what is to be added where a limit is shorter than it was; None for no limit."""
    if now is None or (before is not None and now >= before):
        return ""
    was = "it had none" if before is None else f"it was {durations.in_words(before)}"
    return f" That is shorter than before: {was}."


def read_signal(word: str) -> Wish:
    """Read which signal a command is to get before its job ends, and when: `[SIG][@TIME]`.

    As in Slurm, a number alone is seconds here, though it is minutes elsewhere.

    Raises:
        ValueError: There is no such signal, or that is no time.
    """
    name, at, when = word.partition("@")
    name = name.strip().upper().removeprefix("SIG") or USUAL[0]
    if sys.platform != "win32" and f"SIG{name}" not in signal.Signals.__members__:
        names = "USR1; boards go before --signal" if name.isdecimal() else "USR1, TERM or INT"
        raise ValueError(f"there is no signal {name!r}; write a name, such as {names}")
    if not at:
        return name, None
    when = when.strip()
    return name, durations.read(f"{when}s" if when.isdecimal() else when)


class Ends:
    """Watches for the end of one job that its server sets, tells of it, and has a signal sent before."""

    def __init__(
        self,
        job_id: int,
        tell: Callable[[Happened], None],
        wish: Wish | None = None,
        send: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Describe it.

        Args:
            job_id: The job.
            tell: Called at each news.
            wish: The signal to send, and when; None for none.
            send: Sends a signal.
        """
        self._job_id = job_id
        self._tell = tell
        self._name, self._before = wish or ("", None)
        self._send = send
        self._known = False
        self._sent = False
        self._at: float | None = None
        """When the job ends, as last told, by the clock `time.monotonic`."""
        self._regretted = False

    def subscribe(self, client: ProtocolClient, timeout: float | None) -> None:
        """Ask to be told, over a new connection, where the server knows ends of jobs."""
        self._known = has_extensions(client.call("list_machines", timeout=timeout))
        if self._known:
            try:
                client.notify_job_ending(self._job_id, timeout=timeout)
            except SpallocServerException:
                self._known = False
        if self._name and not self._known and not self._regretted:
            self._regretted = True
            words = f"Job {self._job_id}: The server does not tell when a job ends: SIG{self._name} will not be sent."
            self._tell(Happened(Text(words, Style.YELLOW)))

    def look(self, client: ProtocolClient, timeout: float | None) -> float | None:
        """Send the signal if it is time; return in how many seconds it will be, None if that is not known."""
        if self._before is None or not self._known:
            return None
        answer = client.job_times(self._job_id, timeout=timeout)
        ends_in = None if answer is None else Times(answer).ends_in
        if ends_in is None or ends_in > self._before:
            self._sent = False  # the end may have been put off
            return None if ends_in is None else ends_in - self._before
        self._send_once()
        return None

    def hear(self, notification: object) -> None:
        """Take a notification that may be of the job's end, and tell of it."""
        told = notification.get("job_ending") if isinstance(notification, dict) else None
        if not isinstance(told, dict) or told.get("job_id") != self._job_id:
            return
        seconds, reason = told.get("seconds"), told.get("reason")
        if not isinstance(seconds, int | float):
            self._sent, self._at = False, None
            words = f"Job {self._job_id}: The server will not end it after all."
            self._tell(Happened(Text(words, Style.GREEN)))
            return
        self._tell(Happened(ending(self._job_id, seconds, reason)))
        at = time.monotonic() + seconds
        put_off = self._at is not None and at > self._at + _SAME
        self._at = at
        if put_off:
            self._sent = False
        elif self._before is None:
            self._send_once()

    def _send_once(self) -> None:
        if self._name and not self._sent:
            self._sent = True
            self._send(signal.Signals[f"SIG{self._name}"])


def ending(job_id: int, seconds: float, reason: object) -> Text:
    """Return what to say of a job that the server is about to end."""
    why = f": {printable(reason)}" if isinstance(reason, str) and reason else "."
    return Text(f"Job {job_id}: The server will end it in {durations.in_words(seconds)}{why}", Style.YELLOW)
