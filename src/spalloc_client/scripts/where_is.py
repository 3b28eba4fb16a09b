"""`spalloc-where-is`: answers one question about a board, a chip or a job."""

from __future__ import annotations

from spalloc_client.answers import Location
from spalloc_client.arguments import Arguments, Parser, add_debug, add_server
from spalloc_client.scripts.outcome import SUCCESS, USAGE, CommandError
from spalloc_client.scripts.server import Server, job_of_environment, run
from spalloc_client.scripts.showing import add_json, json_line
from spalloc_client.terminal.console import output
from spalloc_client.terminal.table import definitions
from spalloc_client.terminal.text import Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spalloc_client.options import Config

COMMAND = "spalloc-where-is"
NOTHING_THERE = 4

_FORMS = (
    ("board", ("machine", "x", "y", "z")),
    ("physical", ("machine", "cabinet", "frame", "board")),
    ("chip", ("machine", "chip_x", "chip_y")),
    ("job_chip", ("job_id", "chip_x", "chip_y")),
)
"""Options by the name of their value, each with the arguments of `where_is` that its words are."""


def parser(config: Config) -> Parser:
    """Return the command's parser."""
    made = Parser(COMMAND, "Find out the location (physical or logical) of a chip or board.")
    places = made.add_alternatives(required=True)
    places.add_argument(
        "--board",
        "-b",
        "--logical",
        "-l",
        nargs=4,
        metavar=("MACHINE", "X", "Y", "Z"),
        help="specify the logical board coordinate",
    )
    places.add_argument(
        "--physical",
        "-p",
        nargs=4,
        metavar=("MACHINE", "CABINET", "FRAME", "BOARD"),
        help="specify a board's physical location",
    )
    places.add_argument(
        "--chip",
        "-c",
        nargs=3,
        metavar=("MACHINE", "X", "Y"),
        help="specify a board by chip coordinates (as if the whole machine is being used)",
    )
    places.add_argument(
        "--job-chip",
        "-j",
        nargs="+",
        metavar="[JOB_ID] X Y",
        help="specify the chip coordinates of a chip within a job's boards (inside an allocation, X and Y are enough)",
    )
    add_json(made)
    add_debug(made)
    add_server(made, config)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(COMMAND, argv, parser, _act)


def _act(arguments: Arguments, server: Server) -> int:
    option, question = asked(arguments, server)
    with server.connect() as client:
        answer = client.where_is(timeout=server.timeout, **question)
    if answer is None:
        raise CommandError(NOTHING_THERE, "no boards at the specified location")
    location = Location(answer)
    if arguments.json:
        output().print([json_line(location_json(location))])
    else:
        output().print(described(location, is_chip=option in ("chip", "job_chip")))
    return SUCCESS


def asked(arguments: Arguments, server: Server) -> tuple[str, dict[str, str | int]]:
    """Return which option was given and its words as arguments of `where_is`.

    Commas between the words, as in coordinates, are ignored.

    Raises:
        CommandError: A word that should be a number isn't one, or there are too many or too few.
    """
    option, form = next((option, form) for option, form in _FORMS if getattr(arguments, option) is not None)
    names: Sequence[str] = form
    words = getattr(arguments, option)
    question: dict[str, str | int] = {}
    if option == "job_chip":
        job_id = job_of_environment(server) if len(words) == 2 else None
        if job_id is not None:
            question, names = {"job_id": job_id}, names[1:]
        if len(words) != len(names):
            raise CommandError(USAGE, f"--job-chip takes a job ID, X and Y, not {len(words)} words")
    for name, word in zip(names, words, strict=True):
        question[name] = word if name == "machine" else _number(option, word)
    return option, question


def described(location: Location, *, is_chip: bool) -> list[Text]:
    """Return the details of a place; a chip's coordinate on its board only where a chip was asked for."""
    cabinet, frame, board = location.physical
    pairs = {
        "Machine": printable(location.machine),
        "Physical Location": f"Cabinet {cabinet}, Frame {frame}, Board {board}",
        "Board Coordinate": str(location.logical),
        "Machine Chip Coordinates": str(location.chip),
    }
    if is_chip:
        pairs["Coordinates within board"] = str(location.board_chip)
    pairs["Job using board"] = str(location.job_id)
    if location.job_id is not None:
        pairs["Coordinates within job"] = str(location.job_chip)
    return definitions(pairs)


def location_json(location: Location) -> dict[str, object]:
    """Return a place as a JSON object; its keys are documented and stay."""
    return {name: getattr(location, name) for name in _JSON_KEYS}


_JSON_KEYS = ("machine", "physical", "logical", "chip", "board_chip", "job_id", "job_chip")


def _number(option: str, word: str) -> int:
    try:
        return int(word.strip().removesuffix(","))
    except ValueError:
        raise CommandError(USAGE, f"--{option.replace('_', '-')}: {word!r} is not a whole number") from None


if __name__ == "__main__":
    import sys

    sys.exit(main())
