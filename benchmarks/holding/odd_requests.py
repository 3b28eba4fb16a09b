"""What others notice of thousands of waiting jobs that all ask for something else.

Round trips beside odd requests: `python -m benchmarks.holding.odd_requests [REQUESTS [SEED]]`.
"""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from benchmarks.load.client import Client, line
from benchmarks.programs.address import Address
from benchmarks.programs.ours import our_server, site
from benchmarks.programs.process import processor_seconds
from spalloc_server.operation.control.client import ask
from spalloc_server.operation.control.protocol import DONE, Request

SIDE = 20
REQUESTS = 13_500
PAUSE_SECONDS = 0.005
"""Between two round trips."""
RELEASED = 8
QUIET_SECONDS = 0.5


def odd_requests(random_: random.Random, count: int) -> list[bytes]:
    """Return so many `create_job` lines that all ask for something else."""
    requests = set()
    while len(requests) < count:
        requests.add(
            (random_.randint(20, 1100), round(random_.random(), 3), random_.choice([0, 0, 1, 10, 100]))
        )
    return [
        line(
            "create_job", boards, min_ratio=ratio, max_dead_boards=dead, owner=f"me{n % 100}", keepalive=None
        )
        for n, (boards, ratio, dead) in enumerate(sorted(requests, key=lambda _: random_.random()))
    ]


def watch(address: Address, pipe: Connection) -> None:
    """Ask for the version all the time, and send the seconds of each round trip in the end."""
    with Client(address) as client:
        request, taken = line("version"), []
        while not pipe.poll():
            taken.append(client.seconds_each(request, 1))
            sleep(PAUSE_SECONDS)
        pipe.send(taken)


@contextmanager
def beside(address: Address, what: str) -> Iterator[None]:
    """Measure others' round trips beside the block, until the server is quiet again, and print them."""
    ours, theirs = Pipe()
    watcher = Process(target=watch, args=(address, theirs))
    watcher.start()
    sleep(QUIET_SECONDS)
    began, spent = perf_counter(), processor_seconds(address.pid)
    yield
    wait_until_quiet(address)
    seconds, processor = perf_counter() - began, processor_seconds(address.pid) - spent
    ours.send(None)
    taken = ours.recv()
    watcher.join()
    trips = (
        f"{len(taken):6} round trips, median {1e3 * median(taken):7.2f} ms, worst {1e3 * max(taken):8.2f} ms"
    )
    print(f"{what:14} {trips}; {seconds:.1f} s, {processor:.1f} s of the server's processor time", flush=True)


def wait_until_quiet(address: Address) -> None:
    """Wait until the server does next to nothing."""
    while True:
        before = processor_seconds(address.pid)
        sleep(QUIET_SECONDS)
        if processor_seconds(address.pid) - before < QUIET_SECONDS / 4:
            return


def changed(configuration: Path) -> Callable[[], None]:
    """Return what gives the machine of a configuration one tag more."""

    def change() -> None:
        text = configuration.read_text(encoding="utf-8")
        tags = 'tags = ["default"]'
        assert tags in text, "the machine is configured otherwise than was thought"
        configuration.write_text(text.replace(tags, 'tags = ["default", "new"]'), encoding="utf-8")

    return change


def reload(socket: Path) -> None:
    """Have a server read its configuration again, and wait until that is in force."""
    *_, (said, status) = ask(socket, Request("reload"))
    if status != DONE:
        raise AssertionError(f"the reload was refused: {said}")


def main(requests: int, seed: int) -> None:
    """Measure and print."""
    random_ = random.Random(seed)
    print(f"seed {seed}, {requests} requests, {SIDE} x {SIDE} triads")
    with (
        site(SIDE, SIDE) as (machine, folder),
        our_server(machine, folder) as address,
        Client(address) as client,
    ):
        rows = client.call_many([line("create_job", SIDE, 1, owner="me", keepalive=None)] * SIDE)
        wait_until_quiet(address)
        with beside(address, "nothing"):
            pass
        lines = odd_requests(random_, requests)
        with beside(address, "creation"):
            client.call_many(lines, 50)
        with beside(address, "release"):
            for job in rows[:RELEASED]:
                client.call("destroy_job", job)
                sleep(PAUSE_SECONDS)
        change = changed(folder / "site.toml")
        with beside(address, "reload"):
            change()
            reload(folder / "state.socket")


if __name__ == "__main__":
    main(*(int(number) for number in [*sys.argv[1:], *[str(REQUESTS), "1"][len(sys.argv) - 1 :]]))
