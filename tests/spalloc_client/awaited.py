"""The asyncio client in the clothes of the blocking one, so that one test holds both to the same promises."""

import asyncio
import inspect
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from spalloc_client import aio


class _Loop:
    """An event loop in a thread of its own, started when first needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="awaited", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


LOOP = _Loop()


async def _make(kind: Any, args: Any, kwargs: Any) -> Any:
    return kind(*args, **kwargs)


class _Awaited:
    """Runs whatever is to be awaited, and hands out the rest as it is."""

    def __init__(self, kind: Any, args: Any, kwargs: Any) -> None:
        self.awaitable = LOOP.run(_make(kind, args, kwargs))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.awaitable, name)
        if inspect.iscoroutine(value):
            return LOOP.run(value)
        if inspect.iscoroutinefunction(value):
            return lambda *args, **kwargs: LOOP.run(value(*args, **kwargs))
        return value

    def __enter__(self) -> Self:
        LOOP.run(self.awaitable.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        LOOP.run(self.awaitable.__aexit__(kind, error, trace))


class AwaitedClient(_Awaited):
    """`spalloc_client.aio.ProtocolClient`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(aio.ProtocolClient, args, kwargs)


class AwaitedJob(_Awaited):
    """`spalloc_client.aio.Job`, requested as it is constructed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(aio.Job, args, kwargs)

        async def request() -> None:
            await self.awaitable

        LOOP.run(request())
