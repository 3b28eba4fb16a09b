"""Answers to requests: what is sent, and the errors that become one."""

from collections.abc import Sequence
from hashlib import blake2b
from math import ceil
from typing import Any

import msgspec
from starlette.types import Send

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"
BYTES = b"application/octet-stream"

Header = tuple[bytes, bytes]

_ALWAYS: tuple[Header, ...] = (
    (b"cache-control", b"no-cache, no-store, max-age=0, must-revalidate"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)

_encode = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True):
    """One answer."""

    status: int
    body: bytes = b""
    kind: bytes | None = None
    """The body's media type; None without a body."""
    headers: Sequence[Header] = ()
    etag: str | None = None
    """Names the state that the body shows, without its quotes; it stays while only times pass."""

    def with_headers(self, *headers: Header) -> "Answer":
        """Return the same answer with further headers."""
        return msgspec.structs.replace(self, headers=(*self.headers, *headers))

    async def send(self, send: Send, *, head_only: bool = False) -> None:
        """Send it, or its head only."""
        await self.send_head(send, len(self.body))
        await send({"type": "http.response.body", "body": b"" if head_only else self.body})

    async def send_head(self, send: Send, size: int) -> None:
        """Send the head of an answer with a body of `size` bytes, which is sent by somebody else."""
        headers = [*_ALWAYS, *self.headers]
        if self.kind is not None:
            headers.append((b"content-type", self.kind))
        if self.etag is not None:
            headers.append((b"etag", f'W/"{self.etag}"'.encode()))
        # A 204 and a 304 have no body by their definition, and must not say how long it is.
        if self.status not in (204, 304):
            headers.append((b"content-length", b"%d" % size))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})


def document(value: Any, status: int = 200, *headers: Header) -> Answer:
    """Return an answer with a JSON document."""
    return Answer(status, _encode(value), JSON, headers)


def text(sentence: str, status: int = 200, *headers: Header) -> Answer:
    """Return an answer with words for people."""
    return Answer(status, sentence.encode("utf-8", "replace"), TEXT, headers)


def written(value: Any) -> msgspec.Raw:
    """Return a value that is written in JSON already, and may stand in a document for it."""
    return msgspec.Raw(_encode(value))


def tagged(value: Any, *state: Any) -> Answer:
    """Return an answer with a JSON document, and a tag made of what in it must not change unnoticed."""
    return Answer(200, _encode(value), JSON, (), tag_of(*state))


def tag_of(*state: Any) -> str:
    """Return a tag that is another one for another state."""
    return blake2b(_encode(state), digest_size=12).hexdigest()


def unless_known(answer: Answer, known: str) -> Answer:
    """Return that nothing has changed where the client's `If-None-Match` header (`known`) names the answer's tag."""
    if answer.etag is None or not is_known(answer.etag, known):
        return answer
    return Answer(304, headers=answer.headers, etag=answer.etag)


def is_known(etag: str, known: str) -> bool:
    """Return whether an `If-None-Match` header names a tag (RFC 9110, 13.1.2)."""
    tags = (tag.strip().removeprefix("W/") for tag in known.split(","))
    return any(tag in ("*", f'"{etag}"') for tag in tags)


NOTHING = Answer(204)
"""There is nothing there, or nothing to say."""
ACCEPTED = Answer(202)
"""It is done, or will be."""

FAILED = text("the server failed to do this; its log says why", 500)
"""There was a fault."""


class HttpError(Exception):
    """A request that is not done."""

    def __init__(self, status: int, sentence: str, *headers: Header) -> None:
        """Refuse a request.

        Args:
            status: The status of the answer, 400 or more.
            sentence: What was wrong and what is allowed, for the client.
            headers: Further headers of the answer.
        """
        super().__init__(sentence)
        self.answer = text(sentence, status, *headers)


def later(status: int, sentence: str, after: float) -> HttpError:
    """Return the refusal of a request that may be made again after some seconds."""
    return HttpError(status, sentence, retry_after(after))


def retry_after(seconds: float) -> Header:
    """Return the header that says when a request may be made again: after whole seconds, one or more."""
    return b"retry-after", b"%d" % max(1, ceil(seconds))
