"""The `spalloc-server convert` command: turns an older service's configuration into TOML.

config/migration/ does the work.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from spalloc_client.terminal.console import output
from spalloc_server.config.document import parse
from spalloc_server.config.migration.converting import convert
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.writing import to_toml
from spalloc_server.parsing import Parser


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if the file could be converted, 1 if not."""
    parser = Parser(
        prog="spalloc-server convert",
        description="Turn an older service's configuration into TOML on standard output: machine definitions of the "
        "Java service, in JSON, or a Python file of a server of 2023 or 2025. "
        "A Python file is run, as that server ran it: convert only files that you trust.",
    )
    parser.add_argument("configuration", type=Path, metavar="OLD")
    arguments = parser.parse_args(argv)
    try:
        converted = convert(arguments.configuration)
        text = to_toml(converted.configuration)
        parse(text, f"the conversion of {arguments.configuration}", Path.cwd())
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    head = f"# Converted from {json_safe(arguments.configuration.name)} by spalloc-server convert.\n\n"
    output().write(head + text)
    for note in converted.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def json_safe(name: str) -> str:
    """Return a file's name in a form that is safe in a comment."""
    return name if name.isprintable() else ascii(name)
