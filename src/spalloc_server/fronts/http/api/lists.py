"""Lists of jobs, live and ended, in pages; with details, if asked for, which are written in slices.

What is said of each job is in job_documents.py.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from itertools import islice
from typing import Annotated, cast

import msgspec

from spalloc_server.core.jobs import Job, JobRecord
from spalloc_server.engine import Engine
from spalloc_server.fronts.http.api import documents
from spalloc_server.fronts.http.api.answers import JSON, Answer, document, is_known, tag_of
from spalloc_server.fronts.http.api.job_documents import Writer, state_of
from spalloc_server.fronts.http.api.records import Records
from spalloc_server.fronts.http.api.request_turns import CHANGE, Turns
from spalloc_server.fronts.http.api.requests import Request
from spalloc_server.fronts.http.api.table import Query
from spalloc_server.fronts.http.api.waiting import Poll, Polls
from spalloc_server.fronts.readings import Readings

DEFAULT_PAGE = 100
LONGEST_PAGE = 200
DETAILS_A_SLICE = 4
"""How many jobs are described before others get their turn: each takes up to half a millisecond."""


class ListQuery(Query, frozen=True):
    """Which jobs to list."""

    wait: bool = False
    deleted: bool = False
    """Whether those that have ended are listed, too."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_PAGE)] = DEFAULT_PAGE
    start: documents.Count = 0
    details: bool = False
    """Whether the jobs are described, too."""


class HistoryQuery(Query, frozen=True):
    """Which jobs that have ended to list."""

    owner: str | None = None
    machine: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_PAGE)] = DEFAULT_PAGE


class Lists:
    """Lists the jobs of one site."""

    def __init__(self, door: Engine, polls: Polls, records: Records, turns: Turns) -> None:
        """Serve the site behind `door`.

        Args:
            door: Drives the site.
            polls: Has the requests that wait.
            records: Reads jobs that have ended.
            turns: Says when the next few jobs of a page are described.
        """
        self._door = door
        self._polls = polls
        self._records = records
        self._turns = turns
        self._described = Readings(lambda: door.stopping)
        """Has one page with details written at a time: each takes some memory until it is."""

    def jobs(self, request: Request, query: ListQuery) -> Poll | Awaitable[Answer]:
        """List jobs, newest first; at the next change, if asked to wait."""

        def finish() -> Awaitable[Answer]:
            if not query.details:
                return self._page(request, query)
            group = self._door.site.neighbours.of(request.origin.address)
            return self._described.read(
                lambda: self._page(request, query),
                group=group,
                owner=request.logged_in.login.account,
                listing=True,
            )

        if query.wait:
            reply = self._polls.enter(
                request, "jobs", None, lambda: Answer(200, etag=self._tag(request, query)), finish
            )
            if isinstance(reply, Poll):
                return reply
        return finish()

    def _tag(self, request: Request, query: ListQuery) -> str:
        if query.deleted:
            return self._polls.mark()
        states = [state_of(self._polls.run, job.record, job) for job in self._live(query)]
        return tag_of(request.base, query.details, states)

    def _live(self, query: ListQuery) -> list[Job]:
        live = reversed(cast("dict[int, Job]", self._door.site.jobs).values())
        return list(islice(live, query.start, query.start + query.limit))

    async def _page(self, request: Request, query: ListQuery) -> Answer:
        # Taken before: what changes while the page is made is told by the next request.
        etag = self._tag(request, query)
        if is_known(etag, request.header(b"if-none-match")):
            return Answer(304, etag=etag)
        if query.deleted:
            records = await self._records.read(
                request, lambda: self._door.newest_jobs(query.start, query.limit), many=True
            )
        else:
            records = [job.record for job in self._live(query)]
        prev = after = None
        if query.start > 0:
            prev = _page_url(request, query, max(0, query.start - query.limit))
        if len(records) == query.limit:
            after = _page_url(request, query, query.start + query.limit)
        page = documents.Jobs(
            jobs=[f"{request.service}jobs/{record.id}" for record in records],
            details=await self._describe(request, records) if query.details else None,
            prev=prev,
            next=after,
        )
        links = [f'<{url}>; rel="{rel}"' for url, rel in ((after, "next"), (prev, "prev")) if url is not None]
        headers = ((b"link", ", ".join(links).encode()),) if links else ()
        return Answer(200, document(page).body, JSON, headers, etag)

    async def _describe(self, request: Request, records: Sequence[JobRecord]) -> list[documents.JobSummary]:
        writer = self._writer(request)
        jobs = self._door.site.jobs
        described = []
        account = request.logged_in.login.account
        for count, record in enumerate(records):
            if count % DETAILS_A_SLICE == 0:
                turn = self._turns.take(account, CHANGE)
                await (asyncio.sleep(0) if turn is None else turn)
            # As it is now: it may have ended since the last slice.
            job = jobs.get(record.id)
            latest = self._door.ended_record(record.id) or record if job is None else job.record
            described.append(writer.summary(latest, job))
        return described

    def _writer(self, request: Request) -> Writer:
        return Writer(request, self._door.site, self._door.clock, self._door.forecast())

    async def history(self, request: Request, query: HistoryQuery) -> Answer:
        """List jobs that have ended, those that ended last first."""
        writer = self._writer(request)

        def write(records: Sequence[JobRecord]) -> bytes:
            # In a thread: the site can't be looked at, and nothing of it is needed for jobs that have ended.
            summaries = [writer.summary(record, None, details=False) for record in records]
            return document(documents.History(summaries)).body

        body = await self._records.read(
            request,
            lambda: self._door.ended_jobs(query.owner, query.machine, query.limit, write),
            many=True,
        )
        return Answer(200, body, JSON)


def _page_url(request: Request, query: ListQuery, start: int) -> str:
    details = "&details=true" if query.details else ""
    deleted = str(query.deleted).lower()
    return f"{request.service}jobs?deleted={deleted}&limit={query.limit}&start={start}&wait=false{details}"
