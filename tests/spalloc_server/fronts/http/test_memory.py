"""Memory of a job's boards is read and written through the service, and nobody else's is."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from spalloc_server.core.jobs import JobRecord
from spalloc_server.fronts.http.boards.memory import Memory, MemoryRefusedError
from spalloc_server.fronts.http.boards.streams import Streams
from spalloc_server.fronts.http.settings import Limits
from spalloc_server.hardware.transfers import PATIENCE
from spinnaker.geometry import Board, Chip, Size
from spinnaker.memory_map import ROUTER, SDRAM, SYSTEM_CONTROLLER
from spinnaker_virtual import Timings, VirtualMachine
from spinnaker_virtual.faults import Faults
from tests.seeds import SEED
from tests.spalloc_server.fronts.http.site import ServedSite, served_site

FAST = 1e6
LONG = bytes(range(256)) * 300 + b"the end"


class Bench:
    """A job of three boards that are booted, and the memory of it."""

    def __init__(self, site: ServedSite, job: int, limits: Limits | None = None) -> None:
        self.site = site
        self.job = job
        self.memory = Memory(site.engine, Streams(FAST), limits)

    @property
    def record(self) -> JobRecord:
        record = self.site.record(self.job)
        assert record is not None
        return record

    async def read(self, chip: Chip, address: int, size: int) -> bytes:
        return b"".join(
            [piece async for piece in self.memory.read(self.record, "alice", chip, address, size)]
        )

    async def write(self, chip: Chip, address: int, *pieces: bytes) -> int:
        return await self.memory.write(self.record, "alice", chip, address, of(*pieces))


async def of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def run(
    task: Callable[[Bench], Awaitable[None]],
    *,
    boots: bool = True,
    limits: Limits | None = None,
    **options: Any,
) -> None:
    async def on_a_bench() -> None:
        async with served_site(**({"size": Size(2, 2)} | options)) as site:
            job = await site.create("alice", 3)
            if boots:
                await site.boot(job)
            bench = Bench(site, job, limits)
            try:
                await task(bench)
            finally:
                bench.memory.stop()

    asyncio.run(on_a_bench())


def refused(status: int, why: str) -> Any:
    return pytest.raises(MemoryRefusedError, match=f"^{why}", check=lambda error: error.status == status)


@pytest.mark.parametrize("chip", [Chip(0, 0), Chip(1, 1), Chip(8, 4), Chip(11, 11), Chip(8, 15)])
def test_what_was_written_to_any_chip_of_any_board_is_read_back(chip: Chip) -> None:
    async def task(bench: Bench) -> None:
        for address, pieces in (
            (SDRAM + 0x1000, (LONG,)),
            (SDRAM + 0x20001, (b"odd", b"", bytes(range(200)) * 100, b"x")),
            (SDRAM + 0x40002, (b"half",)),
        ):
            whole = b"".join(pieces)
            assert await bench.write(chip, address, *pieces) == len(whole)
            assert await bench.read(chip, address, len(whole)) == whole
            assert await bench.read(chip, address + 1, 3) == whole[1:4]
        assert await bench.read(chip, SDRAM, 0) == b""
        assert await bench.write(chip, SDRAM) == 0

    run(task)


def test_chip_255_255_is_the_first_one_as_spinnman_asks_for_it() -> None:
    async def task(bench: Bench) -> None:
        await bench.write(Chip(255, 255), SDRAM, b"here")
        assert await bench.read(Chip(0, 0), SDRAM, 4) == b"here"

    run(task)


def test_a_large_answer_comes_in_pieces() -> None:
    async def task(bench: Bench) -> None:
        pieces = [
            piece async for piece in bench.memory.read(bench.record, "alice", Chip(0, 0), SDRAM, 1 << 20)
        ]
        assert sum(map(len, pieces)) == 1 << 20
        assert max(map(len, pieces)) <= 65_536

    run(task)


@pytest.mark.slow
def test_packets_that_are_lost_doubled_or_late_are_made_good() -> None:
    async def task(bench: Bench) -> None:
        assert await bench.write(Chip(3, 3), SDRAM, LONG) == len(LONG)
        assert await bench.read(Chip(3, 3), SDRAM, len(LONG)) == LONG

    faults = Faults(lost=0.02, duplicated=0.05, late=0.05, reordered=0.05)
    run(task, machine=VirtualMachine(size=Size(1, 1), timings=Timings.instant(), faults=faults, seed=SEED))


def test_routers_are_cleared_and_counted_with_other_filters() -> None:
    async def task(bench: Bench) -> None:
        chip = Chip(8, 4)
        await bench.write(chip, ROUTER + 0x200 + 4 * 14, bytes(4))
        assert await bench.memory.clear_router(bench.record, "alice", {14: 0x01234567, 15: 1}) == 144
        for at, value in ((14, 0x01234567), (15, 1)):
            assert await bench.read(chip, ROUTER + 0x200 + 4 * at, 4) == value.to_bytes(4, "little")

    run(task)


def test_chips_that_are_dead_are_left_out() -> None:
    async def task(bench: Bench) -> None:
        assert await bench.memory.clear_router(bench.record, "alice", {}) == 143

    dead = {Board(0, 0, 1): frozenset({Chip(3, 3)})}
    run(task, machine=VirtualMachine(size=Size(1, 1), timings=Timings.instant(), dead_chips=dead))


def test_what_is_not_there_is_refused_with_a_sentence() -> None:
    async def task(bench: Bench) -> None:
        for chip in (Chip(8, 0), Chip(-1, 0), Chip(16, 16), Chip(500, 500)):
            with refused(404, f"job {bench.job} has no chip \\({chip.x}, {chip.y}\\)"):
                await bench.read(chip, SDRAM, 4)
        for address, size in ((SDRAM, -1), (SDRAM, (128 << 20) + 1)):
            with refused(400, f"the size is {size}; it must be 0 to 134217728 bytes"):
                await bench.read(Chip(0, 0), address, size)
        for address in (-1, 1 << 32):
            with refused(400, f"there are no 4 bytes from address {address}"):
                await bench.read(Chip(0, 0), address, 4)
        with refused(400, "there are no 5 bytes from address 4294967292"):
            await bench.write(Chip(0, 0), (1 << 32) - 4, b"12345")
        with refused(400, "a router has filters 0 to 15"):
            await bench.memory.clear_router(bench.record, "alice", {16: 0})

    run(task)


@pytest.mark.slow
def test_a_board_that_is_not_booted_is_told_in_words_before_the_client_gives_up() -> None:
    async def task(bench: Bench) -> None:
        with refused(504, "the board at 127[.0-9]* did not answer 1 of 1 packets: it is not booted"):
            await bench.read(Chip(0, 0), SDRAM, 4)
        with refused(504, "the board at"):
            await bench.memory.clear_router(bench.record, "alice", {})

    run(task, boots=False)
    # SpiNNMan allows 10 s.
    assert sum(PATIENCE.after(tries) for tries in range(1, PATIENCE.tries + 1)) < 5


@pytest.mark.slow
def test_memory_that_no_chip_has_is_told_in_words() -> None:
    async def task(bench: Bench) -> None:
        with refused(504, "the board at .*or there is no such memory"):
            await bench.read(Chip(0, 0), SYSTEM_CONTROLLER + 0x0100_0000 * 8, 4)

    run(task)


def test_a_transfer_ends_when_the_job_loses_its_boards() -> None:
    async def task(bench: Bench) -> None:
        record = bench.record
        reading = bench.memory.read(record, "alice", Chip(0, 0), SDRAM, 1 << 20)
        await anext(reading)
        bench.site.destroy(bench.job, "alice", "enough")
        with refused(409, f"job {bench.job} was destroyed: enough"):
            async for _ in reading:
                pass
        with refused(409, f"job {bench.job} was destroyed: enough"):
            await bench.memory.write(record, "alice", Chip(0, 0), SDRAM, of(b"no"))

    run(task)


@pytest.mark.slow
def test_a_transfer_that_waits_for_a_silent_board_ends_as_soon_as_its_job_does() -> None:
    async def task(bench: Bench) -> None:
        reading = asyncio.create_task(bench.read(Chip(0, 0), SDRAM, 4))
        while not bench.memory.transfers:  # noqa: ASYNC110
            await asyncio.sleep(0)
        bench.site.power(bench.job, "alice", on=False)
        with refused(409, f"the boards of job {bench.job} are switched off"):
            await reading

    run(task, boots=False)


def test_a_transfer_ends_with_the_session_of_whoever_asked_for_it() -> None:
    async def task(bench: Bench) -> None:
        sessions: list[str] = ["alice's"]

        async def until_logged_out() -> AsyncIterator[bytes]:
            yield LONG
            sessions.clear()
            yield LONG

        def is_live() -> bool:
            return bool(sessions)

        at = bench.record, "alice", Chip(0, 0), SDRAM
        reading = bench.memory.read(*at, 1 << 20, is_live)
        await anext(reading)
        with refused(401, "this session has ended"):
            await bench.memory.write(*at, until_logged_out(), is_live)
        with refused(401, "this session has ended"):
            await anext(reading)
        with refused(401, "this session has ended"):
            await bench.memory.clear_router(bench.record, "alice", {}, is_live)

    run(task)


def test_a_job_without_boards_has_no_memory() -> None:
    async def task(bench: Bench) -> None:
        bench.job = await bench.site.create("alice", 3, ready=False)
        with refused(409, f"job {bench.job} has no boards now"):
            await bench.read(Chip(0, 0), SDRAM, 4)

    run(task, boots=False)


def test_further_transfers_of_an_account_wait_and_too_many_are_refused() -> None:
    async def task(bench: Bench) -> None:
        first = bench.memory.read(bench.record, "alice", Chip(0, 0), SDRAM, 1 << 16)
        await anext(first)
        second = asyncio.create_task(bench.read(Chip(1, 1), SDRAM, 4))
        while bench.memory.transfers < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        with refused(429, "alice has 2 transfers under way or waiting"):
            await bench.read(Chip(0, 0), SDRAM, 4)
        assert not second.done()
        others = bench.memory.read(bench.record, "bob", Chip(0, 0), SDRAM, 4)
        assert await anext(others) == bytes(4)
        await first.aclose()
        assert await second == bytes(4)

    run(task, limits=Limits(transfers_of_one_account=1, transfers_asked_for_by_one_account=2))


@pytest.mark.parametrize("limit", ["transfers", "transfers_of_one_account"])
def test_limits_that_are_raised_or_lowered_count_for_transfers_that_come_then(limit: str) -> None:
    async def task(bench: Bench) -> None:
        async def begun() -> AsyncGenerator[bytes]:
            pieces = bench.memory.read(bench.record, "alice", Chip(0, 0), SDRAM, 1 << 16)
            await anext(pieces)
            return pieces

        there = [await begun()]
        bench.memory.limit(Limits(**{limit: 2}))
        there += [await begun(), await begun()]
        waits = asyncio.create_task(bench.read(Chip(1, 1), SDRAM, 4))
        while bench.memory.transfers < 4:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert not waits.done()
        bench.memory.limit(Limits())
        there.append(await begun())
        for pieces in there:
            await pieces.aclose()
        assert await waits == bytes(4)

    run(task, limits=Limits(**{limit: 1}))
