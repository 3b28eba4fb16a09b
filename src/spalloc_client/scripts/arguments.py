# What the commands' arguments have in common: one parser class, and the options that name the server.
#
# Each command's own options stand in its own file. Help, manual pages and completion are all read from these parsers.
"""Parsers of command lines."""

from __future__ import annotations

import argparse

from spalloc_client._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from spalloc_client.config import Config

USAGE_STATUS = 2


class Parser(argparse.ArgumentParser):
    """A command's parser; a mistake in the arguments is one line on standard error, with status 2."""

    def __init__(self, command: str, summary: str) -> None:
        """Start with the options that every command has.

        Args:
            command: The command's name.
            summary: What it does, one sentence.
        """
        super().__init__(prog=command, description=summary, allow_abbrev=True)
        self.add_argument("--version", "-V", action="version", version=__version__)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and leave with status 2."""
        self.exit(USAGE_STATUS, f"{self.prog}: {message}; see {self.prog} --help\n")


def add_debug(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the option that shows where an error came from."""
    parser.add_argument(
        "--debug",
        action="store_true",
        help="enable additional diagnostic information: log messages, and the traceback of an error",
    )


def add_server(parser: argparse.ArgumentParser, config: Config) -> argparse._ArgumentGroup:
    """Add the options that say where the server is, and return their group."""
    group = parser.add_argument_group("spalloc server arguments")
    group.add_argument(
        "--hostname",
        "-H",
        default=config["hostname"],
        help="hostname or IP of the spalloc server (default: %(default)s)",
    )
    group.add_argument(
        "--port",
        "-P",
        type=int,
        default=config["port"],
        help="port number of the spalloc server (default: %(default)s)",
    )
    group.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        default=config["timeout"],
        help="seconds to wait for a response from the server, or -1 to wait forever (default: %(default)s)",
    )
    group.add_argument(
        "--ignore-version",
        "--ignore_version",
        dest="ignore_version",
        nargs="?",
        type=truth,
        const=True,
        default=config["ignore_version"],
        metavar="BOOL",
        help="talk to the server whatever its version (WARNING: could result in errors; default: %(default)s)",
    )
    return group


def truth(text: str) -> bool:
    """Read a truth value as configuration files spell them.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    lowered = text.lower()
    if lowered in {"true", "yes", "on", "1"}:
        return True
    if lowered in {"false", "no", "off", "0"}:
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, not {text!r}")


def or_none(value: float | None) -> float | None:
    """Return `value`, or None for the negative values by which users say none."""
    return None if value is None or value < 0 else value
