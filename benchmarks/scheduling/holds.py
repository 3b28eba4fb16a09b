"""The longest time for which one call into the core holds the event loop.

`python -m benchmarks.scheduling.holds [REQUESTS [SEED]]` measures it on machines with faults, for unusual requests.
"""

import gc
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter, thread_time

import uvloop

from spalloc_server.core.askers import Asker
from spalloc_server.core.effects import PowerOrder
from spalloc_server.core.jobs import Asked
from spalloc_server.core.machine import Machine
from spalloc_server.core.reconfiguration import reconfigure
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest, Rectangle
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment
from spalloc_server.operation.garbage import keep_collections_short
from spinnaker.geometry import BoardLink, Link, Size, boards_of, far_end
from spinnaker.places import sequential_places

SIZE = Size(20, 20)
REQUESTS = 10_000
REQUESTS_A_MACHINE = 100
MOST_LIVE = 60
"""The number of live jobs, which keeps the machine busy."""
NAMED = (
    JobRequest(Boards(600), max_dead_boards=10, max_dead_links=0),
    JobRequest(Boards(453), min_ratio=1e-9, max_dead_boards=100, max_dead_links=1),
    JobRequest(Boards(300), min_ratio=0.0, max_dead_boards=200, max_dead_links=0),
)
"""The requests that took longest when a decision was made in one piece."""


class Worst:
    """The longest calls so far."""

    def __init__(self) -> None:
        """Begin without calls."""
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self.calls = 0
        self.collecting = 0.0
        self._began = 0.0

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Time a call."""
        wall, processor = perf_counter(), thread_time()
        yield
        self.calls += 1
        self.wall[what] = max(self.wall.get(what, 0.0), perf_counter() - wall)
        self.processor[what] = max(self.processor.get(what, 0.0), thread_time() - processor)

    def collection(self, phase: str, _: object) -> None:
        """Time a garbage collection, as one of `gc.callbacks`."""
        if phase == "start":
            self._began = perf_counter()
        else:
            self.collecting = max(self.collecting, perf_counter() - self._began)

    def __str__(self) -> str:
        lines = [
            f"{what:12} worst {1e3 * self.wall[what]:7.2f} ms wall, {1e3 * self.processor[what]:7.2f} ms processor"
            for what in self.wall
        ]
        return "\n".join([*lines, f"garbage      worst {1e3 * self.collecting:7.2f} ms wall"])


def faulty(random_: random.Random, boards: int, links: int, name: str = "m") -> Machine:
    """Return a machine with these numbers of dead boards and links."""
    everything = boards_of(SIZE)
    dead = frozenset(random_.sample(everything, boards))
    ends = {BoardLink(random_.choice(everything), random_.choice(list(Link))) for _ in range(links)}
    ends |= {far_end(SIZE, end) for end in ends}
    places = {board: place for board, place in sequential_places(SIZE).items() if board not in dead}
    addresses = {board: f"10.0.{board.x}.{board.y}" for board in places}
    return Machine(
        name, SIZE, dead_boards=dead, dead_links=frozenset(ends), places=places, addresses=addresses
    )


def odd(random_: random.Random) -> JobRequest:
    """Return a request of any kind."""
    if random_.random() < 0.1:
        return JobRequest(AnyBoard())
    shape: Boards | Rectangle = Boards(random_.randint(2, 1250))
    if random_.random() < 0.5:
        shape = Boards(random_.randint(2, 60))
    if random_.random() < 0.1:
        shape = Rectangle(Size(random_.randint(1, 21), random_.randint(1, 21)))
    return JobRequest(
        shape,
        min_ratio=random_.choice([0.333, 0.333, 0.0, 1.0, random_.random()]),
        max_dead_boards=random_.choice([0, 0, 1, 10, 100, random_.randint(0, 1200), None]),
        max_dead_links=random_.choice([None, 0, 0, 1, 2, 4, 10, 40]),
        require_torus=random_.random() < 0.05,
    )


class World:
    """A site whose hardware obeys at once."""

    def __init__(self, machine: Machine, worst: Worst) -> None:
        """Begin with no jobs."""
        self.worst = worst
        self.now = 0.0
        self.site = Site([machine])

    @property
    def at(self) -> Moment:
        """The current time."""
        return Moment(self.now, self.now)

    def settle(self) -> int:
        """Decide until everything is decided; return the number of slices."""
        slices, settled = 0, False
        while not settled:
            with self.worst.of("decide"):
                settled = self.site.decide(self.at)
            slices += 1
            effects = self.site.take_effects()
            for order in effects.orders:
                if isinstance(order, PowerOrder):
                    with self.worst.of("power_done"):
                        self.site.power_done(order.number, {}, self.at)
        return slices

    def create(self, request: JobRequest) -> int:
        """Create a job."""
        with self.worst.of("create_job"):
            return self.site.create_job(
                request,
                Asked((), {}),
                owner="me",
                keepalive=None,
                by=Asker("192.0.2.1"),
                at=self.at,
            )

    def destroy(self, job: int) -> None:
        """End a job."""
        with self.worst.of("destroy_job"):
            self.site.destroy_job(job, None, self.at)

    def reconfigure(self, machine: Machine) -> None:
        """Change the machine."""
        with self.worst.of("reconfigure"):
            reconfigure(self.site, [machine], self.at)


def at_random(worst: Worst, requests: int, random_: random.Random) -> None:
    """Create and destroy jobs on one faulty machine after the other."""
    for _ in range(max(1, requests // REQUESTS_A_MACHINE)):
        world = World(faulty(random_, random_.randint(0, 30), random_.randint(0, 30)), worst)
        for _ in range(min(requests, REQUESTS_A_MACHINE)):
            world.now += random_.choice([1.0, 10.0, 1000.0])
            world.create(odd(random_))
            if len(world.site.jobs) > MOST_LIVE or random_.random() < 0.1:
                world.destroy(random_.choice(list(world.site.jobs) or [0]))
            world.settle()
        world.reconfigure(faulty(random_, random_.randint(0, 30), random_.randint(0, 30)))
        world.settle()


def named(random_: random.Random, report: Callable[[str], None]) -> None:
    """Make the requests that took longest, on machines with ten dead boards and links."""
    for request in NAMED:
        worst = Worst()
        world = World(faulty(random_, 10, 10), worst)
        began = thread_time()
        world.create(request)
        slices = world.settle()
        report(
            f"{request.shape.count if isinstance(request.shape, Boards) else 0} boards, "
            f"{thread_time() - began:.2f} s of processor time in {slices} slices; worst "
            f"{1e3 * worst.wall['decide']:.2f} ms wall, {1e3 * worst.processor['decide']:.2f} ms processor"
        )


def main(requests: int, seed: int) -> None:
    """Measure and print."""
    random_ = random.Random(seed)
    print(f"seed {seed}")
    named(random_, print)
    worst = Worst()
    keep_collections_short(uvloop.new_event_loop())
    gc.callbacks.insert(0, worst.collection)
    at_random(worst, requests, random_)
    gc.callbacks.remove(worst.collection)
    print(f"{requests} random requests, {worst.calls} calls\n{worst}")


if __name__ == "__main__":
    main(*(int(number) for number in [*sys.argv[1:], *[str(REQUESTS), "1"][len(sys.argv) - 1 :]]))
