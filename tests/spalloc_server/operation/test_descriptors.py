"""A server that the system allows few files and sockets: a real process with a low limit."""

import json
import re
import resource
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from spinnaker.geometry import Size
from tests.processes import SERVER, log_until, spalloc_server
from tests.spalloc_server.operation.boards import virtual_machines, write

pytestmark = pytest.mark.slow

ALLOWED = 256
LIMITED = ("/bin/sh", "-c", f'ulimit -n {ALLOWED} && exec "$@"', "sh")


def _lines(process: "subprocess.Popen[str]", until: str) -> Iterator[str]:
    assert process.stderr is not None
    for line in process.stderr:
        yield line
        if until in line:
            return
    raise AssertionError(f"the log ended without {until!r}")


def _version(port: int, host: str) -> str:
    with socket.create_connection(("127.0.0.1", port), 20.0, (host, 0)) as client:
        client.sendall(b'{"command": "version"}\n')
        return str(json.loads(client.makefile().readline())["return"])


def test_a_server_with_few_descriptors_says_so_and_serves_others_and_its_metrics_in_a_flood(
    tmp_path: Path,
) -> None:
    with virtual_machines(Size(1, 1)) as machines, ExitStack() as stack:
        configuration = write(tmp_path / "site.toml", machines, "[metrics]\nport = 0\n[http]\nport = 0\n")
        process = stack.enter_context(
            subprocess.Popen([*LIMITED, *SERVER, str(configuration)], stderr=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        said = "".join(_lines(process, 'message="listening on'))
        assert (
            f"the system allows {ALLOWED} open files and sockets, so 160 connections are taken and not 16384"
            in said
        )
        assert "connections are taken over HTTP and not 16384; raise LimitNOFILE" in said
        (metrics,) = re.findall(r"metrics are served on 127\.0\.0\.1 port (\d+)", said)
        (port,) = re.findall(r"listening on 127\.0\.0\.1 port (\d+)", said)
        flood = [
            stack.enter_context(socket.create_connection(("127.0.0.1", int(port)), 20.0)) for _ in range(400)
        ]
        for host in ("127.0.0.2", "127.0.0.3"):
            assert _version(int(port), host) == "1.0.0"
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/ready", timeout=20.0) as page:
            assert page.read() == b"ready\n"
        assert flood
        for line in _lines(process, "a client at 127.0.0.1 is refused"):
            assert "Traceback" not in line


# Clients are looked at often, and with them what the system allows.
OFTEN = "machine = []\n[v1]\nport = 0\n[v1.limits]\nfirst_request_seconds = 1.0\n"


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="needs Linux to take descriptors away from a process"
)
def test_descriptors_that_run_out_are_told_and_clients_are_served_again_when_there_are_some(
    tmp_path: Path,
) -> None:
    configuration = tmp_path / "site.toml"
    configuration.write_text(OFTEN)
    with spalloc_server([str(configuration)]) as running, ExitStack() as stack:
        process = running.process.pid
        first = stack.enter_context(socket.create_connection((running.host, running.port), 20.0))
        first.sendall(b'{"command": "version"}\n')
        assert b"1.0.0" in first.recv(1000)
        soft, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
        # Not one more than there are.
        used = max(int(one.name) for one in Path(f"/proc/{process}/fd").iterdir()) + 1
        resource.prlimit(process, resource.RLIMIT_NOFILE, (used, hard))
        for _ in range(20):
            stack.enter_context(socket.create_connection((running.host, running.port), 20.0))
        said = log_until(running, "no more files or sockets can be opened; raise LimitNOFILE")
        first.sendall(b'{"command": "version"}\n')
        assert b"1.0.0" in first.recv(1000), "who was connected before is served"
        resource.prlimit(process, resource.RLIMIT_NOFILE, (soft, hard))
        assert _version(running.port, "127.0.0.2") == "1.0.0"
        status, log = running.end()
        assert status == 0
        assert "Traceback" not in "".join(said) + log
        assert log.count("no more files or sockets") == 0, "it is told once a minute"


def test_a_backlog_that_is_full_is_told(tmp_path: Path) -> None:
    configuration = tmp_path / "site.toml"
    configuration.write_text(OFTEN)
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen([*LIMITED, *SERVER, str(configuration)], stderr=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        *_, line = _lines(process, 'message="listening on')
        port = int(line.rsplit("port ", 1)[1].rstrip('"\n'))
        process.send_signal(signal.SIGSTOP)
        for _ in range(ALLOWED):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(("127.0.0.1", port))
        process.send_signal(signal.SIGCONT)
        *_, line = _lines(process, "connections were turned away by the system")
        assert "level=warning" in line
        assert "net.core.somaxconn" in line
        assert _version(port, "127.0.0.2") == "1.0.0"
