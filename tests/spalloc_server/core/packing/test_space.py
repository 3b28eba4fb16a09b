"""What a space tells of its rectangles, and what it remembers of them while boards come and go."""

import gc
from weakref import ref

from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.space import Space
from spalloc_server.core.packing.topology import Topology
from spinnaker.geometry import Board, Size, boards_of
from tests.examples import examples
from tests.spalloc_server.core.packing import naive

_SIZES = st.builds(Size, st.integers(1, 4), st.integers(1, 4))


@st.composite
def _changes(draw: st.DrawFn) -> tuple[Machine, Size, list[frozenset[Board]]]:
    """A machine, a size of rectangles on it, and the boards that are open one time after the other."""
    machine = draw(naive.machines())
    live = sorted(naive.live_boards(machine))
    some = st.frozensets(st.sampled_from(live)) if live else st.just(frozenset[Board]())
    sizes = _SIZES.filter(
        lambda size: size.width <= machine.size.width and size.height <= machine.size.height
    )
    return machine, draw(sizes), draw(st.lists(some, min_size=1, max_size=8))


@given(_changes(), st.data())
@examples(100)
def test_no_rectangle_ever_has_more_open_boards_than_its_ceiling(
    case: tuple[Machine, Size, list[frozenset[Board]]], data: st.DataObject
) -> None:
    """The ceiling is known without counting, from what was counted when fewer boards had been opened."""
    machine, size, changes = case
    topology = Topology(machine)
    space = Space(topology)
    rectangles = space.rectangles(size)
    for boards in changes:
        space.become(topology.bitmaps.planes(boards))
        inside = (
            topology.bitmaps.planes(boards).within(topology.bitmaps.rectangle(x, y, size)).size
            for y in range(machine.size.height)
            for x in range(machine.size.width)
            if topology.bitmaps.triad(x, y) & _origins(space, size)
        )
        fullest = max(inside, default=0)
        assert fullest <= rectangles.ceiling
        assert rectangles.any_has(fullest)
        assert not rectangles.any_has(fullest + 1)
        if data.draw(st.booleans()):
            assert rectangles.find_ceiling() == rectangles.ceiling >= fullest


def _origins(space: Space, size: Size) -> int:
    """Bitmap of the triads that a rectangle may have at its bottom left."""
    triads, origins, rectangles = 0, space.rectangles(size).origins, space.rectangles(size)
    while origins:
        triads |= space.topology.bitmaps.triad(*rectangles.grids.first(origins))
        origins &= origins - 1
    return triads


def test_a_version_tells_which_open_boards_have_been_opened_since() -> None:
    machine = Machine("m", Size(2, 2))
    topology = Topology(machine)
    space = Space(topology)
    space.become(topology.bitmaps.planes([Board(0, 0, 0)]))
    before = space.open.version
    space.become(topology.bitmaps.planes([Board(0, 0, 0), Board(1, 0, 1), Board(1, 1, 2)]))
    assert space.open.version == before + 2
    space.become(topology.bitmaps.planes([Board(0, 0, 0), Board(1, 1, 2)]))
    assert space.open.version == before + 2, "taking boards opens no spot"
    assert topology.bitmaps.boards(space.opened_since(before)) == [Board(1, 1, 2)]
    assert topology.bitmaps.boards(space.opened_since(space.open.version)) == []


def test_a_space_is_gone_with_the_last_reference_to_it() -> None:
    """A server's collector does not look again at what has lived long: nothing in it may end in a circle."""
    topology = Topology(Machine("m", Size(3, 3)))
    space = Space(topology, topology.bitmaps.planes(boards_of(Size(3, 3))))
    assert space.rectangles(Size(2, 2)).any_has(12)
    gone = ref(space)
    gc.disable()
    try:
        del space
        assert gone() is None
    finally:
        gc.enable()
