"""The `spalloc-server reservations` command: shows, makes and removes reservations of the running server.

The server does it, in operation/reservation_commands.py, and finds the boards that are named.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from spalloc_client import durations
from spalloc_client.scripts.outcome import SERVER_TROUBLE, SUCCESS, USAGE, CommandError
from spalloc_client.scripts.showing import json_line
from spalloc_client.terminal.console import output
from spalloc_client.terminal.table import Cell, table
from spalloc_client.terminal.text import Text, printable
from spalloc_server.operation.control.protocol import Request
from spalloc_server.parsing import Parser
from spalloc_server.scripts.asking import ask_and_show
from spalloc_server.scripts.naming import add_board_names, names_of
from spalloc_server.scripts.times import ALLOWED, after_seconds, moment_of, shown
from spalloc_server.scripts.words import Words, listed, sendable

_WORDS = {
    "list": "show all reservations: those of the configuration, and those made by command",
    "add": "reserve boards, machines or tags from a time to a time, for some owners or for maintenance",
    "remove": "remove reservations that were made by command",
}
_COMMAND = Words(
    "spalloc-server reservations",
    _WORDS,
    "...",
    "Look at reservations of the running server, make some, and remove them.",
    [
        "Reservations stay across restarts, until they are over. Exit status: 0 if it is done, 3 if it is not",
        "because jobs would end without a timely warning, 1 if it is not for another reason.",
    ],
)

T = TypeVar("T")


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if it is done."""
    said = _COMMAND.parse(argv, _parser_of)
    if said is None:
        return SERVER_TROUBLE
    word, arguments, socket = said
    if word == "list":
        return _list(socket, as_json=arguments.json)
    options = {"names": arguments.names} if word == "remove" else _what_to_add(arguments)
    return ask_and_show(_COMMAND.command, socket, sendable(Request(f"reservations.{word}", options)))


def _parser_of(word: str) -> Parser:
    """Return the parser of the arguments after a word."""
    meaning = _WORDS[word]
    parser = Parser(
        prog=f"{_COMMAND.command} {word}",
        description=f"{meaning[0].upper()}{meaning[1:]}.",
        epilog=f"A TIME is {ALLOWED}." if word == "add" else None,
    )
    if word == "list":
        parser.add_argument("--json", action="store_true", help="write one JSON object instead of a table")
    if word == "remove":
        parser.add_argument("names", nargs="+", metavar="NAME", help="a reservation's name")
    if word == "add":
        parser.add_argument("name", metavar="NAME", help="a name for it")
        add_board_names(parser, "MACHINE for all its boards, MACHINE X,Y,Z for some, or a board's address")
        parser.add_argument(
            "--tag",
            action="append",
            default=[],
            dest="tags",
            metavar="TAG",
            help="all boards of each machine that has it",
        )
        parser.add_argument(
            "--from", default="now", dest="begins", metavar="TIME", help="when it begins (default: now)"
        )
        end = parser.add_mutually_exclusive_group(required=True)
        end.add_argument("--to", dest="ends", metavar="TIME", help="when it ends")
        end.add_argument(
            "--for", dest="lasts", metavar="DURATION", help="how long it lasts: 2h, 1d, 1h30m, ..."
        )
        parser.add_argument(
            "--owner",
            action="append",
            default=[],
            dest="owners",
            metavar="OWNER",
            help="whose jobs may use the boards; can be given several times (default: nobody's, for maintenance)",
        )
        parser.add_argument("--reason", required=True, metavar="TEXT", help="why, for users to read, too")
        parser.add_argument(
            "--keeps-jobs", action="store_true", help="jobs of others that are there when it begins go on"
        )
        parser.add_argument(
            "--now", action="store_true", help="also if jobs end that can't be told ten minutes before"
        )
    return parser


def _what_to_add(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the arguments of `add` as the server takes them."""
    now = datetime.now().astimezone()
    begins = _read("--from", arguments.begins, lambda text: moment_of(text, now))
    if arguments.ends is not None:
        ends = _read("--to", arguments.ends, lambda text: moment_of(text, max(begins, now)))
    else:
        lasts = _read("--for", arguments.lasts, durations.read)
        try:
            ends = after_seconds(begins, lasts)
        except OverflowError:
            raise CommandError(USAGE, f"--for {arguments.lasts} is too long") from None
    return {
        "name": arguments.name,
        **names_of(arguments),
        "tags": arguments.tags,
        "from": begins.isoformat(),
        "to": ends.isoformat(),
        "owners": arguments.owners,
        "reason": arguments.reason,
        "ends_jobs": not arguments.keeps_jobs,
        "now": arguments.now,
    }


def _read(option: str, text: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise CommandError(USAGE, f"{option} {error}") from None


def _list(socket: Path, *, as_json: bool) -> int:
    found = listed(socket, Request("reservations.list", {}))
    if as_json:
        output().print([json_line({"reservations": found})])
    elif found:
        output().print(_table(found))
    else:
        output().print(["there are no reservations"])
    return SUCCESS


def _table(found: Sequence[Mapping[str, Any]]) -> list[Text]:
    headings = ["Name", "Is", "From", "To", "Boards", "For", "Others there", "By", "Why"]
    rows: list[list[Cell]] = [
        [
            printable(one["name"]),
            one["state"],
            shown(one["from"]),
            shown(one["to"]),
            printable(", ".join(f"{count} of {name}" for name, count in one["reserved"].items())),
            printable(", ".join(one["owners"]) or "maintenance"),
            f"{'jobs' if one['ends_jobs'] else 'goes on: jobs'} {', '.join(map(str, one['jobs']))}"
            if one["jobs"]
            else "",
            printable(one["by"] or "configured"),
            printable(one["reason"]),
        ]
        for one in found
    ]
    return table(headings, rows)
