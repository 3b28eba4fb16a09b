"""Memory over HTTP: what SpiNNMan asks for, with its statuses and sentences."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from spalloc_server.core.askers import Role
from spinnaker.geometry import Size
from spinnaker.memory_map import ROUTER, SDRAM
from tests.spalloc_server.fronts.http.site import HOST, ServedSite, cookie_of, served_site

LONG = bytes(range(256)) * 400


def run(task: Callable[[ServedSite, int], Awaitable[None]], *, boots: bool = True) -> None:
    async def on_a_site() -> None:
        async with served_site(Size(2, 2)) as site:
            site.sessions.roles["looks"] = Role.READER
            job = await site.create("alice", 3)
            if boots:
                await site.boot(job)
            await task(site, job)

    asyncio.run(on_a_site())


def test_memory_is_written_and_read_and_routers_are_cleared_over_http() -> None:
    async def task(site: ServedSite, job: int) -> None:
        where = f"{job}/memory?x=9&y=5&address={SDRAM}"
        written = await site.ask("alice", "POST", where, LONG)
        assert (written.status, written.body) == (202, b"")
        read = await site.ask("alice", "GET", f"{where}&size={len(LONG)}")
        assert (read.status, read.body) == (200, LONG)
        assert read.headers["content-type"] == "application/octet-stream"
        assert read.headers["content-length"] == str(len(LONG))
        head = await site.ask("alice", "HEAD", f"{where}&size={len(LONG)}")
        assert (head.status, head.headers["content-length"], head.body) == (200, str(len(LONG)), b"")
        nothing = await site.ask("alice", "GET", f"{where}&size=0")
        assert (nothing.status, nothing.body) == (200, b"")
        cleared = await site.ask("alice", "DELETE", f"{job}/router?14=4660&15=1&other=2")
        assert (cleared.status, cleared.body) == (202, b"")
        filter_14 = await site.ask("alice", "GET", f"{job}/memory?address={ROUTER + 0x200 + 56}&size=4")
        assert filter_14.body == (4660).to_bytes(4, "little")

    run(task)


def test_who_may_not_use_the_job_or_asks_for_what_is_not_there_is_told() -> None:
    async def task(site: ServedSite, job: int) -> None:
        where = f"{job}/memory?x=0&y=0&address={SDRAM}&size=4"
        for name, path, status, sentence in (
            ("bob", where, 404, "no such job"),
            (
                "looks",
                where,
                403,
                "the account looks is a reader; only a user, a service or an administrator may do this",
            ),
            ("alice", where.replace("x=0", "x=8"), 404, f"job {job} has no chip (8, 0)"),
            (
                "alice",
                where.replace("size=4", "size=-4"),
                400,
                "the size is -4; it must be 0 to 134217728 bytes",
            ),
            (
                "alice",
                where.replace("&size=4", ""),
                400,
                "the query is not as it must be: size is required",
            ),
            ("alice", where.replace("size=4", "size=0x4"), 400, "size is '0x4'"),
        ):
            answer = await site.ask(name, "GET", path)
            assert answer.status == status
            assert answer.body.decode().startswith(sentence), answer.body
        assert (await site.ask("alice", "POST", where, LONG, **{"Content-Type": "text/plain"})).status == 415
        assert (await site.ask("alice", "POST", where, LONG, **{"X-CSRF-TOKEN": ""})).status == 403
        refused = await site.ask("alice", "DELETE", f"{job}/router?99=1")
        assert refused.body == b"a router has filters 0 to 15, of 32 bits each; there is no filter 99 of 1"
        site.destroy(job, "alice", "enough")
        over = await site.ask("alice", "GET", where)
        assert (over.status, over.body.decode()) == (409, f"job {job} was destroyed: enough")

    run(task)


@pytest.mark.parametrize("how", ["the job ends", "the session ends"])
def test_an_answer_that_is_not_whole_is_cut_off_and_its_transfer_ended(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def task(site: ServedSite, job: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, site.port, limit=4096)
        size = 64 << 20
        path = f"/spalloc/srv/spalloc/jobs/{job}/memory?address={SDRAM}&size={size}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nCookie: {cookie_of('alice')}\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        if how == "the job ends":
            site.destroy(job, "alice", "enough")
        else:
            site.sessions.log_out("alice")
        got = len(await reader.read())
        assert 0 < got < size
        writer.close()

    run(task)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], "it is no fault"


@pytest.mark.slow
def test_boards_that_are_not_booted_are_told_before_spinnman_gives_up() -> None:
    async def task(site: ServedSite, job: int) -> None:
        async with asyncio.timeout(10):
            answer = await site.ask("alice", "GET", f"{job}/memory?address={SDRAM}&size=4")
        assert answer.status == 504
        assert b"it is not booted" in answer.body

    run(task, boots=False)
