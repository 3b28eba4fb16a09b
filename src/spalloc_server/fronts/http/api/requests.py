"""One request: its parts as the resources need them, each read once, and its body up to a limit.

Who asks is found out in entrance.py.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from spalloc_server.core.askers import Asker
from spalloc_server.fronts.http.api.answers import HttpError
from spalloc_server.fronts.http.origin import Origin
from spalloc_server.fronts.http.people import Session

MOST_BODY_BYTES = 64 * 1024
"""How long a body may be; the largest request for a job is some hundred bytes."""
MOST_QUERY_FIELDS = 100


class ClientGoneError(Exception):
    """The client left before it had sent its request."""


class Request:
    """A request whose sender is known, as far as it has logged in."""

    __slots__ = ("base", "headers", "method", "origin", "receive", "scope", "session")

    def __init__(self, scope: Scope, receive: Receive, origin: Origin, base: str) -> None:
        """Take the parts of an ASGI request.

        Args:
            scope: The request's head.
            receive: Yields its body, and then that the client left.
            origin: Where it is from.
            base: The path under which the service is found, with a slash at both ends.
        """
        self.scope = scope
        self.receive = receive
        self.origin = origin
        self.base = f"{origin.scheme}://{origin.host}{base}"
        """The address under which the client finds the service; a slash at its end."""
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """Of several headers of one name, the last."""
        self.session: Session | None = None
        """What the client has logged in to."""

    @property
    def asker(self) -> Asker:
        """Who asks."""
        return Asker(self.origin.address, None if self.session is None else self.session.login)

    @property
    def logged_in(self) -> Session:
        """The session of a request that needs one."""
        assert self.session is not None
        return self.session

    @property
    def service(self) -> str:
        """The address of the service's root document; a slash at its end."""
        return f"{self.base}srv/spalloc/"

    def header(self, name: bytes) -> str:
        """Return the value of a header, or an empty string."""
        return self.headers.get(name, b"").decode("latin-1")

    def query(self) -> Mapping[str, str]:
        """Return the fields of the query; of several of one name, the last.

        Raises:
            HttpError: They can't be read.
        """
        query = self.scope["query_string"]
        return fields(query, "the query") if query else {}

    async def body(self, most: int = MOST_BODY_BYTES) -> bytes:
        """Return the whole body; call it once.

        Raises:
            HttpError: It is longer than `most` bytes.
            ClientGoneError: The client left.
        """
        parts: list[bytes] = []
        size = 0
        async for part in self.pieces():
            size += len(part)
            if size > most:
                # The rest is not read, so the connection can't be used again.
                raise HttpError(
                    413,
                    f"the body is longer than the {most} bytes that are allowed here",
                    (b"connection", b"close"),
                )
            parts.append(part)
        return b"".join(parts)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; call it once, in place of `body`.

        Raises:
            ClientGoneError: The client left.
        """
        more = True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            yield message.get("body", b"")
            more = message.get("more_body", False)

    async def form(self) -> Mapping[str, str]:
        """Return the fields of an HTML form.

        Raises:
            HttpError: It is none.
        """
        require_kind(self, "application/x-www-form-urlencoded")
        return fields(await self.body(), "the form")

    def prefers_html(self) -> bool:
        """Return whether the client would rather have a page than JSON, as browsers do."""
        accept = self.header(b"accept")
        return "text/html" in accept and _weight(accept, "text/html") > _weight(accept, "application/json")


def require_kind(request: Request, kind: str) -> None:
    """Refuse a request whose body is of another media type.

    Raises:
        HttpError: It is.
    """
    given = request.header(b"content-type").partition(";")[0].strip().lower()
    if given != kind:
        has = f"has the type {given[:60]!r}" if given else "has no type"
        raise HttpError(415, f"the body {has}; send it with Content-Type: {kind}")


def fields(encoded: bytes, what: str) -> dict[str, str]:
    """Return the fields of a query or a form.

    Raises:
        HttpError: It can't be read.
    """
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_QUERY_FIELDS,
        )
    except ValueError as error:
        raise HttpError(
            400,
            f"{what} can't be read: it must be at most {MOST_QUERY_FIELDS} fields, name=value, joined by &, in UTF-8 "
            "with percent signs",
        ) from error
    return dict(pairs)


def _weight(accept: str, kind: str) -> float:
    """Return how much a client wants a media type, 0 to 1, by its `Accept` header (RFC 9110, 12.5.1)."""
    main = kind.partition("/")[0]
    best: tuple[int, float] = (-1, 0.0)
    for part in accept.split(","):
        name, *parameters = (word.strip().lower() for word in part.split(";"))
        exact = {kind: 2, f"{main}/*": 1, "*/*": 0}.get(name)
        if exact is not None and exact > best[0]:
            best = exact, _quality(parameters)
    return best[1]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def path_number(word: Any) -> int:
    """Read the ID of a job in a path.

    Raises:
        HttpError: There can be no such job.
    """
    digits = str(word)
    if digits.startswith("-") or digits.strip("0") == "":
        raise HttpError(400, f"the job's ID is {digits[:20]}; it must be 1 or more")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18):
        raise HttpError(404, "no such job")
    return int(digits)
