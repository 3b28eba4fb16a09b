"""The HTTP server's sockets, TLS, bounds and end."""

import asyncio
import contextlib
import logging
import socket
import ssl
import stat
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spalloc_server.core.networks import NOWHERE, Networks
from spalloc_server.fronts.http.connections import accepting
from spalloc_server.fronts.http.connections import server as server_module
from spalloc_server.fronts.http.connections.authority import Made, make_certificate
from spalloc_server.fronts.http.connections.server import HttpServer
from spalloc_server.fronts.http.connections.tls import CertificateError, about, context_of
from spalloc_server.fronts.http.origin import Proxies
from spalloc_server.fronts.http.settings import HttpSettings, Limits
from spalloc_server.runtime import run
from tests.spalloc_server.fronts.http.test_origin import named
from tests.spalloc_server.fronts.http.wire import LARGER, UPGRADE, App, connected, get, served, until

LOOPBACK = named("127.0.0.0/8").networks


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_certificate(tmp_path_factory.mktemp("authority"), ["localhost", "127.0.0.1"])


def believing(made: Made) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(made.bundle))


def tls(made: Made) -> dict[str, Path]:
    return {"certificate": made.certificate, "key": made.key}


# Where it listens


def test_it_listens_on_the_same_port_of_all_its_addresses() -> None:
    async def main() -> None:
        async with served(App(), addresses=("127.0.0.1", "127.0.0.2")) as server:
            (one, port), (other, same) = server.addresses
            assert (one, other, port) == ("127.0.0.1", "127.0.0.2", same)
            for address in server.addresses:
                reader, writer = await asyncio.open_connection(*address)
                writer.write(get("/", "Connection: close"))
                assert b"200 OK" in await reader.read()
                writer.close()

    run(main())


def test_a_port_in_use_is_told_in_words() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(
                OSError, match=f"can't listen on 127.0.0.1 port {port}: another program listens"
            ) as error:
                async with served(App(), port=port):
                    pass
            assert "give another http.port" in str(error.value)

    run(main())


def test_an_address_that_this_computer_does_not_have_is_told_in_words() -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="this computer has no such address; mend http.listen"):
            async with served(App(), addresses=("203.0.113.7",)):
                pass

    run(main())


def test_a_unix_socket_is_for_the_servers_user_and_group_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "http"

    async def main() -> None:
        async with served(App(), addresses=(), socket=path) as server:
            assert server.addresses == ()
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            async with connected(path) as client:
                assert (await client.ask("/", "X-Forwarded-For: 1.2.3.4"))[2] == b"unix http here /?"
        assert not path.exists()

    run(main())


def test_a_proxy_at_the_unix_socket_is_believed_if_the_socket_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(App(), addresses=(), socket=tmp_path / "http", proxies=named(socket=True)):
            async with connected(tmp_path / "http") as client:
                said = [
                    "X-Forwarded-For: 1.2.3.4",
                    "X-Forwarded-Proto: https",
                    "X-Forwarded-Host: spalloc.example",
                ]
                assert (await client.ask("/", *said))[2] == b"1.2.3.4 https spalloc.example /?"
                status, _, body = await client.ask("/", *said, "Forwarded: for=9.9.9.9")
                assert status == 400
                assert b"both a Forwarded and an X-Forwarded-... header" in body

    run(main())


# Who is let in


def test_clients_elsewhere_are_refused_also_behind_a_proxy(caplog: pytest.LogCaptureFixture) -> None:
    allow = networks_of("127.0.0.1", "10.0.0.0/8")

    async def main() -> None:
        async with served(App(), allow=allow, proxies=named("127.0.0.1")) as server:
            async with connected(server) as client:
                assert (await client.ask("/", "X-Forwarded-For: 10.1.2.3"))[0] == 200
                status, _, body = await client.ask("/", "X-Forwarded-For: 11.1.2.3")
                assert (status, body) == (403, b"this server takes no requests from 11.1.2.3")
                assert (await client.ask("/p", "X-Forwarded-For: 11.1.2.3", *UPGRADE))[0] == 403
            assert server.refused == 2
        async with served(App(), allow=networks_of("10.0.0.0/8")) as server, connected(server) as client:
            status, _, body = await client.ask()
            assert (status, body) == (403, b"this server takes no connections from 127.0.0.1")
            assert await client.rest() == b""

    with caplog.at_level(logging.WARNING):
        run(main())
    assert "a client at 11.1.2.3 is refused over HTTP" in caplog.text


def networks_of(*names: str) -> Networks:
    return named(*names).networks


def test_an_address_that_has_all_the_connections_it_may_have_is_told() -> None:
    async def main() -> None:
        limits = Limits(connections_from_one_address=2)
        async with served(App(), limits=limits) as server, contextlib.AsyncExitStack() as stack:
            one, two, three = [await stack.enter_async_context(connected(server)) for _ in range(3)]
            status, headers, body = await three.ask()
            assert (status, headers["retry-after"]) == (429, "10")
            assert body.startswith(b"there are 2 connections from 127.0.0.1, and the server takes no more")
            assert await three.rest() == b""
            assert ((await one.ask())[0], (await two.ask())[0]) == (200, 200)

    run(main())


def test_a_proxy_gets_as_many_connections_as_there_are() -> None:
    async def main() -> None:
        settings = {"limits": Limits(connections_from_one_address=1), "proxies": named("127.0.0.1")}
        async with served(App(), **settings) as server, contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                assert (await (await stack.enter_async_context(connected(server))).ask())[0] == 200

    run(main())


def test_other_limits_hold_after_a_reload() -> None:
    async def main() -> None:
        async with served(App(), limits=Limits(connections=1)) as server:
            one = await _from("127.0.0.2", server)
            one[1].write(get("/wait"))
            await until(lambda: not next(iter(server._connections)).is_idle)
            server.reload(replace(server.settings, limits=Limits(connections=5)))
            other = await _from("127.0.0.2", server)
            other[1].write(get())
            assert (await other[0].readuntil(b"/?")).startswith(b"HTTP/1.1 200")
            one[1].close()
            other[1].close()

    run(main())


async def _from(address: str, server: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*server.addresses[0], local_addr=(address, 0))


def test_when_all_connections_are_taken_an_idle_one_gives_way_for_another_address_and_a_busy_one_does_not() -> (
    None
):
    async def main() -> None:
        app = App()
        async with served(app, limits=Limits(connections=2)) as server:
            busy, idle = await _from("127.0.0.2", server), await _from("127.0.0.2", server)
            idle[1].write(get())
            assert (await idle[0].readuntil(b"/?")).startswith(b"HTTP/1.1 200")
            busy[1].write(get("/wait"))
            await app.began.wait()
            newcomer = await _from("127.0.0.3", server)
            newcomer[1].write(get())
            assert (await newcomer[0].readuntil(b"/?")).startswith(b"HTTP/1.1 200")
            with contextlib.suppress(ConnectionResetError):
                assert await idle[0].read() == b""
            assert app.waiting == 1
            last = await _from("127.0.0.2", server)
            last[1].write(get())
            answer = await last[0].read()
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"the server has 2 connections and takes no more; try again later" in answer
            for _, writer in (busy, idle, newcomer, last):
                writer.close()

    run(main())


def test_without_tls_only_this_computer_and_proxies_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "canonical", lambda _address: "10.1.1.1")

    async def status(**settings: Any) -> int:
        async with served(App(), **settings) as server, connected(server) as client:
            return (await client.ask())[0]

    assert run(status()) == 403
    # What the gate sees is not changed here, and needs no leave.
    assert run(status(proxies=named("10.1.1.1"))) == 200


# TLS


def test_over_tls_the_certificate_is_shown_and_the_scheme_is_https(made: Made) -> None:
    async def main() -> None:
        async with served(App(), **tls(made)) as server:
            async with connected(server, believing(made)) as client:
                assert (await client.ask())[2] == b"127.0.0.1 https here /?"
                assert client.writer.get_extra_info("ssl_object").version() == "TLSv1.3"

    run(main())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_refused(made: Made) -> None:
    async def main() -> None:
        async with served(App(), **tls(made)) as server:
            old = believing(made)
            old.set_ciphers("ALL:@SECLEVEL=0")
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with connected(server, old):
                    pass
            new = believing(made)
            new.maximum_version = ssl.TLSVersion.TLSv1_2
            async with connected(server, new) as client:
                assert (await client.ask())[0] == 200

    run(main())


def serial(client: Any) -> int:
    return int(client.writer.get_extra_info("ssl_object").getpeercert()["serialNumber"], 16)


def test_a_new_certificate_is_shown_after_a_reload_and_no_connection_is_dropped(tmp_path: Path) -> None:
    first = make_certificate(tmp_path, ["localhost"])

    async def main() -> None:
        async with served(App(), **tls(first)) as server:
            async with connected(server, believing(first)) as old:
                await old.ask()
                make_certificate(tmp_path, ["localhost"])
                server.reload(server.settings)
                async with connected(server, believing(first)) as new:
                    assert (await new.ask())[0] == 200
                    assert serial(new) != serial(old)
                assert (await old.ask())[0] == 200

    run(main())


def test_a_wrong_pair_is_refused_at_a_reload_and_the_old_one_stays_in_use(tmp_path: Path) -> None:
    first = make_certificate(tmp_path / "first", ["localhost"])
    other = make_certificate(tmp_path / "other", ["localhost"])

    async def main() -> None:
        async with served(App(), **tls(first)) as server:
            first.key.write_bytes(other.key.read_bytes())
            with pytest.raises(
                CertificateError, match=r"key\.pem is not the key of the certificate in .*certificate\.pem"
            ):
                server.reload(server.settings)
            async with connected(server, believing(first)) as client:
                assert (await client.ask())[0] == 200

    run(main())


def test_whoever_shakes_no_hands_is_counted_and_cut_off_in_time(made: Made) -> None:
    async def main() -> None:
        async with served(App(), **tls(made), limits=Limits(request_seconds=0.3)) as server:
            async with connected(server) as client:
                await until(lambda: server.connections > 0)
                await client.rest()
                await until(lambda: not server.connections)

    run(main())


def test_plain_http_at_a_port_of_tls_is_no_answer_and_no_line_in_the_log(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with served(App(), **tls(made)) as server, connected(server) as client:
            await client.send(get())
            assert b"HTTP/1.1" not in await client.rest()

    with caplog.at_level(logging.INFO):
        run(main())
    assert caplog.text == ""


def broken_pairs(made: Made, folder: Path) -> dict[str, tuple[Path, Path]]:
    empty = folder / "empty.pem"
    empty.write_text("nothing")
    return {
        "there.pem can't be read: No such file": (folder / "there.pem", made.key),
        "not.pem can't be read: No such file": (made.certificate, folder / "not.pem"),
        "empty.pem has no certificate in PEM": (empty, made.key),
        "empty.pem has no private key in PEM": (made.certificate, empty),
    }


def test_what_is_wrong_with_a_certificate_is_told_with_its_file(made: Made, tmp_path: Path) -> None:
    for said, (certificate, key) in broken_pairs(made, tmp_path).items():
        with pytest.raises(CertificateError, match=said):
            context_of(certificate, key)


def test_a_key_with_a_password_is_refused_rather_than_asked_for(made: Made, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(made.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )
    with pytest.raises(CertificateError, match=r"is protected by a password.*openssl pkey -in") as error:
        context_of(made.certificate, locked)
    assert error.value.of_key


# Its own authority


def test_keys_are_for_their_user_only_and_the_authority_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    one = make_certificate(folder, ["localhost", "127.0.0.1", "::1"])
    authority = (folder / "authority.pem").read_bytes()
    for key in (one.key, folder / "authority-key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    said = about(one.certificate)
    assert said.names == ("localhost", "127.0.0.1", "::1")
    assert said.begins < time.time() < said.ends
    make_certificate(folder, ["localhost"])
    assert (folder / "authority.pem").read_bytes() == authority


def test_the_bundle_has_what_this_computer_believes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = make_certificate(tmp_path / "others", ["localhost"])
    monkeypatch.setenv("SSL_CERT_FILE", str(others.bundle))
    made = make_certificate(tmp_path / "ours", ["localhost"])
    assert made.bundle.read_bytes().startswith(others.bundle.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    before = made.bundle.stat().st_size
    assert make_certificate(tmp_path / "ours", ["localhost"]).bundle.stat().st_size <= before


def test_an_authority_that_can_not_be_used_is_replaced(tmp_path: Path) -> None:
    make_certificate(tmp_path, ["localhost"])
    authority = (tmp_path / "authority.pem").read_bytes()
    (tmp_path / "authority-key.pem").write_text("nothing")
    made = make_certificate(tmp_path, ["localhost"])
    assert (tmp_path / "authority.pem").read_bytes() != authority
    context_of(made.certificate, made.key)


# The end


def test_it_ends_in_time_with_open_polls_and_websockets(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        app = App()
        stack = contextlib.AsyncExitStack()
        async with stack:
            async with served(app) as server:
                polls = [await stack.enter_async_context(connected(server)) for _ in range(20)]
                for poll in polls:
                    await poll.send(get("/wait"))
                websockets = [await stack.enter_async_context(connected(server)) for _ in range(20)]
                for websocket in websockets:
                    assert (await websocket.ask("/proxy", *UPGRADE))[0] == 101
                half = await stack.enter_async_context(connected(server))
                await half.send(b"GET")
                await until(lambda: (app.waiting, app.websockets) == (20, 20))
                began = time.monotonic()
            assert time.monotonic() - began < 60
            assert (app.waiting, app.websockets, server.connections) == (0, 0, 0)
            # Going away (RFC 6455, 7.4.1), or here: the service restarts.
            assert await websockets[0].rest() == b"\x88\x02\x03\xf4"

    with caplog.at_level(logging.INFO):
        run(main())
    assert caplog.text == ""


def test_an_application_that_does_not_end_does_not_hold_up_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "LAST_WORDS_SECONDS", 0.1)
    began, forever = asyncio.Event(), asyncio.Event()

    async def stubborn(_scope: Any, _receive: Any, _send: Any) -> None:
        began.set()
        await forever.wait()

    async def main() -> None:
        async with served(stubborn) as server, connected(server) as client:  # type: ignore[arg-type]
            await client.send(get())
            await began.wait()

    run(main())


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="connections is 0; it must be 1 or more"):
        Limits(connections=0)
    with pytest.raises(ValueError, match="idle_seconds is 0; it must be more than 0 seconds"):
        Limits(idle_seconds=0)
    assert HttpSettings().proxies == Proxies(NOWHERE, socket=False)


def asks_and_does_not_read(server: HttpServer, context: ssl.SSLContext | None) -> socket.socket:
    found = socket.create_connection(server.addresses[0])
    if context is not None:
        found = context.wrap_socket(found, server_hostname="localhost")
    found.sendall(get("/larger"))
    return found


def test_over_tls_whoever_does_not_read_is_cut_off_too(made: Made) -> None:
    async def main() -> None:
        limits = Limits(slow_reader_seconds=0.3)
        async with served(App(), **tls(made), limits=limits) as server:
            with await asyncio.to_thread(asks_and_does_not_read, server, believing(made)):
                await until(lambda: not server.connections)
                assert server.cut_off == 1

    run(main())


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_all_clients_leave_unread_is_bounded_and_those_that_leave_most_are_cut_off(
    encrypted: bool, made: Made, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    most = 2 * LARGER
    monkeypatch.setattr(server_module, "MOST_UNREAD_BYTES", most)

    async def main() -> None:
        async with served(App(), **(tls(made) if encrypted else {})) as server, AsyncExitStack() as stack:
            context = believing(made) if encrypted else None
            for _ in range(5):
                stack.enter_context(await asyncio.to_thread(asks_and_does_not_read, server, context))
            await until(lambda: server.cut_off > 0)
            # However late it reads, the others have left more.
            reader = await stack.enter_async_context(connected(server, context))
            assert len((await reader.ask("/large"))[2]) == LARGER // 4
            assert server.cut_off < 5
            assert 0 < server.unread_bytes <= most

    with caplog.at_level(logging.WARNING):
        run(main())
    assert f"clients have left {most} bytes unread" in caplog.text
