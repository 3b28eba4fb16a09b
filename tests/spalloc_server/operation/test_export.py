"""The history of a server of virtual boards, exported and run again, as an administrator types it."""

import json
import subprocess
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from tests.processes import SERVER, boards, configured, spalloc_server

pytestmark = pytest.mark.slow


def run(*arguments: str | Path) -> str:
    ended = subprocess.run([*SERVER, *map(str, arguments)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def wait_for(client: ProtocolClient, job: int, state: int) -> None:
    client.notify_job(job)
    while client.get_job_state(job)["state"] != state:
        client.wait_for_notification()


def test_the_history_of_a_site_is_exported_while_it_runs_and_replayed_under_other_settings(
    tmp_path: Path,
) -> None:
    log, ready = tmp_path / "last.swf", 3
    with boards(1, 1) as machine:
        site, *_ = configured(machine, tmp_path)
        with spalloc_server([site]) as server, ProtocolClient(server.host, server.port) as client:
            first = client.create_job(3, owner="ann", keepalive=None)
            second = client.create_job(1, 1, owner="ben", keepalive=None)
            never = client.create_job(2, owner="eve", keepalive=None)
            wait_for(client, first, ready)
            client.destroy_job(never)
            client.destroy_job(first)
            wait_for(client, second, ready)
            client.destroy_job(second)
            assert run("export", site, log) == f"{log} has 3 jobs\n"
            server.end()
        jobs = [line.split() for line in log.read_text().splitlines() if not line.startswith(";")]
        assert [job[10] for job in jobs] == ["1", "1", "5"]
        assert [job[4] for job in jobs] == ["3", "3", "-1"]
        assert "; MaxProcs: 3\n" in log.read_text()
        found = json.loads(run("simulate", log, "--site", site, "--set", "patience=60", "--json"))
    assert [each["started"] for each in found] == [2, 2]
    assert [each["left_out"] for each in found] == [{"never ran": 1}] * 2
    # Whole seconds are recorded; the second job waited for the first one's boards.
    first_length = int(jobs[0][3])
    assert all(each["max_wait"] == max(0, first_length - int(jobs[1][1])) for each in found)
