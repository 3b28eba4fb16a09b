"""The protocol of the control socket: one line of JSON to the server, and lines of JSON back.

The request has a version, a command and its arguments. Each line of the answer has a `text` to be shown. The last line,
and no other, has the `status` that the administrator's program ends with. Other keys are for programs. A client that
shows each `text` and uses the status can send commands that it does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

VERSION = 1
LONGEST_REQUEST_BYTES = 65_536
LONGEST_ANSWER_BYTES = 4_000_000
REQUEST_SECONDS = 10.0
"""How long a client may take to send its request, and to read the answer."""
ANSWER_SECONDS = 600.0
"""How long a client waits for the answer."""

DONE = 0
REFUSED = 1
NOT_UNDERSTOOD = 2


class Request(msgspec.Struct, frozen=True):
    """A client's request."""

    command: str
    arguments: dict[str, object] = {}
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an answer."""

    text: str
    """The line for people, without a newline."""
    about: Mapping[str, object] = field(default_factory=dict)
    """The same for programs: any keys except `text` and `status`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer to a request."""

    status: int
    """The exit status of the administrator's program: 0 if the request is done."""
    text: str
    """The text of the last line: the result of the request."""
    lines: Sequence[Line] = ()
    """The lines before it."""


_decode_request = msgspec.json.Decoder(Request).decode
_decode_line = msgspec.json.Decoder(dict[str, object]).decode


def to_request(line: bytes) -> Request:
    """Decode a request.

    Raises:
        ValueError: The line is not a request; the message says why.
    """
    return _decode_request(line)


def of_request(request: Request) -> bytes:
    """Encode a request as a line."""
    return msgspec.json.encode(request) + b"\n"


def of_answer(answer: Answer) -> bytes:
    """Encode an answer as lines."""
    lines = [{**line.about, "text": line.text} for line in answer.lines]
    lines.append({"text": answer.text, "status": answer.status})
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def to_line(line: bytes) -> tuple[Line, int | None]:
    """Decode a line of an answer; return it, and the status if it is the last.

    Raises:
        ValueError: It is not a line of an answer.
    """
    values = _decode_line(line)
    text, status = values.pop("text", None), values.pop("status", None)
    if not isinstance(text, str) or not (status is None or isinstance(status, int)):
        raise ValueError(f"no text or no status in {line[:100]!r}")
    return Line(text, values), status
