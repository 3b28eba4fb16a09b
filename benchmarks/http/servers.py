"""A process that relays websockets to UDP, in one of two ways; see relay.py.

`ours`: the proxy of the server, with an application and jobs behind it; `unlimited`: the same, as fast as it can.
`bare`: the same libraries with nothing else. Prints what clients must know as a line of JSON, and ends with its input.
"""

import asyncio
import json
import logging
import sys
import time
from typing import Any

import uvloop
from websockets.asyncio.server import ServerConnection, serve

from spalloc_server.fronts.http.boards.streams import MESSAGES_A_SECOND, Streams
from spinnaker.geometry import Size
from tests.spalloc_server.fronts.http.site import HOST, cookie_of, served_site

ECHO_PORT = 20_000
ECHO_HOST = "127.88.0.1"
WITHOUT_LIMIT = 1e7


async def ours(*, limited: bool) -> None:
    streams = Streams(MESSAGES_A_SECOND if limited else WITHOUT_LIMIT)
    async with served_site(Size(4, 4), streams=streams) as site:
        job = await site.create("alice", 1)
        (address,) = site.boards(job).addresses.values()
        path = f"/spalloc/proxy/{job}"
        await told(port=site.port, path=path, cookie=cookie_of("alice"), echo=address, v1=site.v1)


async def bare() -> None:
    loop = asyncio.get_running_loop()

    async def relay(websocket: ServerConnection) -> None:
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        class Board(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _: Any) -> None:
                answers.put_nowait(data)

        transport, _ = await loop.create_datagram_endpoint(Board, remote_addr=(ECHO_HOST, ECHO_PORT))

        async def back() -> None:
            while True:
                await websocket.send(await answers.get())

        task = asyncio.create_task(back())
        async for message in websocket:
            assert isinstance(message, bytes)
            transport.sendto(message)
        task.cancel()
        transport.close()

    async with serve(relay, HOST, 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        await told(port=port, path="/", cookie="a=b", echo=ECHO_HOST)


async def told(**what: object) -> None:
    """Say where the server is, and how much processor time it has used whenever a line comes in."""
    print(json.dumps(what), flush=True)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        print(time.process_time(), flush=True)


if __name__ == "__main__":
    logging.disable()
    kind = sys.argv[1]
    uvloop.run(bare() if kind == "bare" else ours(limited=kind == "ours"))
