"""What the head of a request must be, and what a client is answered whose request is not: values in, values out.

What a valid request means is decided by the application.
"""

from collections.abc import Collection
from http import HTTPStatus
from typing import NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from spalloc_server.fronts.http.origin import is_host
from spalloc_server.fronts.http.settings import LONGEST_HEAD_BYTES, MOST_HEADERS

_BODY_HEADERS = (b"content-length", b"transfer-encoding")
_ONE_HOST = "the request needs one valid Host header, such as Host: HOST:PORT"
_NO_PATH = "the request's address is not valid; it is to begin with /"
_SEPARATORS = 4
"""Bytes of a header that are neither its name nor its value."""
RETRY_SECONDS = 10

Headers = Collection[tuple[bytes, bytes]]


class Refusal(NamedTuple):
    """Why a client is not served."""

    status: HTTPStatus
    sentence: str


class RefusedRequestError(Exception):
    """A request is refused."""

    def __init__(self, refusal: Refusal) -> None:
        """Say why."""
        super().__init__(refusal.sentence)
        self.refusal = refusal


def bad(sentence: str) -> Refusal:
    """Return the refusal of a request that is not valid."""
    return Refusal(HTTPStatus.BAD_REQUEST, sentence)


def too_long() -> RefusedRequestError:
    """Return the refusal of a head with too many bytes."""
    sentence = f"the address and headers of the request have more than {LONGEST_HEAD_BYTES} bytes"
    return RefusedRequestError(Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, sentence))


def empty_body() -> RefusedRequestError:
    """Return the refusal of a body of which nothing but sizes of chunks comes."""
    return RefusedRequestError(bad(f"{LONGEST_HEAD_BYTES} bytes of the body have nothing of it in them"))


def answer_to(refusal: Refusal, headers: Headers) -> bytes:
    """Return what a client is answered in place of the application, on a connection that ends then.

    Args:
        refusal: Why it is not served.
        headers: Those that every answer has.
    """
    body = refusal.sentence.encode()
    all_headers = [
        *headers,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
    ]
    if refusal.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        all_headers.append((b"retry-after", b"%d" % RETRY_SECONDS))
    lines = b"".join(b"%b: %b\r\n" % header for header in all_headers)
    return b"%b%b\r\n%b" % (STATUS_LINE[refusal.status], lines, body)


def check_length(url: bytes, headers: Headers) -> None:
    """Refuse a head with too many bytes.

    Raises:
        RefusedRequestError: It has.
    """
    if len(url) + sum(len(name) + len(value) + _SEPARATORS for name, value in headers) > LONGEST_HEAD_BYTES:
        raise too_long()


def checked(version: str, method: bytes, url: bytes, headers: Headers) -> tuple[bytes, bool]:
    """Return the path and query that a request asks for, and whether it has a body.

    Raises:
        RefusedRequestError: The request is not valid, has too many headers, or is for another host.
    """
    if len(headers) > MOST_HEADERS:
        sentence = f"the request has more than {MOST_HEADERS} headers"
        raise RefusedRequestError(Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, sentence))
    if version not in ("1.1", "1.0"):
        raise RefusedRequestError(bad("the request is not in HTTP/1.1"))
    host: bytes | None = None
    is_body = False
    for name, value in headers:
        if name == b"host":
            if host is not None:
                raise RefusedRequestError(bad(_ONE_HOST))
            host = value
        elif name in _BODY_HEADERS:
            is_body = True
            if version == "1.0" and name == b"transfer-encoding":
                # Another program on the way may have read its body otherwise (RFC 9112, 6.1).
                raise RefusedRequestError(bad("a request in HTTP/1.0 can't have a Transfer-Encoding"))
    if host is None or not is_host(host.decode("latin-1")):
        raise RefusedRequestError(bad(_ONE_HOST))
    if not url.startswith(b"/"):
        url = _path_of(url, host)
    if method == b"CONNECT" or b"#" in url or not url.isascii():
        raise RefusedRequestError(bad(_NO_PATH))
    return url, is_body


def _path_of(url: bytes, host: bytes) -> bytes:
    """Return the path and query of an address that is written in full.

    Raises:
        RefusedRequestError: It is not, or is one of another host.
    """
    scheme, separator, rest = url.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise RefusedRequestError(bad(_NO_PATH))
    authority, slash, path = rest.partition(b"/")
    if authority.lower() != host.lower():
        raise RefusedRequestError(bad("the request is for another host than its Host header names"))
    return slash + path if slash else b"/"


def check_websocket(method: bytes, headers: Headers) -> None:
    """Refuse a websocket that would be asked for with a body or another method than GET.

    Raises:
        RefusedRequestError: It is.
    """
    lengths = [value for name, value in headers if name in _BODY_HEADERS]
    if method != b"GET" or any(value != b"0" for value in lengths):
        raise RefusedRequestError(bad("a websocket is asked for with GET and without a body"))
