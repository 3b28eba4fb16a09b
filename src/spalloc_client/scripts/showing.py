"""Shows what a server says, once or whenever it changes: what job, ps and machine have in common.

Each command says what to ask, and how it looks, as a View (feed.py). watching.py redraws screens in place.
"""

from __future__ import annotations

import json

from spalloc_client.terminal.console import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from spalloc_client.arguments import Arguments, Parser
    from spalloc_client.scripts.feed import View
    from spalloc_client.scripts.server import Server

    T = TypeVar("T")


WATCH_KEYS = " (arrows and Page keys move, / filters, q ends)"
"""The end of the help of an option `--watch`."""


def add_showing(parser: Parser, watch_help: str) -> None:
    """Add the options that say how a view is shown."""
    parser.add_argument("--watch", "-w", action="store_true", help=watch_help + WATCH_KEYS)
    add_json(parser, "; with --watch, one a line at every change")


def add_json(parser: Parser, more: str = "") -> None:
    """Add the option for programs that read the output."""
    parser.add_argument("--json", action="store_true", help=f"write one JSON object instead of text{more}")


def show(view: View[T], arguments: Arguments, server: Server) -> int:
    """Show a view once, or as it changes if `--watch` was given; return the exit status."""
    if arguments.watch:
        from spalloc_client.scripts.watching import watch

        return watch(view, server, as_json=arguments.json)
    console = output()
    with server.connect() as client:
        shown = view.ask(client, server.timeout)
    if arguments.json:
        console.print([json_line(view.json(shown))])
    else:
        console.print(view.draw(shown, console.columns, None))
    return view.status(shown)


def json_line(value: object) -> str:
    """Return a JSON object on one line, in ASCII."""
    return json.dumps(value)
