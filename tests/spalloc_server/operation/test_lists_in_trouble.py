"""While records can't be written, administrators see all the same how things are: nothing that only asks waits."""

import asyncio
from itertools import chain

import pytest

from spalloc_server.operation.account_commands import AccountCommands
from spalloc_server.operation.board_commands import BoardCommands
from spalloc_server.operation.control.protocol import DONE, Answer
from spalloc_server.operation.group_commands import GroupCommands
from spalloc_server.operation.reservation_commands import ReservationCommands
from tests.spalloc_server.fronts.http.people_bench import Clock, people


@pytest.mark.parametrize("found", ["before", "meanwhile"])
def test_every_list_is_answered_while_records_can_not_be_written(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spalloc_server.recorded.RECORD_RETRY_SECONDS", 0.001)

    async def task() -> None:
        async with people(Clock()) as (engine, _):
            words = chain.from_iterable(
                kind(engine).commands.items()
                for kind in (AccountCommands, BoardCommands, GroupCommands, ReservationCommands)
            )
            lists = {word: command for word, command in words if word.endswith(".list")}
            assert len(lists) == 5
            recorded = engine.when_recorded

            def in_trouble(_: object) -> None:
                engine.trouble = "the disk is full"

            monkeypatch.setattr(engine, "when_recorded", in_trouble)
            for word, command in lists.items():
                engine.trouble = "the disk is full" if found == "before" else None
                arguments = {
                    "tokens.list": {"name": "jane"},
                    "boards.list": {"boards": []},
                }.get(word, {})
                answer: Answer = await asyncio.wait_for(command(arguments, "root"), 10.0)
                assert answer.status == DONE, (word, answer)
            monkeypatch.setattr(engine, "when_recorded", recorded)
            engine.trouble = None

    asyncio.run(task())
