"""Keeps the pauses of Python's garbage collector short, also with tens of thousands of jobs.

Only for a process that is nothing but a server, since it changes the collector for the whole process.
"""

import asyncio
import gc

_YOUNG, _MIDDLE, _OLD = 700, 10, 2
"""Thresholds of the generations: new objects, and collections of the generation below."""
_OLDEST = 2


def keep_collections_short(loop: asyncio.AbstractEventLoop) -> None:
    """Have each collection visit at most some thousands of objects; to be called when the server has started.

    A full collection visits all objects. That takes 22 ms with 10,000 live jobs and 75 ms with 40,000, during which no
    client is answered. But the objects that survive one are jobs, machines and connections. They are not part of cycles
    when they end, so they are freed by their last reference and need no collector. So survivors are never visited
    again. Full collections are more frequent instead, and each visits only the objects since the last: about 3 ms.

    Args:
        loop: The server's event loop. Connections of Python's own loop do end in cycles: there, only the objects that
            exist now are never visited again.
    """
    gc.collect()
    gc.freeze()
    if not isinstance(loop, asyncio.BaseEventLoop):
        gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
        gc.callbacks.append(_set_apart)


def _set_apart(phase: str, about: dict[str, int]) -> None:
    if phase == "stop" and about["generation"] == _OLDEST:
        gc.freeze()
