"""Backups of a server that runs, and putting them back, as an administrator types it."""

import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from tests.processes import SERVER, boards, configured, spalloc_server

pytestmark = pytest.mark.slow

NEWER = """
from spalloc_server.store import schema
schema.MIGRATIONS = (*schema.MIGRATIONS, "CREATE TABLE more (x)")
from spalloc_server.scripts.server import main
raise SystemExit(main())
"""


@pytest.fixture
def arguments(tmp_path: Path) -> Iterator[list[str]]:
    """How the server of a machine of three boards is started; its records are in `site.state`, as it says itself."""
    with boards(1, 1) as machine:
        configuration, *_ = configured(machine, tmp_path)
        yield [configuration]


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*SERVER, *map(str, arguments)], capture_output=True, text=True)


def done(*arguments: str | Path) -> list[str]:
    ended = run(*arguments)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout.splitlines()


def refused(*arguments: str | Path) -> str:
    ended = run(*arguments)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def create(client: ProtocolClient, count: int) -> list[int]:
    return [client.create_job(owner="me", tags=["none"], keepalive=None) for _ in range(count)]


def wait_until_ready(client: ProtocolClient, job: int) -> None:
    client.notify_job(job)
    while client.get_job_state(job)["state"] != 3:
        client.wait_for_notification()


def test_a_backup_of_a_running_server_is_put_back_with_no_id_given_again(
    arguments: list[str], tmp_path: Path
) -> None:
    site, backup, state = arguments[0], tmp_path / "backup", tmp_path / "site.state"
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        kept = client.create_job(owner="me", keepalive=None)
        wait_until_ready(client, kept)
        said, holds = done("backup", site, backup)
        assert said.startswith(f"{backup} holds all that was in {state} on 20")
        assert holds == "  1 live job with 1 board, 0 ended jobs, 0 boards set aside"
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        later = client.create_job(owner="me", keepalive=None)
        wait_until_ready(client, later)
        assert "a server runs with the records in" in refused("restore", site, backup)
        assert client.get_job_state(later)["state"] == 3, "a refusal changes nothing"
        assert running.end()[0] == 0
    said, holds, replaced, then = done("restore", site, backup)
    assert said.startswith(f"{state} holds the records of {backup} now, a backup of 20")
    assert holds.startswith("  1 live job with 1 board")
    assert f"are kept as {state}.replaced-1" in replaced
    assert then.startswith("start the server: ")
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        assert "is a backup, of 20" in running.start
        assert [entry["job_id"] for entry in client.list_jobs()] == [kept]
        new = client.create_job(2, owner="me", keepalive=None)
        assert new > later
        wait_until_ready(client, new)
        assert client.get_job_state(kept)["state"] == 3
        status, log = running.end()
    assert status == 0
    assert "Traceback" not in log
    with spalloc_server(arguments) as running:
        assert "level=critical" not in running.start


def test_a_backup_is_of_one_moment_however_many_jobs_come_meanwhile(
    arguments: list[str], tmp_path: Path
) -> None:
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        ended, begun, given = threading.Event(), threading.Event(), []

        def go_on() -> None:
            with ProtocolClient(running.host, running.port) as other:
                while not ended.is_set():
                    given.extend(create(other, 10))
                    begun.set()

        others = threading.Thread(target=go_on)
        others.start()
        begun.wait()
        try:
            for number in range(3):
                before = len(given)
                done("backup", arguments[0], tmp_path / f"backup-{number}")
                database = sqlite3.connect(tmp_path / f"backup-{number}")
                found = [row[0] for row in database.execute("SELECT id FROM jobs ORDER BY id")]
                next_job = database.execute("SELECT value FROM counters WHERE name = 'next_job'").fetchone()
                database.close()
                assert len(found) >= before, "what was acknowledged is in it"
                assert next_job == (found[-1] + 1,), "the counter is of the same moment"
                assert found == list(range(found[0], found[0] + len(found)))
        finally:
            ended.set()
            others.join()
        assert create(client, 1)[0] == given[-1] + 1, "the server did not notice"
        status, log = running.end()
    assert status == 0
    assert "level=critical" not in log


def test_a_backup_needs_a_name_that_is_free_and_records_that_are_there(
    arguments: list[str], tmp_path: Path
) -> None:
    site = arguments[0]
    assert "there are no records in" in refused("backup", site, tmp_path / "backup")
    with spalloc_server(arguments):
        done("backup", site, tmp_path / "backup")
        said = refused("backup", site, tmp_path / "backup")
        assert said.startswith("spalloc-server backup: ")
        assert "is there already; give another name, or --overwrite" in said
        done("backup", site, "--overwrite", tmp_path / "backup")
        done("backup", tmp_path / "named", "--state", tmp_path / "site.state")
        done("backup", "--overwrite", "--state", tmp_path / "site.state", tmp_path / "named")


def test_which_records_are_meant_is_said_in_one_way(arguments: list[str], tmp_path: Path) -> None:
    ended = run("restore", arguments[0], "--state", tmp_path / "state", tmp_path / "backup")
    assert ended.returncode == 2
    assert "CONFIG.toml and --state both say where the records are: give one of them" in ended.stderr
    ended = run("restore", tmp_path / "nowhere.toml", tmp_path / "backup")
    assert ended.returncode == 1
    assert "nowhere.toml" in ended.stderr
    assert "name them with --state RECORDS" in ended.stderr


def test_an_older_server_refuses_a_newer_ones_records_and_takes_nothing_from_them(
    arguments: list[str], tmp_path: Path
) -> None:
    process = subprocess.Popen([sys.executable, "-c", NEWER, *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "listening on" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    said = refused(*arguments)
    assert "was written by a newer server (its records have version" in said
    assert "spalloc-server restore" in said
    assert "was written by a newer server" in refused(*arguments, "--set-aside-unreadable", "--cold-start")
    assert "was written by a newer server" in refused("backup", arguments[0], tmp_path / "backup")
    shutil.copy(tmp_path / "site.state", tmp_path / "newer")
    assert "newer was written by a newer server" in refused("restore", arguments[0], tmp_path / "newer")
    process = subprocess.Popen([sys.executable, "-c", NEWER, *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    log = ""
    for line in process.stderr:
        log += line
        if "listening on" in line:
            break
    process.terminate()
    process.communicate()
    assert "listening on" in log
    assert "level=critical" not in log
