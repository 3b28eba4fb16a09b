"""`spalloc-ps --all`: what became of jobs that have ended."""

import json

import pytest

from spalloc_client import ProtocolClient
from spalloc_client.scripts import ps
from spalloc_server.embedded import EmbeddedSite


@pytest.fixture
def jobs(spalloc_site: EmbeddedSite) -> list[int]:
    """A job of Ann's that has ended, one of Bob's that has, and one of Ann's that lives."""
    with ProtocolClient(spalloc_site.hostname, spalloc_site.port) as client:
        made = [client.create_job(owner=owner, keepalive=None) for owner in ("ann", "bob", "ann")]
        client.destroy_job(made[0], "Done, \x1b[31mthanks.")
        client.destroy_job(made[1])
    return made


def test_all_jobs_are_listed_with_when_and_why_they_ended(
    jobs: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ps.main(["--all"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split()[-3:] == ["Ended", "at", "Reason"]
    assert [row.split()[:2] for row in rows] == [
        [str(jobs[0]), "destroyed"],
        [str(jobs[1]), "destroyed"],
        [str(jobs[2]), rows[2].split()[1]],
    ]
    assert rows[0].endswith("thanks.")
    assert "\x1b" not in rows[0]
    assert rows[2].endswith("ann (127.0.0.1)")


def test_json_tells_programs_of_ended_jobs_as_the_table_tells_people(
    jobs: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ps.main(["-a", "--json", "--owner", "ann"]) == 0
    first, second = json.loads(capsys.readouterr().out)["jobs"]
    assert (first["job_id"], first["state"], first["reason"]) == (
        jobs[0],
        "destroyed",
        "Done, \x1b[31mthanks.",
    )
    assert first["ended"] >= first["start_time"]
    assert (second["job_id"], second["ended"], second["reason"]) == (jobs[2], None, None)
    assert ps.main(["-a", "--json", "--machine", "nowhere"]) == 0
    assert json.loads(capsys.readouterr().out) == {"jobs": []}


def test_without_all_only_live_jobs_are_listed(jobs: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert ps.main(["--json"]) == 0
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert job["job_id"] == jobs[2]
    assert "reason" not in job


def test_a_server_that_remembers_nothing_is_named_as_the_reason(
    spalloc_site: EmbeddedSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("spalloc_client.scripts.history._COMMAND", "list_jobs_of_old")
    assert ps.main(["--all"]) == 1
    assert "the server does not tell of ended jobs" in capsys.readouterr().err
