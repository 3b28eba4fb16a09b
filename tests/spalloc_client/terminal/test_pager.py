"""What keys mean, and what they do to the lines that a window shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.terminal.keys import KeyReader
from spalloc_client.terminal.pager import Pager
from spalloc_client.terminal.text import Style, Text

TABLE = [Text("ID  Owner", Style.HEADING), *(Text(f"{number:2}  owner-{number}") for number in range(20))]

KEYS = [
    (b"\033[A", "up"), (b"\033OB", "down"), (b"\033[C", "right"), (b"\033[1;5D", "left"), (b"\033[5~", "page up"),
    (b"\033[6~", "page down"), (b"\033[H", "home"), (b"\033[4~", "end"), (b"\r", "enter"), (b"\n", "enter"),
    (b"\x7f", "backspace"), (b"\b", "backspace"), (b"q", "q"), (b"/", "/"), ("é".encode(), "é"), (b"\033", "escape"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "key"), KEYS)
def test_a_key_is_told_by_what_terminals_send(sent: bytes, key: str) -> None:
    assert KeyReader().feed(sent) == [key]


@given(st.lists(st.sampled_from(KEYS[:-1])), st.integers(2, 9))
def test_keys_are_told_however_their_bytes_come(pressed: list[tuple[bytes, str]], size: int) -> None:
    reader = KeyReader()
    sent = b"".join(data for data, _ in pressed)
    # A lone Escape can't be told from the beginning of a longer key, so no cut is made behind one.
    told: list[str] = []
    start = 0
    while start < len(sent):
        end = start + size
        while sent[end - 1 : end] == b"\033":
            end += 1
        told += reader.feed(sent[start:end])
        start = end
    assert told == [key for _, key in pressed]


@given(st.binary())
def test_any_bytes_are_keys_or_nothing(data: bytes) -> None:
    assert all(key.isprintable() for key in KeyReader().feed(data))


def seen(pager: Pager, rows: int = 6, columns: int = 60) -> list[str]:
    part, told = pager.shown(TABLE, columns, rows)
    assert len(part) + len(told) <= rows
    return [line.plain for line in (*part, *told)]


def test_arrows_and_page_keys_move_under_the_heading_and_stop_at_the_ends() -> None:
    pager = Pager(has_keys=True)
    first = seen(pager)
    assert first[0] == "ID  Owner"
    assert first[1:-1] == [line.plain for line in TABLE[1:5]]
    assert first[-1] == "... 1-4 of 20 lines; arrows and Page keys move, / filters, q ends"
    for key, top in (
        ("down", 1),
        ("page down", 5),
        ("up", 4),
        ("end", 16),
        ("down", 16),
        ("page up", 12),
        ("home", 0),
    ):
        assert not pager.press(key)
        assert seen(pager)[:2] == ["ID  Owner", f"{top:2}  owner-{top}"], key


def test_arrows_move_sideways_in_lines_that_are_too_wide() -> None:
    pager = Pager(has_keys=True)
    assert seen(pager, columns=6)[:2] == ["ID  Ow", " 0  ow"]
    pager.press("right")
    assert seen(pager, columns=6)[:2] == ["ner", "ner-0"]
    pager.press("right")
    assert seen(pager, columns=6)[1] == "ner-0"
    pager.press("left")
    assert seen(pager, columns=6)[1] == " 0  ow"


def test_a_slash_filters_and_escape_shows_all_again() -> None:
    pager = Pager(has_keys=True)
    for key in ("/", "O", "W", "q", "backspace", "n", "e", "r", "-", "1", "9"):
        assert not pager.press(key)
    assert seen(pager) == ["ID  Owner", "19  owner-19", "/OWner-19_"]
    pager.press("enter")
    assert seen(pager)[-1].startswith("... 1-1 of 1 lines with 'OWner-19' (Escape: all)")
    pager.press("escape")
    assert seen(pager)[1] == " 0  owner-0"
    for key in ("/", "x", "y"):
        pager.press(key)
    assert seen(pager) == ["ID  Owner", "/xy_"]
    pager.press("escape")
    assert pager.press("q")


def test_a_filter_leaves_a_map_above_the_list_alone() -> None:
    lines = [
        Text("Name: m"),
        Text(),
        Text("___"),
        Text(),
        Text("Key  Job", Style.HEADING),
        Text("A    1"),
        Text("B    2"),
    ]
    pager = Pager(has_keys=True)
    for key in ("/", "b"):
        pager.press(key)
    part, _ = pager.shown(lines, 60, 20)
    assert part == [*lines[:5], lines[6]]


def test_without_keys_nothing_is_offered() -> None:
    part, told = Pager(has_keys=False).shown(TABLE, 60, 4)
    assert (part[-1].plain, told) == ("... 18 more lines; a taller window shows them", [])


@given(
    st.lists(st.sampled_from([key for _, key in KEYS if key != "q"]), max_size=30),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_whatever_is_pressed_what_is_shown_fits(keys: list[str], columns: int, rows: int) -> None:
    pager = Pager(has_keys=True)
    for key in keys:
        assert not pager.press(key)
        part, told = pager.shown(TABLE, columns, rows)
        assert len(part) <= rows
        assert all(line.width <= columns for line in part)
        assert len(part) + len(told) <= max(2, rows)
