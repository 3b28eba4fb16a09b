# A server that the system allows few files and sockets: a real process with a low limit.

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from spinnaker.geometry import Size
from tests.processes import SERVER
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
        configuration = write(tmp_path / "site.toml", machines, "[metrics]\nport = 0\n")
        process = stack.enter_context(
            subprocess.Popen([*LIMITED, *SERVER, str(configuration)], stderr=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        said = "".join(_lines(process, 'message="listening on'))
        assert (
            f"the system allows {ALLOWED} open files and sockets, so 160 connections are taken and not 16384"
            in said
        )
        assert "raise LimitNOFILE" in said
        ports = [
            int(line.rsplit("port ", 1)[1].rstrip('"\n'))
            for line in said.splitlines()
            if " port " in line and "127.0.0.1" in line
        ]
        metrics, port = ports
        flood = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20.0)) for _ in range(400)]
        for host in ("127.0.0.2", "127.0.0.3"):
            assert _version(port, host) == "1.0.0"
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/ready", timeout=20.0) as page:
            assert page.read() == b"ready\n"
        assert flood
        for line in _lines(process, "a client at 127.0.0.1 is refused"):
            assert "Traceback" not in line
