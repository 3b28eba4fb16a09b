"""The protocol of the control socket: one line of JSON to the server, and lines of JSON back.

The request has a version, a command and its arguments. Each line of the answer has a `text` to be shown. The last line,
and no other, has the `status` that the administrator's program ends with. Other keys are for programs. A client that
shows each `text` and uses the status can send commands that it does not know.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

VERSION = 1
LONGEST_REQUEST_BYTES = 65_536
LONGEST_LINE_BYTES = 200_000
"""How long a line of an answer may be. An answer may have any number of lines, and is not kept as a whole."""
REQUEST_SECONDS = 10.0
"""How long a client may take to send its request, and to read each part of the answer."""
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
    lines: Iterable[Line] = ()
    """The lines before it, to be gone through once: many are better made as they are sent."""


_decode_request = msgspec.json.Decoder(Request).decode
_decode_line = msgspec.json.Decoder(dict[str, object]).decode


def to_request(line: bytes) -> Request:
    """Decode a request.

    Raises:
        ValueError: The line is not a request; the message says why.
    """
    try:
        return _decode_request(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def of_request(request: Request) -> bytes:
    """Encode a request as a line.

    Raises:
        ValueError: The request is too long, or has a string that is no valid text; the message says so.
    """
    try:
        line = msgspec.json.encode(request) + b"\n"
    except UnicodeEncodeError as error:
        wrong = error.object[max(0, error.start - 20) : error.start + 20]
        raise ValueError(f"{wrong!r} is not valid text: write it in UTF-8") from None
    if len(line) > LONGEST_REQUEST_BYTES:
        raise ValueError(
            f"this is too much at once: {len(line)} bytes, of which {LONGEST_REQUEST_BYTES} may be sent; "
            "write a shorter reason, or name fewer boards"
        )
    return line


def of_answer(answer: Answer) -> Iterator[bytes]:
    """Encode an answer, line by line; a line that is longer than `LONGEST_LINE_BYTES` is cut."""
    for line in answer.lines:
        yield _of_line(line.text, line.about)
    yield _of_line(answer.text, {"status": answer.status})


def _of_line(text: str, about: Mapping[str, object]) -> bytes:
    line = msgspec.json.encode({**about, "text": text}) + b"\n"
    if len(line) <= LONGEST_LINE_BYTES:
        return line
    kept = {name: about[name] for name in ("kind", "status") if name in about}
    return msgspec.json.encode({**kept, "text": text[:_MOST_KEPT] + "…"}) + b"\n"


_MOST_KEPT = LONGEST_LINE_BYTES // 10
"""How many characters of a line that is too long are kept; JSON takes six bytes for one at most."""


def to_line(line: bytes) -> tuple[Line, int | None]:
    """Decode a line of an answer; return it, and the status if it is the last.

    Raises:
        ValueError: It is not a line of an answer.
    """
    if len(line) > LONGEST_LINE_BYTES:
        raise ValueError(f"a line is longer than {LONGEST_LINE_BYTES} bytes")
    values = _decode_line(line)
    text, status = values.pop("text", None), values.pop("status", None)
    if not isinstance(text, str) or not (status is None or isinstance(status, int)):
        raise ValueError(f"no text or no status in {line[:100]!r}")
    return Line(text, values), status
