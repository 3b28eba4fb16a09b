"""That garbage collections are short, and that nothing is kept for ever by what makes them short."""

import asyncio
import gc
import json
from collections.abc import Iterator

import pytest

from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.operation.garbage import keep_collections_short
from spalloc_server.runtime import run
from spalloc_server.service import Service
from tests.spalloc_server.core.driver import machine


@pytest.fixture
def collector() -> Iterator[None]:
    threshold, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*threshold)
    gc.callbacks[:] = callbacks
    gc.unfreeze()


class _OtherLoop(asyncio.AbstractEventLoop):
    pass


def test_no_collection_looks_at_what_has_survived_one(collector: None) -> None:
    keep_collections_short(_OtherLoop())
    jobs: list[list[object]] = [[] for _ in range(50_000)]
    gc.collect()
    looked_at = gc.get_objects()
    assert len(looked_at) < 1000
    assert len(jobs) == 50_000


def test_pythons_own_loop_keeps_its_collector(collector: None) -> None:
    loop = asyncio.new_event_loop()
    try:
        keep_collections_short(loop)
    finally:
        loop.close()
    new: list[list[object]] = [[] for _ in range(50_000)]
    gc.collect()
    assert len(gc.get_objects()) >= len(new)


async def _use(host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)

    async def call(command: str, *args: object, **kwargs: object) -> object:
        writer.write(json.dumps({"command": command, "args": args, "kwargs": kwargs}).encode() + b"\n")
        while True:
            message = json.loads(await reader.readline())
            if "job_changed" not in message and "jobs_changed" not in message:
                return message.get("return")

    await call("notify_job")
    job = await call("create_job", 3, owner="me", keepalive=60.0)
    await call("get_job_state", job)
    await call("destroy_job", job)
    await call("create_job", 999, owner="me", keepalive=60.0)
    await call("no_such_command")
    await call("list_jobs")
    writer.close()
    await writer.wait_closed()


def test_connections_and_jobs_that_end_leave_nothing_to_a_collector(collector: None) -> None:
    pytest.importorskip("uvloop")

    async def serve() -> int:
        service = Service(Configuration(state=None, machines=(machine(),), v1=Listening(0)))
        host, port = await service.start()
        await _use(host, port)
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            for _ in range(20):
                await _use(host, port)
            return gc.collect()
        finally:
            gc.enable()
            await service.stop()

    assert run(serve()) < 20, "something for each of them"
