"""The `spalloc-server backup` command: makes a backup of a server's records, and says what it contains.

store/backup.py does the work.
"""

from collections.abc import Sequence

from spalloc_client.terminal.console import output
from spalloc_client.terminal.text import printable
from spalloc_server.parsing import Parser
from spalloc_server.scripts.records import done, parse
from spalloc_server.store.backup import back_up
from spalloc_server.words import date_and_time


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if the backup is there."""
    parser = Parser(
        prog="spalloc-server backup",
        description="Write all records of a server, as they are at this moment, to a file. The server may run.",
        epilog="The file appears once it is whole, checked and on disk. Put it back with spalloc-server restore.",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="put the backup in the place of a file that is there"
    )
    arguments, records = parse(parser, "where the backup goes", argv)

    def act() -> None:
        made = back_up(records, arguments.file, overwrite=arguments.overwrite)
        said = f"{arguments.file} holds all that was in {made.of} on {date_and_time(made.seconds)}"
        output().print(map(printable, (said, *made.contents.lines())))

    return done(act)
