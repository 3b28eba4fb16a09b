"""`spalloc-server CONFIG.toml` as an administrator runs it: real processes, real signals, virtual boards."""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from spalloc_client import SpallocServerException
from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.states import JobState
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Board, Size
from tests.processes import SERVER, ServerProcess, log_until, spalloc_server
from tests.spalloc_server.operation.boards import virtual_machines, without, write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def machines() -> Iterator[list[Machine]]:
    with virtual_machines(Size(1, 1), Size(2, 1)) as found:
        yield found


def _ready(client: ProtocolClient, *what: int, **how: object) -> int:
    job = client.create_job(*what, owner="me", keepalive=None, **how)
    client.notify_job(job)
    while client.get_job_state(job)["state"] not in (JobState.ready, JobState.destroyed):
        client.wait_for_notification(timeout=30.0)
    client.no_notify_job(job)
    assert client.get_job_state(job)["state"] == JobState.ready, client.get_job_state(job)
    return job


def _told(client: ProtocolClient) -> Iterator[object]:
    """What a client has been told until now."""
    client.version()
    while (told := client.wait_for_notification(timeout=-1)) is not None:
        yield told


def _reload(running: ServerProcess) -> list[str]:
    running.process.send_signal(signal.SIGHUP)
    return log_until(running, "configuration was read again|old one stays in force")


def test_a_configured_site_is_served(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        assert running.host == "127.0.0.1"
        assert [machine["name"] for machine in client.list_machines()] == ["a", "b"]
        job = _ready(client, 3, machine="b")
        assert client.get_job_machine_info(job)["machine_name"] == "b"
        status, log = running.end()
    assert status == 0
    assert "jobs keep their boards" in log
    assert (tmp_path / "site.state").exists()
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        assert client.get_job_state(job)["state"] == JobState.ready


def test_options_go_before_the_file(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
    arguments = [
        str(configuration),
        "--host",
        "127.0.0.2",
        "--port",
        str(port),
        "--state",
        str(tmp_path / "s"),
    ]
    with spalloc_server(arguments) as running:
        assert (running.host, running.port) == ("127.0.0.2", port)
    assert (tmp_path / "s").exists()


def _reload_ending_jobs(running: ServerProcess, configuration: Path) -> None:
    done = subprocess.run(
        [*SERVER, "reload", str(configuration), "--ends-jobs"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    log_until(running, "configuration was read again")


def test_a_reload_ends_only_the_jobs_that_it_touches(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        kept, gone = _ready(client, 3, machine="b"), _ready(client, 3, machine="a")
        before = client.get_job_machine_info(kept)
        list(_told(client))
        client.notify_job(kept)
        client.notify_machine()
        write(configuration, [without(machines[0], Board(0, 0, 2)), machines[1]])
        _reload_ending_jobs(running, configuration)
        assert client.wait_for_notification(timeout=30.0) == {"machines_changed": ["a"]}
        assert (
            client.get_job_state(gone)["reason"]
            == "Board (0, 0, 2) of machine a is no longer in the server's configuration, or is dead there."
        )
        assert client.get_job_machine_info(kept) == before
        assert client.get_job_state(kept)["state"] == JobState.ready
        assert client.list_machines()[0]["dead_boards"] == [[0, 0, 2]]
        # The live boards are switched off first, and are then available again.
        _ready(client, 0, 0, 0, machine="a")
        write(configuration, [machines[1]])
        _reload_ending_jobs(running, configuration)
        assert [machine["name"] for machine in client.list_machines()] == ["b"]
        write(configuration, machines)
        _reload(running)
        _ready(client, 3, machine="a")
        assert client.get_job_machine_info(kept) == before


def test_a_bad_new_file_is_refused_whole_and_the_log_says_why(
    machines: list[Machine], tmp_path: Path
) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        before = client.list_machines()
        write(configuration, machines[:1], '[v1.limits]\nconnection = 3\n[log]\nlevel = "loud"\n')
        log = _reload(running) + log_until(running, "loud")
        assert any("the new configuration is refused, the old one stays in force" in line for line in log)
        (line,) = [line for line in log if "v1.limits.connection" in line]
        assert "did you mean 'connections'?" in line
        assert f"file={configuration}" in line
        assert re.search(r"line=\d+$", line)
        assert client.list_machines() == before
        configuration.unlink()
        assert any("can't be read" in line for line in _reload(running) + log_until(running, "can't be read"))
        assert client.version() == "1.0.0"


def test_a_reload_sets_limits_networks_and_trust_at_once(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        job = _ready(client, 1)
        configuration.write_text(
            configuration.read_text().replace("port = 0", 'port = 1\nallow = ["127.0.0.2"]')
            + '[trust]\ncontrol = "owner"\n[jobs]\nof_one_owner = 1\n'
        )
        log = _reload(running)
        assert any(
            "a changed v1.port takes effect only when the server is started again" in line for line in log
        )
        with pytest.raises(SpallocServerException, match=r"allows 1 \(its setting jobs.of_one_owner\)"):
            client.create_job(owner="me")
        client.destroy_job(job)
        with socket.create_connection((running.host, running.port), 10) as refused:
            reply = json.loads(refused.makefile().readline())
        assert reply == {"exception": "this server takes no connections from 127.0.0.1"}
        with socket.create_connection((running.host, running.port), 10, ("127.0.0.2", 0)) as allowed:
            allowed.sendall(b'{"command":"version"}\n')
            assert json.loads(allowed.makefile().readline()) == {"return": "1.0.0"}


def test_a_change_that_needs_a_restart_is_told_at_each_reload_until_it_is_taken_back(
    machines: list[Machine], tmp_path: Path
) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    started_with = configuration.read_text()
    with spalloc_server([str(configuration)]) as running:
        configuration.write_text(started_with.replace("port = 0", "port = 1"))
        for _ in range(2):
            assert any("a changed v1.port takes effect only when" in line for line in _reload(running))
        configuration.write_text(started_with)
        assert not any("takes effect only when" in line for line in _reload(running))


def test_a_configuration_that_is_wrong_is_not_served(tmp_path: Path) -> None:
    configuration = tmp_path / "site.toml"
    configuration.write_text("machine = []\n[v1]\nport = -1\nprot = 3\n")
    for command in ([], ["check"]):
        done = subprocess.run([*SERVER, *command, str(configuration)], capture_output=True, text=True)
        assert done.returncode == 1
        assert f"{configuration} has 2 mistakes:" in done.stderr
        assert f"{configuration}:3: v1.port is -1; expected a whole number from 0 to 65535" in done.stderr
        assert f"{configuration}:4: v1.prot is not a setting; did you mean 'port'?" in done.stderr


def test_check_says_what_a_configuration_means(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines, "[metrics]\n")
    done = subprocess.run([*SERVER, "check", str(configuration)], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{configuration} is valid: 2 machines",
        "  a: 1x1 triads, 3 boards (0 dead), 1 BMP, tags default",
        "  b: 2x1 triads, 6 boards (0 dead), 1 BMP, tags default",
        "  clients: 127.0.0.1 port 0, allowed from 0.0.0.0/0, ::/0",
        "  metrics: 127.0.0.1 port 22245, allowed from 0.0.0.0/0, ::/0",
        f"  records: {tmp_path}/site.state, ended jobs for 30 days, 1000000 or 1000 MB at most",
    ]


def test_a_cold_start_forgets_jobs_and_never_their_numbers(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        job = _ready(client, 3)
        running.end(signal.SIGKILL)
    with (
        spalloc_server([str(configuration), "--cold-start"]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        assert client.list_jobs() == []
        assert client.get_job_state(job)["reason"] == "The server was started afresh."
        assert _ready(client, 2, 1) == job + 1


def test_metrics_and_readiness_are_served_on_a_port_of_their_own(
    machines: list[Machine], tmp_path: Path
) -> None:
    dead = [without(machines[0], Board(0, 0, 2)), machines[1]]
    configuration = write(tmp_path / "site.toml", dead, "[metrics]\nport = 0\n")
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        port = int(running.before["metrics"])
        _ready(client, 3, machine="b")
        client.create_job(2, 1, owner="me", machine="b")
        base = f"http://127.0.0.1:{port}"
        text = urllib.request.urlopen(f"{base}/metrics", timeout=10).read().decode()
        metrics = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert metrics['spalloc_jobs{state="ready"}'] == "1.0"
        assert metrics['spalloc_jobs{state="queued"}'] == "1.0"
        assert metrics["spalloc_jobs_created_total"] == "2.0"
        assert metrics["spalloc_jobs_ended_by_limit_total"] == "0.0"
        assert metrics["spalloc_jobs_ended_by_quota_total"] == "0.0"
        assert metrics['spalloc_boards{condition="held",machine="b"}'] == "3.0"
        assert metrics['spalloc_boards{condition="free",machine="b"}'] == "3.0"
        assert metrics['spalloc_boards{condition="dead",machine="a"}'] == "1.0"
        assert metrics['spalloc_commands_total{command="create_job"}'] == "2.0"
        assert metrics["spalloc_connections"] == "1.0"
        assert float(metrics["spalloc_commit_seconds_count"]) >= 1
        assert float(metrics["spalloc_decision_seconds_count"]) >= 1
        assert metrics["spalloc_bmp_retries_total"] == "0.0"
        assert float(metrics["process_resident_memory_bytes"]) > 0
        for page, body in (("ready", b"ready\n"), ("healthz", b"alive\n")):
            assert urllib.request.urlopen(f"{base}/{page}", timeout=10).read() == body
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{base}/nothing", timeout=10)


def test_systemd_is_told_of_every_state(
    machines: list[Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        with spalloc_server([str(configuration)]) as running:
            assert systemd.recv(500) == b"READY=1\nSTATUS=2 machines with 9 boards"
            assert systemd.recv(500) == b"WATCHDOG=1"
            write(configuration, machines[:1])
            _reload(running)
            assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", systemd.recv(500))
            assert systemd.recv(500) == b"READY=1\nSTATUS=1 machine with 3 boards"
            running.end()
            assert systemd.recv(500) == b"STOPPING=1"


def test_only_a_jobs_host_or_an_administrators_may_end_it_where_the_site_says_so(
    machines: list[Machine], tmp_path: Path
) -> None:
    trust = '[trust]\ncontrol = "owner"\nadministrators = ["127.0.0.9"]\n'
    configuration = write(tmp_path / "site.toml", machines, trust)
    text = configuration.read_text()
    configuration.write_text(text.replace('"127.0.0.1"', '"0.0.0.0"'))
    with spalloc_server([str(configuration)]) as running, ProtocolClient("127.0.0.1", running.port) as client:
        job = _ready(client, 1)
        client.power_off_job_boards(job)
        client.destroy_job(job, "done")
        assert client.get_job_state(job)["reason"] == "done"


def test_old_jobs_are_forgotten(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines, "[history]\ndays = 0\n")
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        job = _ready(client, 1)
        client.destroy_job(job)
        assert [entry["job_id"] for entry in client.call("list_ended_jobs")] == [job]
        running.end()
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        log_until(running, "1 ended job is old and forgotten")
        assert client.call("list_ended_jobs") == []


def test_charges_that_are_old_or_too_many_are_dropped(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        for _ in range(3):
            client.destroy_job(_ready(client, 1))
        running.end()
    write(configuration, machines, "[usage]\ncharges = 2\n")
    with spalloc_server([str(configuration)]) as running:
        log_until(running, "1 charge is old or too many, and dropped")
        write(configuration, machines, "[usage]\ndays = 0\n")
        _reload(running)
        log_until(running, "2 charges are old or too many, and dropped")


def test_a_port_in_use_is_one_line_and_a_clean_end(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with spalloc_server([str(configuration)]) as running:
        other = tmp_path / "other.toml"
        write(other, machines, "")
        arguments = [str(other), "--port", str(running.port)]
        second = subprocess.run([*SERVER, *arguments], capture_output=True, text=True)
        assert second.returncode == 1
        assert str(running.port) in second.stderr
        assert "Traceback" not in second.stderr


def test_a_check_imports_no_server(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("machine = []\n")
    script = (
        "import sys; from spalloc_server.scripts.server import main; "
        f"main(['check', {str(tmp_path / 'site.toml')!r}]); "
        "server = ('spalloc_server.engine', 'spalloc_server.store', 'uvloop', 'prometheus_client'); "
        "print([name for name in server if name in sys.modules])"
    )
    done = subprocess.run([SERVER[0], "-c", script], capture_output=True, text=True, env={**os.environ})
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
