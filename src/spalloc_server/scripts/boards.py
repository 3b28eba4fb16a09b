"""The `spalloc-server boards` command: shows, drains and puts back boards of the running server.

The server does it, in operation/board_commands.py, and finds the boards that are named.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spalloc_client.scripts.outcome import SERVER_TROUBLE, SUCCESS
from spalloc_client.scripts.showing import json_line
from spalloc_client.scripts.wording import local_time
from spalloc_client.terminal.console import output
from spalloc_client.terminal.table import Cell, table
from spalloc_client.terminal.text import Text, printable
from spalloc_server.operation.control.protocol import Request
from spalloc_server.parsing import Parser
from spalloc_server.scripts.asking import ask_and_show
from spalloc_server.scripts.naming import add_board_names, names_of
from spalloc_server.scripts.words import Words, listed, sendable

_WORDS = {
    "list": "show every board that is drained, set aside, silent, reported or no longer configured",
    "drain": "give boards to no job from now on; a job that has one keeps it to its end",
    "out": "the same at once: refused where jobs have boards, unless --now says that these get others, or wait",
    "back": "put boards back in service; those that are set aside are tested first, now",
    "clear-reports": "clear users' reports of boards, or of a whole machine; boards set aside for them are tested now",
}
_COMMAND = Words(
    "spalloc-server boards",
    _WORDS,
    "[BOARD ...]",
    "Look at boards of the running server, take them out of service, and put them back.",
    [
        "Drained boards stay drained across restarts; the log says who drained them. Exit status: 0 if it is",
        "done, 3 if it is not because jobs would lose boards, 1 if it is not for another reason.",
    ],
)
_BOARD = (
    "MACHINE X,Y,Z (more coordinates may follow; a site's only machine needs no name), or a board's address"
)


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if it is done."""
    said = _COMMAND.parse(argv, _parser_of)
    if said is None:
        return SERVER_TROUBLE
    word, arguments, socket = said
    request = sendable(Request(f"boards.{word}", _options(arguments)))
    if word == "list":
        return _list(socket, request, as_json=arguments.json)
    return ask_and_show(_COMMAND.command, socket, request)


def _parser_of(word: str) -> Parser:
    """Return the parser of the arguments after a word."""
    of = "machines or boards (default: all)" if word == "list" else _BOARD
    parser = Parser(prog=f"{_COMMAND.command} {word}", description=_description(word))
    add_board_names(parser, of)
    if word in ("drain", "out"):
        parser.add_argument("--reason", required=True, metavar="TEXT", help="why, for users to read, too")
    if word == "out":
        parser.add_argument("--now", action="store_true", help="also if jobs lose their boards")
    if word == "list":
        parser.add_argument("--json", action="store_true", help="write one JSON object instead of a table")
    return parser


def _description(word: str) -> str:
    meaning = _WORDS[word].replace("the same", "give boards to no job from now on,")
    return f"{meaning[0].upper()}{meaning[1:]}."


def _options(arguments: argparse.Namespace) -> dict[str, object]:
    """Return a word's arguments as the server takes them."""
    options = names_of(arguments)
    if "reason" in arguments:
        options["reason"] = arguments.reason
    if "now" in arguments:
        options["now"] = arguments.now
    return options


def _list(socket: Path, request: Request, *, as_json: bool) -> int:
    boards = listed(socket, request)
    if as_json:
        output().print([json_line({"boards": boards})])
    elif boards:
        output().print(_table(boards))
    else:
        output().print(["none of these boards is drained, set aside, silent or reported"])
    return SUCCESS


def _table(boards: Sequence[Mapping[str, Any]]) -> list[Text]:
    headings = ["Machine", "Board", "Is", "Job", "Since", "Until", "Reports", "By", "Why"]
    rows: list[list[Cell]] = []
    for board in boards:
        x, y, z = board["board"]
        drained = board["drained"] or {"reason": None, "by": "", "since": None}
        whys = [drained["reason"], board["set_aside"], board["silent"]]
        rows.append(
            [
                printable(board["machine"]),
                f"({x}, {y}, {z})",
                _kinds(board),
                board["job"] or "",
                local_time(drained["since"] or board["set_aside_since"] or board["silent_since"]),
                local_time(board["until"]),
                board["reports"] or "",
                printable(drained["by"]),
                printable("; ".join(why for why in whys if why)),
            ]
        )
    return table(headings, rows)


def _kinds(board: Mapping[str, Any]) -> str:
    """Return the reasons why a board is not available, or may not be, in a few words."""
    kinds = {
        "drained": board["drained"],
        "to be tested" if board["job"] else "set aside": board["set_aside"],
        "silent": board["silent"],
        "reported": board["reports"],
        "no longer configured": board["physical"] is None,
    }
    return ", ".join(kind for kind, is_so in kinds.items() if is_so)
