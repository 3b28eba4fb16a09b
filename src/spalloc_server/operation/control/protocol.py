"""What travels over the control socket: one line of JSON to the server, and lines of JSON back.

The request names a version, a command and its arguments. Each line of the answer has a `text` to be shown;
the last one, and no other, has the `status` that the administrator's command ends with. What else a line has
is for programs. Whoever shows the texts and heeds the status can ask for commands that they don't know yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

VERSION = 1
LONGEST_REQUEST_BYTES = 65_536
LONGEST_ANSWER_BYTES = 4_000_000
REQUEST_SECONDS = 10.0
"""How long a client may take over its request, and how long it may leave an answer unread."""
ANSWER_SECONDS = 600.0
"""How long a client waits for the server to do what it asked for."""

DONE = 0
REFUSED = 1
NOT_UNDERSTOOD = 2


class Request(msgspec.Struct, frozen=True):
    """What a client asks for."""

    command: str
    arguments: dict[str, object] = {}
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an answer."""

    text: str
    """For people; one line."""
    about: Mapping[str, object] = field(default_factory=dict)
    """The same for programs: any keys but `text` and `status`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """All that is said to a request."""

    status: int
    """What the administrator's command ends with: 0 if what was asked for is done."""
    text: str
    """The last line's: what has become of the request."""
    lines: Sequence[Line] = ()
    """What comes before that."""


_decode_request = msgspec.json.Decoder(Request).decode
_decode_line = msgspec.json.Decoder(dict[str, object]).decode


def to_request(line: bytes) -> Request:
    """Return the request that a line is.

    Raises:
        ValueError: It is none; the message says why.
    """
    return _decode_request(line)


def of_request(request: Request) -> bytes:
    """Return a request as a line."""
    return msgspec.json.encode(request) + b"\n"


def of_answer(answer: Answer) -> bytes:
    """Return an answer's lines."""
    lines = [{**line.about, "text": line.text} for line in answer.lines]
    lines.append({"text": answer.text, "status": answer.status})
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def to_line(line: bytes) -> tuple[Line, int | None]:
    """Return one of an answer's lines, and the status if it is the last.

    Raises:
        ValueError: It is no line of an answer.
    """
    values = _decode_line(line)
    text, status = values.pop("text", None), values.pop("status", None)
    if not isinstance(text, str) or not (status is None or isinstance(status, int)):
        raise ValueError(f"no text or no status in {line[:100]!r}")
    return Line(text, values), status
