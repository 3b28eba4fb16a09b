"""Makes nonsense for the v1 front, feeds it to a real one, and checks what comes back.

`python -m tests.spalloc_server.fronts.fuzz INPUTS [SEED]` tries this number of inputs. The connections have no
sockets: a million inputs take a minute. test_front.py uses real sockets.
"""

import asyncio
import json
import logging
import random
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from spalloc_client.wire import Failure, JobsChanged, Lines, MachinesChanged, Return, decode_message
from spalloc_server.clock import SystemClock
from spalloc_server.core.askers import SERVER
from spalloc_server.core.commands import DestroyJob
from spalloc_server.core.effects import PowerOrder
from spalloc_server.core.machine import Machine
from spalloc_server.core.site import Site
from spalloc_server.engine import Engine
from spalloc_server.fronts.v1.connection import ClientConnection
from spalloc_server.fronts.v1.limits import Limits
from spalloc_server.fronts.v1.server import V1Server
from spalloc_server.store.database import Store
from spinnaker.geometry import Board, Size
from spinnaker.places import sequential_places

INPUTS_A_CONNECTION = 20
MAX_LIVE_JOBS = 200

COMMANDS = (
    "version",
    "create_job",
    "job_keepalive",
    "get_job_state",
    "get_job_machine_info",
    "power_on_job_boards",
    "power_off_job_boards",
    "destroy_job",
    "notify_job",
    "no_notify_job",
    "notify_machine",
    "no_notify_machine",
    "list_jobs",
    "list_machines",
    "get_board_position",
    "get_board_at_position",
    "where_is",
    "job_queue_position",
    "report_problem",
    "list_ended_jobs",
    "job_times",
    "job_starts",
    "extend_job",
    "notify_job_ending",
    "no_notify_job_ending",
)
NAMES = (
    "job_id",
    "owner",
    "keepalive",
    "machine",
    "tags",
    "min_ratio",
    "max_dead_boards",
    "max_dead_links",
    "require_torus",
    "time_limit",
    "reason",
    "machine_name",
    "x",
    "y",
    "z",
    "cabinet",
    "frame",
    "board",
    "chip_x",
    "chip_y",
    "address",
    "description",
    "p",
    "limit",
)
ODDITIES: tuple[object, ...] = (
    None, True, False, 0, 1, 2, 3, -1, 10**9, -(10**9), 2**53, 2**63, 2**64, 10**400, 0.0, 0.5, -0.0, 1e308, 1e-308,
    "", "a", "m", "\ud800", "\u0000", "é", "x" * 1000, [], [1], ["default"], ["\udfff"], {}, {"a": 1}, [[[[[]]]]],
)  # fmt: skip


class InstantHardware:
    """Boards that do what they are told at once, and fail now and then."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def start(self, listener: object) -> None:
        pass

    def watch(self, order: PowerOrder) -> None:
        pass

    def carry_out(self, order: PowerOrder, done: Callable[[int, Mapping[Board, str]], None]) -> None:
        failed = {min(order.boards): "it is tired"} if self._dice.random() < 0.05 else {}
        asyncio.get_running_loop().call_soon(done, order.number, failed)

    async def stop(self) -> None:
        pass


class Line(asyncio.Transport):
    """A connection without a socket, whose client reads or doesn't."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__()
        self.connection = connection
        self.written = bytearray()
        self.closing = False
        self.ended = False
        self._reading = True
        self.lost = asyncio.get_running_loop().create_future()
        connection.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data: Any) -> None:
        assert not self.ended, "nothing can be written after the end"
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self._lose)

    abort = close

    def _lose(self) -> None:
        self.connection.connection_lost(None)
        self.lost.set_result(None)

    def is_closing(self) -> bool:
        return self.closing

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True


def some_json(dice: random.Random, depth: int = 2) -> object:
    """Something that JSON can say, odd more often than not."""
    choice = dice.random()
    if choice < 0.6 or depth == 0:
        return dice.choice(ODDITIES) if dice.random() < 0.5 else dice.randint(-3, 300)
    if choice < 0.8:
        return [some_json(dice, depth - 1) for _ in range(dice.randint(0, 4))]
    return {dice.choice(NAMES): some_json(dice, depth - 1) for _ in range(dice.randint(0, 4))}


def some_request(dice: random.Random) -> bytes:
    """A request that is nearly right."""
    command = dice.choice(COMMANDS)
    args = [some_json(dice, 1) for _ in range(dice.choice((0, 0, 1, 1, 2, 3, 4)))]
    kwargs = {dice.choice(NAMES): some_json(dice, 1) for _ in range(dice.choice((0, 0, 1, 2, 3)))}
    if command == "create_job" and dice.random() < 0.7:
        args = [dice.randint(0, 3) for _ in range(dice.choice((0, 1, 1, 2, 3)))]
        kwargs = {"owner": "me", "keepalive": dice.choice((None, 0.01, 60))} | (
            kwargs if dice.random() < 0.3 else {}
        )
    elif dice.random() < 0.5:
        args, kwargs = [dice.randint(1, 500)], {}
    return json.dumps({"command": command, "args": args, "kwargs": kwargs}).encode() + b"\n"


def some_input(dice: random.Random) -> bytes:
    """Bytes that a client might send."""
    choice = dice.random()
    # What can't be read ends its connection, and with it the state that a longer story builds up.
    if choice < 0.85:
        return some_request(dice)
    if choice < 0.92:
        return damaged(some_request(dice), dice)
    if choice < 0.94:
        return json.dumps(some_json(dice, 4)).encode() + b"\n"
    if choice < 0.98:
        return dice.randbytes(dice.randint(0, 40)) + dice.choice((b"", b"\n", b"\r\n"))
    if choice < 0.999:
        return dice.choice((b"[", b'{"a":', b"\n", b" ", b"9", b'"')) * dice.choice((10, 1000, 5000))
    return b"x" * 70_000


def damaged(data: bytes, dice: random.Random) -> bytes:
    """A copy of `data` with some bytes changed, lost or doubled."""
    damage = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(damage))
        match dice.randrange(4):
            case 0:
                damage[at] = dice.randrange(256)
            case 1:
                del damage[at : at + dice.randint(1, 5)]
            case 2:
                damage[at:at] = damage[at : at + dice.randint(1, 20)]
            case 3:
                damage[at:at] = dice.choice((b'"', b"{", b"}", b"\\u", b"\x00", b"\n", b"1e999", b"NaN"))
        if not damage:
            break
    return bytes(damage)


class Fuzzer:
    """A front, and the nonsense that it is told."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.faults: list[object] = []
        self.inputs = 0
        self.replies = 0
        self.refusals = 0

    async def run(self, inputs: int) -> None:
        """Feed `inputs` inputs.

        Raises:
            AssertionError: The front did not stand it.
        """
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.faults.append(context))
        size = Size(2, 2)
        places = sequential_places(size)
        machine = Machine(
            name="m", size=size, places=places, addresses={board: f"board-{board}" for board in places},
            settle_seconds=0.0, board_retry_seconds=0.01,
        )  # fmt: skip
        site = Site([machine])
        engine = Engine(site, Store(None), InstantHardware(self.dice), SystemClock())
        front = V1Server(engine, Limits())
        engine.start()
        engine.listeners.add(front.watchers)
        end = self.inputs + inputs
        while self.inputs < end:
            await self._connection(front)
            assert not self.faults, self.faults[0]
            if len(site.jobs) > MAX_LIVE_JOBS:
                self._end_jobs(engine)
        self._end_jobs(engine)
        await engine.stop()
        assert front.connections == 0
        watchers = front.watchers
        kept = (
            watchers._of_job,
            watchers._jobs_of,
            watchers._of_machine,
            watchers._machines_of,
            watchers._missed,
            watchers._endings._of_job,
            watchers._endings._jobs_of,
            watchers._endings._untold,
        )
        assert not any(kept), "something is kept of clients that have gone"

    def _end_jobs(self, engine: Engine) -> None:
        for job in list(engine.site.jobs):
            engine.do(DestroyJob(job), SERVER)

    async def _connection(self, front: V1Server) -> None:
        dice = self.dice
        line = Line(ClientConnection(front, front.limits.request_bytes))
        for _ in range(INPUTS_A_CONNECTION):
            data = some_input(dice)
            self.inputs += 1
            cut = dice.randrange(len(data)) if data and dice.random() < 0.3 else len(data)
            for piece in (data[:cut], data[cut:]):
                if piece and not line.closing:
                    line.connection.data_received(piece)
            if dice.random() < 0.05:
                line.connection.pause_writing()
                await asyncio.sleep(0)
                line.connection.resume_writing()
            if line.closing or (line.ended and dice.random() < 0.9):
                break
        if (not line.closing and dice.random() < 0.3) or (
            not line.closing and not line.connection.eof_received()
        ):
            line.close()
        await asyncio.wait_for(line.lost, 60)
        self._check(bytes(line.written))

    def _check(self, written: bytes) -> None:
        assert written.endswith(b"\n") or not written
        for text in Lines().feed(written):
            message = decode_message(text)
            assert isinstance(message, Return | Failure | JobsChanged | MachinesChanged)
            if isinstance(message, Failure):
                self.refusals += 1
                assert message.message.isprintable(), text
                assert "the server failed" not in message.message, text
            self.replies += 1


def main(arguments: list[str]) -> int:
    inputs = int(arguments[0])
    seed = int(arguments[1]) if len(arguments) > 1 else 0
    logging.disable(logging.WARNING)
    fuzzer = Fuzzer(seed)
    asyncio.run(fuzzer.run(1000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    asyncio.run(fuzzer.run(inputs))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{inputs} inputs from seed {seed}: {fuzzer.replies} replies, {fuzzer.refusals} of them refusals, "
        f"{time.perf_counter() - begin:.0f} s; peak memory {before / 1024:.0f} MB before, {after / 1024:.0f} MB after"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
