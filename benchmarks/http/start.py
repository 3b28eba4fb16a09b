"""What a server costs that serves HTTP, beside one that doesn't: the time until its first answer, and its memory."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from benchmarks.load.client import Client
from benchmarks.programs.ours import OurServer, site
from benchmarks.programs.process import resident_bytes, wait_until_idle
from benchmarks.suite.measurement import OURS, WITHOUT_HTTP, Effort, Measurement, Scene, Take, Unit
from spalloc_server.fronts.http.connections.authority import make_certificate

START = Measurement(
    name="http/start",
    work="from the start of a server that serves HTTPS to its first answer over v1",
    unit=Unit.SECONDS,
    limits=(WITHOUT_HTTP,),
    rounds=15,
    quick_rounds=3,
    reason="The libraries for HTTP and TLS are imported only where `[http]` is configured.",
)
MEMORY = Measurement(
    name="http/memory",
    work="memory of a server that serves HTTPS, 1,200 boards, no jobs, no clients",
    unit=Unit.BYTES,
    limits=(WITHOUT_HTTP,),
    rounds=5,
    quick_rounds=1,
    reason="The libraries for HTTP and TLS are imported only where `[http]` is configured.",
)


def starts(_: Effort) -> Generator[Scene, None, None]:
    """Measure both servers, which have the same boards one after the other."""
    with site(20, 20) as (machine, folder):
        servers = {
            OURS: _with_https(machine, folder / "with"),
            WITHOUT_HTTP: _without(machine, folder / "without"),
        }
        yield START, {one: Take(lambda server=server: _started(server)[0]) for one, server in servers.items()}
        yield (
            MEMORY,
            {one: Take(lambda server=server: _started(server)[1]) for one, server in servers.items()},
        )


def _without(machine: dict[str, Any], folder: Path) -> OurServer:
    folder.mkdir()
    return OurServer(machine, folder)


def _with_https(machine: dict[str, Any], folder: Path) -> OurServer:
    made = make_certificate(folder / "tls", ["localhost"])
    server = OurServer(machine, folder)
    with (folder / "site.toml").open("a") as file:
        file.write(f'\n[http]\nport = 0\ncertificate = "{made.certificate}"\nkey = "{made.key}"\n')
    return server


def _started(server: OurServer) -> tuple[float, float]:
    """Start a server, and kill it; return the seconds until it answered, and its memory once it has nothing to do."""
    began = time.perf_counter()
    with server.running() as address:
        with Client(address) as client:
            client.call("version")
        taken = time.perf_counter() - began
        wait_until_idle(address.pid)
        return taken, resident_bytes(address.pid)
