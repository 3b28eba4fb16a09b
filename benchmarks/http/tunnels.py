"""Prints what a tunnel carries beside the shortest relay on the same library, and beside UDP without either.

`python -m benchmarks.http.tunnels`: server, tunnel and relay are processes of their own, with TLS between them. All are
measured in turn; ratios are taken turn by turn.
"""

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

from websockets.asyncio.client import connect

from spalloc_client import aio
from spalloc_client.tunnel.doors import door
from spalloc_server.embedded import EmbeddedSite
from spinnaker.scamp import ScampCommand
from spinnaker.scp import ScpRequest
from spinnaker.sdp import SDP_PORT, Endpoint, SdpHeader
from tests.spalloc_client.tunnel.reach import boot

DIRECT, TUNNEL, BARE, SITE = "direct", "tunnel", "bare relay", "site"
ROUNDS = 9
WORK = ((1, 400), (8, 2000), (32, 3000))
"""Packets under way, and in all."""
PATIENCE = 0.5
_SDRAM = 0x6000_0000
_BYTES = 256
_WORDS = 2


def site() -> None:
    """Run a server with virtual boards until the input ends; tell how to log in."""
    with EmbeddedSite(1, 1, https=True) as running:
        https = running.https
        assert https is not None
        print(json.dumps([https.url, https.user, https.password, str(https.bundle)]), flush=True)
        sys.stdin.read()


async def tunnel(url: str) -> None:
    """Hold a job and a tunnel to it; tell where the boards are, with the tunnel and without."""
    async with aio.Job(3, hostname=url, config_filenames=[]) as job:
        direct = await job.hostname
        async with job.tunnel() as made:
            session = job._client.session
            assert session is not None
            assert job.id is not None
            where = door(session, job.id)
            said = {
                "direct": direct,
                "tunnel": made.hostname,
                "url": where.url,
                "headers": dict(where.headers),
            }
            print(json.dumps(said), flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def bare(url: str, headers: dict[str, str]) -> None:
    """Relay one board's port, with a task for each direction; tell where."""
    from spalloc_client._keepalive_https import tls_context

    peers: list[Any] = [None]
    outgoing: asyncio.Queue[bytes] = asyncio.Queue()
    async with connect(url, additional_headers=headers, ssl=tls_context(), compression=None) as websocket:
        await websocket.send(struct.pack("<5I", 0, 1, 0, 0, SDP_PORT))
        opened = await websocket.recv()
        assert isinstance(opened, bytes)
        prefix = struct.pack("<2I", 2, struct.unpack("<3I", opened)[2])

        class Port(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                peers[0] = addr
                outgoing.put_nowait(prefix + data)

        async def send() -> None:
            while True:
                await websocket.send(await outgoing.get())

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Port, local_addr=("127.0.0.1", 0)
        )
        sending = asyncio.create_task(send())
        print(json.dumps(transport.get_extra_info("sockname")), flush=True)

        async def receive() -> None:
            async for message in websocket:
                assert isinstance(message, bytes)
                transport.sendto(message[8:], peers[0])

        receiving = asyncio.create_task(receive())
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        sending.cancel()
        receiving.cancel()


@contextmanager
def started(*words: str) -> Iterator[Any]:
    """Run one of the two in a process of its own; gives what it tells."""
    command = [sys.executable, "-m", "benchmarks.http.tunnels", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.communicate()


def rate(where: tuple[str, int], count: int, window: int) -> float:
    """Return how many reads of 256 bytes a board answers a second."""
    request = ScpRequest(
        SdpHeader(Endpoint(255, 255, 0)), ScampCommand.READ, 1, _SDRAM, _BYTES, _WORDS
    ).encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(where)
        began, sent = time.perf_counter(), min(window, count)
        for _ in range(sent):
            client.send(request)
        answered = 0
        while answered < count:
            try:
                client.recv(1024)
            except TimeoutError:
                # As in any network: what is lost is asked for again.
                client.send(request)
                continue
            answered += 1
            if sent < count:
                client.send(request)
                sent += 1
        return count / (time.perf_counter() - began)


def main() -> None:
    """Measure all, and print."""
    with ExitStack() as stack:
        url, *login = stack.enter_context(started(SITE))
        os.environ.update(zip(("SPALLOC_USER", "SPALLOC_PASSWORD", "SSL_CERT_FILE"), login, strict=True))
        at = stack.enter_context(started(TUNNEL, url))
        relay = stack.enter_context(started(BARE, at["url"], json.dumps(at["headers"])))
        asyncio.run(boot(at["direct"]))
        ports = {DIRECT: (at["direct"], SDP_PORT), TUNNEL: (at["tunnel"], SDP_PORT), BARE: tuple(relay)}
        for window, count in WORK:
            rates: dict[str, list[float]] = {name: [] for name in ports}
            for _ in range(ROUNDS):
                for name, where in ports.items():
                    rates[name].append(rate(where, count, window))
            ratio = median(one / other for one, other in zip(rates[TUNNEL], rates[BARE], strict=True))
            if window == 1:
                said = {
                    name: f"{1e6 / median(got):.0f} us ({1e6 / max(got):.0f})" for name, got in rates.items()
                }
            else:
                said = {name: f"{median(got):.0f} a second ({max(got):.0f})" for name, got in rates.items()}
            print(f"{window} under way, median (best): {said}; tunnel / bare relay {ratio:.2f}", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [name] if name == SITE:
            site()
        case [name, url] if name == TUNNEL:
            asyncio.run(tunnel(url))
        case [name, url, headers] if name == BARE:
            asyncio.run(bare(url, json.loads(headers)))
        case _:
            main()
