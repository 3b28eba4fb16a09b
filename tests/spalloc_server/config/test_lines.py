"""That every value of a TOML text is found on the line where it stands."""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.config.lines import Path, lines_of


def _paths(value: object, at: Path = ()) -> Iterator[Path]:
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*at, index))


TEXT = '''# a comment
top = 1

[server]  # [not.a.table]
name = "a # no comment ] = \\" [x]"
long = """
one = 1
[two]
""\\"" """
raw = \'\'\'
x = ''\'\'\'
'quoted key' . "other\\u0041" = { inner = [1, 2], "b" = {} }

[[machine]]
dead_boards = [
    [0, 0, 1],  # ] here
    [0, 0, 2],
]
[machine.deep.deeper]
when = 1979-05-27 07:32:00
[[machine.board]]
place = [0, 0, 0]
[[machine.board]]
[[machine]]
[[machine.board]]
x.y.z = 1.5e3
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("server",), 4),
        (("server", "name"), 5),
        (("server", "long"), 6),
        (("server", "raw"), 10),
        (("server", "quoted key", "otherA"), 12),
        (("server", "quoted key", "otherA", "inner", 1), 12),
        (("machine",), 14),
        (("machine", 0), 14),
        (("machine", 0, "dead_boards", 1), 17),
        (("machine", 0, "dead_boards", 1, 2), 17),
        (("machine", 0, "deep", "deeper", "when"), 20),
        (("machine", 0, "board", 0, "place"), 22),
        (("machine", 0, "board", 1), 23),
        (("machine", 1), 24),
        (("machine", 1, "board", 0, "x", "y", "z"), 26),
    ],
)
def test_a_value_is_found_on_its_line(path: Path, line: int) -> None:
    assert lines_of(TEXT)[path] == line


def test_lines_may_end_as_on_windows() -> None:
    assert lines_of("a = 1\r\nb = [\r\n1,\r\n]\r\n")["b", 0] == 3


def test_every_value_has_a_line() -> None:
    assert set(lines_of(TEXT)) == set(_paths(tomllib.loads(TEXT)))


_KEYS = st.sampled_from(["a", "b-1", "'c d'", '"e.f\\n"', "9", '""'])
_DOTTED = st.lists(_KEYS, min_size=1, max_size=3).map(" . ".join)
_SCALARS = st.sampled_from(
    ["1", "-0.5", "true", '"s]},#"', "'l\"='", '"""a\n"" \\""""', "'''\n]'''''", "1979-05-27", "inf"]
)
_SPACE = st.sampled_from([" ", "\n", " # x ]\n", ""])


def _arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    items = st.lists(st.tuples(_SPACE, values, _SPACE).map("".join), max_size=3)
    return st.tuples(items, st.sampled_from(["", ", "])).map(
        lambda parts: f"[{','.join(parts[0])}{parts[1] if parts[0] else ''}]"
    )


def _inlines(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(_DOTTED, values), max_size=3, unique_by=lambda pair: pair[0])
    return pairs.map(lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }")


_VALUES = st.recursive(_SCALARS, lambda inner: _arrays(inner) | _inlines(inner), max_leaves=6)
_STATEMENTS = st.one_of(
    st.tuples(_DOTTED, _VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    _DOTTED.map(lambda key: f"[{key}]"),
    _DOTTED.map(lambda key: f"[[ {key} ]] # end"),
    st.just(""),
)


@given(st.lists(_STATEMENTS, max_size=8).map("\n".join))
def test_every_value_of_any_text_has_a_line_that_shows_it(text: str) -> None:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = lines_of(text)
    assert set(lines) == set(_paths(values))
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
