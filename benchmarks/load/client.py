"""A client that knows just enough of the protocol for its own work to be small compared with a server's."""

import json
import socket
import time
from typing import Any, Self

from benchmarks.programs.address import Address
from benchmarks.suite.measurement import CannotDoError

PATIENCE_SECONDS = 120.0
READY = 3
RECEIVED_BYTES = 1 << 20


def line(command: str, *args: object, **kwargs: object) -> bytes:
    """Return a request's line."""
    return json.dumps({"command": command, "args": args, "kwargs": kwargs}).encode() + b"\n"


class Client:
    """A connection to a server."""

    def __init__(self, address: Address) -> None:
        self._socket = socket.create_connection((address.host, address.port), PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", RECEIVED_BYTES)
        self.changed: list[int] = []
        """Jobs of which it was notified."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send lines."""
        self._socket.sendall(data)

    def read(self) -> bytes:
        """Return the next line."""
        said = self._file.readline()
        if not said:
            raise CannotDoError("the server hung up")
        return said

    def hear(self) -> Any:
        """Return the next reply; record notifications before it."""
        while True:
            message = json.loads(self.read())
            if "return" in message:
                return message["return"]
            if "exception" in message:
                raise CannotDoError(message["exception"])
            self.changed += message.get("jobs_changed", ())

    def call(self, command: str, *args: object, **kwargs: object) -> Any:
        """Send a request and return its reply."""
        self.send(line(command, *args, **kwargs))
        return self.hear()

    def call_many(self, lines: list[bytes], at_once: int = 500) -> list[Any]:
        """Send requests without waiting for each reply."""
        replies = []
        for start in range(0, len(lines), at_once):
            part = lines[start : start + at_once]
            self.send(b"".join(part))
            replies += [self.hear() for _ in part]
        return replies

    def wait_for_change(self) -> None:
        """Wait for a notification of changed jobs."""
        while not self.changed:
            self.changed += json.loads(self.read()).get("jobs_changed", ())
        self.changed.clear()

    def seconds_each(self, request: bytes, times: int) -> float:
        """Return the seconds from sending a line to the last byte of the answer, on average."""
        send, read = self._socket.sendall, self._file.readline
        began = time.perf_counter()
        for _ in range(times):
            send(request)
            if not read():
                raise CannotDoError("the server hung up")
        return (time.perf_counter() - began) / times

    def lines_a_second(self, request: bytes, times: int, at_once: int) -> float:
        """Return how many lines a second are answered when `at_once` of them are on their way.

        What arrives is acknowledged at once, where the system lets that be asked for: a server that leaves Nagle's
        algorithm on would otherwise wait 40 ms for each acknowledgement, and these waits would be what is measured.
        """
        began = time.perf_counter()
        for _ in range(times):
            self.send(request * at_once)
            missing = at_once
            while missing > 0:
                acknowledge_at_once(self._socket)
                said = self._socket.recv(RECEIVED_BYTES)
                if not said:
                    raise CannotDoError("the server hung up")
                missing -= said.count(b"\n")
        return times * at_once / (time.perf_counter() - began)


def acknowledge_at_once(connection: socket.socket) -> None:
    """Let the next packets that arrive be acknowledged without delay, on systems that can be asked to."""
    # The system forgets it whenever something is sent.
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def fill(client: Client, jobs: int, within_seconds: float) -> int:
    """Create as many live jobs as the time allows: one has the whole machine, the others wait for it.

    Returns:
        The number of jobs.
    """
    machine = client.call("list_machines")[0]
    client.call("create_job", machine["width"], machine["height"], owner="me", keepalive=None)
    made, until = 1, time.monotonic() + within_seconds
    request = line("create_job", 3, owner="me", keepalive=None)
    while made < jobs and time.monotonic() < until:
        part = min(100, jobs - made)
        client.call_many([request] * part)
        made += part
    return made


def seconds_to_ready(address: Address, jobs: int) -> float:
    """Return how long it takes from the first `create_job` until all of `jobs` three-board jobs are ready."""
    with Client(address) as client:
        client.call("notify_job")
        began = time.perf_counter()
        waiting = client.call_many([line("create_job", 3, owner="me")] * jobs)
        mine = list(waiting)
        while waiting:
            states = client.call_many([line("get_job_state", job) for job in waiting])
            waiting = [job for job, state in zip(waiting, states, strict=True) if state["state"] != READY]
            if waiting:
                client.wait_for_change()
        taken = time.perf_counter() - began
        client.call("no_notify_job")
        client.call_many([line("destroy_job", job) for job in mine])
    return taken
