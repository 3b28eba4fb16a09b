"""The parser of a command's arguments: argparse's, except that help goes through our own output.

Arguments are defined by the commands, in scripts/ and simulate/.
"""

import argparse
import sys
from typing import Any

from spalloc_client.terminal.console import output


class Parser(argparse.ArgumentParser):
    """A parser whose help is written like all other output.

    When a pipe is closed or a disk is full, argparse's own writing would lose the help without an error.
    """

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:
            output().write(message)
        else:
            super()._print_message(message, file)
