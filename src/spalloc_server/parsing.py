"""The parser of a command's arguments: argparse's, but for how help is written.

What arguments there are is the commands' own subject, in scripts/ and simulate/.
"""

import argparse
import sys
from typing import Any

from spalloc_client.terminal.console import output


class Parser(argparse.ArgumentParser):
    """A parser whose help is written like all other output.

    What argparse writes by itself gets lost without a word where nobody reads it or the disk is full.
    """

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:
            output().write(message)
        else:
            super()._print_message(message, file)
