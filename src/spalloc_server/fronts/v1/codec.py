"""Decodes requests and encodes replies and notifications, with msgspec, faster than the client's wire.py.

wire.py defines which lines are valid and what they mean; tests compare this module with it. No I/O. Rules:
- A line that msgspec refuses is read again by wire.py, which accepts it after all or says what is wrong with it. So
  msgspec must refuse every line that it would read differently from wire.py. That is why unknown keys, whose values it
  would skip unchecked, are forbidden here, and why Python itself reads floats.
- Lines are written in ASCII. msgspec writes UTF-8, so a line that is not ASCII is written again by wire.py.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from spalloc_client.wire import Json, Return, decode_request, encode


class Request(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A client's request to do one command."""

    command: str
    """The command's name, such as `create_job`."""
    args: list[Any] = []
    """Arguments by position, JSON values."""
    kwargs: dict[str, Any] = {}
    """Arguments by name, JSON values."""


_read = msgspec.json.Decoder(Request, float_hook=float).decode
_write = msgspec.json.Encoder().encode


def read_request(line: bytes) -> Request:
    """Decode a client's line.

    Raises:
        WireError: It is not a request.
    """
    try:
        return _read(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        request = decode_request(line)
        return Request(request.command, list(request.args), dict(request.kwargs))


def return_line(value: Json) -> bytes:
    """Return the line that replies with a command's result; numbers in `value` must be finite."""
    return _DONE if value is None else b'{"return":%b}\n' % json_text(value)


def failure_line(message: str) -> bytes:
    """Return the line that says why a command could not be done."""
    return b'{"exception":%b}\n' % json_text(message)


def jobs_changed_line(jobs: Sequence[int]) -> bytes:
    """Return the notification that the jobs with these IDs changed."""
    return b'{"jobs_changed":%b}\n' % json_text(jobs)


def machines_changed_line(machines: Sequence[str]) -> bytes:
    """Return the notification that the machines with these names changed."""
    return b'{"machines_changed":%b}\n' % json_text(machines)


def job_ending_line(job: int, seconds: float | None, reason: str | None) -> bytes:
    """Return the notification that the server will end a job: in how many seconds, and why; None if it will not."""
    return b'{"job_ending":%b}\n' % json_text({"job_id": job, "seconds": seconds, "reason": reason})


def json_text(value: object) -> bytes:
    """Return a value as JSON, in ASCII.

    Args:
        value: A JSON value, or msgspec structures of such; numbers in it must be finite.
    """
    try:
        text = _write(value)
    except (UnicodeEncodeError, OverflowError):
        # Half a surrogate pair, which UTF-8 can't encode, but "\\ud800" in ASCII can.
        pass
    else:
        if text.isascii():
            return text
    return encode(Return(msgspec.to_builtins(value)))[len(b'{"return":') : -len(b"}\n")]


_DONE = b'{"return":null}\n'
