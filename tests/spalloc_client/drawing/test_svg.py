"""Pictures of machines as SVG."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from spalloc_client.drawing.legend import broken
from spalloc_client.drawing.scene import scene, tenant
from spalloc_client.drawing.svg import job_svg, machine_svg
from spalloc_client.terminal.text import columns
from tests.spalloc_client.drawing.machines import full, manual

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def picture() -> ET.Element:
    return ET.fromstring(machine_svg(full()))


def test_every_board_is_a_hexagon_that_says_whose_it_is(picture: ET.Element) -> None:
    titles = [polygon.findtext(f"{SVG}title") or "" for polygon in picture.iter(f"{SVG}polygon")]
    assert len(titles) == len(set(titles)) == 1200
    assert sum("dead" in title for title in titles) == 9
    assert sum("free" in title for title in titles) == 1200 - 9 - full().boards_in_use


def test_jobs_are_told_apart_by_letters_patterns_and_outlines(picture: ET.Element) -> None:
    letters = [text.text for group in picture.iter(f"{SVG}g") for text in group.iter(f"{SVG}text")]
    assert len(set(letters)) == 30
    assert len(letters) == full().boards_in_use
    fills = {polygon.get("fill") for polygon in picture.iter(f"{SVG}polygon")}
    assert len([fill for fill in fills if fill and fill.startswith("url(#")]) == 30


def test_what_is_referred_to_is_there_and_means_the_same_in_every_picture(
    picture: ET.Element,
) -> None:
    for source in (machine_svg(full()), machine_svg(manual())):
        used = set(re.findall(r"url\(#([^)]+)\)", source))
        assert used == set(re.findall(r'<pattern id="([^"]+)"', source))
    definitions: dict[str, str] = {}
    for source in (machine_svg(full()), machine_svg(manual())):
        for name, whole in re.findall(r'<pattern id="([^"]+)"(.*?)</pattern>', source):
            assert definitions.setdefault(name, whole) == whole


def test_the_machine_of_the_manual_is_drawn_as_it_was_looked_at_and_found_right(
    snapshot: SnapshotAssertion,
) -> None:
    assert machine_svg(manual()) == snapshot


def test_a_jobs_picture_has_its_boards_alone() -> None:
    root = ET.fromstring(job_svg(manual(), 2))
    assert len(list(root.iter(f"{SVG}polygon"))) == 12
    assert root.findtext(f"{SVG}title") == "Job 2: 12 boards of frame-4"


def test_owners_can_be_called_anything() -> None:
    jobs = [tenant(1, '<b>"&\x1b\x00', [(0, 0, 0)])]
    root = ET.fromstring(machine_svg(scene("<m>", (1, 1), tenants=jobs)))
    assert '<b>"&' in "".join(root.itertext())


def test_owners_are_told_whole_within_their_column_whatever_their_alphabet() -> None:
    owners = [
        "日本語の名前" * 9,
        "n" * 256,
        "somebody.with.a.long.name@department.university.example.org",
        "me",
    ]
    jobs = [tenant(number, owner, [(0, number, 0)]) for number, owner in enumerate(owners)]
    root = ET.fromstring(machine_svg(scene("m", (1, 4), tenants=jobs)))
    labels = [text for text in root.iter(f"{SVG}text") if "board, " in "".join(text.itertext())]
    assert ["".join(text.itertext()).partition("board, ")[2] for text in labels] == owners
    for text in labels:
        assert all(columns(line) <= 60 for line in text.itertext())
    # One below the other, as far as their lines go.
    ends = [float(text.get("y", "0")) + 18 * len(list(text)) for text in labels]
    assert all(end < float(text.get("y", "0")) for end, text in zip(ends, labels[1:], strict=False))


@given(st.text("abW 名", max_size=60), st.integers(30, 300))
def test_lines_are_broken_without_losing_anything(words: str, width: int) -> None:
    lines = broken(words, width)
    assert "".join(lines) == words
    assert all(8.0 * columns(line) + 4.0 * line.count("W") <= width for line in lines)
    assert not words or all(lines)


def test_the_surroundings_are_dark_where_the_reader_likes_that_and_jobs_keep_their_colours() -> None:
    picture = machine_svg(manual())
    (style,) = re.findall(r"<style>(.*?)</style>", picture)
    assert style.startswith("@media screen and (prefers-color-scheme:dark){")
    themed = set(re.findall(r"\.(spalloc-[a-z-]+)\{", style))
    used = set(re.findall(r'class="([^"]+)"', picture))
    assert used <= themed
    root = ET.fromstring(picture)
    for element in root.iter():
        has_a_job = (
            str(element.get("fill", "")).startswith("url(#spalloc-") and element.tag == f"{SVG}polygon"
        )
        assert not (has_a_job and element.get("class"))
    # Letters on jobs stay black; all other words follow the theme.
    loose = [text for text in root.iter(f"{SVG}text") if text.get("class") != "spalloc-words"]
    assert {text.get("fill") for text in loose} == {"#000"}


def test_a_job_s_board_that_is_set_aside_is_hatched_over_the_job_s_colour() -> None:
    jobs = [tenant(7, "jane", [(0, 0, 0)])]
    picture = machine_svg(scene("m", (1, 1), tenants=jobs, set_aside=[(0, 0, 0, "hot"), (0, 0, 1, "cold")]))
    assert "<title>Board (0, 0, 0): job 7, jane; set aside: hot</title>" in picture
    assert "<title>Board (0, 0, 1): set aside: cold</title>" in picture
    assert set(re.findall(r"url\(#([^)]+)\)", picture)) == set(re.findall(r'<pattern id="([^"]+)"', picture))
    assert "<title>m: 1 of 3 boards in use, 1 job, 2 set aside</title>" in picture
