"""The websocket proxy: who may have a websocket to the boards of a job, how many there are, and what ends them.

What a websocket carries is in websocket.py and channels.py; when a job loses its boards, in holding.py.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from itertools import count
from typing import Any, Protocol

from spalloc_server.core.admission import is_for
from spalloc_server.core.askers import Asker, Login
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.questions import boards_of_job
from spalloc_server.engine import Engine
from spalloc_server.fronts.http import origin
from spalloc_server.fronts.http.boards.channels import Channels, Room
from spalloc_server.fronts.http.boards.holding import Holdings
from spalloc_server.fronts.http.boards.messages import HIGHEST, CloseCode
from spalloc_server.fronts.http.boards.streams import Streams
from spalloc_server.fronts.http.boards.websocket import Receive, Send, Websocket
from spalloc_server.fronts.http.settings import Limits
from spalloc_server.ration import Warnings
from spalloc_server.words import counted

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]

SESSION_ENDED = "This connection was established under an authenticated HTTP session that has ended."
RETRY_SECONDS = 10
"""After how long a client that is refused for want of room may try again."""


class Session(Protocol):
    """What a client has logged in to."""

    @property
    def key(self) -> str:
        """What it is known by."""

    @property
    def login(self) -> Login:
        """Who has logged in."""


class Sessions(Protocol):
    """All sessions."""

    @property
    def ended(self) -> set[Callable[[str], None]]:
        """Called with the key of each session that ends."""

    def is_live(self, key: str) -> bool:
        """Return whether a session goes on."""


class Proxy:
    """The websocket proxy of one server; lives in the engine's event loop."""

    def __init__(
        self,
        engine: Engine,
        sessions: Sessions,
        limits: Limits | None = None,
        streams: Streams | None = None,
    ) -> None:
        """Make a proxy without websockets, that listens to the engine's changes.

        Args:
            engine: Knows which boards a job has.
            sessions: Tells when a login ends.
            limits: How many websockets and channels there may be; None for the usual.
            streams: What all websockets may carry together; None for the usual.
        """
        self._engine = engine
        self._sessions = sessions
        self._limits = limits or Limits()
        self._holdings = Holdings(engine)
        self.streams = streams or Streams()
        """What is carried to and from boards, besides websockets too."""
        self._room = Room(self._limits.channels_of_one_websocket, self._limits.channels)
        self._numbers = _numbers()
        self._of_session: dict[str, set[Websocket]] = {}
        self._of_account: Counter[str] = Counter()
        self._warnings = Warnings(_log, "refused a websocket")
        self._stopped = False
        sessions.ended.add(self._end_session)
        engine.listeners.add(self)

    @property
    def websockets(self) -> int:
        """How many there are."""
        return self._of_account.total()

    @property
    def channels(self) -> int:
        """How many there are."""
        return self._room.taken

    async def serve(self, scope: Scope, receive: Receive, send: Send, job: int, session: Session) -> None:
        """Serve one websocket, until it ends.

        Args:
            scope: The websocket's, of ASGI.
            receive: Returns the next event.
            send: Sends an event.
            job: The ID of the job whose boards are to be reached.
            session: What the client has logged in to.
        """
        await receive()
        address = origin.of(scope).address
        if not self._sessions.is_live(session.key):
            challenge = (b"www-authenticate", b'Basic realm="SpallocService"')
            await _refuse(send, 401, "this session has ended; log in again", challenge)
            return
        live = self._engine.site.jobs.get(job)
        record = self._engine.ended_record(job) if live is None else live.record
        by = Asker(address, session.login)
        if record is None or not is_for(record, by):
            await _refuse(send, 404, "no such job")
        elif (refusal := self._engine.site.trust.refusal(record, by)) is not None:
            await _refuse(send, 403, refusal)
        elif (full := self._too_many(session.login.account)) is not None:
            now = asyncio.get_running_loop().time()
            self._warnings.warn(address, self._engine.site.neighbours.of(address), now, full)
            await _refuse(send, 503, full, (b"retry-after", str(RETRY_SECONDS).encode()))
        else:
            await self._accept(record, session, receive, send)

    def limit(self, limits: Limits) -> None:
        """Change how many websockets and channels there may be; those that are open stay."""
        self._limits = limits
        self._room.of_one, self._room.in_all = limits.channels_of_one_websocket, limits.channels

    def stop(self) -> None:
        """Close all websockets, and refuse new ones."""
        self._stopped = True
        self._engine.listeners.discard(self)
        self._sessions.ended.discard(self._end_session)
        for of_session in list(self._of_session.values()):
            for websocket in list(of_session):
                websocket.end(CloseCode.GOING_AWAY, "the server stops")
        self._holdings.stop("the server stops")

    def jobs_changed(self, jobs: set[int]) -> None:  # noqa: ARG002
        """Leave the loop to whoever creates and changes jobs."""
        self.streams.make_way()

    def machines_changed(self, machines: set[str]) -> None:
        """Do nothing."""

    def jobs_ending(self, jobs: set[int]) -> None:
        """Do nothing."""

    async def _accept(self, record: JobRecord, session: Session, receive: Receive, send: Send) -> None:
        account = session.login.account
        websocket = Websocket(receive, send, self.streams.stream(account))
        boards = boards_of_job(self._engine.site, record) if record.id in self._engine.site.jobs else None
        with (
            self._counted(websocket, session),
            self._holdings.hold(record, lambda why: websocket.end(CloseCode.CANNOT, why)) as hold,
        ):
            channels = Channels(
                {} if boards is None else boards.addresses,
                # A session that has ended is told of once that is on disk, and the disk may fail.
                lambda: self._holdings.is_held(hold) and self._sessions.is_live(session.key),
                websocket.hear,
                self.streams.stream(account),
                self._numbers,
                self._room,
                account,
            )
            await send({"type": "websocket.accept"})
            if not self._holdings.is_held(hold):
                websocket.end(CloseCode.CANNOT, self._holdings.why_lost(record.id))
            if not self._sessions.is_live(session.key):
                websocket.end(CloseCode.NOT_ALLOWED, SESSION_ENDED)
            await websocket.run(channels)

    @contextmanager
    def _counted(self, websocket: Websocket, session: Session) -> Iterator[None]:
        account = session.login.account
        self._of_account[account] += 1
        self._of_session.setdefault(session.key, set()).add(websocket)
        try:
            yield
        finally:
            of_session = self._of_session[session.key]
            of_session.discard(websocket)
            if not of_session:
                del self._of_session[session.key]
            self._of_account[account] -= 1
            if not self._of_account[account]:
                del self._of_account[account]

    def _end_session(self, key: str) -> None:
        for websocket in list(self._of_session.get(key, ())):
            websocket.end(CloseCode.NOT_ALLOWED, SESSION_ENDED)

    def _too_many(self, account: str) -> str | None:
        if self._stopped:
            return "the server stops"
        own, most = self._of_account[account], self._limits.websockets_of_one_account
        if own >= most:
            return f"{account} has {counted(own, 'websocket')} open, and may have {most}; close some first"
        if self.websockets >= self._limits.websockets:
            return f"all {self._limits.websockets} websockets that this server has room for are in use"
        return None


def _numbers() -> Iterator[int]:
    """Return the numbers of channels: never 0, and none again soon."""
    return (number % HIGHEST + 1 for number in count())


async def _refuse(send: Send, status: int, why: str, *headers: tuple[bytes, bytes]) -> None:
    """Answer a handshake with an HTTP status and a sentence."""
    content = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "websocket.http.response.start", "status": status, "headers": [content, *headers]})
    await send({"type": "websocket.http.response.body", "body": why.encode()})
