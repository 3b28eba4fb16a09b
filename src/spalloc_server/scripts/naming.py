"""How commands for administrators take the names of boards; the server finds the boards, in operation/naming.py."""

import argparse

from spalloc_client.scripts.outcome import USAGE, CommandError
from spalloc_server.parsing import Parser


def add_board_names(parser: Parser, of: str) -> None:
    """Add the arguments that name boards; `of` is the help for those without an option."""
    parser.add_argument("boards", nargs="*", metavar="BOARD", help=of)
    parser.add_argument(
        "--physical",
        "-p",
        nargs=4,
        action="append",
        default=[],
        metavar=("MACHINE", "CABINET", "FRAME", "BOARD"),
        help="a board by where it stands",
    )
    parser.add_argument(
        "--frame",
        nargs=3,
        action="append",
        default=[],
        metavar=("MACHINE", "CABINET", "FRAME"),
        help="all boards of a frame",
    )


def names_of(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the names of boards as the server takes them.

    Raises:
        CommandError: A number is none.
    """
    return {
        "boards": arguments.boards,
        "physical": [[words[0], *map(_number, words[1:])] for words in arguments.physical],
        "frames": [[words[0], *map(_number, words[1:])] for words in arguments.frame],
    }


def _number(word: str) -> int:
    try:
        return int(word.strip().removesuffix(","))
    except ValueError:
        raise CommandError(USAGE, f"{word!r} is not a whole number") from None
