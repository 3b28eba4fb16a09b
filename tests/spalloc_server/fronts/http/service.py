"""The HTTP service in one process, without sockets: an application, what is behind it, and clients that call it."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import uvloop

from spalloc_server.clock import SystemClock
from spalloc_server.core.account_commands import AddAccount, AddToken
from spalloc_server.core.accounts import Scope
from spalloc_server.core.askers import SERVER, Role
from spalloc_server.core.machine import Machine
from spalloc_server.core.site import Site
from spalloc_server.engine import Engine
from spalloc_server.fronts.http.api.app import make_app
from spalloc_server.fronts.http.people import People
from spalloc_server.fronts.http.settings import CUT, Limits
from spalloc_server.passwords import Passwords, hashed
from spalloc_server.store.database import Store
from spalloc_server.tokens import hash_of
from spinnaker.geometry import Board, BoardLink, Link, Size, far_end
from spinnaker.places import sequential_places
from tests.spalloc_server.fronts.fuzz import InstantHardware
from tests.spalloc_server.fronts.http.people_bench import CHEAP

PATIENCE = 20.0
PASSWORD = "open sesame"
HASH = hashed(PASSWORD, CHEAP)
ACCOUNTS = {
    "alice": Role.USER,
    "bob": Role.USER,
    "reader": Role.READER,
    "boss": Role.ADMINISTRATOR,
    "broker": Role.SERVICE,
}
"""Who may log in, all with the same password; the token of each is `token-NAME`."""


class NoFailures:
    def random(self) -> float:
        return 1.0


class Counted(Passwords):
    """Counts how many passwords are looked at."""

    def __init__(self) -> None:
        super().__init__(CHEAP)
        self.checked = 0

    async def is_right(self, password: str, encoded: str | None) -> bool:
        self.checked += 1
        return await super().is_right(password, encoded)


class Answer:
    """An answer to a request."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        start = messages[0]
        assert start["type"] == "http.response.start"
        self.status: int = start["status"]
        self.all_headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
        self.headers = dict(self.all_headers)
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json", self.text
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    def __repr__(self) -> str:
        return f"{self.status} {self.text[:300]}"


class Call:
    """A request under way, of which the client may leave."""

    def __init__(self, app: Any, scope: dict[str, Any], parts: list[bytes]) -> None:
        self._parts = parts
        self._over = asyncio.Event()
        self._messages: list[dict[str, Any]] = []
        self.asked = asyncio.Event()
        """Set once the application waits for the client to leave."""
        self._task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._parts:
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts)}
        self.asked.set()
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self._messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._over.set()

    async def leave(self) -> None:
        self._over.set()
        await self._task
        assert not self._messages, "nobody is there to be answered"

    @property
    def is_answered(self) -> bool:
        return bool(self._messages)

    async def answer(self) -> Answer:
        await asyncio.wait_for(asyncio.shield(self._task), PATIENCE)
        return Answer(self._messages)


class Client:
    """A client that keeps its cookie, and shows the token that changes need once it has read it."""

    def __init__(self, app: Any, address: str = "10.0.0.1", scheme: str = "https") -> None:
        self._app = app
        self._address = address
        self._scheme = scheme
        self.cookie: str | None = None
        self.csrf: str | None = None

    def begin(
        self,
        method: str,
        target: str,
        *,
        body: bytes | list[bytes] = b"",
        document: object = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
    ) -> Call:
        """Begin a request; `target` is a path below the service, or an address that it answered."""
        split = urlsplit(target)
        path = split.path if split.netloc or target.startswith("/") else f"/spalloc/{split.path}"
        given = [("host", "spalloc.example")]
        if self.cookie is not None:
            given.append(("cookie", f"other=1; JSESSIONID={self.cookie}"))
        if self.csrf is not None and method not in ("GET", "HEAD"):
            given.append(("x-csrf-token", self.csrf))
        if document is not None:
            body = json.dumps(document).encode()
            given.append(("content-type", "application/json"))
        if form is not None:
            body = urlencode(form).encode()
            given.append(("content-type", "application/x-www-form-urlencoded"))
        pairs = headers.items() if isinstance(headers, Mapping) else headers or []
        named = {name for name, _ in pairs}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": self._scheme,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": split.query.encode(),
            "root_path": "",
            "headers": [
                (name.encode(), value.encode())
                for name, value in [*((name, value) for name, value in given if name not in named), *pairs]
            ],
            CUT: lambda: None,
            "client": (self._address, 50000),
            "server": ("10.0.0.100", 443),
        }
        return Call(self._app, scope, body if isinstance(body, list) else [body])

    async def __call__(self, method: str, target: str, **request: Any) -> Answer:
        answer = await self.begin(method, target, **request).answer()
        cookie = answer.headers.get("set-cookie")
        if cookie is not None:
            self.cookie = cookie.partition(";")[0].partition("=")[2] or None
        return answer

    async def get(self, target: str, **request: Any) -> Answer:
        return await self("GET", target, **request)

    async def create(self, **wanted: Any) -> str:
        """Create a job, and return its address."""
        answer = await self("POST", "srv/spalloc/jobs", document=job(**wanted))
        assert answer.status == 201, answer
        return answer.headers["location"]


def job(**wanted: Any) -> dict[str, Any]:
    """Return a request for a job, which one may change."""
    document: dict[str, Any] = {"keepalive-interval": "PT60S", "tags": ["default"]}
    document |= {name.replace("_", "-"): value for name, value in wanted.items()}
    return {name: value for name, value in document.items() if value is not None}


class Service:
    """An application, and what is behind it: a machine of 2 by 2 triads with a dead board and a dead link."""

    def __init__(self, limits: Limits | None = None) -> None:
        size = Size(2, 2)
        dead = Board(1, 1, 2)
        places = {board: place for board, place in sequential_places(size).items() if board != dead}
        end = BoardLink(Board(0, 0, 0), Link.NORTH)
        self.machine = Machine(
            name="big one",
            size=size,
            places=places,
            dead_boards=frozenset({dead}),
            dead_links=frozenset({end, far_end(size, end)}),
            addresses={board: f"127.81.0.{index}" for index, board in enumerate(places)},
            settle_seconds=0.0,
        )
        self.store = Store(None)
        hardware = InstantHardware(NoFailures())  # type: ignore[arg-type]
        self.engine = Engine(Site([self.machine]), self.store, hardware, SystemClock())
        self.passwords = Counted()
        self.people = People(self.engine, self.passwords)
        self.app = make_app(self.engine, self.people, limits=limits)

    def start(self) -> None:
        """Begin, with the accounts."""
        self.engine.start()
        for name, role in ACCOUNTS.items():
            self.engine.do(AddAccount(name, role, HASH, "root"), SERVER)
            token = AddToken(name, "robot", hash_of(f"token-{name}"), Scope.USE, 30.0, "root")
            self.engine.do(token, SERVER)

    def client(self, address: str = "10.0.0.1", scheme: str = "https") -> Client:
        return Client(self.app, address, scheme)

    async def log_in(self, name: str = "alice", address: str = "10.0.0.1") -> Client:
        """Return a client that has logged in."""
        client = self.client(address)
        client.cookie, session = await self.people.log_in(name, PASSWORD, address)
        self.passwords.checked = 0
        client.csrf = session.csrf
        return client

    async def becomes(self, client: Client, url: str, state: str) -> Any:
        """Wait until a job is in a state, and return its description."""
        answer = await client.get(url)
        while answer.json["state"] != state:
            tag = answer.headers["etag"]
            answer = await client.get(f"{url}?wait=true", headers={"if-none-match": tag})
            assert answer.status == 200, answer
        return answer.json


def run(
    test: Callable[[Service], Coroutine[Any, Any, None]],
    **limits: int,
) -> None:
    """Run a test of a service, in the event loop that servers have."""

    async def main() -> None:
        service = Service(Limits(**limits))
        service.start()
        try:
            await asyncio.wait_for(test(service), PATIENCE)
        finally:
            service.app.stop()
            service.people.stop()
            await service.engine.stop()
            service.store.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
