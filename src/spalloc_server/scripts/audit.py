"""The `spalloc-server audit` command: tells who did what, from where, when, and with what outcome.

The entries are found in store/audit.py; a running server answers by operation/audit_commands.py.
"""

import argparse
import sqlite3
from collections.abc import Sequence
from typing import Any

from spalloc_client.scripts.outcome import SUCCESS
from spalloc_client.scripts.showing import json_line
from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.table import Cell, table
from spalloc_client.terminal.text import printable
from spalloc_server.core.audit import Entry
from spalloc_server.operation.audit_commands import DEFAULT_MOST, MOST, lines_of
from spalloc_server.operation.control.protocol import Line, Request
from spalloc_server.scripts.looking_back import answer_of, csv_of, parser_of, period_of
from spalloc_server.scripts.times import shown
from spalloc_server.scripts.words import sendable

_LONGEST_ID = 10


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if it is told who did what."""
    parser = parser_of(
        "spalloc-server audit",
        "Tell who did what, from where, when, and with what outcome: the latest entries, the earliest of them first.",
        "",
    )
    parser.add_argument(
        "--account", metavar="NAME", help="only what this account did, or what was done to it"
    )
    parser.add_argument("--job", type=_job, metavar="ID", help="only what was done to this job")
    parser.add_argument("--what", metavar="WORD", help="only this, such as create-job or log-in")
    parser.add_argument(
        "--most",
        type=_count,
        default=DEFAULT_MOST,
        metavar="N",
        help="how many entries at most (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    begins, ends = period_of(arguments)
    # One more than is shown tells whether there are more.
    most = min(MOST, arguments.most + 1)
    wanted = {"account": arguments.account, "job": arguments.job, "what": arguments.what, "most": most}

    def read(database: sqlite3.Connection, _now: float) -> list[Line]:
        from spalloc_server.store.audit import AuditQuestion, entries_of

        return list(lines_of(entries_of(database, AuditQuestion(begins, ends, **wanted))))

    request = sendable(Request("audit.show", {"from": begins, "to": ends, **wanted}))
    lines = answer_of(arguments, request, read)
    entries = [{name: line.about.get(name) for name in Entry._fields} for line in lines]
    left_out = len(entries) > arguments.most
    entries = entries[-arguments.most :]
    if arguments.json:
        output().print([json_line({"from": begins, "to": ends, "left_out": left_out, "entries": entries})])
    elif arguments.csv:
        output().write(csv_of([Entry._fields, *(entry.values() for entry in entries)]))
    elif entries:
        headings = ["When", "Who", "From", "What", "Job", "To what", "How", "Outcome"]
        output().print(table(headings, [_row(entry) for entry in entries]))
    else:
        output().print(["nothing was done"])
    if left_out:
        messages().print(["there are earlier entries; give --most N for more of them, or an earlier --to"])
    return SUCCESS


def _job(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        raise argparse.ArgumentTypeError(f"{text!r} is not the ID of a job")
    return int(text)


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(MOST)) else 0
    if not 1 <= number < MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST - 1}")
    return number


def _row(entry: dict[str, Any]) -> list[Cell]:
    who = entry["account"] or (f"({entry['by']})" if entry["by"] else "")
    return [
        shown(entry["at"]),
        printable(who),
        printable(entry["host"] or "here"),
        printable(entry["what"]),
        "" if entry["job"] is None else entry["job"],
        printable(entry["subject"] or ""),
        printable(entry["detail"] or ""),
        "done" if entry["outcome"] is None else printable(entry["outcome"]),
    ]
