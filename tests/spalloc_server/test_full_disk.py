"""A disk without room: nothing is acknowledged that isn't on disk, and all goes on when there is room again."""

import json
import re
import resource
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spalloc_server.embedded import EmbeddedSite
from tests.processes import ServerProcess, log_until, spalloc_server

PATIENCE = 30.0


class Client:
    def __init__(self, address: dict[str, Any]) -> None:
        self._socket = socket.create_connection((address["host"], address["port"]), PATIENCE)
        self._file = self._socket.makefile("rb")

    def send(self, command: str, **kwargs: object) -> None:
        self._socket.sendall(json.dumps({"command": command, "kwargs": kwargs}).encode() + b"\n")

    def hear(self) -> Any:
        return json.loads(self._file.readline())

    def has_heard_nothing(self) -> bool:
        return not select.select([self._socket], [], [], 0)[0]

    def call(self, command: str, **kwargs: object) -> Any:
        self.send(command, **kwargs)
        return self.hear()["return"]

    def refusal(self, command: str, **kwargs: object) -> str:
        """Ask, and return why the server says no."""
        self.send(command, **kwargs)
        return str(self.hear()["exception"])

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[tuple[ServerProcess, Client, Client]]:
    configuration = tmp_path / "site.toml"
    configuration.write_text("machine = []\n[v1]\nport = 0\n")
    with spalloc_server([str(configuration), "--state", str(tmp_path / "state")]) as running:
        address = {"host": running.host, "port": running.port}
        first, second = Client(address), Client(address)
        yield running, first, second
        first.close()
        second.close()


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="needs Linux to take the room away from a process"
)
def test_commands_wait_for_room_and_questions_are_still_answered(
    clients: tuple[ServerProcess, Client, Client], tmp_path: Path
) -> None:
    running, writer, reader = clients
    process = running.process.pid
    first = writer.call("create_job", owner="me")
    _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
    # The write-ahead log may not grow any more.
    size = (tmp_path / "state-wal").stat().st_size
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, most))
    writer.send("create_job", owner="me")
    writer.send("version")
    # Until the server has met it, whoever comes later waits as well.
    log_until(running, "records can't be written")
    for _ in range(100):
        assert reader.call("version") == "1.0.0"
    assert reader.call("list_machines") == []
    # Whoever comes later is told why, and does not wait; had it been created, a client that asks again had two jobs.
    assert "records can't be written" in reader.refusal("destroy_job", job_id=999)
    assert "try again later" in reader.refusal("create_job", owner="me")
    assert writer.has_heard_nothing()
    resource.prlimit(process, resource.RLIMIT_FSIZE, (most, most))
    assert writer.hear() == {"return": first + 1}
    assert writer.hear() == {"return": "1.0.0"}
    assert reader.call("create_job", owner="me") == first + 2


def test_a_site_that_keeps_its_records_in_memory_needs_no_disk() -> None:
    with EmbeddedSite(1, 1) as site:
        client = Client({"host": site.hostname, "port": site.port})
        assert client.call("create_job", owner="me") == 1
        client.close()


@pytest.mark.parametrize("letter", ["x", "\0", "\U0001f600"], ids=["plain", "escaped", "of four bytes"])
def test_an_ended_job_takes_no_more_of_the_disk_than_the_guide_says(tmp_path: Path, letter: str) -> None:
    guide = Path("docs/guides/administration.md").read_text(encoding="utf-8")
    (kilobytes,) = re.findall(r"at\s+most\s+(\d+)\s+kB\s+with\s+characters", guide)
    jobs = 100
    with EmbeddedSite(1, 1, state=tmp_path / "state") as site:
        client = Client({"host": site.hostname, "port": site.port})
        for number in range(jobs):
            job = client.call("create_job", owner=letter * 250 + f"{number:06}")
            client.call("destroy_job", job_id=job, reason=letter * 2000)
        client.close()
    assert (tmp_path / "state").stat().st_size <= jobs * int(kilobytes) * 1000
