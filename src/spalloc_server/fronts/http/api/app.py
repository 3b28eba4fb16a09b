"""The HTTP service as one ASGI application: routes, and what holds for every request.

No sockets and no TLS: see server.py. All middleware is plain ASGI.
"""

import logging
import re
from typing import Protocol

from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spalloc_server.engine import Engine, EngineFailedError
from spalloc_server.fronts.http import origin
from spalloc_server.fronts.http.api.answers import FAILED, TEXT, Answer, HttpError, text
from spalloc_server.fronts.http.api.entrance import Entrance, check_page
from spalloc_server.fronts.http.api.groups import Groups
from spalloc_server.fronts.http.api.jobs import Jobs
from spalloc_server.fronts.http.api.lists import Lists
from spalloc_server.fronts.http.api.machines import Machines
from spalloc_server.fronts.http.api.memory_resources import operations_of
from spalloc_server.fronts.http.api.pages import Pages
from spalloc_server.fronts.http.api.records import Records
from spalloc_server.fronts.http.api.refusals import failed
from spalloc_server.fronts.http.api.request_turns import Turns
from spalloc_server.fronts.http.api.requests import Request, path_number
from spalloc_server.fronts.http.api.resources import table
from spalloc_server.fronts.http.api.sign_on import SignOnPages, sign_on_operations
from spalloc_server.fronts.http.api.table import Endpoint, refuse_doubled
from spalloc_server.fronts.http.api.underway import UnderWay
from spalloc_server.fronts.http.api.usage import UsageResource
from spalloc_server.fronts.http.api.waiting import Polls
from spalloc_server.fronts.http.boards.memory import Memory
from spalloc_server.fronts.http.boards.streams import Streams
from spalloc_server.fronts.http.people import People, Session
from spalloc_server.fronts.http.settings import Limits

_log = logging.getLogger(__name__)

_SLASHES = re.compile("/{2,}")
_CLOSED = 1011
"""The code with which a websocket is closed that nobody serves."""


class Proxy(Protocol):
    """Serves websockets to the boards of a job."""

    @property
    def streams(self) -> Streams:
        """What all clients together may have carried to boards."""

    async def serve(self, scope: Scope, receive: Receive, send: Send, job: int, session: Session, /) -> None:
        """Serve one websocket, for somebody with this session."""


class App:
    """The application; lives in one event loop."""

    def __init__(
        self,
        door: Engine,
        people: People,
        proxy: Proxy | None = None,
        base: str = "/spalloc/",
        limits: Limits | None = None,
    ) -> None:
        """Serve the site behind `door`.

        Args:
            door: Drives the site.
            people: Knows accounts and sessions.
            proxy: Serves websockets; None to refuse them.
            base: The path under which the service is found, with a slash at both ends.
            limits: How many requests may wait, and how many others may be under way.

        Raises:
            ValueError: The base is not such a path.
        """
        if not re.fullmatch(r"/(?:[A-Za-z0-9._~-]+/)*", base):
            raise ValueError(
                f"the base path is {base!r}; it must begin and end with a slash, such as /spalloc/"
            )
        limits = limits or Limits()
        self.polls = Polls(limits, people.is_live, door.site.neighbours.of)
        """Requests that wait for a change."""
        self.under_way = UnderWay(limits, door.site.neighbours.of)
        """All other requests."""
        self._door = door
        self._people = people
        self._proxy = proxy
        self._base = base
        self._entrance = Entrance(people, base)
        records, turns = Records(door), Turns()
        jobs, lists = Jobs(door, self.polls, records), Lists(door, self.polls, records, turns)
        machines, usage = Machines(door.site, self.polls), UsageResource(door, records)
        pages = Pages(people, base)
        rows = table(jobs, lists, machines, usage, Groups(door), pages, base)
        rows += sign_on_operations(SignOnPages(people, pages))
        self._streams = Streams() if proxy is None else proxy.streams
        self.memory = Memory(door, self._streams, limits)
        """The memory of all jobs' boards."""
        rows += operations_of(self.memory, jobs, people)
        self.operations = tuple(rows)
        """All that can be asked for."""
        paths: dict[str, None] = dict.fromkeys(row.path for row in rows)
        routes = [
            Route(
                (base + path).rstrip("/") or "/",
                Endpoint(
                    [row for row in rows if row.path == path], self._entrance, self.under_way, turns, base
                ),
            )
            for path in paths
        ]
        self._router = Router(
            [*routes, WebSocketRoute(f"{base}proxy/{{job}}", _Asgi(self._websocket))],
            redirect_slashes=False,
            default=self._not_found,
        )
        door.listeners.add(self.polls)
        people.ended.add(self.polls.session_ended)

    def limit(self, limits: Limits) -> None:
        """Change how many requests may wait, and how many others may be under way; those that are there go on."""
        self.polls.limits = self.under_way.limits = limits
        self.memory.limit(limits)

    def stop(self) -> None:
        """Answer the requests that wait, and end transfers of memory, before the server stops."""
        self._door.listeners.discard(self.polls)
        self._people.ended.discard(self.polls.session_ended)
        self.polls.stop()
        self.memory.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one websocket."""
        if scope["type"] == "lifespan":
            await self._router.lifespan(scope, receive, send)
            return
        path: str = scope["path"]
        if "//" in path or path.endswith("/"):
            path = _SLASHES.sub("/", path)
            scope = {**scope, "path": path.rstrip("/") or "/"}
        # What goes to boards is itself bounded by the streams.
        if scope["type"] == "http" and not scope["path"].rstrip("/").endswith("/memory"):
            self._streams.make_way()
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            # A websocket's messages are many, and what has begun with it is of no matter.
            await self._router.app(scope, receive, send if scope["type"] == "websocket" else noted)
        except EngineFailedError:
            # It has been logged, and the server ends.
            if begun or scope["type"] != "http":
                raise
            await failed().answer.send(send, head_only=scope["method"] == "HEAD")
        except Exception:
            _log.exception("a request for %s failed", path[:200])
            if begun or scope["type"] != "http":
                # The server closes the connection.
                raise
            await FAILED.send(send)

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _CLOSED, "reason": "no such websocket"})
            return
        answer = text(f"there is nothing here; {self._base}srv/spalloc says what there is", 404)
        await answer.send(send, head_only=scope["method"] == "HEAD")

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = Request({**scope, "method": "GET"}, receive, origin.of(scope), self._base)
            refuse_doubled(scope["headers"])
            check_page(request)
            await self._entrance.admit(request)
        except HttpError as error:
            await _decline(receive, send, error.answer)
            return
        except EngineFailedError:
            await _decline(receive, send, failed().answer)
            return
        if request.session is None:
            await _decline(receive, send, self._entrance.unknown(request))
            return
        try:
            job = path_number(scope["path_params"]["job"])
        except HttpError:
            # There is none, as of any other number that no job has.
            job = 0
        if self._proxy is None:
            await send({"type": "websocket.close", "code": _CLOSED, "reason": "this server has no proxy"})
            return
        await self._proxy.serve(scope, receive, send, job, request.session)


async def _decline(receive: Receive, send: Send, answer: Answer) -> None:
    """Answer a handshake."""
    await receive()
    headers = [(b"content-type", TEXT), *answer.headers]
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})


class _Asgi:
    """A method as an ASGI application, which Starlette tells from a handler by its type."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def make_app(
    door: Engine,
    people: People,
    proxy: Proxy | None = None,
    base: str = "/spalloc/",
    limits: Limits | None = None,
) -> App:
    """Return the service as an ASGI application; the arguments are those of `App`."""
    return App(door, people, proxy, base, limits)
