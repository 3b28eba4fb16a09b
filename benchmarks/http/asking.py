"""A client of the HTTP service that costs little, so that the server is what is measured: one connection at a time."""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FIELD = re.compile(rb'<input type="hidden" name="_csrf" value="(.*)" />')
_COOKIE = re.compile(rb"\r\nset-cookie: *JSESSIONID=([A-Z0-9]+)", re.IGNORECASE)
_LOCATION = re.compile(rb"\r\nlocation: *(\S+)", re.IGNORECASE)
JOBS = "srv/spalloc/jobs"


@dataclass(frozen=True)
class Service:
    """Where a service is."""

    host: str
    port: int
    base: str = "/spalloc/"
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True)
class Answer:
    status: int
    head: bytes
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_one_of(self, *statuses: int) -> "Answer":
        if self.status not in statuses:
            raise RuntimeError(f"{self.status}, not {statuses}: {self.head!r} {self.body[:500]!r}")
        return self

    @property
    def location(self) -> str:
        """The path of a new resource."""
        found = _LOCATION.search(self.head)
        assert found is not None
        return re.sub(r"^\w+://[^/]+", "", found[1].decode())


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self._got = bytearray()
        self._answer: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._got[:end])
        length = _LENGTH.search(head)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self._got) >= size and self._answer is not None:
            answer = Answer(int(head[9:12]), head, bytes(self._got[end + 4 : size]))
            del self._got[:size]
            waiting, self._answer = self._answer, None
            waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> Answer:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connected(service: Service, source: str | None = None) -> Connection:
    """Return a new connection, from an address of this computer."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        Connection,
        service.host,
        service.port,
        ssl=service.tls,
        server_hostname="localhost" if service.tls else None,
        local_addr=None if source is None else (source, 0),
    )
    return connection


def written(
    service: Service, method: str, path: str, headers: str = "", body: bytes = b"", kind: str = ""
) -> bytes:
    """Return a request as it is sent; a path that is not absolute is one of the service's."""
    if not path.startswith("/"):
        path = service.base + path
    typed = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n" if kind else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost:{service.port}\r\nUser-Agent: python-requests/2.32.3\r\n"
        f"Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n{headers}{typed}\r\n"
    )
    return head.encode() + body


class User:
    """Somebody who has logged in."""

    def __init__(self, service: Service, cookie: str, token: str) -> None:
        self.service = service
        self.cookie, self.token = cookie, token
        self._headers = f"Cookie: JSESSIONID={cookie}\r\nX-CSRF-TOKEN: {token}\r\n"

    def request(self, method: str, path: str, body: bytes = b"", kind: str = "") -> bytes:
        return written(self.service, method, path, self._headers, body, kind)

    def creation(self, boards: int) -> bytes:
        form = {"num-boards": boards, "tags": ["default"], "keepalive-interval": "PT120S"}
        return self.request("POST", JOBS, json.dumps(form).encode(), "application/json")

    @asynccontextmanager
    async def connection(self, source: str | None = None) -> AsyncIterator[Connection]:
        made = await connected(self.service, source)
        try:
            yield made
        finally:
            made.close()


async def logged_in(service: Service, name: str, password: str) -> User:
    """Log in as SpiNNMan does: the login page, the form, the root document."""
    connection = await connected(service)
    page = (await connection.ask(written(service, "GET", "system/login.html"))).is_one_of(200)
    field, cookie = _FIELD.search(page.body), _COOKIE.search(page.head)
    assert field is not None
    assert cookie is not None
    form = f"_csrf={field[1].decode()}&username={name}&password={password}".encode()
    before = f"Cookie: JSESSIONID={cookie[1].decode()}\r\n"
    request = written(
        service, "POST", "system/perform_login", before, form, "application/x-www-form-urlencoded"
    )
    answer = (await connection.ask(request)).is_one_of(302)
    cookie = _COOKIE.search(answer.head)
    assert cookie is not None
    value = cookie[1].decode()
    root = await connection.ask(written(service, "GET", "srv/spalloc/", f"Cookie: JSESSIONID={value}\r\n"))
    connection.close()
    return User(service, value, root.is_one_of(200).json["csrf-token"])
