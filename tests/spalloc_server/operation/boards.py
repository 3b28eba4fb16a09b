"""Virtual boards for servers that run in processes of their own, and configurations that describe them."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.config.writing import to_toml
from spalloc_server.core.machine import Machine
from spalloc_server.embedded import machine_of
from spinnaker.geometry import Size
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite


@contextmanager
def virtual_machines(*sizes: Size) -> Iterator[list[Machine]]:
    """Run a virtual machine of each size, named a, b, ..., and give them as a configuration would describe them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="virtual-boards")
    thread.start()
    sites = [VirtualSite(VirtualMachine(size=size, timings=Timings.instant())) for size in sizes]
    try:
        for site in sites:
            asyncio.run_coroutine_threadsafe(site.start(), loop).result(30)
        yield [machine_of(site, name) for site, name in zip(sites, "abcdefgh", strict=False)]
    finally:
        for site in sites:
            asyncio.run_coroutine_threadsafe(site.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def write(path: Path, machines: Sequence[Machine], more: str = "") -> Path:
    """Write a configuration of `machines` that listens on any free port."""
    text = to_toml(Configuration(state=None, machines=tuple(machines), v1=Listening(0)))
    path.write_text(text + more)
    return path


def without(machine: Machine, *boards: object) -> Machine:
    """A machine some of whose boards are dead."""
    places = {board: place for board, place in machine.places.items() if board not in boards}
    return replace(
        machine,
        dead_boards=frozenset(set(machine.dead_boards) | set(machine.places) - set(places)),
        places=places,
        addresses={board: machine.addresses[board] for board in places},
    )
