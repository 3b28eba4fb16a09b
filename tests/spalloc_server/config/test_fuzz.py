"""That no text, however wrong, does anything to the reader of configurations but bring a value or a report."""

import os
from pathlib import Path

from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from spalloc_server.config.mistakes import Mistakes
from spalloc_server.config.spinner import read_places
from tests.examples import examples
from tests.spalloc_server.config.examples import CSV
from tests.spalloc_server.config.fuzz import EVERYTHING, KEYS, damaged, tried

keys = st.sampled_from([part for key in KEYS for part in key.split(".")]) | st.text(max_size=3)
scalars = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=6),
    st.sampled_from(["1x1", "21x21", "10.0.0.0", "owner", "north", "a:1", "::/0"]),
    st.integers(-1, 3),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float() | int():
            return repr(value)
        case str():
            return (
                '"'
                + "".join(
                    f"\\U{ord(letter):08x}" if not 0xD800 <= ord(letter) < 0xE000 else "?" for letter in value
                )
                + '"'
            )
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{_toml(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    raise AssertionError(value)


@given(st.dictionaries(keys, values, max_size=6))
def test_any_tables_bring_a_value_or_a_report(document: dict[str, object]) -> None:
    tried("\n".join(f"{_toml(key)} = {_toml(value)}" for key, value in document.items()))


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), values, max_size=8), max_size=3))
def test_any_machines_bring_a_value_or_a_report(tables: list[dict[str, object]]) -> None:
    tried("\n".join(["machine = [", *(f"  {_toml(table)}," for table in tables), "]"]))


@given(st.text(max_size=200))
@example("a = " + "[" * 5000)
@example("a." * 2000 + "a = 1")
@example("[" + "a." * 2000 + "a]")
@example("a = 9" + "9" * 5000)
@example("[v1]\nport = 0x" + "9" * 5000)
@example('a = "' + "\\\\" * 5000)
def test_any_text_brings_a_value_or_a_report(text: str) -> None:
    tried(text)


def test_the_configuration_that_is_damaged_is_whole_before(tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    assert tried(EVERYTHING, tmp_path)


@examples(300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_a_damaged_configuration_brings_a_value_or_a_report(tmp_path: Path, seed: int) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    os.utime(tmp_path / "boards.csv", (0, 0))  # one that was just written is waited for
    tried(damaged(seed), tmp_path)


@given(
    st.one_of(
        st.text(max_size=80),
        st.text(st.sampled_from('0123456789,\n"cabinetframeboardxy- '), max_size=80).map(lambda t: CSV + t),
    )
)
def test_any_file_of_places_brings_a_layout_or_a_report(tmp_path_factory: object, text: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "boards.csv"  # type: ignore[attr-defined]
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    os.utime(path, (0, 0))
    mistakes = Mistakes("site.toml", dict)
    layout = read_places(path, mistakes)
    assert (layout is None) == bool(mistakes.found)
