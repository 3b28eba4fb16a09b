"""An issuer of whose answers a test says each word, on a port of this computer, and a clock that a test moves."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from spalloc_server.fronts.http.openid import OpenId
from spalloc_server.fronts.http.sso.issuer import Issuer
from tests.spalloc_server.fronts.http.sso.signing import NOW, OPENID, claims, key_set, signed

PATIENCE = 20.0


class MovedClock:
    """Both times, which only a test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return NOW + self.at - 1000.0

    def suspended(self) -> float:
        return 0.0


class Double:
    """Answers each path with what a test puts there."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        """For each path a document, the bytes of an answer with its head, or a function that returns either."""
        self.asked: list[str] = []
        self.bodies: list[str] = []
        self.heads: list[str] = []
        self.issuer = ""
        self.hold: asyncio.Event | None = None
        """Answers wait for this, if there is one."""
        self.came = asyncio.Event()
        self.now: Callable[[], float] = lambda: NOW
        """The time by which its tokens are good for five minutes."""

    @property
    def document(self) -> dict[str, Any]:
        """What it says of itself by default."""
        names = {"authorization_endpoint": "login", "token_endpoint": "token", "jwks_uri": "keys"}
        names |= {"userinfo_endpoint": "userinfo", "introspection_endpoint": "introspect"}
        return {"issuer": self.issuer, **{name: f"{self.issuer}/{path}" for name, path in names.items()}}

    def claims(self, **changed: Any) -> dict[str, Any]:
        usual = {"iss": self.issuer, "preferred_username": "jane", "iat": self.now(), "exp": self.now() + 300}
        return claims(**{**usual, **changed})

    def token(self, **changed: Any) -> str:
        return signed(self.claims(**changed))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")),
                0,
            )
            self.bodies.append((await reader.readexactly(length)).decode())
            self.heads.append(head)
            path = head.split(" ")[1]
            self.asked.append(path)
            self.came.set()
            if self.hold is not None:
                await self.hold.wait()
            answer = self.answers.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            if isinstance(answer, Callable):  # type: ignore[arg-type]
                answer = answer()
            writer.write(answer if isinstance(answer, bytes) else answered(answer))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def answered(document: Any, status: int = 200, *headers: str) -> bytes:
    body = json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def doubled(tls: ssl.SSLContext | None = None) -> AsyncIterator[Double]:
    """Run a double whose answers are all good until a test changes them, over TLS if it has a context for it."""
    double = Double()
    server = await asyncio.start_server(double.serve, "127.0.0.1", 0, ssl=tls)
    start = "http://127.0.0.1" if tls is None else "https://localhost"
    double.issuer = f"{start}:{server.sockets[0].getsockname()[1]}"
    double.answers = {
        "/.well-known/openid-configuration": double.document,
        "/keys": key_set(),
        "/userinfo": {"sub": "u-1"},
        "/introspect": {"active": False},
    }
    try:
        yield double
    finally:
        if double.hold is not None:
            double.hold.set()
        server.close()


@asynccontextmanager
async def asked(double: Double, clock: MovedClock | None = None, **changed: Any) -> AsyncIterator[Issuer]:
    """Ask a double as a client of it."""
    openid: OpenId = replace(OPENID, **{"issuer": double.issuer, "secret": "only ours", **changed})
    issuer = Issuer(openid, clock or MovedClock())
    try:
        yield issuer
    finally:
        await issuer.stop()
