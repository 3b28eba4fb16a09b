"""Processes that tests and benchmarks of the server talk to: virtual boards in one, `spalloc-server` in another.

The server is started as an administrator starts it. It has a process to itself, so that it can be killed and
measured without the boards.

`python -m tests.processes WIDTH HEIGHT` runs virtual boards.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.config.writing import to_toml
from spalloc_server.core.machine import Machine
from spalloc_server.embedded import machine_of
from spalloc_server.runtime import run
from spinnaker.geometry import Board, Size
from spinnaker.places import Frame, Place
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite

SERVER = (sys.executable, "-c", "from spalloc_server.scripts.server import main; raise SystemExit(main())")

# All clients of a test or benchmark are on this computer.
_LIMITS = """
[v1.limits]
connections_from_one_address = 16384
[jobs]
queued_from_one_host = 15000
"""


# Servers


@dataclass(slots=True)
class ServerProcess:
    """A server that accepts connections."""

    process: "subprocess.Popen[str]"
    host: str
    port: int
    before: "dict[str, str]"
    """Ports that the log named before the one for clients, by their purpose."""
    start: str = ""
    """The log up to the line that names the port for clients."""

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal and return the exit status and the rest of the log."""
        self.process.send_signal(number)
        _, log = self.process.communicate()
        return self.process.returncode, log


def started(arguments: Sequence[str]) -> ServerProcess:
    """Start `spalloc-server` with `arguments`, and return it when it accepts connections."""
    process = subprocess.Popen(
        [*SERVER, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        found = re.search(r"listening on (\S+) port (\d+)", line)
        if found:
            start = "".join(lines)
            before = re.findall(r"(\w+) (?:are|is) served on \S+ port (\d+)", start)
            return ServerProcess(process, found[1], int(found[2]), dict(before), start)
    process.wait()
    process.stderr.close()
    raise AssertionError("the server ended before it listened:\n" + "".join(lines))


def kill(server: ServerProcess) -> None:
    """End a server at once, if it has not ended."""
    if server.process.poll() is None:
        server.process.kill()
    server.process.wait()
    assert server.process.stderr is not None
    server.process.stderr.close()


def log_until(server: ServerProcess, pattern: str) -> list[str]:
    """Wait for a line of a server's log that contains a pattern; return all lines since the last wait."""
    lines = []
    assert server.process.stderr is not None
    for line in server.process.stderr:
        lines.append(line)
        if re.search(pattern, line):
            return lines
    raise AssertionError(f"the log ended without {pattern!r}:\n{''.join(lines)}")


@contextlib.contextmanager
def spalloc_server(arguments: Sequence[str]) -> Iterator[ServerProcess]:
    """Run `spalloc-server` with `arguments` until the block ends."""
    server = started(arguments)
    try:
        yield server
    finally:
        kill(server)


def configured(machine: dict, folder: Path, state: Path | None = None, port: int = 0) -> list[str]:
    """Write a configuration of a machine into a folder; return the arguments of `spalloc-server` that serve it."""
    path = folder / "site.toml"
    configuration = Configuration(state=None, machines=(machine_of_boards(machine),), v1=Listening(port))
    path.write_text(to_toml(configuration) + _LIMITS)
    return [str(path), "--state", str(state or folder / "state")]


@contextlib.contextmanager
def server(machine: dict, state: Path | None = None, port: int = 0) -> Iterator[dict]:
    """Run our server for a machine that `boards` gave; gives `host`, `port` and `pid`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        spalloc_server(configured(machine, Path(folder), state, port)) as running,
    ):
        assert running.process.stderr is not None
        threading.Thread(target=drain, args=(running.process.stderr,), daemon=True).start()
        yield {"host": running.host, "port": running.port, "pid": running.process.pid}
        running.process.terminate()
        running.process.wait()


def drain(log: IO[str]) -> None:
    """Read a log to its end, so that its writer never waits."""
    with contextlib.suppress(ValueError):
        for _ in log:
            pass


def open_sockets(process: int) -> list[str]:
    """Return the names of the process's open sockets in /proc."""
    directory = f"/proc/{process}/fd"
    links = [os.readlink(f"{directory}/{name}") for name in os.listdir(directory)]  # noqa: PTH115, PTH208
    return [link for link in links if link.startswith("socket:")]


# Boards


@contextlib.contextmanager
def boards(width: int, height: int) -> Iterator[dict]:
    """Run virtual boards that do everything at once; gives a machine for `server`."""
    command = [sys.executable, "-m", "tests.processes", str(width), str(height)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def described(machine: Machine) -> dict:
    """Return a machine in a form that JSON can hold."""
    return {
        "size": machine.size,
        "places": [[board, place] for board, place in machine.places.items()],
        "addresses": [[board, address] for board, address in machine.addresses.items()],
        "bmps": [[frame, address] for frame, address in machine.bmps.items()],
    }


def machine_of_boards(description: dict) -> Machine:
    return Machine(
        name="virtual",
        size=Size(*description["size"]),
        places={Board(*board): Place(*place) for board, place in description["places"]},
        addresses={Board(*board): address for board, address in description["addresses"]},
        bmps={Frame(*frame): address for frame, address in description["bmps"]},
        settle_seconds=0.0,
    )


async def _run_boards(width: int, height: int) -> None:
    async with VirtualSite(VirtualMachine(size=Size(width, height), timings=Timings.instant())) as site:
        print(json.dumps(described(machine_of(site))), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    run(_run_boards(int(sys.argv[1]), int(sys.argv[2])))
