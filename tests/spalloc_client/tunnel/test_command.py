"""`spalloc --tunnel`: a command reaches the boards at addresses of this computer, and nothing is left behind."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.spalloc_client.tunnel.test_jobs import Service, service

SPALLOC = Path(sys.executable).parent / "spalloc"
PROGRAM = [sys.executable, "-m", "tests.spalloc_client.tunnel.program"]


def spalloc(*words: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    return subprocess.run(
        [SPALLOC, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=root
    )


@pytest.mark.slow
def test_a_command_reaches_the_boards_at_addresses_of_this_computer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPALLOC_USER", service.username)
    monkeypatch.setenv("SPALLOC_PASSWORD", service.password)
    at = ["--hostname", service.url, "--tunnel", "--tunnel-ports", "20000,20001", "3"]
    done = spalloc(*at, "--command", *PROGRAM, "{hostname}", "{ethernet_ips}")
    assert done.returncode == 0, done.stderr
    hosts = done.stdout.split()
    assert len(set(hosts)) == 3
    assert all(host.startswith("127.") for host in hosts)
    assert "moved" not in done.stderr
    for host in hosts:
        for port in (17893, 54321, 20000, 20001):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                again.bind((host, port))


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        (["--hostname", "old.example.org", "--tunnel"], "old.example.org speaks the older protocol"),
        (["--virtual", "1x1", "--tunnel"], "the boards of --virtual are within reach"),
        (["--hostname", "old.example.org", "--tunnel-ports", "7"], "there is no --tunnel"),
        (
            ["--hostname", "old.example.org", "--tunnel", "--tunnel-ports", "7,70000"],
            "'7,70000' is no list of UDP ports",
        ),
    ],
)
def test_what_cant_be_is_said_before_anything_is_asked_for(words: list[str], trouble: str) -> None:
    done = spalloc("--owner", "me", *words)
    assert (done.returncode, trouble in done.stderr) == (2, True), done


_: Any = service
