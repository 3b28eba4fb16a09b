"""The `spalloc-server stop-all` command: the emergency stop of the running server, and its end.

The server does it, in operation/emergency_commands.py.
"""

from collections.abc import Sequence
from pathlib import Path

from spalloc_server.operation.control.protocol import Request
from spalloc_server.parsing import Parser
from spalloc_server.scripts.asking import ask_and_show, socket_of
from spalloc_server.scripts.words import sendable

_COMMAND = "spalloc-server stop-all"


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if it is done and on disk."""
    parser = Parser(
        prog=_COMMAND,
        description="In an emergency: end all jobs of the running server, switch their boards off, and take no new "
        "jobs until that is lifted.",
        epilog="It is done at once, also while the server can't write its records. Exit status: 0 if it is done, 3 if "
        "it is done but not on disk, so that a server that is started again would have the jobs again, 1 if it is not "
        "done.",
    )
    parser.add_argument(
        "configuration",
        type=Path,
        nargs="?",
        metavar="CONFIG.toml",
        help="the configuration of the server (default: the service)",
    )
    parser.add_argument("--socket", type=Path, metavar="FILE", help="where the server listens for commands")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--reason", metavar="TEXT", help="stop, and say why, for the owners of the jobs to read"
    )
    what.add_argument("--lift", action="store_true", help="take jobs again")
    arguments = parser.parse_args(argv)
    socket = socket_of(parser, arguments.configuration, arguments.socket)
    if socket is None:
        return 1
    if arguments.lift:
        return ask_and_show(_COMMAND, socket, Request("stop-all.lift"))
    return ask_and_show(_COMMAND, socket, sendable(Request("stop-all", {"reason": arguments.reason})))
