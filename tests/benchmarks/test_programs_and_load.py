"""The bare servers and clients that others are measured beside, and how servers are stopped."""

import sys
from pathlib import Path

import pytest

from benchmarks.limits.servers import bare_server
from benchmarks.load.client import Client
from benchmarks.programs import process
from benchmarks.programs.process import ServerProcess
from benchmarks.suite.measurement import CannotDoError

STUBBORN = """
import signal, socket, sys
asked = []
def stop(*_):
    asked.append(1)
    if len(asked) == int(sys.argv[1]):
        sys.exit()
signal.signal(signal.SIGINT, stop)
server = socket.create_server(("127.0.0.1", int(sys.argv[-1])))
while True:
    server.accept()
"""


def test_the_bare_server_of_lines_sends_back_whole_lines_only() -> None:
    with bare_server("lines") as address, Client(address) as client:
        client.send(b"one\ntwo\nth")
        assert [client.read(), client.read()] == [b"one\n", b"two\n"]
        client.send(b"ree\n")
        assert client.read() == b"three\n"


def test_all_lines_on_their_way_are_waited_for() -> None:
    with bare_server("lines") as address, Client(address) as client:
        assert client.lines_a_second(b"word\n", 3, 500) > 0
        client.send(b"next\n")
        assert client.read() == b"next\n"


def test_a_server_that_does_not_stop_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.5)
    server = ServerProcess("the server", [sys.executable, "-c", STUBBORN, "2"], tmp_path)
    server.start()
    server.stop()


def test_a_server_that_never_stops_is_killed_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.1)
    server = ServerProcess("the server", [sys.executable, "-c", STUBBORN, "99"], tmp_path)
    server.start()
    with pytest.raises(CannotDoError, match="the server did not stop when asked 2 times"):
        server.stop()
