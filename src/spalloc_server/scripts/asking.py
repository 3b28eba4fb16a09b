"""What the commands that speak to the running server have in common: showing its answer, and ending with its status.

What travels in between is the subject of operation/control/.
"""

import sys
from pathlib import Path

from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.text import printable
from spalloc_server.operation.control.client import NoAnswerError, ask
from spalloc_server.operation.control.protocol import Request


def ask_and_show(command: str, socket: Path, request: Request) -> int:
    """Have the server that listens at `socket` do something, show its answer as it comes, and return the status.

    Args:
        command: How it was typed, for messages.
        socket: Where the server listens.
        request: What it is to do.
    """
    status = 0
    try:
        for line, ended in ask(socket, request):
            status = ended or 0
            (messages() if status else output()).print([printable(line.text)])
    except NoAnswerError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    return status
