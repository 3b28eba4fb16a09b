"""People of an engine whose clocks only tests move: its records are in memory or in a file, its boards obey nothing."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from spalloc_server.core.account_commands import AddAccount, AddToken
from spalloc_server.core.accounts import Scope
from spalloc_server.core.askers import SERVER, Role
from spalloc_server.core.site import Site
from spalloc_server.engine import Engine
from spalloc_server.fronts.http.people import People
from spalloc_server.passwords import Cost, Passwords, hashed
from spalloc_server.store.database import Store
from spalloc_server.tokens import hash_of
from tests.spalloc_server.core.driver import machine

CHEAP = Cost(kibibytes=8)
PASSWORDS = {"jane": "jane's password", "joe": "joe's password", "mary": "mary's password"}
HASHES = {name: hashed(password, CHEAP) for name, password in PASSWORDS.items()}
ROLES = {"jane": Role.USER, "joe": Role.READER, "mary": Role.ADMINISTRATOR}
TOKEN = "spalloc_jane's"


class Clock:
    def __init__(self) -> None:
        self.passed = 0.0
        self.skew = 0.0

    def now(self) -> float:
        return 1_000.0 + self.passed

    def wall(self) -> float:
        return 1e9 + self.passed + self.skew

    def suspended(self) -> float:
        return 0.0


class Hardware:
    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None

    async def stop(self) -> None:
        pass


@contextlib.asynccontextmanager
async def people(
    clock: Clock, path: Path | None = None, *, accounts: Mapping[str, Role] = ROLES
) -> AsyncIterator[tuple[Engine, People]]:
    """An engine with accounts, and its people; with a path, it goes on from the records there."""
    store = Store(path)
    engine = Engine(Site([machine()]), store, Hardware(), clock)  # type: ignore[arg-type]
    engine.start()
    if not engine.site.accounts.by_name:
        for name, role in accounts.items():
            engine.do(AddAccount(name, role, HASHES[name], "mary"), SERVER)
        engine.do(AddToken("jane", "robot", hash_of(TOKEN), Scope.USE, 30.0, "mary"), SERVER)
    found = People(engine, Passwords(CHEAP))
    try:
        yield engine, found
    finally:
        found.stop()
        await engine.stop()
        store.close()
