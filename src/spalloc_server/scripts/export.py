"""The `spalloc-server export` command: writes a server's history of jobs in the Standard Workload Format.

simulate/export.py makes the log of the records; here they are read, and the log is written.
"""

import argparse
import contextlib
import gzip
import io
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from spalloc_client.terminal.console import output
from spalloc_client.terminal.text import printable
from spalloc_server.parsing import Parser
from spalloc_server.scripts.records import done, parse
from spalloc_server.simulate.export import Log, Owners
from spalloc_server.store.backup import back_up, unfinished
from spalloc_server.store.errors import StoreError
from spalloc_server.store.history import all_jobs
from spalloc_server.store.opening import connect_to_read
from spalloc_server.words import counted

_DAY = 86_400.0
_STANDARD_OUTPUT = Path("-")
_MOST_JOBS = 10_000_000
_MOST_DAYS = 100_000.0


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if the log is written."""
    parser = Parser(
        prog="spalloc-server export",
        description="Write which jobs a server had, as a log in the Standard Workload Format. The server may run.",
        epilog="Run it under other settings with spalloc-server simulate.",
    )
    parser.add_argument(
        "--days",
        type=_days,
        metavar="N",
        help="only jobs that were created in the last N days (default: all)",
    )
    names = parser.add_mutually_exclusive_group()
    names.add_argument(
        "--owners",
        action="store_const",
        dest="owners",
        const=Owners.NAMES,
        default=Owners.TABLE,
        help="name owners in the jobs' lines, instead of numbers and a table of names in the comments",
    )
    names.add_argument(
        "--anonymous",
        action="store_const",
        dest="owners",
        const=Owners.NUMBERS,
        help="tell owners and hosts by numbers only, to hand the log on",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    arguments, records = parse(
        parser, "where the log goes: .swf, or .swf.gz to compress it; - for standard output", argv
    )

    def act() -> None:
        if arguments.file.exists() and not arguments.overwrite:
            raise StoreError(f"{arguments.file} is there already; give another name, or --overwrite")
        boards = None
        if arguments.loaded is not None:
            boards = sum(len(machine.places) for machine in arguments.loaded.machines)
        log = _read(records, arguments.days, arguments.owners, _folder(arguments.file))
        lines = (f"{line}\n" for line in log.lines(boards))
        if arguments.file == _STANDARD_OUTPUT:
            output().write("".join(lines))
        else:
            _write(arguments.file, lines)
        missing = (
            f"; the records of {counted(log.unreadable, 'more job')} can't be read" if log.unreadable else ""
        )
        said = f"{arguments.file} has {counted(len(log), 'job')}{missing}"
        print(printable(said), file=sys.stderr if arguments.file == _STANDARD_OUTPUT else sys.stdout)

    return done(act)


def _folder(file: Path) -> Path | None:
    """Return where there is room for a copy of the records: beside the log; None for the system's own place."""
    return None if file == _STANDARD_OUTPUT else file.absolute().parent


def _read(records: Path, days: float | None, owners: Owners, folder: Path | None) -> Log:
    if folder is not None and not folder.is_dir():
        raise StoreError(f"there is no folder {folder}; make it, or give another one")
    # From a copy, as a backup is made: of one moment, checked for damage, and without holding up the server.
    with tempfile.TemporaryDirectory(prefix=".spalloc-", dir=folder) as place:
        made = back_up(records, Path(place) / "records")
        log = Log(made.seconds, owners)
        with contextlib.closing(connect_to_read(Path(place) / "records")) as database:
            for job in all_jobs(database, -_DAY if days is None else made.seconds - days * _DAY):
                if job is None:
                    log.unreadable += 1
                elif len(log) == _MOST_JOBS:
                    raise StoreError(f"there are more than {_MOST_JOBS} jobs; take fewer, with --days N")
                else:
                    log.add(job)
    return log


def _write(file: Path, lines: Iterable[str]) -> None:
    with unfinished(file) as begun:
        # Without the name and the time that gzip would note.
        with begun.open("wb") as raw:
            if file.name.endswith(".gz"):
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                    _put(packed, lines)
            else:
                _put(raw, lines)
        begun.replace(file)


def _put(file: io.BufferedIOBase, lines: Iterable[str]) -> None:
    file.writelines(line.encode() for line in lines)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0.0 < days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days above 0")
    return days
