"""The resources of memory: what clients send and get while it moves, piece by piece in both directions.

Whose boards they are, and how they are reached, is in memory.py.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus

from starlette.types import Receive, Send

from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.rights import Right
from spalloc_server.fronts.http.api.answers import ACCEPTED, BYTES, Answer, Header, HttpError, retry_after
from spalloc_server.fronts.http.api.conventions import read_whole_number
from spalloc_server.fronts.http.api.jobs import Jobs
from spalloc_server.fronts.http.api.requests import Request, require_kind
from spalloc_server.fronts.http.api.table import Operation, Query, Raw
from spalloc_server.fronts.http.boards.memory import RETRY_SECONDS, Memory, MemoryRefusedError
from spalloc_server.fronts.http.people import People
from spalloc_server.fronts.http.settings import CUT
from spinnaker.geometry import Chip

_LONGEST_FILTER = 6
"""Longer names are no numbers of filters."""


class WriteQuery(Query, frozen=True):
    """A place in a chip's memory."""

    address: int
    x: int = 0
    y: int = 0


class ReadQuery(WriteQuery, frozen=True, kw_only=True):
    """A part of a chip's memory."""

    size: int


class Pieces:
    """An answer that is sent piece by piece, as the client takes it."""

    def __init__(self, pieces: AsyncGenerator[bytes], size: int, cut: Callable[[], None]) -> None:
        """Send pieces, of `size` bytes together; if there are fewer, `cut` ends the connection."""
        self._pieces = pieces
        self._size = size
        self._cut = cut
        self._headers: tuple[Header, ...] = ()

    def with_headers(self, *headers: Header) -> "Pieces":
        """Have it sent with further headers."""
        self._headers += headers
        return self

    async def wait(self, receive: Receive, send: Send, *, head_only: bool) -> None:
        """Send it, unless the client leaves.

        Raises:
            HttpError: There is not even a first piece.
        """
        head = Answer(200, kind=BYTES, headers=self._headers)
        async with aclosing(self._pieces) as pieces, _watched(receive) as is_gone:
            try:
                piece = b"" if head_only else await anext(pieces, b"")
            except MemoryRefusedError as error:
                raise _refused(error) from error
            await head.send_head(send, self._size)
            try:
                while piece and not is_gone():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    piece = await anext(pieces, b"")
            except MemoryRefusedError:
                self._cut()
                return
            if not is_gone():
                await send({"type": "http.response.body", "body": b""})


class MemoryResources:
    """Answers about the memory of jobs' boards."""

    def __init__(self, memory: Memory, jobs: Jobs, people: People) -> None:
        """Read and write `memory`, of the jobs that `jobs` knows, for `people` while their sessions go on."""
        self._memory = memory
        self._jobs = jobs
        self._people = people

    async def read(self, request: Request, job: str, query: ReadQuery) -> Pieces:
        """Read a part of a chip's memory."""
        record, account, is_live = await self._job(request, job)
        chip = Chip(query.x, query.y)
        pieces = self._memory.read(record, account, chip, query.address, query.size, is_live)
        return Pieces(pieces, query.size, request.scope[CUT])

    async def write(self, request: Request, job: str, query: WriteQuery) -> Answer:
        """Write the body to a chip's memory."""
        require_kind(request, Raw.BYTES.value)
        record, account, is_live = await self._job(request, job)
        chip = Chip(query.x, query.y)
        try:
            await self._memory.write(record, account, chip, query.address, request.pieces(), is_live)
        except MemoryRefusedError as error:
            # The rest of the body is not read, so the connection can't be used again.
            raise _refused(error, (b"connection", b"close")) from error
        return ACCEPTED

    async def clear_router(self, request: Request, job: str) -> Answer:
        """Clear the routers of a job's chips; filters are fields of the query, by their numbers."""
        record, account, is_live = await self._job(request, job)
        filters = {
            int(name): read_whole_number(f"filter {name}", word)
            for name, word in request.query().items()
            if name.isascii() and name.isdecimal() and len(name) < _LONGEST_FILTER
        }
        try:
            await self._memory.clear_router(record, account, filters, is_live)
        except MemoryRefusedError as error:
            raise _refused(error) from error
        return ACCEPTED

    async def _job(self, request: Request, job: str) -> tuple[JobRecord, str, Callable[[], bool]]:
        session = request.logged_in
        record = await self._jobs.record_to_use(request, job)
        return record, session.login.account, lambda: self._people.is_live(session.key)


def operations_of(memory: Memory, jobs: Jobs, people: People) -> list[Operation]:
    """Return the rows of the table of resources that are about memory."""
    there = MemoryResources(memory, jobs, people)
    path = "srv/spalloc/jobs/{job}"
    # fmt: off
    return [
        Operation("GET", f"{path}/memory", "readMemory", "Read a part of the memory of a job's chip.",
            there.read, Right.USE, query=ReadQuery, answers={200: Raw.BYTES}),
        Operation("POST", f"{path}/memory", "writeMemory", "Write to the memory of a job's chip.",
            there.write, Right.USE, query=WriteQuery, body=Raw.BYTES, in_pieces=True, answers={202: None}),
        Operation("DELETE", f"{path}/router", "clearRouters",
            "Clear the routers of all of a job's chips, and set diagnostic filters.",
            there.clear_router, Right.USE, answers={202: None}),
    ]
    # fmt: on


def _refused(error: MemoryRefusedError, *headers: Header) -> HttpError:
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        headers = (*headers, retry_after(RETRY_SECONDS))
    return HttpError(error.status, str(error), *headers)


@asynccontextmanager
async def _watched(receive: Receive) -> AsyncIterator[Callable[[], bool]]:
    """Give a function that says whether the client has left."""

    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    watching = asyncio.create_task(until_gone())
    try:
        yield watching.done
    finally:
        watching.cancel()
