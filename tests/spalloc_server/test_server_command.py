"""`spalloc-server` as an administrator runs it: what it serves, what it says, how it ends."""

import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.states import JobState
from tests.processes import SERVER, spalloc_server

pytestmark = pytest.mark.slow


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*SERVER, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def wait_until_ready(client: ProtocolClient, job: int) -> None:
    client.notify_job(job)
    while client.get_job_state(job)["state"] != JobState.ready:
        client.wait_for_notification(timeout=30.0)


def test_a_virtual_site_of_1200_boards_is_served() -> None:
    with (
        spalloc_server(["--virtual", "20x20", "--port", "0"]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        (machine,) = client.list_machines()
        assert (machine["width"], machine["height"]) == (20, 20)
        job = client.create_job(3, owner="me")
        wait_until_ready(client, job)
        assert client.get_job_machine_info(job)["width"] == 16
        assert client.get_board_position("virtual", 19, 19, 2) == [9, 4, 23]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly_and_leaves_nothing_behind(number: signal.Signals) -> None:
    with spalloc_server(["--virtual", "2x2", "--port", "0"]) as running:
        with ProtocolClient(running.host, running.port) as client:
            client.create_job(owner="me")
            status, log = running.end(number)
        assert status == 0
        assert "Traceback" not in log
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((running.host, running.port))


def test_what_is_said_at_the_end_is_what_becomes_of_the_jobs(tmp_path: Path) -> None:
    for state, promised in (
        ([], "stopping; jobs end with it"),
        (["--state", str(tmp_path / "jobs")], "stopping; jobs keep their boards"),
    ):
        with spalloc_server(["--virtual", "1x1", "--port", "0", *state]) as running:
            status, log = running.end()
        assert status == 0
        assert [line for line in log.splitlines() if "stopping" in line and promised in line], log


def test_jobs_outlive_the_server_when_it_has_a_state_file(tmp_path: Path) -> None:
    state = tmp_path / "jobs"
    arguments = ["--virtual", "2x2", "--port", "0", "--state", str(state)]
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        job = client.create_job(3, owner="me")
        wait_until_ready(client, job)
        boards = client.get_job_machine_info(job)["boards"]
        assert running.end()[0] == 0
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        wait_until_ready(client, job)
        assert client.get_job_machine_info(job)["boards"] == boards
        assert client.create_job(owner="me") == job + 1


@pytest.mark.parametrize("kept", [False, True], ids=["no records", "lost records"])
def test_a_server_without_records_gives_no_id_of_an_earlier_run(kept: bool, tmp_path: Path) -> None:
    given: set[int] = set()
    for start in range(3):
        state = ["--state", str(tmp_path / f"state-{start}")] if kept else []
        arguments = ["--virtual", "1x1", "--port", "0", *state]
        with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
            jobs = {client.create_job(owner="me") for _ in range(3)}
            assert running.end()[0] == 0
        assert not jobs & given
        assert max(jobs) < 100_000_000, "people type them"
        given |= jobs


def test_a_record_that_can_not_be_read_is_one_line_and_an_option_goes_on_without_it(tmp_path: Path) -> None:
    state = tmp_path / "jobs"
    arguments = ["--virtual", "1x1", "--port", "0", "--state", str(state)]
    with spalloc_server(arguments) as running, ProtocolClient(running.host, running.port) as client:
        job, other = client.create_job(owner="me"), client.create_job(owner="me")
        wait_until_ready(client, other)
        assert running.end()[0] == 0
    database = sqlite3.connect(state)
    with database:
        database.execute("UPDATE jobs SET record = x'00' WHERE id = ?", (job,))
    database.close()
    refused = run(*arguments)
    assert refused.returncode == 1
    assert f"job {job}" in refused.stderr
    assert "--set-aside-unreadable" in refused.stderr
    assert refused.stderr.count("\n") == 1
    with (
        spalloc_server([*arguments, "--set-aside-unreadable"]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        wait_until_ready(client, other)
        assert [entry["job_id"] for entry in client.list_jobs()] == [other]
        assert client.create_job(owner="me") > other


@pytest.mark.parametrize("option", ["--socket", "--state"])
def test_boards_of_a_virtual_site_are_drained_at_the_socket_that_its_log_names(
    option: str, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    path = given if option == "--socket" else tmp_path / "given.socket"
    with spalloc_server(["--virtual", "1x1", "--port", "0", option, str(given)]) as running:
        drained = run("boards", "--socket", str(path), "drain", "0,0,1", "--reason", "a try")
        assert drained.stdout.splitlines()[-1] == "1 board is drained", drained.stderr
        assert "(0, 0, 1)" in run("boards", "--socket", str(path), "list").stdout
        refused = run("reload", "--socket", str(path))
        assert refused.returncode == 1
        assert "a server with --virtual has no configuration to read again" in refused.stderr
        assert f"the control socket is {path}" in running.start
        assert running.end()[0] == 0
    assert not path.exists()


def test_a_virtual_site_without_a_socket_is_named_where_no_server_listens(tmp_path: Path) -> None:
    missing = run("boards", "--socket", str(tmp_path / "none"), "list")
    assert missing.returncode == 1
    assert "a server with --virtual has none without --https, --socket FILE or --state FILE" in missing.stderr


def test_a_state_file_that_another_server_uses_is_refused_in_one_line(tmp_path: Path) -> None:
    arguments = ["--virtual", "1x1", "--port", "0", "--state", str(tmp_path / "jobs")]
    with spalloc_server(arguments):
        second = run(*arguments)
    assert second.returncode == 1
    assert "is in use by another server" in second.stderr
    assert second.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line_that_names_it() -> None:
    with spalloc_server(["--virtual", "1x1", "--port", "0"]) as running:
        second = run("--virtual", "1x1", "--port", str(running.port))
    assert second.returncode == 1
    assert str(running.port) in second.stderr
    assert second.stderr.count("\n") == 1


def test_a_size_that_is_none_is_explained() -> None:
    refused = run("--virtual", "2by2")
    assert refused.returncode == 2
    assert "'2by2' is not a size in triads; write WIDTHxHEIGHT, such as 2x2" in refused.stderr
    refused = run("--virtual", "999x999")
    assert refused.returncode == 2
    assert (
        "argument --virtual: a machine of 999x999 triads needs more loopback addresses than" in refused.stderr
    )
    assert "Traceback" not in refused.stderr


def test_the_packets_of_virtual_boards_are_logged_as_they_come(tmp_path: Path) -> None:
    log = tmp_path / "packets"
    with (
        spalloc_server(
            ["--virtual", "1x1", "--port", "0", "--log-packets", str(log), "--log-only", "bmp"]
        ) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        wait_until_ready(client, client.create_job(owner="me"))
        lines = log.read_text().splitlines()
    assert any("> 127." in line and "power board 0" in line for line in lines)
    assert any("write fpga board" in line for line in lines)
    assert any("OK (0x80)" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["site.toml", "--log-packets", "-"], 2, "are for virtual boards: give --virtual WxH"),
        (["--virtual", "1x1", "--log-only", "bmp"], 2, "say where to with --log-packets FILE"),
        (
            ["--virtual", "1x1", "--log-packets", "-", "--log-only", "bpm"],
            2,
            "no kind of packets 'bpm'; there are bmp,",
        ),
        (["--virtual", "1x1", "--log-packets", "/no/such/log"], 1, "/no/such/log: No such file or directory"),
    ],
)
def test_a_log_that_can_not_be_written_is_refused_with_the_reason(
    arguments: list[str], status: int, message: str
) -> None:
    refused = run(*arguments)
    assert refused.returncode == status
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_many_sites_can_run_side_by_side() -> None:
    with (
        spalloc_server(["--virtual", "4x4", "--port", "0"]) as first,
        spalloc_server(["--virtual", "4x4", "--port", "0"]) as second,
        ProtocolClient(first.host, first.port) as one,
        ProtocolClient(second.host, second.port) as other,
    ):
        jobs = [(client, client.create_job(owner="me")) for client in (one, other)]
        for client, job in jobs:
            wait_until_ready(client, job)
        hosts = {client.get_job_machine_info(job)["connections"][0][1] for client, job in jobs}  # type: ignore[index]
    assert len(hosts) == 2
