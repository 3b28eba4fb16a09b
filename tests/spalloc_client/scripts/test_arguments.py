"""Reading command lines: plain lines are read as argparse reads them."""

import contextlib
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spalloc_client.arguments import Parser
from spalloc_client.config import read_config
from spalloc_client.scripts import alloc, job, machine, ps, where_is
from spalloc_client.scripts.server import Server
from spalloc_client.scripts.where_is import asked

MODULES = [alloc, job, machine, ps, where_is]
PARSERS = [module.parser(read_config([])) for module in MODULES]

VALUES = [
    "3",
    "0",
    "-1",
    "1.5",
    "name",
    "a@b",
    "x,y",
    "",
    "-",
    "--",
    "2x2",
    "true",
    "14,",
    "--hostname=h",
    "-Hh",
    "-wV",
]


@st.composite
def lines(draw: st.DrawFn) -> tuple[Parser, list[str]]:
    parser = draw(st.sampled_from(PARSERS))
    names = [name for group in parser.groups for argument in group.arguments for name in argument.names]
    options = [name for name in names if name.startswith("-") and name not in ("--version", "-V")]
    shortened = [name[:-1] for name in options if name.startswith("--")]
    word = st.sampled_from(options) | st.sampled_from(VALUES) | st.sampled_from(shortened)
    return parser, draw(st.lists(word, max_size=7))


@given(lines())
@example((alloc.parser(read_config([])), ["-c", "echo", "--", "x"]))
def test_what_is_read_plainly_is_what_argparse_reads(line: tuple[Parser, list[str]]) -> None:
    parser, words = line
    plainly = parser.read_plainly(words)
    if plainly is None:
        return
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            assert plainly == parser.read_by_argparse(words)
        except SystemExit:
            pytest.fail(f"argparse refuses {words}: {errors.getvalue()}")


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (ps, "-H host -P 1234 --watch --owner me"),
        (job, "24 --power-off"),
        (machine, "name --detailed --svg x.svg"),
        (alloc, "--owner me 4 2 --machine m --quiet --command echo {} -x"),
        (alloc, "3 -c echo"),
    ],
)
def test_common_lines_are_read_plainly(module: object, line: str) -> None:
    assert module.parser(read_config([])).read_plainly(line.split()) is not None  # type: ignore[attr-defined]


def test_a_wrapped_command_may_have_a_double_dash_however_the_rest_of_the_line_is_written() -> None:
    for line in ("-c git log -- file", "--timeout=5 -c git log -- file"):
        read = alloc.parser(read_config([])).parse_args(line.split())
        assert read.command == ["git", "log", "--", "file"], line


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.command)
def test_a_mistake_is_one_line_with_status_2(parser: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parser.parse_args(["--no-such-option"])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(parser.command + ": ")
    assert "--help" in said


def test_what_the_manual_prints_can_be_pasted() -> None:
    arguments = where_is.parser(read_config([])).parse_args(["--job-chip", "24", "14,", "3"])
    server = Server("host", 22244, 5.0, ignore_version=False)
    assert asked(arguments, server) == ("job_chip", {"job_id": 24, "chip_x": 14, "chip_y": 3})
