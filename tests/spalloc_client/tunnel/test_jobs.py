"""`Job.tunnel()` and `Job.connect()`, blocking and asyncio, with the double of the Java service and with our own."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from spalloc_client import Job, JobState, ProtocolError, aio, booting
from spalloc_client.job_answers import NO_BOARDS
from spalloc_client.tunnel.doors import boards_of
from spalloc_server.embedded import EmbeddedSite
from spinnaker.geometry import Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.doubles.service import JavaService
from tests.spalloc_client.tunnel.reach import boot
from tests.spalloc_client.tunnel.test_tunnel import answers
from tests.spalloc_server.fronts.http.site import VERSION

PATIENCE = 20.0
MACHINE = VirtualMachine(size=Size(2, 2), timings=Timings.instant())


class Service(NamedTuple):
    url: str
    username: str
    password: str
    double: JavaService | None

    @property
    def options(self) -> dict[str, Any]:
        return {
            "hostname": self.url,
            "username": self.username,
            "password": self.password,
            "config_filenames": [],
        }


@pytest.fixture(params=["the Java service's double", "our server"])
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Each service in turn, which this process believes."""
    if request.param == "our server":
        with EmbeddedSite(machine=MACHINE, https=True) as site:
            https = site.https
            assert https is not None
            monkeypatch.setenv("SSL_CERT_FILE", str(https.bundle))
            yield Service(https.url, https.user, https.password, None)
    else:
        with JavaService(machines={"big": MACHINE}) as double:
            monkeypatch.setenv("SSL_CERT_FILE", str(double.bundle))
            yield Service(double.url, double.user, double.password, double)


def test_a_jobs_boards_are_within_reach_while_its_tunnel_is_open(service: Service) -> None:
    with Job(3, **service.options) as job:
        before = job.connections
        with job.tunnel(ports=[20000]) as tunnel:
            assert job.connections == tunnel.connections
            assert job.hostname == tunnel.hostname == job.machine_info().hostname
            assert not set(job.connections.values()) & set(before.values())
            assert tunnel.addresses[0, 0][20000] == (job.hostname, 20000)
            asyncio.run(boot(job.hostname or ""))
            assert asyncio.run(answers(job.connections[8, 4]))
            with job.connect(4, 8) as channel:
                channel.send(VERSION)
                assert b"SC&MP" in channel.receive(PATIENCE)
        assert job.connections == before


def test_a_job_gives_channels_without_a_tunnel(service: Service) -> None:
    with Job(3, **service.options) as job:
        asyncio.run(boot(job.hostname or ""))
        with job.connect(8, 4) as one, job.connect(0, 0) as other:
            for channel in (one, other):
                channel.send(VERSION)
                assert b"SC&MP" in channel.receive(PATIENCE)
            with pytest.raises(
                TimeoutError, match=r"nothing came from port 17893 of board \(0, 0\) in 0.01 s"
            ):
                other.receive(0.01)
        assert job.hostname == job.connections[0, 0]


def test_the_same_for_asyncio(service: Service) -> None:
    async def task() -> None:
        async with aio.Job(3, **service.options) as job:
            before = await job.connections
            async with job.tunnel() as tunnel:
                assert await job.connections == tunnel.connections != before
                assert await job.hostname == tunnel.hostname
                await boot(tunnel.connections[0, 0])
                assert await answers(tunnel.connections[8, 4])
            assert await job.connections == before
            with await job.connect(8, 4) as channel:
                channel.send(VERSION)
                assert b"SC&MP" in await channel.receive(PATIENCE)

    asyncio.run(task())


def test_a_tunnel_that_is_left_open_ends_with_its_job(service: Service) -> None:
    with Job(1, **service.options) as job:
        tunnel = job.tunnel()
        tunnel.start()
    assert not tunnel.is_open


def test_a_board_is_reported_by_the_address_that_a_tunnel_gives_it(service: Service) -> None:
    with Job(3, **service.options) as job, job.tunnel() as tunnel:
        job.report_problem("smells", tunnel.connections[8, 4])
        with pytest.raises(ValueError, match="must name a board of job"):
            job.report_problem("smells", "127.0.0.1")


def test_a_tunnel_logs_in_again_when_the_session_of_its_job_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with JavaService(machines={"big": MACHINE}) as double:
        monkeypatch.setenv("SSL_CERT_FILE", str(double.bundle))
        options = Service(double.url, double.user, double.password, double).options
        with Job(3, **options) as job, job.tunnel() as tunnel:
            asyncio.run(boot(tunnel.connections[0, 0]))
            (before,) = double.call(lambda: set(double.websockets.live))
            double.end_sessions()
            while before in double.call(lambda: set(double.websockets.live)):
                pass
            assert asyncio.run(answers(tunnel.connections[8, 4]))
            assert job.state == JobState.ready


@pytest.mark.parametrize("leave", ["destroy", "close"])
def test_a_tunnel_that_can_not_be_closed_keeps_no_job(
    service: Service, monkeypatch: pytest.MonkeyPatch, leave: str
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    job = Job(1, **service.options)
    job.wait_until_ready()
    tunnel = job.tunnel()
    with tunnel, monkeypatch.context() as patched:
        patched.setattr(type(tunnel), "stop", interrupted)
        with pytest.raises(KeyboardInterrupt):
            getattr(job, leave)()
        assert job._helper is None
    if leave == "close":
        job.destroy()


def test_a_token_opens_a_tunnel_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with JavaService(machines={"big": MACHINE}) as double:
        monkeypatch.setenv("SSL_CERT_FILE", str(double.bundle))
        with (
            Job(1, hostname=double.url, token=double.token, config_filenames=[]) as job,
            job.tunnel() as tunnel,
        ):
            asyncio.run(boot(tunnel.connections[0, 0]))


def test_boards_are_booted_through_the_tunnel(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    booted: list[str | None] = []
    monkeypatch.setattr(booting, "boot", booted.append)
    with Job(1, **service.options) as job, job.tunnel() as tunnel:
        job.boot()
        assert booted == [tunnel.hostname]


def test_no_log_shows_what_says_who_asks(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Job(1, **service.options) as job, job.tunnel():
        session = job._client.session
        assert session is not None
        headers = session.headers
        secrets = [value for pair in headers["cookie"].split("; ") for value in pair.split("=")[1:]]
    assert secrets
    shown = [
        line
        for line in caplog.text.splitlines()
        if any(secret in line for secret in [*secrets, service.password])
    ]
    assert shown == []


def test_without_a_service_there_is_no_tunnel() -> None:
    with EmbeddedSite(1, 1) as site:
        with Job(1, hostname=site.hostname, port=site.port, owner="me", config_filenames=[]) as job:
            with pytest.raises(ValueError, match="no tunnel through .* which speaks the older protocol"):
                job.tunnel()
            with pytest.raises(ValueError, match="no tunnel through"):
                job.connect(0, 0)


def test_a_job_without_boards_has_no_tunnel() -> None:
    with pytest.raises(ProtocolError, match="job 7 has no boards yet"):
        boards_of(NO_BOARDS, 7)


def test_what_is_missing_is_said(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from spalloc_client.tunnel import doors

    with Job(1, **service.options) as job:
        monkeypatch.setattr(doors, "find_spec", lambda _: None)
        with pytest.raises(ValueError, match=r"pip install 'spalloc\[https\]'"):
            job.tunnel()
