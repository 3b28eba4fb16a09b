"""Waits until what was done is on disk, for those who are answered only then."""

import asyncio

from spalloc_server.engine import RECORD_RETRY_SECONDS, Engine

SOON_SECONDS = 5.0
"""How long somebody waits for the disk who need not."""


async def recorded(engine: Engine) -> bool:
    """Wait until all that was done up to now is on disk, however long that takes.

    Returns:
        Whether it is; False only if the engine stops or has failed.
    """
    return await _answer_of(engine)


async def recorded_if_possible(engine: Engine) -> bool:
    """Wait until all that was done up to now is on disk, or it turns out that nothing can be recorded now.

    For those who only ask, or log in: they are served while the disk is full.

    Returns:
        Whether it is on disk.
    """
    answer = _answer_of(engine)
    while engine.trouble is None:
        # Trouble is found by a commit that fails, of which nobody who waits for it is told.
        done, _ = await asyncio.wait({answer}, timeout=RECORD_RETRY_SECONDS)
        if done:
            return answer.result()
    return False


async def recorded_soon(engine: Engine) -> bool:
    """Wait until all that was done up to now is on disk, but not for long.

    For what is done already, whatever the disk says.

    Returns:
        Whether it is on disk.
    """
    try:
        return await asyncio.wait_for(recorded_if_possible(engine), SOON_SECONDS)
    except TimeoutError:
        return False


def _answer_of(engine: Engine) -> "asyncio.Future[bool]":
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    engine.when_recorded(lambda whether: None if answer.done() else answer.set_result(whether))
    return answer
