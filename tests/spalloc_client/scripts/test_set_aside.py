# An administrator finds out which boards jobs don't get for now, and why.

import json

import pytest

from spalloc_client import ProtocolClient
from spalloc_client.scripts import machine
from spalloc_server.embedded import EmbeddedSite

PROBLEM = "chip (0, 0) does not answer"


@pytest.fixture
def reported(spalloc_site: EmbeddedSite) -> list[object]:
    """The board that enough users have reported."""
    with ProtocolClient(spalloc_site.hostname, spalloc_site.port) as client:
        for owner in ("ann", "bob", "cyd"):
            job = client.create_job(0, 0, 0, owner=owner)
            client.notify_job(job)
            while (address := client.get_job_machine_info(job)["connections"]) is None:
                client.wait_for_notification(timeout=30.0)
            client.call("report_problem", address[0][1], description=PROBLEM, timeout=30.0)
            client.destroy_job(job)
        client.notify_machine()
        while not client.list_machines()[0]["set_aside_boards"]:  # type: ignore[typeddict-item]
            client.wait_for_notification(timeout=30.0)
    return [0, 0, 0, f"3 users reported it: {PROBLEM}"]


@pytest.mark.slow
def test_spalloc_machine_shows_boards_that_are_set_aside_and_why(
    reported: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.main(["virtual"]) == 0
    assert f"Set aside: (0, 0, 0): {reported[3]}\n" in capsys.readouterr().out
    assert machine.main(["virtual", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["machines"]
    assert shown["set_aside_boards"] == [reported]
