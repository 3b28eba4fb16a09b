"""The protocol's extensions as methods, with the server that has them and with one that does not."""

from typing import Any

import pytest

from spalloc_client import JobState, SpallocServerException
from spalloc_client.wire import Failure
from spalloc_server.embedded import EmbeddedSite
from tests.spalloc_client.over_https import is_java
from tests.spalloc_client.scripted import ScriptedServer

TIMEOUT = 30.0


def test_a_queued_job_s_place_and_reason(client_class: Any, site: EmbeddedSite) -> None:
    with client_class(site.hostname, site.port) as client:
        if is_java(site):
            with pytest.raises(SpallocServerException, match="tells no places in the queue"):
                client.queue_position(1)
            return
        first = client.create_job(4, 4, owner="me", timeout=TIMEOUT)
        client.notify_job(first, timeout=TIMEOUT)
        while client.get_job_state(first, timeout=TIMEOUT)["state"] == JobState.queued:
            client.wait_for_notification(timeout=TIMEOUT)
        second = client.create_job(3, owner="me", timeout=TIMEOUT)
        place = client.queue_position(second, timeout=TIMEOUT)
        assert (place["position"], place["of"]) == (1, 1)
        assert "it needs 3 boards" in place["reason"]
        assert client.queue_position(first, timeout=TIMEOUT) is None
        for job in (second, first):
            client.destroy_job(job, "Done.", timeout=TIMEOUT)


def test_ended_jobs_with_when_and_why(client_class: Any, site: EmbeddedSite) -> None:
    with client_class(site.hostname, site.port) as client:
        if is_java(site):
            with pytest.raises(SpallocServerException, match="does not tell of jobs that have ended"):
                client.list_ended_jobs()
            return
        job = client.create_job(1, owner="jane", timeout=TIMEOUT)
        client.destroy_job(job, "Enough.", timeout=TIMEOUT)
        # Of a job that is created over HTTPS, whoever logged in is the owner.
        owner = "user" if "://" in site.hostname else "jane"
        (ended,) = client.list_ended_jobs(owner=owner, limit=1, timeout=TIMEOUT)
        assert (ended["job_id"], ended["reason"], ended["state"]) == (job, "Enough.", 4)
        assert client.list_ended_jobs(machine="nowhere", timeout=TIMEOUT) == []


def test_a_report_names_the_board_by_its_address(client_class: Any, site: EmbeddedSite) -> None:
    with client_class(site.hostname, site.port) as client:
        with pytest.raises(SpallocServerException, match="no board has the address 'nowhere'"):
            client.report_problem("nowhere", x=1, y=2, p=3, description="hot", timeout=TIMEOUT)


def test_a_server_without_them_refuses(client_class: Any) -> None:
    names = ("job_queue_position", "list_ended_jobs", "report_problem")
    with ScriptedServer(dict.fromkeys(names, Failure("no such command"))) as server:
        with client_class(server.hostname, server.port) as client:
            for ask in (
                lambda: client.queue_position(1),
                client.list_ended_jobs,
                lambda: client.report_problem("x"),
            ):
                with pytest.raises(SpallocServerException, match="no such command"):
                    ask()
