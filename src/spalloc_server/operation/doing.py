"""Does administrators' commands in the running server, and waits until what they did is on disk."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from spalloc_server.core.askers import SERVER
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.engine import Engine, EngineFailedError
from spalloc_server.operation.control.protocol import REFUSED, Answer
from spalloc_server.operation.naming import NoBoardError
from spalloc_server.recorded import recorded, recorded_if_possible

T = TypeVar("T")

_STOPS = "the server stops before this was recorded; type it again when it is back"

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
    if not await recorded(engine):
        raise RefusedError(_STOPS)
    return value


async def settled(engine: Engine) -> None:
    """Wait until what a list shows is on disk; while nothing can be recorded, a list is answered all the same.

    Raises:
        RefusedError: It is not on disk, since the server stops.
    """
    if not await recorded_if_possible(engine) and engine.trouble is None:
        raise RefusedError(_STOPS)
