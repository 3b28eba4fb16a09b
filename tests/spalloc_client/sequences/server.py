"""A server with a small world of jobs, that does one thing wrong when it is told to.

What is true of the world is asked of the same object, so that an answer can be held against it.
"""

import json
import socket
import threading
from dataclasses import dataclass, field
from typing import Any, Self

QUEUED, POWER, READY, DESTROYED = 1, 2, 3, 4
BOARDS: dict[str, Any] = {
    "hostname": "10.0.0.1",
    "width": 16,
    "height": 16,
    "connections": [[[0, 0], "10.0.0.1"], [[8, 4], "10.0.0.9"], [[4, 8], "10.0.0.17"]],
    "machine_name": "m",
    "boards": [[0, 0, 0], [0, 0, 1], [0, 0, 2]],
}
PLACE = [0, 0, 5]
WITHOUT_BOARDS = dict.fromkeys(BOARDS)

Outcome = list[Any]
"""`["value", ...]`, `["error", class]` or `["hangs"]`."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one reply."""

    kind: str
    """`delay`, `split`, `noise`, `late`, `missing`, `refuse`; with the connection closed, `drop` (nothing was done),
    `lost` (it was done) and `cut` (it was done, and half of the reply came)."""
    seconds: float = 0.0
    after: int = 0
    """How many requests of the call are answered well first."""


@dataclass
class _Job:
    state: int = QUEUED
    power: bool | None = None
    reason: str | None = None


@dataclass
class _World:
    jobs: dict[int, _Job] = field(default_factory=dict)
    watchers: set[socket.socket] = field(default_factory=set)


class FaultyServer:
    """Serves one client at a time; runs while it is entered."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.RLock()
        self._world = _World()
        self._fault: Fault | None = None
        self._passed = 0
        self._connections: set[socket.socket] = set()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()
        self.begin()

    def begin(self) -> None:
        """Forget everything, for another sequence."""
        with self._lock:
            self._world = _World()
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def arm(self, fault: Fault | None) -> bool:
        """Have something go wrong with the next call; whether what was to go wrong before has."""
        with self._lock:
            waiting, self._fault, self._passed = self._fault, fault, 0
            return waiting is None

    def change(self, event: str) -> None:
        """Something happens to the newest job, if it has not ended; those who watch are told."""
        with self._lock:
            job = self._world.jobs.get(len(self._world.jobs))
            if job is None or job.state == DESTROYED:
                return
            if event == "destroyed":
                job.state, job.power, job.reason = DESTROYED, None, "by an administrator"
            elif job.state in (QUEUED, POWER):
                job.state, job.power = job.state + 1, True
            self._tell()

    def live_jobs(self) -> list[int]:
        """The jobs that have not ended."""
        with self._lock:
            return [number for number, job in self._world.jobs.items() if job.state != DESTROYED]

    def truth(self, call: str, args: list[Any]) -> Outcome:
        """What a call about the newest job should come to, as things are."""
        with self._lock:
            job = self._world.jobs.get(len(self._world.jobs), _Job(state=0))
        info = BOARDS if job.state in (POWER, READY) else WITHOUT_BOARDS
        if call in ("state", "power", "reason"):
            return ["value", getattr(job, call)]
        if call == "connections" and info[call] is not None:
            return ["value", sorted([*where, name] for where, name in info[call])]
        if call in info:
            return ["value", info[call]]
        if call == "wait_for_state_change":
            return ["value", job.state]
        if call == "wait_until_ready":
            ends = {READY: ["value", None], DESTROYED: ["error", "JobDestroyedError"]}
            return ends.get(job.state, ["error", "StateChangeTimeoutError"])
        if call == "where_is_machine":
            return ["value", PLACE] if info is BOARDS else ["error", "ValueError"]
        return ["value", None]

    def _tell(self) -> None:
        for connection in list(self._world.watchers):
            self._send(connection, b'{"jobs_changed": [%d]}\n' % len(self._world.jobs))

    def _send(self, connection: socket.socket, data: bytes) -> None:
        try:
            with self._lock:
                connection.sendall(data)
        except OSError:
            pass  # it has gone

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        world = self._world
        try:
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    if not self._answer(connection, world, request):
                        connection.shutdown(socket.SHUT_RDWR)
                        return
        except (OSError, ValueError):
            return  # it has gone, or was closed between two sequences
        finally:
            with self._lock:
                world.watchers.discard(connection)

    def _answer(self, connection: socket.socket, world: _World, request: dict[str, Any]) -> bool:
        """Answer a request, as well as the fault lets; whether the connection stays."""
        fault = self._take_fault()
        kind = fault.kind if fault else ""
        if kind == "drop":
            return False
        if kind == "refuse":
            reply = b'{"exception": "not today"}\n'
        else:
            with self._lock:
                value = self._do(connection, world, request)
            reply = json.dumps({"return": value}).encode() + b"\n"
        if fault is None:
            self._send(connection, reply)
        elif kind in ("delay", "late"):
            self._ended.wait(fault.seconds)
            self._send(connection, reply)
        elif kind == "noise":
            self._send(connection, b'{"jobs_changed": [999]}\n' + reply)
        elif kind == "split":
            for start in range(0, len(reply), 9):
                self._send(connection, reply[start : start + 9])
                self._ended.wait(fault.seconds)
        elif kind == "cut":
            self._send(connection, reply[: len(reply) // 2])
        elif kind not in ("missing", "lost"):
            self._send(connection, reply)
        return kind not in ("cut", "lost")

    def _take_fault(self) -> Fault | None:
        with self._lock:
            fault = self._fault
            if fault is None or self._passed < fault.after:
                self._passed += 1
                return None
            self._fault = None
            return fault

    def _do(self, connection: socket.socket, world: _World, request: dict[str, Any]) -> Any:
        command, args = request["command"], request["args"]
        if command == "version":
            return "1.0.0"
        if command == "create_job":
            world.jobs[len(world.jobs) + 1] = _Job()
            return len(world.jobs)
        if command == "where_is":
            job = world.jobs[request["kwargs"]["job_id"]]
            return {"physical": PLACE, "logical": [0, 0, 0]} if job.state in (POWER, READY) else None
        job = world.jobs.get(args[0], _Job(state=0)) if args else _Job(state=0)
        if command == "get_job_state":
            return {
                "state": job.state,
                "power": job.power,
                "keepalive": None,
                "reason": job.reason,
                "start_time": 1.5,
                "keepalivehost": None,
            }
        if command == "get_job_machine_info":
            return BOARDS if job.state in (POWER, READY) else WITHOUT_BOARDS
        if command == "notify_job":
            world.watchers.add(connection)
        elif command in ("power_on_job_boards", "power_off_job_boards") and job.state in (POWER, READY):
            job.state, job.power = READY, command == "power_on_job_boards"
            self._tell()
        elif command == "destroy_job" and job.state != DESTROYED:
            job.state, job.power, job.reason = DESTROYED, None, args[1] if len(args) > 1 else None
            self._tell()
        return None
