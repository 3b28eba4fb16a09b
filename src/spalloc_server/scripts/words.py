"""Commands that take a word, such as `spalloc-server boards list`: how they are parsed, sent to the server and listed.

Each command has its words and their options in a module of its own.
"""

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spalloc_client.scripts.outcome import SERVER_TROUBLE, USAGE, CommandError
from spalloc_server.operation.control.client import NoAnswerError, NotThereError, ask
from spalloc_server.operation.control.protocol import Line, Request, of_request
from spalloc_server.parsing import Parser
from spalloc_server.scripts.asking import OF_THE_SERVICE, socket_of


@dataclass(frozen=True, slots=True)
class Words:
    """A command that takes a word."""

    command: str
    """As it is typed, such as `spalloc-server boards`."""
    meanings: Mapping[str, str]
    """Each word with what it does."""
    others: str
    """What may follow a word, for the usage."""
    description: str
    ending: Sequence[str]
    """The last lines of the help."""

    def parse(
        self, argv: Sequence[str], parser_of: Callable[[str], Parser]
    ) -> tuple[str, argparse.Namespace, Path] | None:
        """Return the word, its arguments, and the server's control socket; None if that can't be found, which is told.

        Args:
            argv: What was typed.
            parser_of: Returns the parser of the arguments after a word, `--socket` excepted.
        """
        at = next((index for index, word in enumerate(argv) if word in self.meanings), None)
        parser = self._parser()
        if at is None:
            parser.parse_known_args(argv)
            said = f"; you wrote {shlex.join(argv)}" if argv else ""
            parser.error(f"say what to do: one of {', '.join(self.meanings)}{said}")
        before = parser.parse_intermixed_args([*argv[:at], argv[at]])
        after = parser_of(argv[at])
        after.add_argument("--socket", type=Path, metavar="FILE", help=argparse.SUPPRESS)
        arguments = after.parse_intermixed_args(list(argv[at + 1 :]))
        socket = socket_of(parser, before.configuration, arguments.socket or before.socket)
        return None if socket is None else (argv[at], arguments, socket)

    def _parser(self) -> Parser:
        """Return the parser of the arguments up to the word."""
        width = max(map(len, self.meanings))
        parser = Parser(
            prog=self.command,
            usage=f"{self.command} [-h] [CONFIG.toml | --socket FILE] WORD {self.others}",
            description=self.description,
            epilog="\n".join(
                [
                    "words, each with its own --help:",
                    *(f"  {word:{width}}  {meaning}" for word, meaning in self.meanings.items()),
                    "",
                    *self.ending,
                ]
            ),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument(
            "configuration",
            type=Path,
            nargs="?",
            metavar="CONFIG.toml",
            help=f"the configuration of the server, which says where it listens (default: {OF_THE_SERVICE})",
        )
        parser.add_argument(
            "--socket", type=Path, metavar="FILE", help="where it listens, as the log of its start names it"
        )
        parser.add_argument("word", metavar="WORD", help="what to do, see below")
        return parser


def sendable(request: Request) -> Request:
    """Return a request.

    Raises:
        CommandError: It can't be sent: it is too long, or no valid text.
    """
    try:
        of_request(request)
    except ValueError as error:
        raise CommandError(USAGE, str(error)) from None
    return request


def listed(socket: Path, request: Request) -> list[Mapping[str, Any]]:
    """Return what the server that listens at `socket` lists, without the kind of each line.

    Raises:
        CommandError: It refuses, or does not answer.
    """
    *lines, _ = _whole(socket, request)
    return [{name: value for name, value in line.about.items() if name != "kind"} for line in lines]


def told(socket: Path, request: Request) -> str:
    """Return what the server that listens at `socket` says of a request that is done.

    Raises:
        CommandError: It refuses, or does not answer.
    """
    return _whole(socket, request)[-1].text


def _whole(socket: Path, request: Request) -> list[Line]:
    try:
        return answered(socket, request)
    except NotThereError as error:
        raise CommandError(SERVER_TROUBLE, str(error)) from error


def answered(socket: Path, request: Request) -> list[Line]:
    """Return all lines with which the server that listens at `socket` answers.

    Raises:
        CommandError: It refuses, or does not answer.
        NotThereError: No server listens there.
    """
    lines: list[Line] = []
    try:
        for line, status in ask(socket, request):
            if status:
                raise CommandError(status, line.text)
            lines.append(line)
    except NotThereError:
        raise
    except NoAnswerError as error:
        raise CommandError(SERVER_TROUBLE, str(error)) from error
    return lines
