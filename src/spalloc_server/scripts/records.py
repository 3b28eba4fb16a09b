"""The common parts of `spalloc-server backup` and `restore`: finding the records, and reporting errors.

store/ does the work on the records.
"""

import argparse
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from spalloc_client.scripts.outcome import SERVER_TROUBLE, CommandError
from spalloc_server.config.document import load
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.parsing import Parser
from spalloc_server.store.errors import StoreError

OF_THE_SERVICE = Path("/var/lib/spalloc/state")
"""The records of the service, as its systemd unit has them."""


def parse(parser: Parser, file: str, argv: Sequence[str]) -> tuple[argparse.Namespace, Path]:
    """Return a command's arguments, and the path of the records.

    Among the arguments, `loaded` is what the configuration says; None without one.

    Args:
        parser: The command's parser, with its own options.
        file: The help for the command's FILE.
        argv: The arguments that were typed.

    Raises:
        CommandError: The configuration can't be read.
    """
    parser.add_argument(
        "configuration",
        type=Path,
        nargs="?",
        metavar="CONFIG.toml",
        help=f"the configuration of the server, which says where its records are (default: {OF_THE_SERVICE})",
    )
    parser.add_argument(
        "--state", type=Path, metavar="RECORDS", help="the records, if the server got --state"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=file)
    arguments = parser.parse_intermixed_args(argv)
    if arguments.state is not None and arguments.configuration is not None:
        parser.error("CONFIG.toml and --state both say where the records are: give one of them")
    arguments.loaded = None
    if arguments.configuration is None:
        return arguments, arguments.state or OF_THE_SERVICE
    try:
        arguments.loaded = load(arguments.configuration)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        raise CommandError(
            SERVER_TROUBLE, "so it is not known where the records are; name them with --state RECORDS"
        ) from error
    assert arguments.loaded.state is not None
    return arguments, arguments.loaded.state


def done(action: Callable[[], None]) -> int:
    """Do a command's work, and return its exit status.

    Raises:
        CommandError: It could not be done.
    """
    try:
        action()
    except StoreError as error:
        raise CommandError(SERVER_TROUBLE, str(error)) from error
    except PermissionError as error:
        what = f"{error.filename}: {error.strerror}"
        raise CommandError(SERVER_TROUBLE, f"{what}; become root, or the server's user") from error
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        raise CommandError(SERVER_TROUBLE, what) from error
    except sqlite3.Error as error:
        raise CommandError(SERVER_TROUBLE, f"the records can't be used: {error}") from error
    return 0
