"""Services behind a proxy that the environment names: the client and the keepalive helper go through it."""

import base64
import socket
import threading
from collections.abc import Iterator
from typing import Any, Self

import pytest

from spalloc_client._keepalive_https import Service
from tests.doubles.service import JavaService
from tests.spalloc_client.https.test_keepalive_over_https import orders
from tests.spalloc_client.over_https import OverJava, java
from tests.spalloc_client.scripted import PATIENCE


class Proxy:
    """Connects whoever asks with CONNECT and the right password, and notes where to."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.asked: list[tuple[str, str]] = []
        self._sockets: list[socket.socket] = [self._listening]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._sockets.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        first, *rest = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        where = first.split()[1]
        self.asked.append((where, headers.get("proxy-authorization", "")))
        if not headers.get("proxy-authorization"):
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = where.rpartition(":")
        server = socket.create_connection((host, int(port)), PATIENCE)
        self._sockets.append(server)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self._pass, args=(server, client), daemon=True).start()
        self._pass(client, server)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def site() -> Iterator[OverJava]:
    with JavaService() as service, java(service) as site:
        yield site


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Proxy() as running:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:se%40cret@127.0.0.1:{running.port}")
        yield running


AUTHORIZED = "Basic " + base64.b64encode(b"me:se@cret").decode()


def test_clients_go_through_the_proxy_of_the_environment(
    client_class: Any, site: OverJava, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_class(site.hostname) as client:
        assert client.version() == "7.4.2"
    assert proxy.asked == [(f"localhost:{site.port}", AUTHORIZED)]
    monkeypatch.setenv("NO_PROXY", "localhost")
    with client_class(site.hostname) as client:
        assert client.version() == "7.4.2"
    assert len(proxy.asked) == 1


def test_so_does_the_keepalive_helper(site: OverJava, proxy: Proxy) -> None:
    wanted = orders(site.service.url, username=site.service.user, password=site.service.password)
    service = Service(wanted)
    service.keep_alive()
    service.close()
    assert proxy.asked == [(f"localhost:{site.port}", AUTHORIZED)]


def test_a_proxy_that_refuses_is_named_as_what_is_wrong(
    client_class: Any, site: OverJava, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(OSError, match="407 Proxy Authentication Required"):
        client_class(site.hostname).connect(PATIENCE)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:secret@127.0.0.1:9")
    with pytest.raises(OSError, match="a proxy of the kind socks5; use one of HTTP") as raised:
        client_class(site.hostname).connect(PATIENCE)
    assert "secret" not in str(raised.value)
