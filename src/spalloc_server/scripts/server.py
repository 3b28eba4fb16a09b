# The `spalloc-server` command: reads its arguments, runs a server, ends on a signal.
#
# What a server is made of stands in service.py and embedded.py; the scheduler in simulated time in simulate/.
"""Run a spalloc server."""

import argparse
import asyncio
import logging
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from spalloc_client.wire import DEFAULT_PORT
from spalloc_server.embedded import running_site
from spalloc_server.loop import run
from spalloc_server.store.database import StoreError
from spinnaker.geometry import Size

_log = logging.getLogger("spalloc_server")


def size(text: str) -> Size:
    """Return the size that WIDTHxHEIGHT names.

    Raises:
        argparse.ArgumentTypeError: It names none.
    """
    match = re.fullmatch(r"([1-9]\d{0,3})[xX]([1-9]\d{0,3})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size in triads; write WIDTHxHEIGHT, such as 2x2")
    return Size(int(match[1]), int(match[2]))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="spalloc-server", description="Share a site's SpiNNaker boards among jobs."
    )
    parser.add_argument(
        "--virtual",
        type=size,
        required=True,
        metavar="WxH",
        help="serve W by H triads of virtual boards, three boards each, on this computer's loopback addresses",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port",
        "-p",
        type=int,
        default=DEFAULT_PORT,
        help="port to listen on, 0 for any (default: %(default)s)",
    )
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="keep jobs in FILE, so that they outlive the server"
    )
    parser.add_argument("--debug", action="store_true", help="log more, and show the traceback of errors")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    arguments = make_parser().parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if arguments.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    try:
        run(
            _serve(
                running_site(
                    arguments.virtual, host=arguments.host, port=arguments.port, state=arguments.state
                )
            )
        )
    except (OSError, StoreError) as error:
        if arguments.debug:
            raise
        print(f"spalloc-server: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(site: AbstractAsyncContextManager[tuple[str, int]]) -> None:
    """Run a site until the process is told to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with site as (host, port):
        _log.info("listening on %s port %d", host, port)
        await ended.wait()
        _log.info("stopping; jobs keep their boards")
