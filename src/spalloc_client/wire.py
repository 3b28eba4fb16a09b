"""The v1 protocol as values: bytes in, messages out, and back. JSON objects, one a line.

The blocking client, the asyncio client, the keepalive helper and the server's v1 front all read and write
through this file. No socket, thread or clock here, and no import from the rest of the project.

Rules that hold here:

- One message is one line: a UTF-8 JSON object, ended by a line feed. Lines of white space alone mean nothing.
- The keys of a line determine what it says, never its place; unknown keys are ignored.
- Input that can't be read raises WireError; the decoders raise nothing else, whatever the bytes.
- Other messages of a server are passed on unchanged: newer servers may send unknown ones.
"""

from __future__ import annotations

import json
import operator

# Importing `typing` and `dataclasses` for real would take longer than the rest of `import spalloc_client`, so
# nothing on the way to a first connection does.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn, TypeAlias

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"
"""What JSON can say; objects are decoded to `dict` and arrays to `list`."""

DEFAULT_PORT = 22244
"""The TCP port that servers listen on unless told otherwise."""

MAX_LINE = 64 * 1024 * 1024
"""Bytes a line may have unless told otherwise: above the longest reply of a full site, and bounded."""


class WireError(ValueError):
    """A line that can't be read as a message, or is too long; the message says what was wrong."""


class Lines:
    """Cuts a stream of bytes into lines, however the stream was split on its way.

    Time is linear in the bytes fed, and at most `limit` bytes are held between two calls.
    """

    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int = MAX_LINE) -> None:
        """Start with an empty stream.

        Args:
            limit: Bytes a line may have, its newline not counted; 1 or more.

        Raises:
            ValueError: `limit` is below 1.
        """
        if limit < 1:
            raise ValueError(f"limit is {limit}; it must be 1 byte or more")
        self._limit = limit
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return the lines they complete, in order, without newlines.

        Blank lines are dropped.

        Raises:
            WireError: A line is longer than the limit. The stream can't be followed from there: the bytes
                held are let go, and the connection they came from is best closed.
        """
        if not self._held and len(data) <= self._limit and data.find(b"\n") == len(data) - 1 and data:
            # One whole line is what a client gets nearly every time.
            return [] if data.isspace() else [data[:-1]]
        lines = data.split(b"\n")
        if self._held:
            self._check(len(self._held) + len(lines[0]))
            self._held += lines[0]
            if len(lines) == 1:
                return []
            lines[0] = bytes(self._held)
            # A new buffer, not an emptied one: clearing would keep the longest line's memory for good.
            self._held = bytearray()
        if len(data) > self._limit:
            for line in lines:
                self._check(len(line))
        last = lines.pop()
        if last:
            self._held += last
        return [line for line in lines if line and not line.isspace()]

    def _check(self, length: int) -> None:
        if length > self._limit:
            self._held = bytearray()
            raise WireError(f"a line is longer than the {self._limit} bytes that are allowed")


class _Value:
    """What messages have in common: they can't be changed, and are equal when they say the same."""

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} can't be changed")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__match_args__)

    __hash__ = None  # type: ignore[assignment]  # JSON's objects and arrays have no hash, so neither have messages

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__name__}({said})"


_fix = object.__setattr__


class Request(_Value):
    """A client asks the server to do one command."""

    __slots__ = __match_args__ = ("command", "args", "kwargs")
    command: str
    """The command's name, such as `create_job`."""
    args: tuple[Json, ...]
    """Arguments given by position."""
    kwargs: Mapping[str, Json]
    """Arguments given by name."""

    def __init__(
        self, command: str, args: Sequence[Json] = (), kwargs: Mapping[str, Json] | None = None
    ) -> None:
        _fix(self, "command", command)
        _fix(self, "args", tuple(args))
        _fix(self, "kwargs", {} if kwargs is None else kwargs)


class Return(_Value):
    """The server did the oldest command still unanswered, and this is the result."""

    __slots__ = __match_args__ = ("value",)
    value: Json
    """The command's result."""

    def __init__(self, value: Json) -> None:
        _fix(self, "value", value)


class Failure(_Value):
    """The server could not do the oldest command still unanswered, and this is why."""

    __slots__ = __match_args__ = ("message",)
    message: str
    """A sentence for the user."""

    def __init__(self, message: str) -> None:
        _fix(self, "message", message)


class JobsChanged(_Value):
    """Something about these jobs changed; sent once `notify_job` asked for it."""

    __slots__ = __match_args__ = ("jobs",)
    jobs: tuple[int, ...]
    """IDs of the jobs."""

    def __init__(self, jobs: Sequence[int]) -> None:
        _fix(self, "jobs", tuple(jobs))


class MachinesChanged(_Value):
    """Something about these machines changed; sent once `notify_machine` asked for it."""

    __slots__ = __match_args__ = ("machines",)
    machines: tuple[str, ...]
    """Names of the machines."""

    def __init__(self, machines: Sequence[str]) -> None:
        _fix(self, "machines", tuple(machines))


class Other(_Value):
    """The server sent an unknown message, unasked."""

    __slots__ = __match_args__ = ("body",)
    body: Json
    """All of it."""

    def __init__(self, body: Json) -> None:
        _fix(self, "body", body)


Message: TypeAlias = "Return | Failure | JobsChanged | MachinesChanged | Other"
"""What a server sends."""


def encode(message: Request | Message) -> bytes:
    r"""Write a message as its line, ended by "\n".

    Raises:
        WireError: The message holds something JSON can't say, such as NaN or an object of some class.
    """
    try:
        if isinstance(message, Request):
            text = _write_request(message)
        elif isinstance(message, Return):
            text = _write({"return": message.value})
        elif isinstance(message, Failure):
            text = _write({"exception": message.message})
        elif isinstance(message, JobsChanged):
            text = _write({"jobs_changed": message.jobs})
        elif isinstance(message, MachinesChanged):
            text = _write({"machines_changed": message.machines})
        else:
            text = _write(message.body)
    except (ValueError, TypeError, RecursionError) as error:
        raise WireError(f"a message can't be written as JSON: {error}") from error
    return text.encode("ascii") + b"\n"


def _write_request(request: Request) -> str:
    """Write a request piece by piece: the encoder takes as long to get ready as to write one without arguments."""
    args = ",".join([str(value) if type(value) is int else _write(value) for value in request.args])
    kwargs = _write(request.kwargs) if request.kwargs else "{}"
    return f'{{"command":{_write(request.command)},"args":[{args}],"kwargs":{kwargs}}}'


def decode_request(line: bytes) -> Request:
    """Read a client's line.

    Raises:
        WireError: It is not a request.
    """
    body = _decode(line, _read_strictly)
    if not isinstance(body, dict):
        raise _unreadable("it is not a JSON object", line)
    command = body.get("command")
    if not isinstance(command, str):
        raise _unreadable("a request needs a command, a string", line)
    args = body.get("args", [])
    if not isinstance(args, list):
        raise _unreadable("a request's args must be an array", line)
    kwargs = body.get("kwargs", {})
    if not isinstance(kwargs, dict):
        raise _unreadable("a request's kwargs must be an object", line)
    return Request(command, args, kwargs)


def decode_message(line: bytes) -> Message:
    """Read a server's line.

    NaN and infinities are numbers here, as they were to published clients.

    Raises:
        WireError: It is not JSON.
    """
    body = _decode(line, _read)
    if isinstance(body, dict):
        if "return" in body:
            return Return(body["return"])
        if "exception" in body:
            return _read_failure(body["exception"])
        if len(body) == 1:
            ((key, value),) = body.items()
            known = _read_jobs(value) if key == "jobs_changed" else None
            if known is None and key == "machines_changed":
                known = _read_machines(value)
            if known is not None:
                return known
    return Other(body)


def _read_failure(value: Json) -> Failure:
    return Failure(value if isinstance(value, str) else json.dumps(value))


def _read_jobs(value: Json) -> JobsChanged | MachinesChanged | None:
    if not isinstance(value, list):
        return None
    jobs = [job for job in value if type(job) is int]  # not isinstance: true and false are no jobs
    return JobsChanged(jobs) if len(jobs) == len(value) else None


def _read_machines(value: Json) -> JobsChanged | MachinesChanged | None:
    if not isinstance(value, list):
        return None
    names = [name for name in value if isinstance(name, str)]
    return MachinesChanged(names) if len(names) == len(value) else None


def plain_number(value: object) -> bool | int | float | None:
    """A number of any kind as one of Python's own: numpy's, a Fraction, a Decimal. None for what is no number.

    Whole fractions and decimals become `int`, numpy's truth values `bool`.
    """
    if isinstance(value, bool | int | float):
        return value
    number: Any = value
    try:
        if getattr(number, "shape", None) == ():
            number = number.item()  # numpy's scalars, whose truth values have no other sign of being some
        if isinstance(number, bool | int | float):
            return number
        if hasattr(type(number), "__index__"):
            return operator.index(number)
        if not hasattr(type(number), "__float__"):
            return None
        real = float(number)
        return int(number) if real.is_integer() and int(number) == number else real
    except (TypeError, ValueError, OverflowError):
        return None


def _as_json(value: object) -> bool | int | float:
    number = plain_number(value)
    if number is None:
        raise TypeError(f"{value!r:.200} is a {type(value).__name__}, which JSON can't say")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# ASCII only, so that every peer reads it whatever it takes for its encoding; NaN and infinities are not JSON.
_write = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_as_json).encode
_read_strictly = json.JSONDecoder(parse_constant=_no_constant).raw_decode
_read = json.JSONDecoder().raw_decode


def _decode(line: bytes, read: Callable[[str], tuple[Any, int]]) -> Json:
    try:
        text = line.decode("utf-8").strip(" \t\r\n")
        body, end = read(text)
    except UnicodeDecodeError as error:
        raise _unreadable(f"it is not UTF-8 (byte {error.start})", line) from error
    except RecursionError as error:
        raise _unreadable("it is nested too deeply", line) from error
    except ValueError as error:
        raise _unreadable(f"it is not JSON ({error})", line) from error
    if end != len(text):
        raise _unreadable(f"it is not JSON (more follows at character {end})", line)
    return body  # type: ignore[no-any-return]  # what was read from JSON is JSON


_SHOWN = 60


def _unreadable(problem: str, line: bytes) -> WireError:
    shown = repr(line[:_SHOWN])[1:] + ("..." if len(line) > _SHOWN else "")
    return WireError(f"a line of {len(line)} bytes can't be read: {problem}: {shown}")
