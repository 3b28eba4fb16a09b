"""A server that meets a fault nobody foresaw: its clients are told, it ends, and goes on from its records."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from spalloc_client import Job, ProtocolClient, ProtocolError, SpallocServerException
from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.reports import Reports
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment
from spalloc_server.embedded import EmbeddedSite
from spalloc_server.engine import EngineFailedError
from spalloc_server.operation import running
from spalloc_server.scripts import server
from spalloc_server.store.database import Store

PATIENCE = 30.0


@pytest.fixture
def _unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have records of owners called "trouble" fail in a way that nobody foresaw."""
    write = Store.write

    def fail(self: Store, jobs: Mapping[int, JobRecord], *others: Any) -> None:
        if any(record.owner == "trouble" for record in jobs.values()):
            raise ValueError("nobody foresaw this")
        write(self, jobs, *others)

    monkeypatch.setattr(Store, "write", fail)


@pytest.mark.usefixtures("_unwritable")
def test_clients_are_told_the_server_ends_and_no_acknowledged_job_is_lost(tmp_path: Path) -> None:
    state = tmp_path / "state"
    site = EmbeddedSite(1, 1, state=state)
    with pytest.raises(EngineFailedError, match="nobody foresaw this"), site:
        with ProtocolClient(site.hostname, site.port, timeout=PATIENCE) as client:
            job = client.create_job(owner="me")
            with pytest.raises(SpallocServerException, match="it is not done; ask again when it is back"):
                client.create_job(owner="trouble")
            with pytest.raises((ProtocolError, SpallocServerException)):
                client.create_job(owner="me")
    with site, ProtocolClient(site.hostname, site.port, timeout=PATIENCE) as client:
        assert [entry["job_id"] for entry in client.list_jobs()] == [job]


def _fail(*_args: object, **_options: object) -> NoReturn:
    raise ValueError("nobody foresaw this")


def _hear_of_failure(client: ProtocolClient, command: str, *args: Any, **kwargs: Any) -> None:
    with pytest.raises(SpallocServerException, match="it is not done; ask again when it is back"):
        client.call(command, *args, **kwargs)


def test_a_fault_after_a_job_was_switched_and_before_its_boards_are_ends_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = EmbeddedSite(2, 2)
    with pytest.raises(EngineFailedError, match=r"nobody foresaw this.*its jobs are lost"), site:
        with Job(3, hostname=site.hostname, port=site.port, owner="me") as job:
            with ProtocolClient(site.hostname, site.port, timeout=PATIENCE) as client:
                monkeypatch.setattr("spalloc_server.core.site.border", _fail)
                _hear_of_failure(client, "power_on_job_boards", job.id)
            monkeypatch.undo()


def test_a_fault_after_a_job_left_the_queue_and_before_it_is_destroyed_ends_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = EmbeddedSite(1, 1)
    with pytest.raises(EngineFailedError, match="nobody foresaw this"), site:
        with ProtocolClient(site.hostname, site.port, timeout=PATIENCE) as client:
            client.create_job(3, owner="me")
            queued = client.create_job(3, owner="me")
            monkeypatch.setattr(Site, "end", _fail)
            _hear_of_failure(client, "destroy_job", queued)


def test_a_fault_in_the_middle_of_taking_a_report_ends_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = EmbeddedSite(1, 1)
    with pytest.raises(EngineFailedError, match="nobody foresaw this"), site:
        with ProtocolClient(site.hostname, site.port, timeout=PATIENCE) as client:
            job = client.create_job(1, owner="me")
            address = client.get_job_machine_info(job)["connections"][0][1]
            client.destroy_job(job)
            monkeypatch.setattr(Reports, "add", _fail)
            _hear_of_failure(client, "report_problem", address)


def test_a_question_that_can_not_be_answered_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedSite(1, 1) as site, ProtocolClient(site.hostname, site.port, timeout=PATIENCE) as client:
        monkeypatch.setattr("spalloc_server.fronts.v1.commands.where_is", _fail)
        with pytest.raises(SpallocServerException, match="the server failed to do this"):
            client.call("where_is", machine="virtual", x=0, y=0, z=0)
        assert client.create_job(1, owner="me") == 1


def test_a_service_that_fails_ends_with_an_error_so_that_it_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = Configuration(state=tmp_path / "state", v1=Listening(0))

    def decide(self: Site, at: Moment) -> None:
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr(Site, "decide", decide)
    with pytest.raises(EngineFailedError, match="start it again, it continues from its records"):
        asyncio.run(running.serve(configuration, lambda: configuration, cold=False))


@pytest.mark.parametrize("fails", [False, True])
def test_a_virtual_site_that_fails_does_not_say_that_jobs_keep_their_boards(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    @contextlib.asynccontextmanager
    async def site(failed: Callable[[], None]) -> AsyncIterator[tuple[str, int]]:
        loop = asyncio.get_running_loop()
        loop.call_soon(failed if fails else partial(os.kill, os.getpid(), signal.SIGTERM))
        yield "127.0.0.1", 1

    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await server._serve_until_told(site, farewell="stopping; jobs may live")

    caplog.set_level("INFO", "spalloc_server")
    asyncio.run(main())
    assert ("stopping; jobs may live" in caplog.messages) is not fails
