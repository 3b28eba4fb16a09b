"""Answers administrators who ask the running server who used what.

The adding up is done in the store, from what is on disk.
"""

import sqlite3
from collections.abc import Mapping
from typing import Annotated

import msgspec

from spalloc_server.core.usage import MOST_PARTS, By, Usage, UsageQuestion, flaw
from spalloc_server.engine import Engine, EngineStoppingError
from spalloc_server.operation.control.protocol import DONE, REFUSED, Answer, Line
from spalloc_server.operation.doing import Doing, refusing, settled

_Moment = Annotated[float, msgspec.Meta(ge=0, lt=253_402_300_800)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"begins": "from", "ends": "to"}):
    """The arguments of `usage.show`."""

    begins: _Moment
    """In seconds of Unix time."""
    ends: _Moment
    by: By = By.OWNER
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST_PARTS)] = MOST_PARTS


class UsageCommands:
    """The administrators' questions about usage of one server."""

    def __init__(self, engine: Engine) -> None:
        """Ask `engine`."""
        self._engine = engine

    @property
    def commands(self) -> Mapping[str, Doing]:
        """The commands, by their names on the control socket."""
        return {"usage.show": refusing(self._show)}

    async def _show(self, arguments: Mapping[str, object], _by: str) -> Answer:
        asked = msgspec.convert(arguments, Asked)
        wrong = flaw(asked.begins, asked.ends)
        if wrong is not None:
            raise ValueError(f"the period {wrong}")
        # What was done before is in the answer.
        await settled(self._engine)
        try:
            found = await self._engine.usage(
                UsageQuestion(asked.begins, asked.ends, asked.by, most=asked.most)
            )
        except EngineStoppingError as error:
            return Answer(REFUSED, f"{error}; ask again when it is back")
        except sqlite3.Error as error:
            return Answer(REFUSED, f"the records can't be read just now, try again later: {error}")
        return Answer(DONE, "that is all", lines_of(found))


def lines_of(found: Usage) -> list[Line]:
    """Return an answer as lines: the period, then the parts, those that used most first."""
    whole, by = found.whole, found.question.by
    about = {
        "kind": "period",
        "from": found.question.begins,
        "to": found.question.ends,
        "by": by.value,
        "jobs": whole.jobs,
        "board_seconds": whole.board_seconds,
        "left_out": found.left_out,
        "complete_since": found.complete_since,
    }
    lines = [Line(f"{whole.jobs} jobs, {whole.board_seconds:.0f} board-seconds", about)]
    for used in found.parts:
        name = f"no {by.value}" if used.who is None else used.who
        lines.append(
            Line(
                f"{name}: {used.jobs} jobs, {used.board_seconds:.0f} board-seconds",
                {"kind": "used", by.value: used.who, "jobs": used.jobs, "board_seconds": used.board_seconds},
            )
        )
    return lines
