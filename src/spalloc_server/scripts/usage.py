"""The `spalloc-server usage` command: tells who used what, from a running server or from a stopped one's records.

The adding up is done in store/usage.py; a running server answers by operation/usage_commands.py.
"""

import argparse
import contextlib
import csv
import io
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from spalloc_client.scripts.outcome import SERVER_TROUBLE, SUCCESS, USAGE, CommandError
from spalloc_client.scripts.showing import json_line
from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.table import Cell, table
from spalloc_client.terminal.text import Text, printable
from spalloc_server.config.document import load
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.core.usage import DEFAULT_SECONDS, By, UsageQuestion, flaw
from spalloc_server.operation.control.client import NotThereError
from spalloc_server.operation.control.protocol import Line, Request
from spalloc_server.operation.usage_commands import lines_of
from spalloc_server.parsing import Parser
from spalloc_server.scripts.asking import OF_THE_SERVICE as SOCKET_OF_THE_SERVICE
from spalloc_server.scripts.records import OF_THE_SERVICE as RECORDS_OF_THE_SERVICE
from spalloc_server.scripts.records import done
from spalloc_server.scripts.times import PAST_ALLOWED, past_moment, shown
from spalloc_server.scripts.words import answered

_HOUR = 3600.0
_FIELDS = ("jobs", "board_seconds")


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if it is told who used what."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if sum(place is not None for place in (arguments.configuration, arguments.socket, arguments.state)) > 1:
        parser.error("CONFIG.toml, --socket and --state each say which server is meant: give one of them")
    now = datetime.now().astimezone()
    question = _question(arguments, now)
    lines = _ask(arguments, question)
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


def _parser() -> Parser:
    parser = Parser(
        prog="spalloc-server usage",
        description="Tell who used what: how many jobs had boards in a period, and for how long.",
        epilog=f"A TIME is {PAST_ALLOWED}. Jobs that have their boards still count up to now. The server may run or be "
        "stopped.",
    )
    parser.add_argument(
        "configuration",
        type=Path,
        nargs="?",
        metavar="CONFIG.toml",
        help=f"the configuration of the server (default: the service, at {SOCKET_OF_THE_SERVICE})",
    )
    parser.add_argument(
        "--socket",
        type=Path,
        metavar="FILE",
        help="where the running server listens, as the log of its start names it",
    )
    parser.add_argument("--state", type=Path, metavar="RECORDS", help="the records, or a backup of them")
    parser.add_argument(
        "--from",
        dest="begins",
        metavar="TIME",
        help="the beginning of the period (default: 30 days before its end)",
    )
    parser.add_argument("--to", dest="ends", metavar="TIME", help="the end of the period (default: now)")
    parser.add_argument(
        "--by",
        choices=[by.value for by in By],
        default=By.OWNER.value,
        help="what is told one by one (default: %(default)s)",
    )
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--csv", action="store_true", help="write lines of values separated by commas")
    kinds.add_argument("--json", action="store_true", help="write one JSON object instead of a table")
    return parser


def _question(arguments: argparse.Namespace, now: datetime) -> UsageQuestion:
    ends = now if arguments.ends is None else _moment("--to", arguments.ends, now)
    if arguments.begins is None:
        begins = ends - timedelta(seconds=DEFAULT_SECONDS)
    else:
        begins = _moment("--from", arguments.begins, now)
    question = UsageQuestion(begins.timestamp(), ends.timestamp(), By(arguments.by))
    wrong = flaw(question.begins, question.ends)
    if wrong is not None:
        period = f"from {shown(question.begins)} to {shown(question.ends)}"
        raise CommandError(USAGE, f"the period {period} {wrong}")
    return question


def _moment(option: str, text: str, now: datetime) -> datetime:
    try:
        found = past_moment(text, now)
    except ValueError as error:
        raise CommandError(USAGE, f"{option}: {error}") from None
    if found.timestamp() < 0:
        raise CommandError(USAGE, f"{option} {text!r} is before 1970")
    return found


def _ask(arguments: argparse.Namespace, question: UsageQuestion) -> list[Line]:
    """Return the answer of the running server or, if none runs, of its records."""
    socket: Path | None = arguments.socket
    records: Path | None = arguments.state
    if arguments.configuration is not None:
        try:
            loaded = load(arguments.configuration)
        except ConfigurationError as error:
            print(error, file=sys.stderr)
            what = "so it is not known where the server is"
            how = "name it with --socket FILE, or its records with --state RECORDS"
            raise CommandError(SERVER_TROUBLE, f"{what}; {how}") from error
        socket, records = loaded.control_socket, loaded.state
    elif socket is None and records is None:
        socket, records = SOCKET_OF_THE_SERVICE, RECORDS_OF_THE_SERVICE
    if socket is not None:
        asked: dict[str, object] = {"from": question.begins, "to": question.ends, "by": question.by.value}
        try:
            return answered(socket, Request("usage.show", asked))[:-1]
        except NotThereError as error:
            if records is None or not records.exists():
                raise CommandError(SERVER_TROUBLE, str(error)) from error
    assert records is not None
    return _of_records(records, question)


def _of_records(records: Path, question: UsageQuestion) -> list[Line]:
    # Only now: a running server has all of this imported.
    from spalloc_server.store.backup import back_up
    from spalloc_server.store.opening import connect, prepare
    from spalloc_server.store.usage import usage

    found: list[Line] = []

    def act() -> None:
        # From a copy, as a backup is made; there, records of an older server can be brought up to date.
        with tempfile.TemporaryDirectory(prefix=".spalloc-") as place:
            copy = Path(place) / "records"
            made = back_up(records, copy)
            with contextlib.closing(connect(copy)) as database:
                prepare(database, str(records))
                found.extend(lines_of(usage(database, question, made.seconds)))

    done(act)
    return found


def _document(period: dict[str, Any], parts: Sequence[dict[str, Any]], by: By) -> dict[str, Any]:
    kept = ("from", "to", "by", "complete_since", "left_out", *_FIELDS)
    return {
        **{name: period[name] for name in kept},
        "usage": [{name: part[name] for name in (by.value, *_FIELDS)} for part in parts],
    }


def _csv(parts: Sequence[dict[str, Any]], by: By) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow((by.value, *_FIELDS))
    for part in parts:
        writer.writerow((part[by.value] or "", part["jobs"], f"{part['board_seconds']:.3f}"))
    return written.getvalue()


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
