"""Finds the running server's control socket, sends a command to it, shows the answer, and returns its status.

The connection and the protocol are in operation/control/.
"""

import argparse
import sys
from pathlib import Path

from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.text import printable
from spalloc_server.config.document import load
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.operation.control.client import NoAnswerError, ask
from spalloc_server.operation.control.protocol import Request

OF_THE_SERVICE = Path("/run/spalloc/control")
"""The control socket of the service, as its systemd unit has it."""


def socket_of(
    parser: argparse.ArgumentParser, configuration: Path | None, socket: Path | None
) -> Path | None:
    """Return the control socket; None if the configuration can't be read, which is told.

    Args:
        parser: Tells if both are given, and ends the program.
        configuration: The server's configuration, if it was given.
        socket: The socket, if it was given.
    """
    if configuration is None:
        return socket or OF_THE_SERVICE
    if socket is not None:
        parser.error("CONFIG.toml and --socket both say where the server listens: give one of them")
    try:
        return load(configuration).control_socket
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        print("the server was not asked; name its socket with --socket FILE", file=sys.stderr)
        return None


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
