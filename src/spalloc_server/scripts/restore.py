"""The `spalloc-server restore` command: puts a backup in the place of a server's records, and says what happens next.

store/restoring.py does the work.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from spalloc_client.terminal.console import output
from spalloc_client.terminal.text import printable
from spalloc_server.parsing import Parser
from spalloc_server.scripts.records import done, parse
from spalloc_server.store.restoring import Restored, restore
from spalloc_server.words import date_and_time


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if the backup is in its place."""
    parser = Parser(
        prog="spalloc-server restore",
        description="Put a backup in the place of a server's records. The server must not run.",
        epilog="The records that were there are kept beside it.",
    )
    arguments, records = parse(parser, "the backup, which stays as it is", argv)

    def act() -> None:
        output().print(map(printable, _said(arguments.file, restore(arguments.file, records))))

    return done(act)


def _said(file: Path, restored: Restored) -> Iterator[str]:
    when = "a time that it does not say" if restored.seconds is None else date_and_time(restored.seconds)
    yield f"{restored.records} holds the records of {file} now, a backup of {when}"
    yield from restored.contents.lines()
    if restored.kept is not None:
        yield f"the records that were there are kept as {restored.kept}; delete them when they are not needed"
    yield (
        "start the server: its jobs are those of the backup; all other boards are switched off before a job gets them, "
        "and no ID is given again (--cold-start ends the jobs of the backup, too)"
    )
