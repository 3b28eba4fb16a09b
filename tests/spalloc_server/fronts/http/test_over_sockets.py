"""The whole front over real connections: what only shows with the HTTP server between a client and the application."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from spalloc_server.fronts.http.connections.server import HttpServer
from spalloc_server.fronts.http.settings import HttpSettings
from spalloc_server.fronts.v1.server import V1Server
from tests.spalloc_server.fronts.http import wire
from tests.spalloc_server.fronts.http.service import Service, job
from tests.spalloc_server.fronts.http.service import run as run_service
from tests.spalloc_server.fronts.test_front import Peer


class Front:
    """A service that listens, and the headers of somebody who has logged in."""

    def __init__(self, service: Service, server: HttpServer) -> None:
        self.service = service
        self._port = server.addresses[0][1]
        self.headers: list[str] = []

    async def connect(self) -> wire.Client:
        return wire.Client(*await asyncio.open_connection("127.0.0.1", self._port))

    async def log_in(self) -> None:
        client = await self.service.log_in("alice", "127.0.0.1")
        self.headers = [f"Cookie: JSESSIONID={client.cookie}", f"X-CSRF-TOKEN: {client.csrf}"]

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        head = [f"{method} /spalloc/srv/spalloc/{path} HTTP/1.1", "Host: here", *self.headers]
        if method in ("POST", "PUT"):
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body


def run(test: Callable[[Front], Coroutine[Any, Any, None]]) -> None:
    async def served(service: Service) -> None:
        engine = service.engine
        server = HttpServer(service.app, HttpSettings(port=0), engine.presence, engine.site.neighbours)
        await server.start()
        try:
            front = Front(service, server)
            await front.log_in()
            await test(front)
        finally:
            service.app.stop()
            await server.stop()

    run_service(served)


def test_jobs_come_and_go_on_one_connection() -> None:
    async def test(front: Front) -> None:
        client = await front.connect()
        for number in range(1, 4):
            await client.send(front.request("POST", "jobs/", json.dumps(job()).encode()))
            status, headers, _ = await client.answer()
            assert (status, headers["location"]) == (201, f"http://here/spalloc/srv/spalloc/jobs/{number}")
            await client.send(front.request("DELETE", f"jobs/{number}/?reason=done"))
            assert (await client.answer())[0] == 204
        client.writer.close()

    run(test)


def test_a_wait_is_answered_and_its_connection_goes_on() -> None:
    async def test(front: Front) -> None:
        client, other = await front.connect(), await front.connect()
        await client.send(front.request("GET", "jobs?wait=true"))
        await wire.until(lambda: len(front.service.app.polls) == 1)
        await other.send(front.request("POST", "jobs", json.dumps(job()).encode()))
        assert (await other.answer())[0] == 201
        status, _, body = await client.answer()
        assert (status, json.loads(body)["jobs"]) == (200, ["http://here/spalloc/srv/spalloc/jobs/1"])
        await client.send(front.request("GET", "machines"))
        assert (await client.answer())[0] == 200
        assert len(front.service.app.polls) == 0
        for one in (client, other):
            one.writer.close()

    run(test)


def test_a_client_that_hangs_up_waits_no_more() -> None:
    async def test(front: Front) -> None:
        clients = [await front.connect() for _ in range(10)]
        for client in clients:
            await client.send(front.request("GET", "machines/big%20one?wait=true"))
        await wire.until(lambda: len(front.service.app.polls) == 10)
        for client in clients:
            client.writer.transport.abort()
        await wire.until(lambda: len(front.service.app.polls) == 0)

    run(test)


def test_a_body_that_is_too_long_is_refused_before_it_is_whole() -> None:
    async def test(front: Front) -> None:
        client = await front.connect()
        head = front.request("POST", "jobs").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        await client.send(head)
        for _ in range(3):
            await client.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        status, _, body = await client.answer()
        assert (status, body) == (413, b"the body is longer than the 65536 bytes that are allowed here")
        assert await client.rest() == b""
        client.writer.close()

    run(test)


def test_waits_are_answered_when_the_server_stops() -> None:
    async def test(front: Front) -> None:
        client = await front.connect()
        await client.send(front.request("GET", "jobs?wait=true"))
        await wire.until(lambda: len(front.service.app.polls) == 1)
        front.service.app.stop()
        assert (await client.answer())[0] == 503
        client.writer.close()

    run(test)


@pytest.mark.parametrize(
    "path",
    [
        "/spalloc/../etc/passwd",
        "/spalloc/%2e%2e/srv/spalloc",
        "/spalloc/srv/spalloc/..%2fspalloc",
        "/spalloc/system/static/api.js",
        "/spalloc/system/..%2f..%2fapp.py",
        "/spalloc/srv/spalloc/jobs/1%00",
        "/spalloc/srv/spalloc/jobs/1%0d%0aX: y",
        "/spalloc/srv/spalloc/jobs/1;x=1",
        "/spalloc/srv/spalloc/jobs/%ff",
        "/spalloc/srv/spalloc/machines/%2e%2e",
        "/SPALLOC/srv/spalloc",
        "*",
        "http://elsewhere/other",
    ],
)
def test_no_path_leads_out_or_makes_the_server_fail(path: str) -> None:
    async def test(front: Front) -> None:
        client = await front.connect()
        lines = [f"GET {path.replace(' ', '%20')} HTTP/1.1", "Host: here", *front.headers, "", ""]
        await client.send("\r\n".join(lines).encode())
        status, headers, body = await client.answer()
        assert status in (400, 404)
        assert "x" not in headers
        assert b"root:" not in body
        client.writer.close()

    run(test)


def test_a_job_is_the_same_by_v1_and_over_http_and_both_hear_of_it() -> None:
    async def test(front: Front) -> None:
        service = front.service
        v1 = V1Server(service.engine)
        _, port = await v1.start("127.0.0.1", 0)
        peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
        alice = await service.log_in("alice", "127.0.0.1")
        url = await alice.create(num_boards=3, time_limit="PT1H")
        await service.becomes(alice, url, "READY")
        (listed,) = await peer.call("list_jobs")
        (seen,) = (await alice.get("srv/spalloc/jobs?details=true")).json["details"]
        assert (listed["job_id"], listed["owner"], listed["state"]) == (1, "alice", 3)
        assert listed["boards"] == seen["boards"] == (await peer.call("get_job_machine_info", 1))["boards"]
        assert listed["allocated_machine_name"] == seen["machine-name"] == "big one"
        assert listed["time_limit"] == seen["time-limit"] == 3600.0
        assert (listed["args"], listed["kwargs"]) == ([3], {"tags": ["default"]})
        await peer.call("notify_job", 1)
        wait = alice.begin("GET", f"{url}?wait=true")
        await wait.asked.wait()
        peer.send({"command": "destroy_job", "args": [1]})
        assert "belongs to an account" in (await peer.line())["exception"]
        await alice("DELETE", f"{url}?reason=done")
        assert await peer.line() == {"jobs_changed": [1]}
        assert (await wait.answer()).json["reason"] == "done"
        state = await peer.call("get_job_state", 1)
        assert (state["state"], state["reason"]) == (4, "done")
        peer.writer.close()
        await v1.stop()

    run(test)


def test_a_request_whose_session_ends_while_its_body_comes_is_not_done() -> None:
    async def test(front: Front) -> None:
        client = await front.connect()
        body = json.dumps(job()).encode()
        whole = front.request("POST", "jobs", body)
        await client.send(whole[:-5])
        await wire.until(lambda: len(front.service.app.under_way) == 1)
        session = front.service.people.session(front.headers[0].partition("JSESSIONID=")[2])
        assert session is not None
        front.service.people.log_out(session)
        await client.send(whole[-5:])
        status, _, said = await client.answer()
        assert (status, said) == (401, b"this session has ended; log in again")
        assert not front.service.engine.site.jobs
        client.writer.close()

    run(test)
