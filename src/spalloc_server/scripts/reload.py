"""The `spalloc-server reload` command: has the running server read its configuration again, and shows the result.

The server does the reload, in operation/reloading.py.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from spalloc_server.config.document import load
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.operation.control.protocol import Request
from spalloc_server.parsing import Parser
from spalloc_server.scripts.asking import ask_and_show


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if the new configuration is in force."""
    parser = Parser(
        prog="spalloc-server reload",
        description="Have the running server read its configuration again, and show the result.",
        epilog="Exit status: 0 if the new configuration is in force, 3 if it was refused because it would end jobs, "
        "1 if it was refused for another reason or no server answers.",
    )
    server = parser.add_mutually_exclusive_group(required=True)
    server.add_argument(
        "configuration",
        type=Path,
        nargs="?",
        metavar="CONFIG.toml",
        help="the configuration of the server, which says where it listens for this command",
    )
    server.add_argument(
        "--socket", type=Path, metavar="FILE", help="where it listens, as the log of its start names it"
    )
    parser.add_argument("--ends-jobs", action="store_true", help="go on also if that ends jobs")
    arguments = parser.parse_args(argv)
    socket = arguments.socket
    if socket is None:
        try:
            socket = load(arguments.configuration).control_socket
        except ConfigurationError as error:
            print(error, file=sys.stderr)
            print("the server was not asked: it goes on with the configuration that it has", file=sys.stderr)
            return 1
    return ask_and_show(
        "spalloc-server reload", socket, Request("reload", {"ends_jobs": arguments.ends_jobs})
    )
