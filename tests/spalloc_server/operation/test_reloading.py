"""What a reload may do to jobs, and what an administrator hears of it: real processes, virtual boards."""

import json
import os
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.states import JobState
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Board, Size
from tests.processes import SERVER, log_until, spalloc_server
from tests.spalloc_server.operation.boards import virtual_machines, without, write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def machines() -> Iterator[list[Machine]]:
    with virtual_machines(Size(1, 1), Size(2, 1)) as found:
        yield found


def reload(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*SERVER, "reload", *map(str, arguments)], capture_output=True, text=True)


def warnings(log: list[str]) -> list[str]:
    return [line for line in log if "level=warning" in line]


def create(client: ProtocolClient, *what: int, **how: object) -> int:
    return client.create_job(*what, owner="me", keepalive=None, **how)


def test_a_signal_never_ends_a_job(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        jobs = [
            create(client, 3, machine="a"),
            create(client, 6, machine="b"),
            create(client, 6, machine="b"),
        ]
        before = client.list_machines()
        for text in (
            "",
            configuration.read_text()[:40],
            "machine = []\n",
            configuration.read_text().replace('"a"', '"c"'),
        ):
            configuration.write_text(text)
            running.process.send_signal(signal.SIGHUP)
            log_until(running, "the new configuration is refused, the old one stays in force")
            assert all(client.get_job_state(job)["state"] != JobState.destroyed for job in jobs)
            assert client.list_machines() == before


def test_a_refused_reload_says_how_many_jobs_it_would_end_and_what_to_type(
    machines: list[Machine], tmp_path: Path
) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with (
        spalloc_server([str(configuration)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        first, waiting = create(client, 3, machine="a"), create(client, 3, machine="a")
        write(configuration, machines[1:])
        running.process.send_signal(signal.SIGHUP)
        (said,) = warnings(log_until(running, "old one stays in force"))
        assert f"it would end 2 jobs: {first}, {waiting};" in said
        typed = f"spalloc-server reload --socket {tmp_path / 'site.state.socket'} --ends-jobs"
        assert typed in said

        refused = reload(configuration)
        assert refused.returncode == 3
        assert refused.stdout.splitlines() == [
            'machine "a" is gone',
            f"job {first} of me would end: Machine a is no longer in the server's configuration.",
            f"job {waiting} of me would end: Cancelled: There is no machine named 'a'; there are: b.",
        ]
        assert refused.stderr == (
            "the new configuration is refused, the old one stays in force: it would end 2 jobs; mend the file, or "
            f"have it end them with: {typed}\n"
        )
        # The audit tells it as well.
        assert log_until(running, "level=warning .*old one stays in force")

        done = reload(*typed.split()[2:])
        assert done.returncode == 0
        assert done.stdout.splitlines()[-1] == "the new configuration is in force; it ended 2 jobs"
        before, after = [
            line for line in warnings(log_until(running, "was read again")) if "configuration" in line
        ]
        assert f"the new configuration ends 2 jobs: {first}, {waiting}" in before
        assert f"the new configuration has ended 2 jobs: {first}, {waiting}" in after
        assert {client.get_job_state(job)["state"] for job in (first, waiting)} == {JobState.destroyed}


def test_a_reload_says_what_changed_and_what_needs_a_restart(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with spalloc_server([str(configuration)]):
        changed = [without(machines[0], Board(0, 0, 2)), machines[1]]
        write(configuration, changed, '[jobs]\nqueued = 7\n[log]\nlevel = "warning"\n')
        configuration.write_text(configuration.read_text().replace("port = 0", 'port = 1\nallow = ["::1"]'))
        done = reload(configuration)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            'machine "a" has different dead_boards, places, addresses',
            "v1.port is 1, was 0",
            "v1.allow is [::1/128], was [0.0.0.0/0, ::/0]",
            "jobs.queued is 7, was 20000",
            'log.level is "warning", was "info"',
            "a changed v1.port takes effect only when the server is started again",
            "the new configuration is in force",
        ]


def test_a_reload_that_lost_a_section_says_so_before_history_or_trust_is_lost(
    machines: list[Machine], tmp_path: Path
) -> None:
    more = '[trust]\ncontrol = "owner"\n[history]\ndays = 365\n'
    configuration = write(tmp_path / "site.toml", machines, more)
    with spalloc_server([str(configuration)]) as running:
        write(configuration, machines)
        running.process.send_signal(signal.SIGHUP)
        log = log_until(running, "was read again")
    assert any(r"trust.control is \"anyone\", was \"owner\"" in line for line in log)
    assert any("history.days is 30.0, was 365.0" in line for line in log)
    assert any("fewer ended jobs are kept than before" in line for line in warnings(log))


def test_a_reload_names_each_mistake_with_its_line(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with spalloc_server([str(configuration)]):
        configuration.write_text('[log]\nlevel = "loud"\n' + configuration.read_text())
        asked = reload("--socket", tmp_path / "site.state.socket")
        assert asked.returncode == 1
        assert f'{configuration}:2: log.level is "loud"' in asked.stdout
        assert "has 1 mistake and is refused, the old one stays in force" in asked.stderr
        not_asked = reload(configuration)
        assert not_asked.returncode == 1
        assert f'{configuration}:2: log.level is "loud"' in not_asked.stderr
        assert "the server was not asked" in not_asked.stderr


def test_only_the_servers_user_can_open_its_socket_and_no_other_server_takes_it(
    machines: list[Machine], tmp_path: Path
) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    path = tmp_path / "site.state.socket"
    with spalloc_server([str(configuration)]) as running:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        other = tmp_path / "other.toml"
        other.write_text(f'[control]\nsocket = "{path}"\n' + configuration.read_text())
        with spalloc_server([str(other)]) as second:
            assert second.end()[0] == 0
        assert path.is_socket()
        assert reload(configuration).returncode == 0
        running.end()
        assert not path.exists()
        assert f"no server listens at {path}" in reload(configuration).stderr


def test_a_socket_that_a_killed_server_left_is_replaced(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    path = tmp_path / "site.state.socket"
    with spalloc_server([str(configuration)]) as running:
        running.end(signal.SIGKILL)
    assert path.is_socket()
    assert f"no server listens at {path}" in reload(configuration).stderr
    with spalloc_server([str(configuration)]):
        assert reload(configuration).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_refused_even_where_the_modes_let_them(
    machines: list[Machine], tmp_path: Path
) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with (
        tempfile.TemporaryDirectory() as folder,
        spalloc_server([str(configuration), "--socket", f"{folder}/socket"]),
    ):
        path = Path(folder) / "socket"
        path.chmod(0o777)
        path.parent.chmod(0o755)
        script = (
            "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
            f's.connect({str(path)!r}); s.sendall(b\'{{"command": "reload"}}\\n\'); print(s.recv(1000).decode())'
        )
        asked = subprocess.run([SERVER[0], "-c", script], capture_output=True, text=True)
        assert json.loads(asked.stdout) == {
            "text": "only the server's user and root may use this socket",
            "status": 1,
        }


def test_a_socket_far_down_in_the_folders_can_be_used(machines: list[Machine], tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 25) / ("er" * 25)
    folder.mkdir(parents=True)
    configuration = write(folder / "site.toml", machines)
    with spalloc_server([str(configuration)]):
        assert reload(configuration).returncode == 0


def test_a_start_without_records_says_so(machines: list[Machine], tmp_path: Path) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    for start in ("first", "second"):
        lines = []
        with subprocess.Popen([*SERVER, str(configuration)], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if "listening on" in line:
                    process.terminate()
        said = [line for line in lines if f"there are no records in {tmp_path}/site.state" in line]
        assert len(said) == (1 if start == "first" else 0), lines


def test_systemd_hears_of_a_reload_by_the_command(
    machines: list[Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = write(tmp_path / "site.toml", machines)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with spalloc_server([str(configuration)]):
            assert systemd.recv(500).startswith(b"READY=1")
            assert reload(configuration).returncode == 0
            assert systemd.recv(500).startswith(b"RELOADING=1")
            assert systemd.recv(500).startswith(b"READY=1")
