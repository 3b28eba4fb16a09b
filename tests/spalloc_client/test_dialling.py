"""Connections are made to whichever address answers, and within the time allowed."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from spalloc_client import JobState, aio, dialling
from tests.spalloc_client.conftest import arguments
from tests.spalloc_client.scripted import PATIENCE, ScriptedServer

REAL_LOOK_UP = socket.getaddrinfo


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this computer has no IPv6 on its loopback interface")


def address(host: str, port: int) -> tuple[Any, ...]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[Any, ...]) -> None:
    """Have the name `server.test` stand for these addresses."""

    def look_up(host: str | bytes, *args: Any, flags: int = 0, **kwargs: Any) -> Any:
        if host not in ("server.test", b"server.test"):
            return REAL_LOOK_UP(host, *args, flags=flags, **kwargs)
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not in digits")
        return list(addresses)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@contextlib.contextmanager
def black_hole() -> Iterator[tuple[Any, ...]]:
    """An address that answers no attempt to connect: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield address(*listener.getsockname())


def closed() -> tuple[Any, ...]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return address(*listener.getsockname())


@needs_ipv6
def test_a_server_may_have_an_ipv6_address(client_class: Any) -> None:
    with ScriptedServer(host="::1") as server, client_class("::1", server.port) as client:
        assert client.version() == "1.0.0"


@needs_ipv6
@pytest.mark.parametrize("families", [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
def test_whichever_family_the_server_listens_on_is_found(
    client_class: Any, monkeypatch: pytest.MonkeyPatch, families: tuple[str, str]
) -> None:
    with ScriptedServer(host=families[0]) as server:
        resolve_to(monkeypatch, *(address(host, server.port) for host in sorted(families)))
        with client_class("server.test", server.port) as client:
            assert client.version() == "1.0.0"


def test_all_addresses_of_a_name_are_tried(client_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        resolve_to(monkeypatch, closed(), closed(), address(server.hostname, server.port))
        with client_class("server.test", server.port, timeout=PATIENCE) as client:
            assert client.version() == "1.0.0"


def test_an_address_that_does_not_answer_does_not_use_up_the_time(
    client_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer() as server, black_hole() as nowhere:
        resolve_to(monkeypatch, nowhere, address(server.hostname, server.port))
        began = time.monotonic()
        with client_class("server.test", server.port) as client:
            assert client.version() == "1.0.0"
        assert time.monotonic() - began < PATIENCE / 2


def test_no_answer_from_any_address_is_a_timeout_error_on_time(
    client_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with black_hole() as nowhere, black_hole() as nowhere_else:
        resolve_to(monkeypatch, nowhere, nowhere_else)
        began = time.monotonic()
        with pytest.raises(TimeoutError, match=r"could not connect to server\.test:1 within 0\.4 s"):
            client_class("server.test", 1, timeout=0.4).connect()
        assert 0.4 <= time.monotonic() - began < 5.0


def test_a_timeout_given_to_connect_wins_over_the_constructor_s(client_class: Any) -> None:
    with black_hole() as nowhere:
        host, port = nowhere[4]
        with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
            client_class(host, port, timeout=PATIENCE).connect(timeout=0.1)


def slow_look_up(
    monkeypatch: pytest.MonkeyPatch, seconds: float, *addresses: tuple[Any, ...]
) -> threading.Event:
    """Have every name take so long to look up; the event ends that."""
    answer = threading.Event()

    def look_up(host: str | bytes, *args: Any, flags: int = 0, **kwargs: Any) -> Any:
        if flags & socket.AI_NUMERICHOST:
            return REAL_LOOK_UP(host, *args, flags=flags, **kwargs)
        answer.wait(seconds)
        return list(addresses)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answer


def test_a_slow_name_server_is_not_charged_to_the_connection(
    client_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer() as server:
        slow_look_up(monkeypatch, 0.5, address(server.hostname, server.port))
        with client_class("server.test", server.port, timeout=0.3) as client:
            assert client.version(timeout=PATIENCE) == "1.0.0"


def test_a_slow_name_server_is_not_charged_to_a_job_s_questions(
    job_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = {"state": 3, "power": True, "keepalive": None, "reason": None, "start_time": 1.0}
    with ScriptedServer({"create_job": 7, "get_job_state": ready}) as server:
        slow_look_up(monkeypatch, 0.5, address(server.hostname, server.port))
        given = arguments(server, hostname="server.test", timeout=0.4, keepalive=None)
        job = job_class(**given)
        server.drop()
        assert job.state is JobState.ready
        job.destroy()
        assert server.count("destroy_job") == 1


@pytest.mark.parametrize(("timeout", "limit"), [(0.1, 0.3), (0.6, 0.6)])
def test_a_name_server_that_does_not_answer_is_a_timeout_error_that_says_so_on_time(
    client_class: Any, monkeypatch: pytest.MonkeyPatch, timeout: float, limit: float
) -> None:
    monkeypatch.setattr(dialling, "LOOKING_UP", 0.3)
    answer = slow_look_up(monkeypatch, PATIENCE)
    try:
        began = time.monotonic()
        with pytest.raises(
            TimeoutError,
            match=rf"looking up the name 'server\.test' took longer than {limit} s: the name server is slow",
        ):
            client_class("server.test").connect(timeout=timeout)
        assert limit <= time.monotonic() - began < 5.0
    finally:
        answer.set()


def test_the_end_of_a_loop_does_not_wait_for_the_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "LOOKING_UP", 0.1)
    answer = slow_look_up(monkeypatch, 4 * PATIENCE)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(aio.ProtocolClient("server.test").connect(timeout=0.1))
    assert time.monotonic() - began < PATIENCE
    answer.set()


def test_a_name_has_ten_seconds_or_the_timeout_to_be_looked_up() -> None:
    assert [dialling.look_up_limit(timeout) for timeout in (3.0, 5.0, 30.0, None)] == [10.0, 10.0, 30.0, None]


def test_a_peer_of_which_nothing_is_heard_is_probed(client_class: Any) -> None:
    with ScriptedServer() as server, client_class(server.hostname, server.port) as client:
        connection = getattr(client, "awaitable", client)._connection
        transport = getattr(connection, "_transport", None)
        sock = connection._sock if transport is None else transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, pause, count = (
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + pause * count <= 30
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 30_000


def test_what_a_program_s_own_look_up_raises_reaches_who_asked(
    client_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*args: Any, flags: int = 0, **kwargs: Any) -> Any:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not in digits")
        raise RuntimeError("the proxy is not set up")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(RuntimeError, match="the proxy is not set up"):
        client_class("server.test").connect(timeout=PATIENCE)


def test_a_program_s_own_kind_of_socket_is_used(client_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # As programs do it that reach the server through a proxy.
    made = []

    class Proxied(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    with ScriptedServer() as server:
        monkeypatch.setattr(socket, "socket", Proxied)
        with client_class(server.hostname, server.port, timeout=PATIENCE) as client:
            assert client.version() == "1.0.0"
            assert client.version() == "1.0.0"
            # The scripted server's end of it is made here as well, and what an event loop wakes itself with.
            over_tcp = [sock for sock in made if sock.family == socket.AF_INET]
            assert server.port in [sock.getpeername()[1] for sock in over_tcp]


def test_an_error_says_why_each_address_failed(client_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, closed(), address("255.255.255.255", 1))
    with pytest.raises(
        ConnectionRefusedError, match=r"can't connect to server\.test:1: Connection refused; "
    ):
        client_class("server.test", 1).connect(timeout=PATIENCE)


@pytest.mark.parametrize("timeout", [1e7, 1e300, float("inf")])
def test_a_timeout_may_be_as_long_as_one_likes(client_class: Any, timeout: float) -> None:
    with ScriptedServer() as server:
        for name in (server.hostname, "localhost"):
            client = client_class(name, server.port, timeout=timeout)
            client.connect()
            assert client.version(timeout=timeout) == "1.0.0"
            client.close()
