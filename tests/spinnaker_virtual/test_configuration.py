"""Machines from TOML."""

import pytest

from spinnaker.geometry import Board, BoardLink, Chip, Link, Size, far_end
from spinnaker.places import Place
from spinnaker_virtual import DeadChipLink, DeadCore, Faults, Timings
from spinnaker_virtual.configuration import MachineFileError, parse

WHOLE = """
width = 2
height = 1
seed = 7
bmp_version = "1.3"
dead_boards = [[0, 0, 1], [0, 0, 2], [1, 0, 1], [1, 0, 2]]
dead_links = [[1, 0, 0, "north-east"]]

[timings]
power_on = 0.5
boot = 0

[faults]
lost = 0.01
crash = 2

[[board]]
at = [0, 0, 0]
place = [1, 2, 3]
dead_chips = [[3, 4]]
dead_cores = [[0, 0, 17]]
dead_links = [[1, 1, "west"]]

[[board]]
at = [1, 0, 0]
place = [1, 2, 4]
"""


def placed(*place: int) -> str:
    return f"dead_boards = [[0, 0, 1], [0, 0, 2]]\n[[board]]\nat = [0, 0, 0]\nplace = {list(place)}"


def test_everything_that_a_configuration_says_is_in_the_machine() -> None:
    machine = parse(WHOLE)
    origin = Board(0, 0, 0)
    assert machine.size == Size(2, 1)
    assert machine.seed == 7
    assert machine.bmp_version == (1, 3, 0)
    assert machine.dead_boards == {Board(x, 0, z) for x in range(2) for z in (1, 2)}
    end = BoardLink(Board(1, 0, 0), Link.NORTH_EAST)
    assert machine.dead_links == {end, far_end(Size(2, 1), end)}
    assert machine.timings == Timings(power_on=0.5, boot=0)
    assert machine.faults == Faults(lost=0.01, crash=2)
    assert machine.places == {origin: Place(1, 2, 3), Board(1, 0, 0): Place(1, 2, 4)}
    assert machine.dead_chips == {origin: {Chip(3, 4)}}
    assert machine.dead_cores == {origin: {DeadCore(Chip(0, 0), 17)}}
    assert machine.dead_chip_links == {origin: {DeadChipLink(Chip(1, 1), Link.WEST)}}


def test_an_empty_configuration_is_a_triad() -> None:
    assert len(parse("").places) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width = ", "not TOML"),
        ("widht = 2", "no setting 'widht'; it may have width, height"),
        ("width = -1", "width must be a whole number, 0 or more, not -1"),
        ("width = 0", "0x1 triads has no boards"),
        ("dead_boards = [[9, 0, 0]]", r"board \(9, 0, 0\) is outside a machine of 1x1"),
        ("dead_boards = [1]", r"an entry of dead_boards must be \[x, y, z\], not 1"),
        (
            'dead_links = [[0, 0, 0, "up"]]',
            r"the entry \[0, 0, 0, 'up'\] of dead_links must name a link, not 'up'; links are east, north-east",
        ),
        (
            "[[board]]\nat = [0, 0, 1]\ndead_chips = [[7]]",
            r"an entry of dead_chips of board \(0, 0, 1\) must be \[x, y\], not \[7\]",
        ),
        (
            '[[board]]\nat = [0, 0, 1]\ndead_links = [[1, 1, "up"]]',
            r"dead_links of board \(0, 0, 1\).* must name a link, not 'up'",
        ),
        ("board = 1", "board must be a list"),
        ("[[board]]\nat = [0, 0]", r"at of a \[\[board\]\] must be \[x, y, z\]"),
        ("[[board]]\nat = [0, 0, 0]\ndead_chips = [[7, 0]]", r"no chip \(7, 0\)"),
        ("[[board]]\nat = [0, 0, 0]\ndead_cores = [[0, 0, 18]]", "has no core 18"),
        (
            "width = 9999999\nheight = 9999999",
            "needs more loopback addresses than there are; they suffice for 1560576 boards",
        ),
        ("[[board]]\nat = [0, 0, 0]\n[[board]]\nat = [0, 0, 0]", r"board \(0, 0, 0\) is described twice"),
        (
            "[[board]]\nat = [0, 0, 0]\nplace = [0, 0, 0]",
            r"board \(0, 0, 1\) has no place although others have one",
        ),
        (placed(0, 0, 24), "can't stand at cabinet 0, frame 0, board 24: .* a frame's boards 0 to 23"),
        (placed(0, 5, 0), "can't stand at cabinet 0, frame 5, board 0: .* frames are 0 to 4"),
        ("[timings]\npower_on = true", "power_on of .timings. must be a number"),
        ("[timings]\nreboot = 1", "has no setting 'reboot'"),
        ("[faults]\nlost = 2", "lost can't be 2"),
        ("bmp_version = 2", 'bmp_version must be like "2.1.1", not 2'),
    ],
)
def test_what_describes_no_machine_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(MachineFileError, match=message):
        parse(text)


def test_a_chip_whose_cores_are_all_dead_is_a_dead_chip() -> None:
    cores = ", ".join(f"[1, 1, {core}]" for core in range(18))
    with pytest.raises(MachineFileError, match=r"all cores of chip \(1, 1\)"):
        parse(f"[[board]]\nat = [0, 0, 0]\ndead_cores = [{cores}]")
