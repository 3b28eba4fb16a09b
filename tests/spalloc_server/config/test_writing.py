"""That a configuration that was written says what the written values say."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.config.document import parse
from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.config.writing import to_toml
from spalloc_server.core.machine import Machine
from spinnaker.geometry import BoardLink, Link, Size, boards_of, far_end
from spinnaker.places import Frame, sequential_places

NOWHERE = Path("/nowhere")
strings = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8
).filter(lambda text: text.strip() and text.isprintable())
sides = st.integers(1, 3)


@st.composite
def machines(draw: st.DrawFn, number: int) -> Machine:
    size = Size(draw(sides), draw(sides))
    dead = draw(st.sets(st.sampled_from(boards_of(size)), max_size=3))
    live = {board: place for board, place in sequential_places(size).items() if board not in dead}
    ends = draw(
        st.sets(st.builds(BoardLink, st.sampled_from(boards_of(size)), st.sampled_from(Link)), max_size=3)
    )
    standard = draw(st.booleans())
    addresses = {board: f"10.{number}.{place.frame}.{8 * place.board + 1}" for board, place in live.items()}
    bmps = {frame: f"10.{number}.{frame.frame}.0" for frame in {place.in_frame for place in live.values()}}
    if not standard:
        addresses = {board: f"m{number}-{board.x}-{board.y}-{board.z}" for board in live}
        bmps = {frame: f"bmp{number}-{frame.frame}:5{number}" for frame in bmps}
    elif live and draw(st.booleans()):
        addresses[min(live)] = f"special-{number}"
    return Machine(
        name=f"{draw(strings)}{number}",
        size=size,
        tags=draw(st.frozensets(strings, max_size=3)),
        dead_boards=frozenset(dead),
        dead_links=frozenset(ends | {far_end(size, end) for end in ends}),
        places=live,
        addresses=addresses,
        bmps=bmps,
        settle_seconds=draw(st.floats(0, 1e6)),
        cool_down_seconds=draw(st.floats(0, 1e6)),
    )


@given(
    machines(1),
    machines(2),
    st.sampled_from([("127.0.0.1",), ("::1", "host.example")]),
    st.integers(0, 65535),
)
def test_what_is_written_reads_as_it_was(
    one: Machine, other: Machine, listen: tuple[str, ...], port: int
) -> None:
    before = Configuration(state=None, machines=(one, other), v1=Listening(port, listen))
    after = parse(to_toml(before), "written.toml", NOWHERE)
    assert replace(after, state=None) == before


def test_a_site_without_machines_is_written_as_one() -> None:
    before = Configuration(state=None, v1=Listening(1))
    assert replace(parse(to_toml(before), "written.toml", NOWHERE), state=None) == before


def test_standard_addresses_are_written_as_their_base() -> None:
    size = Size(2, 2)
    places = sequential_places(size)
    machine = Machine(
        "room",
        size,
        places=places,
        addresses={board: f"10.11.0.{8 * place.board + 1}" for board, place in places.items()},
        bmps={Frame(0, 0): "10.11.0.0"},
    )
    text = to_toml(Configuration(state=None, machines=(machine,)))
    assert 'base_address = "10.11.0.0"' in text
    assert "    { board = [1, 1, 2], place = [0, 0, 11] },\n" in text
    assert "bmps" not in text
