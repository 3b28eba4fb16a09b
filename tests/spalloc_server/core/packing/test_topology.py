"""Which boards live links connect: held against a walk from board to board, one link at a time."""

from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.topology import Topology
from spinnaker.geometry import Board, Size, boards_of
from tests.examples import examples
from tests.spalloc_server.core.packing import naive


@st.composite
def _machine_and_boards(draw: st.DrawFn) -> tuple[Machine, frozenset[Board]]:
    """A machine, large enough to have an inside, and some of its live boards."""
    machine = draw(naive.machines(largest=6))
    live = sorted(naive.live_boards(machine))
    left_out = draw(st.frozensets(st.sampled_from(live), max_size=len(live) // 2)) if live else frozenset()
    return machine, frozenset(live) - left_out


@given(_machine_and_boards())
@examples(100)
def test_a_cluster_is_what_a_walk_along_live_links_reaches(
    case: tuple[Machine, frozenset[Board]],
) -> None:
    machine, boards = case
    topology = Topology(machine)
    among = topology.bitmaps.planes(boards)
    for board in sorted(boards)[::7]:
        cluster = topology.cluster(topology.bitmaps.planes([board]), among)
        assert set(topology.bitmaps.boards(cluster)) == naive.reached(machine, board, boards)


def test_a_sound_triad_inside_the_machine_is_connected_to_the_flawed_one_beside_it() -> None:
    machine = Machine("m", Size(5, 5), dead_boards=frozenset({Board(3, 2, 2)}))
    boards = {board for board in boards_of(Size(5, 5)) if board[:2] in {(2, 2), (3, 2)}} - machine.dead_boards
    topology = Topology(machine)
    cluster = topology.cluster(topology.bitmaps.planes([Board(2, 2, 0)]), topology.bitmaps.planes(boards))
    assert set(topology.bitmaps.boards(cluster)) == boards
