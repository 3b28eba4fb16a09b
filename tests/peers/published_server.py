"""The published server for virtual boards: what it reads of a machine, and a process of it."""

import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers.environments import PeerEnvironment

NAME = "spalloc-server==1!7.0.0"


def configuration(machine: Mapping[str, Any]) -> str:
    """Return its configuration of a machine that `tests.processes.described` tells of."""
    width, height = machine["size"]
    places = {tuple(board): tuple(place) for board, place in machine["places"]}
    bmps = {tuple(frame): address for frame, address in machine["bmps"]}
    boards = {tuple(board): address for board, address in machine["addresses"]}
    return (
        f"machine = Machine('virtual', width={width}, height={height}, board_locations={places}, "
        f"bmp_ips={bmps}, spinnaker_ips={boards})\n"
        "configuration = Configuration(machines=[machine], ip='127.0.0.1', seconds_before_free=0)\n"
    )


@contextmanager
def published_server(
    environment: PeerEnvironment, machine: Mapping[str, Any], folder: Path
) -> Iterator[tuple[str, int]]:
    """Run it until the block ends; gives its hostname and port once it accepts connections."""
    (folder / "site.cfg").write_text(configuration(machine))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = [environment.command("spalloc-server"), "site.cfg", "--port", str(port), "--cold-start"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        # It does not say when it is ready, but says something before and after.
        while not _accepts(port):
            assert server.stderr.readline(), "the server has ended"
        drain = threading.Thread(target=server.stderr.read, daemon=True)
        drain.start()
        try:
            yield "127.0.0.1", port
        finally:
            server.kill()
            server.wait()
            drain.join()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
