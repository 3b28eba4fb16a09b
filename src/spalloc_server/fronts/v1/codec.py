"""Reads requests and writes what is sent to clients: the wire format, by a faster hand.

What a line means, and which lines can't be read, wire.py says; tests hold this file to it. No I/O. Rules:
- A line that msgspec refuses is read again by wire.py, which takes it after all or says what is wrong with it. So
  msgspec must refuse whatever it would take otherwise than wire.py: that is why unknown keys, whose values it would
  pass over without a look, are forbidden here, and why Python itself reads floats.
- What is written is ASCII. msgspec writes UTF-8, so what turns out not to be ASCII is written again by wire.py.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from spalloc_client.wire import Json, Return, decode_request, encode


class Request(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A client asks the server to do one command."""

    command: str
    """The command's name, such as `create_job`."""
    args: list[Any] = []
    """Arguments given by position, each something that JSON can say."""
    kwargs: dict[str, Any] = {}
    """Arguments given by name, each something that JSON can say."""


_read = msgspec.json.Decoder(Request, float_hook=float).decode
_write = msgspec.json.Encoder().encode


def read_request(line: bytes) -> Request:
    """Read a client's line.

    Raises:
        WireError: It is not a request.
    """
    try:
        return _read(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        request = decode_request(line)
        return Request(request.command, list(request.args), dict(request.kwargs))


def return_line(value: Json) -> bytes:
    """Return the line that says what came of a command; numbers in `value` are finite."""
    return _DONE if value is None else b'{"return":%b}\n' % json_text(value)


def failure_line(message: str) -> bytes:
    """Return the line that says why a command could not be done."""
    return b'{"exception":%b}\n' % json_text(message)


def jobs_changed_line(jobs: Sequence[int]) -> bytes:
    """Return the line that tells of changes to jobs, by their IDs."""
    return b'{"jobs_changed":%b}\n' % json_text(jobs)


def machines_changed_line(machines: Sequence[str]) -> bytes:
    """Return the line that tells of changes to machines, by their names."""
    return b'{"machines_changed":%b}\n' % json_text(machines)


def json_text(value: object) -> bytes:
    """Write a value on its own, in ASCII.

    Args:
        value: Something that JSON can say, or msgspec structures of such; numbers in it are finite.
    """
    try:
        text = _write(value)
    except (UnicodeEncodeError, OverflowError):
        # Half a character, which UTF-8 can't say and "\\ud800" can.
        pass
    else:
        if text.isascii():
            return text
    return encode(Return(msgspec.to_builtins(value)))[len(b'{"return":') : -len(b"}\n")]


_DONE = b'{"return":null}\n'
