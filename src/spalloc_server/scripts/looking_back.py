"""Commands that ask about the past, `usage` and `audit`: of a running server, or of the records of a stopped one.

What is asked, and how the answer is shown, is in their own modules.
"""

import argparse
import contextlib
import csv
import io
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from spalloc_client.scripts.outcome import SERVER_TROUBLE, USAGE, CommandError
from spalloc_server.config.document import load
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.operation.control.client import NotThereError
from spalloc_server.operation.control.protocol import Line, Request
from spalloc_server.parsing import Parser
from spalloc_server.scripts.asking import OF_THE_SERVICE as SOCKET_OF_THE_SERVICE
from spalloc_server.scripts.records import OF_THE_SERVICE as RECORDS_OF_THE_SERVICE
from spalloc_server.scripts.records import done
from spalloc_server.scripts.times import PAST_ALLOWED, past_moment, shown
from spalloc_server.scripts.words import answered

DEFAULT_DAYS = 30
_FORMULAS = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
"""What programs for tables take for the beginning of a formula."""
Read = Callable[[sqlite3.Connection, float], list[Line]]
"""Returns the answer of records, as of a moment of Unix time."""


def parser_of(command: str, description: str, more: str) -> Parser:
    """Return a parser of which server is asked, about which period, and how the answer is written.

    Args:
        command: As it is typed.
        description: What it does.
        more: The end of the help.
    """
    parser = Parser(
        prog=command,
        description=description,
        epilog=f"A TIME is {PAST_ALLOWED}. The server may run or be stopped.{more}",
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
        help=f"the beginning of the period (default: {DEFAULT_DAYS} days before its end)",
    )
    parser.add_argument("--to", dest="ends", metavar="TIME", help="the end of the period (default: now)")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--csv", action="store_true", help="write lines of values separated by commas")
    kinds.add_argument("--json", action="store_true", help="write one JSON object instead of a table")
    return parser


def period_of(arguments: argparse.Namespace) -> tuple[float, float]:
    """Return the beginning and the end of the period that is asked about, in seconds of Unix time.

    Raises:
        CommandError: They make no sense.
    """
    now = datetime.now().astimezone()
    ends = now if arguments.ends is None else _moment("--to", arguments.ends, now)
    if arguments.begins is None:
        begins = ends - timedelta(days=DEFAULT_DAYS)
    else:
        begins = _moment("--from", arguments.begins, now)
    if begins >= ends:
        period = f"from {shown(begins.timestamp())} to {shown(ends.timestamp())}"
        raise CommandError(USAGE, f"the period {period} must begin before it ends")
    return begins.timestamp(), ends.timestamp()


def _moment(option: str, text: str, now: datetime) -> datetime:
    try:
        found = past_moment(text, now)
    except ValueError as error:
        raise CommandError(USAGE, f"{option}: {error}") from None
    if found.timestamp() < 0:
        raise CommandError(USAGE, f"{option} {text!r} is before 1970")
    return found


def answer_of(arguments: argparse.Namespace, request: Request, read: Read) -> list[Line]:
    """Return the answer of the running server or, if none runs, of its records.

    Args:
        arguments: Say which server.
        request: For the running server.
        read: Answers from records.

    Raises:
        CommandError: There is no answer; the message says why.
    """
    socket: Path | None = arguments.socket
    records: Path | None = arguments.state
    if sum(place is not None for place in (arguments.configuration, socket, records)) > 1:
        raise CommandError(
            USAGE, "CONFIG.toml, --socket and --state each say which server is meant: give one of them"
        )
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
        try:
            return answered(socket, request)[:-1]
        except NotThereError as error:
            if records is None or not records.exists():
                raise CommandError(SERVER_TROUBLE, str(error)) from error
    assert records is not None
    return _of_records(records, read)


def csv_of(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as lines of values separated by commas; None is an empty value.

    A string that programs for tables would take for a formula has an apostrophe before it: owners and reasons are
    written by other people.
    """
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([_cell(one) for one in row] for row in rows)
    return written.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value


def _of_records(records: Path, read: Read) -> list[Line]:
    # Only now: whoever asks a running server needs none of it.
    from spalloc_server.store.backup import back_up
    from spalloc_server.store.opening import connect, prepare

    found: list[Line] = []

    def act() -> None:
        # From a copy, as a backup is made; there, records of an older server can be brought up to date.
        with tempfile.TemporaryDirectory(prefix=".spalloc-") as place:
            copy = Path(place) / "records"
            made = back_up(records, copy)
            with contextlib.closing(connect(copy)) as database:
                prepare(database, str(records))
                found.extend(read(database, made.seconds))

    done(act)
    return found
