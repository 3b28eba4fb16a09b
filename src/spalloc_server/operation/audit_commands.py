"""Answers administrators who ask the running server who did what.

Which commands are in the audit, and in which words, is decided in core/audit.py.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import msgspec

from spalloc_server.core.audit import Entry
from spalloc_server.engine import Engine, EngineStoppingError
from spalloc_server.operation.control.protocol import DONE, REFUSED, Answer, Line
from spalloc_server.operation.doing import Doing, refusing, settled
from spalloc_server.store.audit import AuditQuestion
from spalloc_server.words import counted

MOST = 100_000
"""How many entries an answer may have."""
DEFAULT_MOST = 1_000
_Moment = Annotated[float, msgspec.Meta(ge=0, lt=253_402_300_800)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"begins": "from", "ends": "to"}):
    """The arguments of `audit.show`."""

    begins: _Moment
    """In seconds of Unix time."""
    ends: _Moment
    account: str | None = None
    job: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    what: str | None = None
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = DEFAULT_MOST


class AuditCommands:
    """The administrators' questions about the audit of one server."""

    def __init__(self, engine: Engine) -> None:
        """Ask `engine`."""
        self._engine = engine

    @property
    def commands(self) -> Mapping[str, Doing]:
        """The commands, by their names on the control socket."""
        return {"audit.show": refusing(self._show)}

    async def _show(self, arguments: Mapping[str, object], _by: str) -> Answer:
        asked = msgspec.convert(arguments, Asked)
        # What was done before is in the answer.
        await settled(self._engine)
        question = AuditQuestion(asked.begins, asked.ends, asked.account, asked.job, asked.what, asked.most)
        try:
            found = await self._engine.audit(question)
        except EngineStoppingError as error:
            return Answer(REFUSED, f"{error}; ask again when it is back")
        except sqlite3.Error as error:
            return Answer(REFUSED, f"the records can't be read just now, try again later: {error}")
        return Answer(DONE, counted(len(found), "line"), lines_of(found))


def lines_of(entries: Iterable[Entry]) -> Iterator[Line]:
    """Yield a line for each entry."""
    for entry in entries:
        about = {"kind": "entry", **entry._asdict()}
        yield Line(f"{entry.what}: {'done' if entry.outcome is None else entry.outcome}", about)
