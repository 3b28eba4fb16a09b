"""The `spalloc-server group` command: makes, changes, shows and removes groups, which share a quota of board-seconds.

The server does it, in operation/group_commands.py. Which accounts are in a group is said by `spalloc-server account
groups`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spalloc_client import durations
from spalloc_client.scripts.outcome import SERVER_TROUBLE, SUCCESS, USAGE, CommandError
from spalloc_client.scripts.showing import json_line
from spalloc_client.scripts.wording import local_time
from spalloc_client.terminal.console import output
from spalloc_client.terminal.table import Cell, table
from spalloc_client.terminal.text import Text, printable
from spalloc_server.core.groups import of_boards
from spalloc_server.operation.control.protocol import Request
from spalloc_server.parsing import Parser
from spalloc_server.scripts.words import Words, listed, sendable, told

_WORDS = {
    "list": "show all groups, with what they have used and may use",
    "show": "show a group, and its accounts",
    "add": "make a group, without accounts",
    "quota": "change how much the jobs of a group may use, at once",
    "remove": "remove a group; its accounts stay",
}
_AMOUNT = (
    "board-seconds, such as 360000; or the time of one board, such as 100h or 30d; or none, for no limit"
)
_COMMAND = Words(
    "spalloc-server group",
    _WORDS,
    "...",
    "Make groups of accounts in the running server, give them quotas, show them, and remove them.",
    [
        "spalloc-server account groups says which accounts are in them. Exit status: 0 if it is done, 1 if it is",
        "not.",
    ],
)


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if it is done."""
    said = _COMMAND.parse(argv, _parser_of)
    if said is None:
        return SERVER_TROUBLE
    word, arguments, socket = said
    if word == "list":
        return _list(socket, as_json=arguments.json)
    options: dict[str, object] = {"name": arguments.name}
    if word == "show":
        return _show(socket, options, as_json=arguments.json)
    if word == "add":
        options["quota"] = None if arguments.quota is None else _amount("--quota", arguments.quota)
    if word == "quota":
        adds = arguments.amount.startswith("+")
        options |= {"quota": _amount("AMOUNT", arguments.amount.removeprefix("+")), "adds": adds}
        if adds and options["quota"] is None:
            raise CommandError(USAGE, "AMOUNT +none makes no sense: write none for no limit")
    output().print([printable(told(socket, sendable(Request(f"groups.{word}", options))))])
    return SUCCESS


def _parser_of(word: str) -> Parser:
    """Return the parser of the arguments after a word."""
    meaning = _WORDS[word]
    parser = Parser(prog=f"{_COMMAND.command} {word}", description=f"{meaning[0].upper()}{meaning[1:]}.")
    if word != "list":
        parser.add_argument("name", metavar="NAME", help="the group's name")
    if word == "add":
        parser.add_argument("--quota", metavar="AMOUNT", help=f"{_AMOUNT} (default: none)")
    if word == "quota":
        parser.add_argument("amount", metavar="AMOUNT", help=f"{_AMOUNT}; with + before it, so much more")
    if word in ("list", "show"):
        parser.add_argument("--json", action="store_true", help="write one JSON object instead of a table")
    return parser


def _amount(what: str, text: str) -> float | None:
    """Return how many board-seconds a string means; None for no limit.

    Raises:
        CommandError: It is none.
    """
    if text == "none":
        return None
    if re.fullmatch(r"\d{1,15}(\.\d{1,6})?", text, re.ASCII):
        return float(text)
    try:
        if re.fullmatch(r"[\d.]*[a-z].*", text, re.ASCII):
            return durations.read(text)
    except ValueError:
        pass
    raise CommandError(USAGE, f"{what} {text!r} can't be read; it must be {_AMOUNT}")


def _list(socket: Path, *, as_json: bool) -> int:
    found = listed(socket, Request("groups.list", {}))
    if as_json:
        output().print([json_line({"groups": found})])
    else:
        output().print(_table(found) if found else ["there are no groups"])
    return SUCCESS


def _show(socket: Path, options: dict[str, object], *, as_json: bool) -> int:
    group, *members = listed(socket, sendable(Request("groups.show", options)))
    if as_json:
        output().print([json_line({**group, "accounts": members})])
        return SUCCESS
    output().print(_table([group]))
    rows: list[list[Cell]] = [
        [printable(one["account"]), "default" if one["default"] else ""] for one in members
    ]
    output().print(["", *table(["Account", "Is"], rows)] if rows else ["", "no account is in it"])
    return SUCCESS


def _table(found: Sequence[Mapping[str, Any]]) -> list[Text]:
    rows: list[list[Cell]] = [
        [
            printable(one["name"]),
            of_boards(one["used"]),
            "" if one["quota"] is None else of_boards(one["quota"]),
            "" if one["left"] is None else of_boards(one["left"]),
            one["accounts"] or "",
            one["jobs"] or "",
            local_time(one["created"]),
        ]
        for one in found
    ]
    return table(["Group", "Used", "Quota", "Left", "Accounts", "Jobs", "Made"], rows)
