# Processes that tests and benchmarks of the server talk to: virtual boards in one, the server in another.
#
# The server has a process to itself, as at a site, so that it can be killed and measured without the boards.
"""Run a part of a site in this process: `python -m tests.processes boards|server OPTIONS`."""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from spalloc_server.clock import SystemClock
from spalloc_server.core.machine import Machine
from spalloc_server.core.site import Site
from spalloc_server.embedded import machine_of
from spalloc_server.engine import Engine
from spalloc_server.fronts.v1.limits import Limits
from spalloc_server.fronts.v1.server import V1Server
from spalloc_server.hardware.bmps import Bmps
from spalloc_server.loop import run
from spalloc_server.store.database import Store
from spinnaker.geometry import Board, Size
from spinnaker.places import Frame, Place
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[dict]:
    """Start this module in a process; gives what it says of itself, and ends it afterwards."""
    command = [sys.executable, "-m", "tests.processes", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline()) | {"pid": process.pid}
        finally:
            process.stdin.close()
            process.wait()


@contextlib.contextmanager
def boards(width: int, height: int) -> Iterator[dict]:
    """Run virtual boards that do everything at once; gives a machine for `server`."""
    with _process("boards", str(width), str(height)) as machine:
        yield machine


@contextlib.contextmanager
def server(machine: dict, state: Path | None = None, port: int = 0) -> Iterator[dict]:
    """Run our server for a machine; gives `host`, `port` and `pid`."""
    with _process(*server_arguments(machine, state, port)) as address:
        yield address


def server_arguments(machine: dict, state: Path | None = None, port: int = 0) -> list[str]:
    """Return the arguments of this module that run our server for a machine."""
    return ["server", json.dumps(machine), str(state or ""), str(port)]


def described(machine: Machine) -> dict:
    """Return a machine as JSON can say it."""
    return {
        "size": machine.size,
        "places": [[board, place] for board, place in machine.places.items()],
        "addresses": [[board, address] for board, address in machine.addresses.items()],
        "bmps": [[frame, address] for frame, address in machine.bmps.items()],
    }


def _machine(description: dict) -> Machine:
    return Machine(
        name="virtual",
        size=Size(*description["size"]),
        places={Board(*board): Place(*place) for board, place in description["places"]},
        addresses={Board(*board): address for board, address in description["addresses"]},
        bmps={Frame(*frame): address for frame, address in description["bmps"]},
        settle_seconds=0.0,
    )


async def _told_to_end() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _boards(width: int, height: int) -> None:
    async with VirtualSite(VirtualMachine(size=Size(width, height), timings=Timings.instant())) as site:
        print(json.dumps(described(machine_of(site))), flush=True)
        await _told_to_end()


async def _server(description: dict, state: Path | None, port: int) -> None:
    machine = _machine(description)
    store = Store(state)
    engine = Engine(Site([machine]), store, Bmps([machine]), SystemClock())
    # All clients of a test or benchmark are on this computer.
    front = V1Server(engine, Limits(connections_from_one_address=Limits().connections))
    engine.start()
    host, port = await front.start("127.0.0.1", port)
    print(json.dumps({"host": host, "port": port}), flush=True)
    try:
        await _told_to_end()
    finally:
        front.stop_listening()
        await engine.stop()
        await front.stop()
        store.close()


def main() -> None:
    """Run the part that is named."""
    parser = argparse.ArgumentParser()
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("boards")
    part.add_argument("width", type=int)
    part.add_argument("height", type=int)
    part = parts.add_parser("server")
    part.add_argument("machine")
    part.add_argument("state")
    part.add_argument("port", type=int)
    arguments = parser.parse_args()
    if arguments.part == "boards":
        run(_boards(arguments.width, arguments.height))
    else:
        state = Path(arguments.state) if arguments.state else None
        run(_server(json.loads(arguments.machine), state, arguments.port))


if __name__ == "__main__":
    main()
