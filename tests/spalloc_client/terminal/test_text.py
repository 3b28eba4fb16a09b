"""Styled text, tables and screens, as values."""

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.terminal.console import wants_colour
from spalloc_client.terminal.screen import Screen, fitted
from spalloc_client.terminal.table import cells, definitions, table
from spalloc_client.terminal.text import Style, Text, columns, printable

words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "M", "Z")), max_size=12)
styles = st.sampled_from([Style.PLAIN, Style.RED, Style.BOLD])
styled = st.lists(st.tuples(words, styles), max_size=4).map(Text.of)


@given(styled, st.integers(0, 30))
def test_a_cropped_text_is_the_left_of_it_and_no_wider_than_asked(text: Text, width: int) -> None:
    cropped = text.cropped(width)
    assert text.plain.startswith(cropped.plain)
    assert cropped.width <= width
    assert cropped.width >= min(width - 1, text.width)


def test_wide_characters_take_two_columns_and_accents_none() -> None:
    assert columns("日本") == 4
    assert columns("e\u0301") == 1
    assert columns("\u092f\u0941") == 1


def test_control_characters_of_other_people_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    assert printable("ümlaut 日本") == "ümlaut 日本"


def test_styles_are_codes_only_where_colour_is_wanted() -> None:
    text = Text("a", Style.RED) + "b"
    assert text.coded(True) == "\033[31ma\033[0mb"
    assert text.coded(False) == "ab"


@pytest.mark.parametrize(
    ("environment", "terminal", "wanted"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "0", "TERM": "xterm"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour_follows_the_terminal_and_the_variables(
    environment: dict[str, str], terminal: bool, wanted: bool
) -> None:
    assert wants_colour(environment, terminal) is wanted


def test_numbers_stand_right_and_words_left() -> None:
    drawn = table(["ID", "Name"], [(1, "x"), (100, Text("yy", Style.RED))])
    assert [line.plain for line in drawn] == ["ID   Name", "  1  x", "100  yy"]


def test_definitions_have_their_colons_below_each_other() -> None:
    drawn = definitions({"A": 1, "Long": "x\ny", "None": None})
    assert [line.plain for line in drawn] == ["   A: 1", "Long: x", "      y", "None: None"]


@given(st.lists(words.map(Text), max_size=20), st.integers(1, 60))
def test_cells_stand_side_by_side_within_the_width(items: list[Text], width: int) -> None:
    drawn = cells(items, width)
    assert "".join(line.plain for line in drawn).replace(" ", "") == "".join(item.plain for item in items)
    widest = max([item.width for item in items], default=0)
    assert all(line.width <= max(width, widest) for line in drawn)


lines_of_text = st.lists(
    st.lists(st.tuples(st.text("abc xyz", max_size=8), styles), max_size=3).map(Text.of), max_size=7
)


@given(st.lists(lines_of_text, max_size=6))
def test_after_any_redrawing_the_terminal_shows_exactly_the_last_screen(frames: list[list[Text]]) -> None:
    width, height = 9, 5
    terminal = pyte.Screen(width, height)
    stream = pyte.Stream(terminal)
    screen = Screen()
    for lines in frames:
        wanted = fitted(lines, width, height)
        stream.feed(screen.redraw(wanted, colour=True))
        shown = [row.rstrip() for row in terminal.display]
        assert shown == [line.plain.rstrip() for line in wanted] + [""] * (height - len(wanted))


def test_nothing_is_written_for_what_is_shown_already() -> None:
    screen = Screen()
    screen.redraw([Text("a"), Text("b")], colour=False)
    assert screen.redraw([Text("a"), Text("b")], colour=False) == ""
    assert "a" not in screen.redraw([Text("a"), Text("c")], colour=False)


def test_what_does_not_fit_is_counted() -> None:
    lines = [Text(str(number)) for number in range(10)]
    shown = [line.plain for line in fitted(lines, 60, 3)]
    assert shown == ["0", "1", "... 8 more lines; a taller window shows them"]


@given(st.lists(st.tuples(words, styles), max_size=4).map(Text.of), st.integers(0, 40))
def test_what_is_cut_off_at_the_left_is_as_wide_as_it_was(line: Text, width: int) -> None:
    rest = line.without_left(width)
    assert line.plain.endswith(rest.plain)
    assert line.width - width <= rest.width <= max(0, line.width - width) + 1
