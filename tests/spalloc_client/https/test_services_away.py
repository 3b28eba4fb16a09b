"""A service that goes away and comes back: Jobs wait for it, and their helpers keep their jobs alive."""

import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from spalloc_client import JobState, ProtocolClient, ProtocolError
from tests.doubles.jobs import State
from tests.doubles.service import JavaService
from tests.spalloc_client.over_https import OverJava, java
from tests.spalloc_client.scripted import PATIENCE

KEEPALIVE = 2.0


class Door:
    """Stands in front of a service; behind a closed door it is as if it were away."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._guard = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listening: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._serve(self._listening)

    def close(self) -> None:
        """Cut all connections, and let nobody in."""
        with self._guard:
            sockets, self._sockets = self._sockets, []
            if self._listening is not None:
                sockets.append(self._listening)
                self._listening = None
        for sock in sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def open(self) -> None:
        """Let clients in again."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._serve(self._listening)

    def _serve(self, listening: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to), PATIENCE)
            with self._guard:
                if self._listening is not listening:
                    client.close()
                    server.close()
                    return
                self._sockets += [client, server]
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        client.shutdown(socket.SHUT_RDWR)
                        server.shutdown(socket.SHUT_RDWR)
                        return
                    (server if source is client else client).sendall(data)
        except (OSError, ValueError):
            return


@pytest.fixture
def site() -> Iterator[OverJava]:
    with JavaService() as service, java(service) as site:
        service.settings.keepalive = (0.1, 300.0)
        yield site


@pytest.fixture
def door(site: OverJava) -> Iterator[Door]:
    made = Door(site.port)
    yield made
    made.close()


def through(door: Door, site: OverJava) -> str:
    return site.hostname.replace(f":{site.port}", f":{door.port}")


@pytest.mark.slow
def test_a_job_waits_for_a_service_that_is_away_and_its_helper_finds_it_again(
    job_class: Any, site: OverJava, door: Door
) -> None:
    at = {"hostname": through(door, site), "config_filenames": [], "reconnect_delay": 0.1}
    with job_class(1, keepalive=KEEPALIVE, **at) as job:
        changed: list[JobState] = []
        waiting = threading.Thread(
            target=lambda: changed.append(job.wait_for_state_change(JobState.ready, PATIENCE))
        )
        waiting.start()
        door.close()
        kept = site.service.job(job.id).kept_alive
        door.open()
        with pytest.raises(TimeoutError):
            site.service.until(job.id, State.DESTROYED, within=1.5 * KEEPALIVE)
        assert site.service.job(job.id).kept_alive > kept
        with ProtocolClient(site.hostname) as client:
            client.destroy_job(job.id, "enough")
        waiting.join(PATIENCE)
        assert changed == [JobState.destroyed]


def test_a_client_says_that_its_service_is_away_and_connects_again(
    client_class: Any, site: OverJava, door: Door
) -> None:
    with client_class(through(door, site)) as client:
        door.close()
        with pytest.raises(ProtocolError, match=rf"^connection to https://localhost:{door.port}/spalloc/: "):
            client.list_machines(timeout=PATIENCE)
        assert not client.connected
        with pytest.raises(OSError, match="can't be reached"):
            client.connect(PATIENCE)
        door.open()
        client.connect(PATIENCE)
        assert client.list_machines(timeout=PATIENCE)[0]["name"] == "big"


@pytest.mark.parametrize(
    ("scheme", "said", "why"),
    [
        (
            "https",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "can't be reached: what answers there does not speak TLS$",
        ),
        ("http", b"", r"connection to http://\S+: .*[a-z]$"),
    ],
)
def test_what_speaks_tls_on_one_side_only_is_told_in_words(scheme: str, said: bytes, why: str) -> None:
    def answer() -> None:
        for _ in range(2):
            with listening.accept()[0] as peer:
                peer.recv(65536)
                peer.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, daemon=True).start()
        url = f"{scheme}://user:secret@127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises((OSError, ProtocolError), match=why):
            ProtocolClient(url).connect(PATIENCE)
