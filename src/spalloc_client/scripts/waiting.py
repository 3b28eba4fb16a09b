"""Waits for boards, with a line on standard error that shows progress.

wording.py words the line; session.py requests the job and frees it.
"""

from __future__ import annotations

import time
from functools import partial
from textwrap import wrap

from spalloc_client import logs
from spalloc_client.errors import ProtocolError, ProtocolTimeoutError, SpallocServerException
from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.scripts.ends import times_of
from spalloc_client.scripts.queue import QueuePosition, place_in_queue
from spalloc_client.scripts.wording import cause, sentence, waiting
from spalloc_client.states import JobState
from spalloc_client.terminal.text import Style, Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from spalloc_client.job import Job
    from spalloc_client.scripts.interruption import Interruptions
    from spalloc_client.scripts.starts import Start
    from spalloc_client.terminal.console import Console

DESTROYED = 1
UNKNOWN = 2

_TICK = 1.0
"""Seconds between two looks of the time waited."""

_ASK_AGAIN = 5.0
"""Seconds between questions for the place in the queue."""

_SAY_AGAIN = 300.0
"""Seconds between two looks at why the job waits, where what is said stays to be read."""

_GOES_ON = 30.0
"""Seconds within which the same trouble is not reported again."""

_PATIENCE = 1.0
"""Seconds to wait for an answer to them: without one, the place is just not told."""


class StatusLine:
    """One line on a terminal, overwritten in place; elsewhere, a line for each new sentence."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._open = False
        self._below = False
        """Whether there are rows below the line that belong to it."""
        self._teller: Callable[[str], None] | None = None
        self.warnings = 0
        """The number of troubles so far."""
        self._said = ""
        self._said_at = 0.0

    @property
    def lives(self) -> bool:
        """Whether users see it change."""
        return self._console.is_terminal and not self._quiet

    @property
    def wants_lines(self) -> bool:
        """Whether the lines that stay are wanted."""
        return not self._quiet

    def __enter__(self) -> Self:
        self._teller, logs.teller = logs.teller, self._warn
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        logs.teller = self._teller

    def _warn(self, message: str) -> None:
        """Pass on the library's warnings, above this line where users see it change."""
        self.warnings += 1
        if self._teller is None:
            import logging

            logging.getLogger("spalloc_client.job").warning(message)
        elif self.lives:
            self.interject(message)
        else:
            self._teller(message)

    def interject(self, message: str) -> None:
        """Write a line above this one, unless it is what the last one said and goes on saying."""
        now = time.monotonic()
        repeated = message == self._said and now - self._said_at < _GOES_ON
        self._said, self._said_at = message, now
        if not repeated:
            self._console.write(("\r\033[J" if self._open else "\n") + f"spalloc: {printable(message)}\n")

    def show(self, text: Text, below: Text | None = None) -> None:
        """Replace the line with `text`, and on a terminal the rows under it with `below`."""
        if self._quiet:
            return
        if not self._console.is_terminal:
            self._console.print([text])
            return
        width, height = self._console.size
        colour = self._console.colour
        shown = text.cropped(width - 1).coded(colour) + "\033[K"
        rows = [] if below is None else wrap(below.plain, max(1, width - 1))[: height - 1]
        if rows:
            style = below.spans[0][1] if below is not None else Style.PLAIN
            more = "".join("\n\r" + Text(row, style).coded(colour) + "\033[K" for row in rows)
            # Back to the first row: whatever is written next begins there.
            shown += f"{more}\033[{len(rows)}A"
        self._console.write(f"\r{shown}" if rows or not self._below else f"\r\033[J{shown}")
        self._open, self._below = True, bool(rows)

    def last(self, text: Text) -> None:
        """Replace the line with `text`, for good."""
        self.show(text)
        self._end()

    def fail(self, text: Text) -> None:
        """Say why there are no boards, also to users who want no other messages."""
        if self._quiet:
            self._console.print([text])
        else:
            self.last(text)

    def _end(self) -> None:
        if self._open:
            self._console.write("\n\033[J" if self._below else "\n")
            self._open = self._below = False


def wait_for_boards(
    job: Job,
    job_id: int,
    server: tuple[str, int],
    status_line: StatusLine,
    interruptions: Interruptions,
    wanted: str | None = None,
) -> int:
    """Wait until the job is ready or can't become so; return 0 or the command's exit status.

    Args:
        job: The job.
        job_id: Its ID.
        server: Its server's host name and port.
        status_line: Where to show progress.
        interruptions: Signals that may come meanwhile.
        wanted: How much it requests, if known.

    Raises:
        Stopped: A signal came first.
    """
    outcome_of = interruptions.outcome_of
    began = time.monotonic()
    queue = _Queue(job_id, server)
    state = outcome_of(lambda: job.state)
    while state in (JobState.queued, JobState.power):
        if status_line.lives:
            now = time.monotonic()
            place = outcome_of(partial(queue.place, now)) if state == JobState.queued else None
            why = cause(place, wanted, queue.start) if state == JobState.queued else None
            status_line.show(waiting(job_id, state, now - began, place), why)
            state = outcome_of(partial(job.wait_for_state_change, state, timeout=_TICK))
        else:
            status_line.show(sentence(job_id, state))
            state = _wait_quietly(job, state, queue, wanted, status_line, interruptions)
    if state == JobState.ready:
        return 0
    reason = outcome_of(lambda: job.reason) if state == JobState.destroyed else None
    status_line.fail(sentence(job_id, state, reason))
    if state == JobState.destroyed:
        return DESTROYED
    return UNKNOWN


def _wait_quietly(
    job: Job,
    state: JobState,
    queue: _Queue,
    wanted: str | None,
    status_line: StatusLine,
    interruptions: Interruptions,
) -> JobState:
    """Wait for another state where each line stays to be read: why the job waits is said when it has changed."""
    said: Text | None = None
    while True:
        if state == JobState.queued and status_line.wants_lines:
            place = interruptions.outcome_of(partial(queue.place, time.monotonic()))
            why = cause(place, wanted)
            if why is not None and why != said:
                status_line.show(cause(place, wanted, queue.start) or why)
                said = why
        after = interruptions.outcome_of(partial(job.wait_for_state_change, state, timeout=_SAY_AGAIN))
        if after != state:
            return after


class _Queue:
    """The server's queue, asked now and then over a connection of its own."""

    def __init__(self, job_id: int, server: tuple[str, int]) -> None:
        self._job_id = job_id
        self._client = ProtocolClient(*server, timeout=_PATIENCE)
        self._machines: object = None
        """What shows whether the server would hang up on the question for a place."""
        self._place: QueuePosition | None = None
        self._next = 0.0
        self.start: Start | None = None
        """In how many seconds the job was expected to start when last asked, at least and at most."""

    def place(self, now: float) -> QueuePosition | None:
        if now >= self._next:
            self._next = now + _ASK_AGAIN
            try:
                self._place = self._ask()
                self.start = self._ask_for_start() if self._place is not None else None
            except (OSError, ProtocolError, ProtocolTimeoutError, SpallocServerException):
                # The job's own connection is what matters, and reports its troubles.
                self._place = self.start = None
        return self._place

    def _ask(self) -> QueuePosition | None:
        if not self._client.connected:
            self._client.connect()
            self._machines = self._client.call("list_machines", timeout=_PATIENCE)
        return place_in_queue(self._client, self._job_id, _PATIENCE, machines=self._machines)

    def _ask_for_start(self) -> Start | None:
        times = times_of(self._client, self._job_id, _PATIENCE, self._machines)
        return None if times is None else times.expected_start
