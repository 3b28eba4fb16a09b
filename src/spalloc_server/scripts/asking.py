"""Sends a command to the running server, shows the answer, and returns its status.

The connection and the protocol are in operation/control/.
"""

import sys
from pathlib import Path

from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.text import printable
from spalloc_server.operation.control.client import NoAnswerError, ask
from spalloc_server.operation.control.protocol import Request


def ask_and_show(command: str, socket: Path, request: Request) -> int:
    """Send a request to the server that listens at `socket`, show its answer, and return the status.

    Args:
        command: The name of the command that was typed, for messages.
        socket: The server's control socket.
        request: The request.
    """
    status = 0
    try:
        # All of it first: a pager may rest for longer than the server waits for its reader.
        for line, ended in list(ask(socket, request)):
            status = ended or 0
            (messages() if status else output()).print([printable(line.text)])
    except NoAnswerError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    return status
