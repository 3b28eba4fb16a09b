"""Kills a real server again and again while clients use it, and checks what is left each time.

`python -m tests.spalloc_server.kills TIMES [SEED]` does so this number of times. The boards are virtual and survive:
they belong to this process, while the server has its own.
"""

import asyncio
import contextlib
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from spalloc_client.states import JobState
from spalloc_client.wire import Failure, Lines, Request, Return, decode_message, encode
from spalloc_server.core.accounts import Account, AccountNews
from spalloc_server.core.askers import Role
from spalloc_server.core.groups import Group
from spalloc_server.embedded import machine_of
from spalloc_server.store.accounts import read_groups
from spalloc_server.store.charges import all_charges
from spalloc_server.store.database import Store
from spinnaker.geometry import Board, Link, Size, neighbour
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite
from tests.processes import ServerProcess, configured, described, kill, started

CLIENTS = 4
PATIENCE_SECONDS = 30.0
SIZE = Size(2, 2)
ACCOUNT = '[trust]\naccounts = { "127.0.0.0/8" = "payer" }\n'
"""In the configuration: all clients have an account, whose jobs are charged to a group."""


class RefusedError(Exception):
    """The server answered that it does not do a command."""


class Session:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._lines = Lines()
        self._ready: list[bytes] = []

    @classmethod
    async def open(cls, port: int) -> "Session":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def call(self, command: str, *args: object, **kwargs: object) -> object:
        """Return the server's reply.

        Raises:
            ConnectionError: It went away before it answered.
            RefusedError: It does not do the command; the message is the server's.
        """
        self._writer.write(encode(Request(command, args, kwargs)))  # type: ignore[arg-type]
        while True:
            while self._ready:
                message = decode_message(self._ready.pop(0))
                if isinstance(message, Return):
                    return message.value
                if isinstance(message, Failure):
                    raise RefusedError(message.message)
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionResetError("the server has gone")
            self._ready += self._lines.feed(data)

    def close(self) -> None:
        self._writer.close()


class Promises:
    """What the server acknowledged."""

    def __init__(self) -> None:
        self.live: set[int] = set()
        self.ending: set[int] = set()
        """Jobs whose end was asked for, and perhaps not acknowledged."""
        self.ended: set[int] = set()
        self.limits: dict[int, set[float | None]] = {}
        """The time limit of each job; two, if another was asked for and perhaps not acknowledged."""
        self.commands = 0


@contextlib.asynccontextmanager
async def running(arguments: list[str]) -> AsyncIterator[tuple[ServerProcess, float]]:
    """Run a server; gives it, and how long it took to its first answer."""
    begin = time.perf_counter()
    server = await asyncio.to_thread(started, arguments)
    try:
        session = await Session.open(server.port)
        await session.call("version")
        session.close()
        yield server, time.perf_counter() - begin
    finally:
        kill(server)


async def use(port: int, promises: Promises, dice: random.Random) -> None:
    """Be a client until the server goes away."""
    try:
        session = await Session.open(port)
    except OSError:
        return
    try:
        await _use(session, promises, dice)
    except OSError:
        pass
    finally:
        session.close()


async def _use(session: Session, promises: Promises, dice: random.Random) -> None:
    mine: list[int] = []
    while True:
        if dice.random() < 0.5 or not mine:
            limit = dice.choice((None, 3600.0))
            boards = dice.choice((1, 1, 3, 6))
            job = await session.call("create_job", boards, owner="me", keepalive=None, time_limit=limit)
            assert isinstance(job, int)
            assert job not in promises.live | promises.ended, f"job {job} was created twice"
            promises.live.add(job)
            promises.limits[job] = {limit}
            mine.append(job)
        elif dice.random() < 0.8 or len(mine) > 20:
            job = mine.pop(dice.randrange(len(mine)))
            promises.ending.add(job)
            await session.call("destroy_job", job)
            promises.live.discard(job)
            promises.ended.add(job)
        else:
            job, limit = dice.choice(mine), dice.uniform(3600.0, 7200.0)
            before = promises.limits[job]
            promises.limits[job] = before | {limit}
            try:
                assert await session.call("extend_job", job, limit) == limit
            except RefusedError as refusal:
                # Others wait for its boards, or are to have them: nothing is changed.
                assert "can't have its boards for longer" in str(refusal)
                promises.limits[job] = before
            else:
                promises.limits[job] = {limit}
            await session.call("power_on_job_boards", job)
        promises.commands += 1


async def check(port: int, promises: Promises, boards: VirtualSite) -> None:
    """Look whether every promise was kept, and clear the site for the next round.

    Raises:
        AssertionError: One was not.
    """
    session = await Session.open(port)
    jobs = await session.call("list_jobs")
    assert isinstance(jobs, list)
    listed = {job["job_id"]: job for job in jobs}
    lost = promises.live - promises.ending - listed.keys()
    assert not lost, f"jobs {sorted(lost)} were acknowledged and are lost"
    risen = promises.ended & listed.keys()
    assert not risen, f"jobs {sorted(risen)} were destroyed, acknowledged, and live"
    for job in listed.keys() & promises.limits.keys():
        limit = listed[job].get("time_limit")
        assert limit in promises.limits[job], f"job {job} has the limit {limit}, not {promises.limits[job]}"
    await _settled(session, boards)
    for job in listed:
        await session.call("destroy_job", job)
    promises.live.clear()
    promises.limits.clear()
    promises.ended |= listed.keys()
    for _ in range(round(PATIENCE_SECONDS / 0.01)):
        if not any(boards.is_on(board) for board in boards.machine.places):
            break
        await session.call("version")
        await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.01)
    else:
        raise AssertionError("boards are on, and there are no jobs")
    session.close()


async def _settled(session: Session, boards: VirtualSite) -> None:
    """Wait until every job is queued or ready, and compare with the hardware."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        jobs = await session.call("list_jobs")
        assert isinstance(jobs, list)
        if all(job["state"] in (JobState.queued, JobState.ready) for job in jobs):
            break
        assert time.monotonic() < deadline, f"these jobs hang: {jobs}"
    holder: dict[Board, int] = {}
    for job in jobs:
        theirs = {Board(*board) for board in job["boards"] or ()}
        for board in theirs:
            assert board not in holder, f"board {board} is in two jobs"
            holder[board] = job["job_id"]
            assert boards.is_on(board), f"job {job['job_id']} is ready, and its board {board} is off"
            border = {link for link in Link if neighbour(SIZE, board, link) not in theirs}
            assert boards.stopped_links(board) == border, (
                f"the border of job {job['job_id']} is wrong at {board}"
            )


def found_group(configuration: Path, state: Path) -> None:
    """Give clients an account, and make its record and that of the group that is charged for its jobs."""
    configuration.write_text(configuration.read_text() + ACCOUNT)
    with contextlib.closing(Store(state)) as store:
        payer = Account("payer", Role.USER, None, 1.0, groups=("lab",))
        store.write(
            {}, {}, accounts=AccountNews({"payer": payer}), groups={"lab": Group("lab", 1e9, 0.0, 1.0)}
        )


def check_group(state: Path) -> float:
    """Return what the group has used by a killed server's records: what its jobs' allocations add up to.

    Raises:
        AssertionError: It is not that.
    """
    with tempfile.TemporaryDirectory() as folder:
        # A copy: reading the file itself would tidy it up, and the next start find no log of a killed server.
        for file in state.parent.glob(f"{state.name}*"):
            if file.name in (state.name, f"{state.name}-wal"):
                shutil.copy(file, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / state.name)) as database:
            (group,) = read_groups(database)
            charges = list(all_charges(database))
    assert {charge.group for charge in charges} <= {"lab"}
    charged = sum(charge.board_seconds for charge in charges)
    assert abs(group.used - charged) < 1e-3, f"{group.used} board-seconds are used, and jobs had {charged}"
    return group.used


async def kill_again_and_again(times: int, seed: int, folder: Path) -> list[float]:
    """Kill a server `times` times, its records in a folder; return how long each took to answer after its start.

    Raises:
        AssertionError: A promise was broken.
    """
    dice = random.Random(seed)
    promises = Promises()
    restarts = []
    machine = VirtualMachine(size=SIZE, timings=Timings(power_on=0.02, power_off=0.005))
    async with VirtualSite(machine) as boards:
        arguments = configured(described(machine_of(boards)), folder)
        state = folder / "state"
        found_group(Path(arguments[0]), state)
        for number in range(times):
            if number % 100 == 0:
                print(f"killed {number} times, {promises.commands} commands acknowledged", flush=True)
            async with running(arguments) as (server, took):
                restarts.append(took)
                await check(server.port, promises, boards)
                users = [asyncio.ensure_future(use(server.port, promises, dice)) for _ in range(CLIENTS)]
                await asyncio.wait(users, timeout=dice.uniform(0.0, 0.3))
                server.process.kill()
                await asyncio.gather(*users)
            check_group(state)
        async with running(arguments) as (server, took):
            restarts.append(took)
            await check(server.port, promises, boards)
    used = check_group(state)
    assert used > 0
    print(f"{promises.commands} commands were acknowledged, {used:.1f} board-seconds used")
    return restarts


def main(arguments: list[str]) -> int:
    times = int(arguments[0])
    seed = int(arguments[1]) if len(arguments) > 1 else random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        restarts = sorted(asyncio.run(kill_again_and_again(times, seed, Path(folder))))
        print(
            f"killed {times} times in {time.perf_counter() - begin:.0f} s, and nothing was lost; first answer after "
            f"{restarts[len(restarts) // 2] * 1e3:.0f} ms (median), {restarts[-1] * 1e3:.0f} ms (longest)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
