"""A whole server with HTTP over TLS, its virtual boards and its accounts, in the test's event loop."""

import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.core.account_commands import AddAccount, AddToken
from spalloc_server.core.accounts import Scope
from spalloc_server.core.askers import SERVER, Role
from spalloc_server.embedded import machine_of
from spalloc_server.engine import Engine
from spalloc_server.fronts.http.connections.authority import make_certificate
from spalloc_server.fronts.http.openid import OpenId
from spalloc_server.fronts.http.people import People
from spalloc_server.fronts.http.settings import HttpSettings
from spalloc_server.passwords import hashed
from spalloc_server.service import Service
from spinnaker_virtual import VirtualMachine, VirtualSite

USER = "alice"
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Whole:
    """What clients and tests need to know."""

    engine: Engine
    people: People
    port: int
    bundle: Path
    token: str
    boards: VirtualSite

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/spalloc/"

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment of clients that believe the server."""
        trusted = str(self.bundle)
        return {
            **os.environ,
            "REQUESTS_CA_BUNDLE": trusted,
            "WEBSOCKET_CLIENT_CA_BUNDLE": trusted,
            "SSL_CERT_FILE": trusted,
        }

    @property
    def by_password(self) -> dict[str, str]:
        return {"url": self.url, "user": USER, "password": PASSWORD}

    @property
    def by_token(self) -> dict[str, str]:
        return {"url": self.url, "token": self.token}


@asynccontextmanager
async def whole_server(
    virtual: VirtualMachine, folder: Path, openid: OpenId | None = None
) -> AsyncIterator[Whole]:
    made = make_certificate(folder / "authority", ["localhost", "127.0.0.1"])
    async with VirtualSite(virtual) as boards:
        settings = HttpSettings(port=0, certificate=made.certificate, key=made.key, openid=openid)
        v1 = Listening(0, ("127.0.0.1",))
        service = Service(Configuration(state=None, machines=(machine_of(boards),), v1=v1, http=settings))
        await service.start(all_off=True)
        engine, http = service.engine, service.http
        assert http is not None
        token = f"spalloc_{secrets.token_hex(20)}"
        engine.do(AddAccount(USER, Role.USER, hashed(PASSWORD), "root"), SERVER)
        key = hashlib.sha256(token.encode()).hexdigest()
        engine.do(AddToken(USER, "laptop", key, Scope.USE, 30.0, "root"), SERVER)
        try:
            yield Whole(engine, http.people, http.server.addresses[0][1], made.bundle, token, boards)
        finally:
            await service.stop()
