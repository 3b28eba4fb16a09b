"""The `spalloc-server usage` command: tells who used what.

The adding up is done in store/usage.py; a running server answers by operation/usage_commands.py.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from spalloc_client.scripts.outcome import SUCCESS
from spalloc_client.scripts.showing import json_line
from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.table import Cell, table
from spalloc_client.terminal.text import Text, printable
from spalloc_server.core.usage import By, UsageQuestion
from spalloc_server.operation.control.protocol import Line, Request
from spalloc_server.operation.usage_commands import lines_of
from spalloc_server.scripts.looking_back import answer_of, csv_of, parser_of, period_of
from spalloc_server.scripts.times import shown

_HOUR = 3600.0
_FIELDS = ("jobs", "board_seconds")


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if it is told who used what."""
    parser = parser_of(
        "spalloc-server usage",
        "Tell who used what: how many jobs had boards in a period, and for how long.",
        " Jobs that have their boards still count up to now.",
    )
    parser.add_argument(
        "--by",
        choices=[by.value for by in By],
        default=By.OWNER.value,
        help="what is told one by one (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    question = UsageQuestion(*period_of(arguments), By(arguments.by))

    def read(database: sqlite3.Connection, now: float) -> list[Line]:
        from spalloc_server.store.usage import usage

        return lines_of(usage(database, question, now))

    asked: dict[str, object] = {"from": question.begins, "to": question.ends, "by": question.by.value}
    lines = answer_of(arguments, Request("usage.show", asked), read)
    found: list[dict[str, Any]] = [dict(line.about) for line in lines]
    period, *parts = found
    if arguments.json:
        output().print([json_line(_document(period, parts, question.by))])
    elif arguments.csv:
        output().write(_csv(parts, question.by))
    else:
        output().print(_table(period, parts, question.by))
    if period["left_out"]:
        messages().print([f"{period['left_out']} more used less, and are left out"])
    since = period["complete_since"]
    if since is not None and since > question.begins:
        messages().print([f"charges of before {shown(since)} are not kept any more, or not all of them"])
    return SUCCESS


def _document(period: dict[str, Any], parts: Sequence[dict[str, Any]], by: By) -> dict[str, Any]:
    kept = ("from", "to", "by", "complete_since", "left_out", *_FIELDS)
    return {
        **{name: period[name] for name in kept},
        "usage": [{name: part[name] for name in (by.value, *_FIELDS)} for part in parts],
    }


def _csv(parts: Sequence[dict[str, Any]], by: By) -> str:
    rows = [(part[by.value], part["jobs"], f"{part['board_seconds']:.3f}") for part in parts]
    return csv_of([(by.value, *_FIELDS), *rows])


def _table(period: dict[str, Any], parts: Sequence[dict[str, Any]], by: By) -> list[Text]:
    lines = [Text(f"from {shown(period['from'])} to {shown(period['to'])}:")]
    if not parts:
        return [*lines, Text("no job had boards")]
    whole = period["board_seconds"]
    named = [(_name(part[by.value], by), part) for part in parts]
    rows = [(name, part["jobs"], part["board_seconds"]) for name, part in named]
    rows.append(("all", period["jobs"], whole))
    hours = [f"{seconds / _HOUR:,.2f}" for *_, seconds in rows]
    width = max(map(len, hours))
    cells: list[list[Cell]] = [
        [name, jobs, hour.rjust(width), f"{100 * seconds / whole if whole else 0:5.1f} %"]
        for (name, jobs, seconds), hour in zip(rows, hours, strict=True)
    ]
    return [*lines, *table([by.value.capitalize(), "Jobs", "Board-hours", "Share"], cells)]


def _name(who: str | None, by: By) -> str:
    return f"(no {by.value})" if who is None else printable(who)
