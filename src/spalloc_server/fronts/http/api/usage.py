"""Who used what: of all for administrators, of their own jobs for everybody else.

The adding up is done in the store.
"""

from typing import Annotated, Literal

import msgspec

from spalloc_server.core.askers import Role
from spalloc_server.core.usage import DEFAULT_SECONDS, By, UsageQuestion, flaw
from spalloc_server.engine import Engine
from spalloc_server.fronts.http.api import documents
from spalloc_server.fronts.http.api.answers import Answer, HttpError, document
from spalloc_server.fronts.http.api.conventions import read_time, written_time, written_time_or_none
from spalloc_server.fronts.http.api.records import Records
from spalloc_server.fronts.http.api.requests import Request
from spalloc_server.fronts.http.api.table import Query

MOST_PARTS = 1_000


class UsageQuery(Query, frozen=True, rename={"begins": "from", "ends": "to"}):
    """Which period, and what is told one by one."""

    begins: str | None = None
    """A time such as `2026-12-01T00:00:00Z`; 30 days before the end by default."""
    ends: str | None = None
    """Now by default."""
    by: Literal["owner", "account", "group", "machine"] = "owner"
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_PARTS)] = MOST_PARTS


class UsageResource:
    """Tells who used what of one site."""

    def __init__(self, door: Engine, records: Records) -> None:
        """Ask the engine behind `door`, in the turns of `records`."""
        self._door = door
        self._records = records

    async def tell(self, request: Request, query: UsageQuery) -> Answer:
        """Tell who used what; to somebody who is no administrator, only what their account used."""
        ends = self._door.clock.wall() if query.ends is None else read_time("to", query.ends)
        begins = max(0.0, ends - DEFAULT_SECONDS) if query.begins is None else read_time("from", query.begins)
        wrong = flaw(begins, ends)
        if wrong is not None:
            raise HttpError(400, f"the period from {written_time(begins)} to {written_time(ends)} {wrong}")
        login = request.logged_in.login
        account = None if login.role is Role.ADMINISTRATOR else login.account
        question = UsageQuestion(begins, ends, By(query.by), account, query.limit)
        found = await self._records.read(request, lambda: self._door.usage(question), many=True)
        return document(
            documents.Usage(
                begins=written_time(begins),
                ends=written_time(ends),
                by=query.by,
                account=account,
                complete_since=written_time_or_none(found.complete_since),
                jobs=found.whole.jobs,
                board_seconds=found.whole.board_seconds,
                usage=[documents.Used(used.who, used.jobs, used.board_seconds) for used in found.parts],
                left_out=found.left_out,
            )
        )
