"""Many users at once, each of whom creates a job, destroys it, and creates the next."""

import asyncio
import json
import time

from benchmarks.load.client import line
from benchmarks.programs.address import Address
from benchmarks.suite.measurement import CannotDoError
from spalloc_server.runtime import run

CREATE = line("create_job", owner="me")
PATIENCE_SECONDS = 60.0


def pairs_a_second(address: Address, clients: int, seconds: float, *, echoed: bool = False) -> float:
    """Return how many times a second all clients together create a job and destroy it.

    Args:
        address: the server's.
        clients: their number.
        seconds: the time this takes.
        echoed: whether the server only sends back what it receives.
    """
    return run(_pairs(address, clients, seconds, echoed))


async def _pairs(address: Address, clients: int, seconds: float, echoed: bool) -> float:
    streams = [await asyncio.open_connection(address.host, address.port) for _ in range(clients)]
    end = time.perf_counter() + seconds
    done = 0

    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal done
        while time.perf_counter() < end:
            writer.write(CREATE)
            reply = json.loads(await reader.readline())
            job = 7 if echoed else reply["return"]
            writer.write(b'{"command":"destroy_job","args":[%d]}\n' % job)
            await reader.readline()
            done += 1

    began = time.perf_counter()
    try:
        await asyncio.wait_for(asyncio.gather(*(use(*each) for each in streams)), seconds + PATIENCE_SECONDS)
    except TimeoutError:
        raise CannotDoError(f"no answer within {PATIENCE_SECONDS:.0f} s") from None
    taken = time.perf_counter() - began
    for _, writer in streams:
        writer.close()
        await writer.wait_closed()
    return done / taken
