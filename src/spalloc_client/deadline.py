"""The time that is left for a call that consists of several waits. The caller reads the clock."""

from __future__ import annotations

from spalloc_client.wire import plain_number


def check_timeout(timeout: object) -> float | None:
    """Check a number of seconds to wait, or None for as long as it takes, and return it as one of Python's own.

    Raises:
        ValueError: It is neither.
    """
    if timeout is None or (type(timeout) is float and timeout == timeout):  # NaN is not equal to itself
        return timeout
    seconds = plain_number(timeout)
    if seconds is None or isinstance(seconds, bool) or seconds != seconds:
        raise ValueError(f"timeout is {timeout!r}; it must be a number of seconds, or None to wait forever")
    return seconds


def spoken(seconds: float | None) -> str:
    """A time as people say it, without the digits that measuring adds: `5 s`, `0.25 s`."""
    if seconds is None:
        return "any time"
    return f"{seconds:.2g} s" if seconds < 1.0 else f"{seconds:.1f}".removesuffix(".0") + " s"


def deadline_after(timeout: float | None, now: float) -> float | None:
    """When `timeout` seconds from now have passed; None, forever, for a timeout of None."""
    return None if timeout is None else now + timeout


def time_left(deadline: float | None, now: float) -> float | None:
    """Seconds until the deadline, 0.0 once it has passed; None when there is no deadline."""
    return None if deadline is None else max(0.0, deadline - now)
