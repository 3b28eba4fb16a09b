# That no text, however wrong, does anything to the reader of configurations but bring a value or a report.

import random
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from spalloc_server.config.document import parse
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.settings import Configuration
from spalloc_server.config.spinner import read_places
from tests.examples import examples
from tests.spalloc_server.config.examples import CSV, OF_A_FILE, ONE_BOARD, THREE_BOARDS

NOWHERE = Path("/nowhere")
EVERYTHING = (
    ONE_BOARD
    + THREE_BOARDS
    + OF_A_FILE
    + """
[v1]
listen = ["0.0.0.0"]
port = 1
allow = ["10.0.0.0/8"]
[v1.limits]
connections = 7
idle_seconds = 1e3
[metrics]
[state]
file = "x"
[history]
days = 3
[trust]
control = "owner"
administrators = []
[log]
level = "info"
"""
)
KEYS = sorted(
    {word for line in EVERYTHING.splitlines() for word in [line.split("=")[0].strip(" []")] if word}
)
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


def _tried(text: str) -> None:
    try:
        configuration = parse(text, "fuzz.toml", NOWHERE)
    except ConfigurationError as error:
        assert error.mistakes
        lines = text.count("\n") + 1
        for mistake in error.mistakes:
            assert 1 <= mistake.line <= lines or mistake.file != "fuzz.toml"
            assert str(mistake).isprintable()
    else:
        assert isinstance(configuration, Configuration)
        for machine in configuration.machines:
            assert set(machine.places) == set(machine.addresses)
            assert {place.in_frame for place in machine.places.values()} <= set(machine.bmps)
            assert machine.dead_boards.isdisjoint(machine.places)
            assert len(machine.places) + len(machine.dead_boards) == machine.size.boards


@given(st.dictionaries(keys, values, max_size=6))
def test_any_tables_bring_a_value_or_a_report(document: dict[str, object]) -> None:
    _tried("\n".join(f"{_toml(key)} = {_toml(value)}" for key, value in document.items()))


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), values, max_size=8), max_size=3))
def test_any_machines_bring_a_value_or_a_report(tables: list[dict[str, object]]) -> None:
    _tried("\n".join(["machine = [", *(f"  {_toml(table)}," for table in tables), "]"]))


@given(st.text(max_size=200))
@example("a = " + "[" * 5000)
@example("a." * 2000 + "a = 1")
@example("[" + "a." * 2000 + "a]")
@example("a = 9" + "9" * 5000)
@example("[v1]\nport = 0x" + "9" * 5000)
@example('a = "' + "\\\\" * 5000)
def test_any_text_brings_a_value_or_a_report(text: str) -> None:
    _tried(text)


@examples(300)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_a_damaged_configuration_brings_a_value_or_a_report(seed: int, damages: int) -> None:
    chance = random.Random(seed)
    text = EVERYTHING
    for _ in range(damages):
        at, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        end = min(end, at + chance.randrange(30))
        words = [
            "",
            chance.choice('"[]{}=,.#\n\\0-'),
            text[at:end] * 2,
            chance.choice(KEYS),
            "\U0001f600",
            "\r",
        ]
        text = text[:at] + chance.choice(words) + text[end:]
    _tried(text)


@given(
    st.one_of(
        st.text(max_size=80),
        st.text(st.sampled_from('0123456789,\n"cabinetframeboardxy- '), max_size=80).map(lambda t: CSV + t),
    )
)
def test_any_file_of_places_brings_a_layout_or_a_report(tmp_path_factory: object, text: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "boards.csv"  # type: ignore[attr-defined]
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    mistakes: list[object] = []
    layout = read_places(path, mistakes)  # type: ignore[arg-type]
    assert (layout is None) == bool(mistakes)
