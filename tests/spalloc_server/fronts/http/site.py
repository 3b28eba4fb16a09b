"""A site of virtual boards whose proxy is served by uvicorn in the test's event loop; clients log in by name alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection, connect

from spalloc_client.states import JobState
from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.core.askers import Asker, Login, Role
from spalloc_server.core.commands import CreateJob, DestroyJob, SetPower
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.questions import JobBoards, boards_of_job
from spalloc_server.core.requests import JobRequest, shape_of
from spalloc_server.embedded import machine_of
from spalloc_server.fronts.http.api.app import make_app
from spalloc_server.fronts.http.boards.relay import Proxy
from spalloc_server.fronts.http.boards.streams import Streams
from spalloc_server.fronts.http.connections.server import HttpServer
from spalloc_server.fronts.http.settings import HttpSettings, Limits
from spalloc_server.service import Service
from spinnaker.boot import BOOT_PORT
from spinnaker.geometry import Chip, Size
from spinnaker.scamp import ScampCommand
from spinnaker.scp import ScpRequest
from spinnaker.sdp import Endpoint, SdpHeader
from spinnaker_virtual import Timings, Traffic, VirtualMachine, VirtualSite
from tests.spinnaker_virtual.conversation import Conversation
from tests.spinnaker_virtual.images import scamp_image

HOST = "127.0.0.1"
TRIAD = Size(1, 1)
PATIENCE = 20.0
CSRF = "not-a-secret-here"
FILLING = "0"
"""Makes a name as long as a cookie must be."""
VERSION = ScpRequest(SdpHeader(Endpoint(255, 255, 0)), ScampCommand.VERSION, 1).encode()
"""Asks the board that gets it who it is."""


@dataclass
class Session:
    key: str
    login: Login
    csrf: str = CSRF


class HttpAnswer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Sessions:
    """Who has logged in: everybody whose name is in the cookie, until they are logged out."""

    def __init__(self) -> None:
        self.ended: set[Callable[[str], None]] = set()
        self._over: set[str] = set()
        self.roles: dict[str, Role] = {}

    def of(self, name: str) -> Session:
        return Session(name, Login(name, self.roles.get(name, Role.USER)))

    def session(self, cookie: str) -> Session | None:
        return self.of(cookie.rstrip(FILLING)) if self.is_live(cookie.rstrip(FILLING)) else None

    def is_live(self, key: str) -> bool:
        return key not in self._over

    def log_out(self, key: str) -> None:
        self._over.add(key)
        for tell in list(self.ended):
            tell(key)


class Changes:
    """Wakes whoever waits for a change of jobs."""

    def __init__(self) -> None:
        self.happened = asyncio.Event()

    def jobs_changed(self, jobs: set[int]) -> None:
        self.happened.set()

    def machines_changed(self, machines: set[str]) -> None:
        pass

    def jobs_ending(self, jobs: set[int]) -> None:
        pass


class ServedSite:
    def __init__(
        self,
        service: Service,
        sessions: Sessions,
        proxy: Proxy,
        port: int,
        v1: tuple[str, int],
        packets: list[str],
    ) -> None:
        self.service = service
        self.engine = service.engine
        self.sessions = sessions
        self.proxy = proxy
        self.port = port
        self.v1 = v1
        self.packets = packets
        """A line for each SCP packet of the boards."""
        self.changes = Changes()
        self.engine.listeners.add(self.changes)

    def by(self, name: str) -> Asker:
        return Asker(HOST, self.sessions.of(name).login)

    def record(self, job: int) -> JobRecord | None:
        live = self.engine.site.jobs.get(job)
        return live.record if live is not None else self.engine.ended_record(job)

    def boards(self, job: int) -> JobBoards:
        record = self.record(job)
        assert record is not None
        boards = boards_of_job(self.engine.site, record)
        assert boards is not None
        return boards

    async def until(self, happens: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not happens():
                self.changes.happened.clear()
                await self.changes.happened.wait()

    async def create(self, name: str, *args: int, ready: bool = True) -> int:
        request = JobRequest(shape_of(args))
        job = self.engine.do(CreateJob(request, Asked(args, {}), name, None), self.by(name)).value
        if ready:
            await self.until_state(job, JobState.ready)
        return job

    async def until_state(self, job: int, state: JobState) -> None:
        def is_so() -> bool:
            record = self.record(job)
            return record is not None and record.state is state

        await self.until(is_so)

    def destroy(self, job: int, name: str, reason: str = "done") -> None:
        self.engine.do(DestroyJob(job, reason), self.by(name))

    def power(self, job: int, name: str, *, on: bool) -> None:
        self.engine.do(SetPower(job, on), self.by(name))

    async def boot(self, job: int) -> None:
        """Boot a job's boards; again, where packets are lost."""
        address = self.boards(job).addresses[Chip(0, 0)]
        with Conversation(address, BOOT_PORT) as rom, Conversation(address) as root:
            for _ in range(20):
                for packet in scamp_image().packets():
                    await rom.tell(packet.encode())
                with suppress(TimeoutError):
                    await root.ask(VERSION, patience=1.0)
                    return
            raise AssertionError("the boards do not boot")

    def connect(self, job: int | str, name: str | None, **options: Any) -> connect:
        headers = {} if name is None else {"Cookie": cookie_of(name)}
        address = f"ws://{HOST}:{self.port}/spalloc/proxy/{job}"
        options = {"compression": None, "proxy": None, "ping_interval": None} | options
        return connect(address, additional_headers=headers, **options)

    async def ask(self, name: str, method: str, path: str, body: bytes = b"", **headers: str) -> HttpAnswer:
        """Make a request of a job's resource, on a connection of its own."""
        lines = {"Host": HOST, "Cookie": cookie_of(name), "X-CSRF-TOKEN": CSRF, "Connection": "close"}
        lines |= {"Content-Length": str(len(body)), "Content-Type": "application/octet-stream"} | headers
        head = f"{method} /spalloc/srv/spalloc/jobs/{path} HTTP/1.1\r\n"
        head += "".join(f"{key}: {value}\r\n" for key, value in lines.items() if value)
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            writer.write(head.encode() + b"\r\n" + body)
            answer = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
        start, _, content = answer.partition(b"\r\n\r\n")
        status, *rest = start.decode().split("\r\n")
        told = dict(line.lower().split(": ", 1) for line in rest)
        return HttpAnswer(int(status.split()[1]), told, content)


def cookie_of(name: str) -> str:
    return f"JSESSIONID={name.ljust(32, FILLING)}"


@asynccontextmanager
async def served_site(
    size: Size = TRIAD,
    *,
    limits: Limits | None = None,
    streams: Streams | None = None,
    machine: VirtualMachine | None = None,
) -> AsyncIterator[ServedSite]:
    packets: list[str] = []
    virtual = machine or VirtualMachine(size=size, timings=Timings.instant())
    async with VirtualSite(virtual, log=packets.append, log_only={Traffic.BOARD}) as boards:
        service = Service(Configuration(state=None, machines=(machine_of(boards),), v1=Listening(0, (HOST,))))
        v1 = await service.start(all_off=True)
        sessions = Sessions()
        proxy = Proxy(service.engine, sessions, limits, streams)
        app = make_app(service.engine, sessions, proxy)  # type: ignore[arg-type]
        server = HttpServer(app, HttpSettings(port=0), service.engine.presence, Neighbours())
        await server.start()
        try:
            yield ServedSite(service, sessions, proxy, server.addresses[0][1], v1, packets)
        finally:
            app.stop()
            proxy.stop()
            await server.stop()
            await service.stop()


__all__ = ["HOST", "PATIENCE", "ClientConnection", "ServedSite", "served_site"]
