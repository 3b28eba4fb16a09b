"""Does administrators' commands in the running server, and waits until what they did is on disk."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from spalloc_server.core.askers import SERVER
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.engine import Engine, EngineFailedError
from spalloc_server.operation.control.protocol import REFUSED, Answer
from spalloc_server.operation.naming import NoBoardError

T = TypeVar("T")

Doing = Callable[[Mapping[str, object], str], Awaitable[Answer]]
"""Does a command with its arguments, for the administrator of that name."""


def refusing(command: Doing) -> Doing:
    """Return the same command, which answers with the reason if it is refused."""

    async def answered(arguments: Mapping[str, object], by: str) -> Answer:
        try:
            return await command(arguments, by)
        except (NoBoardError, RefusedError, EngineFailedError) as error:
            return Answer(REFUSED, str(error))

    return answered


async def do(engine: Engine, command: Command[T]) -> T:
    """Do a command, and wait until it is on disk.

    Raises:
        RefusedError: It is not done, or not on disk.
        EngineFailedError: The engine failed.
    """
    value = engine.do(command, SERVER).value
    # Even if it changes nothing: the answer may show another administrator's change, which must be on disk as well.
    await recorded(engine)
    return value


async def recorded(engine: Engine) -> None:
    """Wait until all that was done up to now is on disk.

    Raises:
        RefusedError: It is not on disk.
    """
    is_recorded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def tell(whether: bool) -> None:
        if not is_recorded.done():
            is_recorded.set_result(whether)

    engine.when_recorded(tell)
    if not await is_recorded:
        raise RefusedError("the server stops before this was recorded; type it again when it is back")
