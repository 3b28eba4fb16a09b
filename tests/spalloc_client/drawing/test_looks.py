"""That jobs are told apart by everybody: colours seen with one kind of cones less, and marks beside colours."""

from itertools import combinations, pairwise
from math import dist

import pytest

from spalloc_client.drawing.looks import (
    COLOURS,
    DARK_DEAD,
    DARK_FREE,
    DARK_PAGE,
    DARK_WORDS,
    DEAD,
    FREE,
    LOOKS,
    looks_of,
)  # fmt: skip
from spalloc_client.drawing.text_map import machine_map
from tests.spalloc_client.drawing.machines import full

# What linear RGB looks like to those who lack one kind of cones: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes,
# "A physiologically-based model for simulation of color vision deficiency", IEEE Transactions on Visualization and
# Computer Graphics 15 (2009), severity 1.0. Each row adds up to 1, so white stays white.
VISIONS = {
    "all cones": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
# From linear sRGB to XYZ, relative to the white of D65 (IEC 61966-2-1).
XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)

Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]

APART = 17.0
"""Distance in CIE 1976 L*a*b*, where 2.3 can just be told when two colours touch."""
NEIGHBOURS_APART = 24.0
LETTERS_CONTRAST = 7.0
"""What WCAG 2.1 asks of text, at its strictest (1.4.6)."""


def linear(colour: str) -> Triple:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return _linear(red), _linear(green), _linear(blue)


def _linear(share: float) -> float:
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def times(matrix: Matrix, vector: Triple) -> Triple:
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


def lab(rgb: Triple) -> Triple:
    x, y, z = (
        part ** (1 / 3) if part > (6 / 29) ** 3 else part / (3 * (6 / 29) ** 2) + 4 / 29
        for part in times(XYZ, rgb)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one: str, other: str, vision: Matrix) -> float:
    """How far two colours are apart to somebody."""
    seen = []
    for colour in (one, other):
        red, green, blue = (min(1.0, max(0.0, part)) for part in times(vision, linear(colour)))
        seen.append(lab((red, green, blue)))
    return dist(*seen)


def test_the_measure_of_difference_is_right() -> None:
    assert difference("#000000", "#ffffff", VISIONS["all cones"]) == pytest.approx(100.0, abs=0.01)
    # Pink beside grey: what deuteranopes are known to mistake for each other.
    assert difference("#e8b3d1", "#b9c4cc", VISIONS["all cones"]) > 20
    assert difference("#e8b3d1", "#b9c4cc", VISIONS["deuteranopia"]) < 2.3
    for vision in VISIONS.values():
        assert difference("#ffffff", "#ffffff", vision) == 0
        assert [sum(row) for row in vision] == pytest.approx([1.0, 1.0, 1.0], abs=1e-5)


@pytest.mark.parametrize("vision", VISIONS.values(), ids=VISIONS)
def test_two_jobs_differ_by_a_pattern_or_by_a_colour_that_everybody_can_tell(vision: Matrix) -> None:
    assert len(set(LOOKS)) == len(LOOKS)
    for one, other in combinations(LOOKS, 2):
        if one.pattern == other.pattern:
            apart = difference(one.colour, other.colour, vision)
            assert apart >= APART, f"{one.colour} and {other.colour} are {apart:.1f} apart"


@pytest.mark.parametrize("vision", VISIONS.values(), ids=VISIONS)
def test_jobs_that_follow_each_other_differ_most(vision: Matrix) -> None:
    looks = looks_of(range(1, len(LOOKS) + 2))
    for one, other in pairwise(looks[job] for job in sorted(looks)):
        assert difference(one.colour, other.colour, vision) >= NEIGHBOURS_APART


@pytest.mark.parametrize("vision", VISIONS.values(), ids=VISIONS)
def test_no_job_looks_free_or_dead(vision: Matrix) -> None:
    for colour in COLOURS:
        for other in (FREE, DEAD, DARK_FREE, DARK_DEAD):
            assert difference(colour, other, vision) >= APART


@pytest.mark.parametrize("vision", VISIONS.values(), ids=VISIONS)
def test_black_letters_can_be_read_on_every_colour(vision: Matrix) -> None:
    for colour in COLOURS:
        luminance = max(0.0, times(XYZ, times(vision, linear(colour)))[1])
        assert (luminance + 0.05) / 0.05 >= LETTERS_CONTRAST, colour


def contrast(one: str, other: str) -> float:
    """As WCAG has it, 1 to 21."""
    darker, lighter = sorted(times(XYZ, linear(colour))[1] for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def test_in_a_dark_surrounding_words_and_marks_can_be_read_and_free_and_dead_boards_told_apart() -> None:
    assert contrast(DARK_WORDS, DARK_PAGE) >= LETTERS_CONTRAST
    assert contrast("#ffffff", DARK_DEAD) >= 4.5
    assert all(difference(DARK_FREE, DARK_DEAD, vision) >= APART for vision in VISIONS.values())


def test_in_a_terminal_jobs_are_told_apart_without_colours() -> None:
    scene = full()
    keys = {who.key for who in scene.keyed}
    assert len(keys) == len(scene.tenants)
    words = " ".join(line.plain for line in machine_map(scene)).split()
    assert keys <= {word.strip("\\/_") for word in words}
