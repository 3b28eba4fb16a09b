"""Records that are taken away from a real server: while it runs, and between a kill and the next start."""

import signal
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from spalloc_client.protocol_client import ProtocolClient
from tests.processes import spalloc_server

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def arguments(tmp_path: Path, state: Path) -> list[str]:
    configuration = tmp_path / "site.toml"
    configuration.write_text("machine = []\n[v1]\nport = 0\n[metrics]\nport = 0\n")
    return [str(configuration), "--state", str(state)]


def create(client: ProtocolClient, count: int) -> list[int]:
    return [client.create_job(owner="me", tags=["none"]) for _ in range(count)]


def ended(client: ProtocolClient) -> set[int]:
    return {entry["job_id"] for entry in client.call("list_ended_jobs", limit=1000)}


@pytest.mark.parametrize("suffixes", [[""], ["-wal"], ["", "-wal", "-shm"]], ids=["file", "log", "all"])
def test_what_was_acknowledged_survives_a_kill_though_its_file_was_removed(
    suffixes: list[str], state: Path, arguments: list[str]
) -> None:
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        jobs = create(client, 5)
        for suffix in suffixes:
            state.with_name(state.name + suffix).unlink()
        jobs += create(client, 5)
        _, log = running.end(signal.SIGKILL)
        assert "disappeared while the server runs" in log
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        assert ended(client) == set(jobs)
        _, log = running.end()
        assert "level=critical" not in log


def _delete(state: Path) -> None:
    state.with_name("state-wal").unlink()


def _flip_a_bit(state: Path) -> None:
    log = bytearray(state.with_name("state-wal").read_bytes())
    log[len(log) // 2] ^= 1
    state.with_name("state-wal").write_bytes(log)


def _flip_a_bit_and_delete_the_index(state: Path) -> None:
    _flip_a_bit(state)
    state.with_name("state-shm").unlink()


def _truncate(state: Path) -> None:
    log = state.with_name("state-wal").read_bytes()
    state.with_name("state-wal").write_bytes(log[: len(log) // 2])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_delete, "has lost its write-ahead log"),
        (_flip_a_bit, "has a damaged write-ahead log"),
        (_flip_a_bit_and_delete_the_index, "has a damaged write-ahead log"),
        (_truncate, "has a damaged write-ahead log"),
    ],
)
def test_ids_in_a_log_that_was_deleted_or_damaged_after_a_kill_are_not_given_again(
    harm: Callable[[Path], None], said: str, state: Path, arguments: list[str]
) -> None:
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        jobs = create(client, 20)
        running.end(signal.SIGKILL)
    harm(state)
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        assert not set(create(client, 20)) & set(jobs)
        _, log = running.end()
        assert said in running.start + log
        assert "Traceback" not in log


def test_a_server_whose_file_was_replaced_is_not_ready_and_refuses_changes(
    state: Path, arguments: list[str], tmp_path: Path
) -> None:
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        (job,) = create(client, 1)
        (tmp_path / "other").write_text("something else")
        (tmp_path / "other").rename(state)
        page = f"http://127.0.0.1:{running.before['metrics']}/ready"
        while True:
            try:
                urlopen(page).close()
            except HTTPError as error:
                assert error.code == 503
                assert b"another file has taken the place" in error.read()
                break
        with pytest.raises(Exception, match="another file has taken the place"):
            create(client, 1)
        assert client.get_job_state(job)["state"] == 4
        state.unlink()
        while True:
            try:
                urlopen(page).close()
            except HTTPError:
                continue
            break
        jobs = [job, *create(client, 3)]
        assert running.end()[0] == 0
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        assert ended(client) == set(jobs)
        running.end()
