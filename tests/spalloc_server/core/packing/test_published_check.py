"""What we allocate, checked by others: the published server's check of a region, and spinn_machine's coordinates."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.packing.steps import whole
from spalloc_server.core.requests import Boards, JobRequest, Rectangle
from spinnaker.geometry import Board, BoardLink, Link, Size, boards_of, far_end, first_chip
from tests.peers.environments import PeerEnvironment
from tests.seeds import SEED
from tests.spalloc_server.core.packing import naive
from tests.spinnaker import oracle

CASES = 3000
ASKING = Path(__file__).with_name("published_check.py")


def _machine(random: Random) -> Machine:
    size = Size(random.randint(1, 8), random.randint(1, 8))
    boards = boards_of(size)
    dead = frozenset(random.sample(boards, random.choice([0, 0, 1, len(boards) // 10])))
    ends = {
        BoardLink(random.choice(boards), Link(random.randrange(6)))
        for _ in range(random.choice([0, 0, 1, 6]))
    }
    return Machine(
        "m", size, dead_boards=dead, dead_links=frozenset(ends | {far_end(size, end) for end in ends})
    )


def _request(random: Random, machine: Machine) -> JobRequest:
    limits = {
        "max_dead_boards": random.choice([0, 0, 1, 5, None]),
        "max_dead_links": random.choice([None, 0, 4]),
    }
    size = Size(random.randint(1, machine.size.width), random.randint(1, machine.size.height))
    if random.random() < 0.3:
        return JobRequest(Rectangle(size), require_torus=random.random() < 0.2, **limits)
    return JobRequest(
        Boards(random.randint(2, max(2, size.boards))), min_ratio=random.choice([0.0, 0.333]), **limits
    )


def _allocations(count: int) -> Iterator[tuple[Machine, JobRequest, Allocation]]:
    """Allocations on machines that fill up, of rectangles that do not lie across a machine's edge."""
    random = Random(SEED)
    while count:
        machine = _machine(random)
        packer = Packer(machine)
        for _ in range(6):
            request = _request(random, machine)
            wish = whole(packer.wishes.of(request))
            given = None if wish is None else whole(packer.find(wish))
            if not isinstance(given, Allocation) or given.size is None:
                continue
            packer.take(given.boards)
            right, top = given.origin.x + given.size.width, given.origin.y + given.size.height
            if count and right <= machine.size.width and top <= machine.size.height:
                count -= 1
                yield machine, request, given


def _case(machine: Machine, request: JobRequest, given: Allocation) -> dict[str, object]:
    """The question for the published check; what others have, and what is left to them, is dead to it."""
    size = given.size
    assert size is not None
    others = naive.region(machine, given.origin, size) - given.boards
    return {
        "width": machine.size.width,
        "height": machine.size.height,
        "dead_boards": sorted(machine.dead_boards | others),
        "dead_links": sorted((*end.board, int(end.link)) for end in machine.dead_links),
        "max_dead_boards": request.max_dead_boards,
        "max_dead_links": request.max_dead_links,
        "require_torus": request.require_torus,
        "expected_boards": request.shape.count if isinstance(request.shape, Boards) else None,
        "region": [given.origin.x, given.origin.y, size.width, size.height],
    }


@pytest.mark.uncounted
def test_the_published_server_accepts_the_regions_that_we_allocate(
    peer: Callable[[str], PeerEnvironment],
) -> None:
    allocations = list(_allocations(CASES))
    asked = "".join(json.dumps(_case(*case)) + "\n" for case in allocations)
    python = peer("spalloc-server==1!7.0.0").python
    done = subprocess.run([python, ASKING], input=asked, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == CASES
    for (machine, request, given), answer in zip(allocations, answers, strict=True):
        assert answer["accepted"], (machine, request, given)
        assert {Board(*board) for board in answer["boards"]} == given.boards


@pytest.mark.parametrize(
    "machine_size", [pytest.param(Size(6, 5), marks=pytest.mark.slow), Size(3, 2), Size(1, 4)], ids=str
)
def test_a_whole_rectangles_chips_are_where_spinn_machine_has_them(machine_size: Size) -> None:
    """The Ethernet-connected chips of a job, in its own coordinates, are those of a machine of its width and height."""
    for width in range(1, machine_size.width + 1):
        for height in range(1, machine_size.height + 1):
            packer = Packer(Machine("m", machine_size))
            packer.take([Board(0, 0, 2)] if Size(width, height) != machine_size else [])
            wish = whole(packer.wishes.of(JobRequest(Rectangle(Size(width, height)))))
            assert wish is not None
            given = whole(packer.find(wish))
            if not isinstance(given, Allocation):
                continue
            theirs = {chip.ethernet for chip in oracle.chips(given.chips.x, given.chips.y).values()}
            ours = {
                given.chip_in_job(machine_size, first_chip(machine_size, board)) for board in given.boards
            }
            assert ours == theirs
