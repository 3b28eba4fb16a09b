"""Talks to the server: a connection whose server has been checked for its version, and a one-shot use of it.

Each command decides what to send; watching.py keeps in touch over a lost connection.
"""

from __future__ import annotations

import os

from spalloc_client import config
from spalloc_client.arguments import Arguments, named_server
from spalloc_client.checks import is_url, server_name
from spalloc_client.config import JOB_VARIABLE, SERVER_VARIABLES
from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.readings import or_none
from spalloc_client.scripts import is_command
from spalloc_client.scripts.entry import enter, leave
from spalloc_client.scripts.outcome import USAGE, CommandError, Endings, not_configured
from spalloc_client.versions import complaint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from spalloc_client.arguments import Parser
    from spalloc_client.options import Config

INCOMPATIBLE = 2


class Server:
    """The server to talk to, and how patiently."""

    __slots__ = ("hostname", "ignore_version", "port", "timeout")

    def __init__(self, hostname: str, port: int, timeout: float | None, *, ignore_version: bool) -> None:
        self.hostname = hostname
        self.port = port
        self.timeout = timeout
        """Seconds to wait for each answer, or None for no limit."""
        self.ignore_version = ignore_version

    @classmethod
    def chosen_by(cls, arguments: Arguments) -> Server:
        """Return the server that parsed arguments name.

        Raises:
            CommandError: They name no server.
        """
        if not arguments.hostname:
            raise not_configured(["--hostname of the spalloc server"])
        try:
            hostname, port = named_server(arguments)
        except ValueError as error:
            raise CommandError(USAGE, str(error)) from error
        return cls(
            hostname,
            port,
            or_none(arguments.timeout),
            # Of a service, the version says nothing: it is seen from what it answers whether it is one.
            ignore_version=arguments.ignore_version or is_url(hostname),
        )

    def __str__(self) -> str:
        return server_name(self.hostname, self.port)

    def connect(self) -> CheckedClient:
        """Return a connection to the server, to be entered."""
        return CheckedClient(self)


class CheckedClient(ProtocolClient):
    """One connection to a server; entering it makes it, and checks the server's version.

    Raises:
        CommandError: On entering: the server's version is not one that this client knows.
        OSError: On entering: the server can't be reached.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(server.hostname, server.port, timeout=server.timeout)
        self._chosen = server

    def __enter__(self) -> Self:
        self.connect()
        try:
            if not self._chosen.ignore_version:
                check_version(self, self._chosen.timeout)
        except BaseException:
            self.close()
            raise
        return self


def run(
    command: str,
    argv: Sequence[str] | None,
    make_parser: Callable[[Config], Parser],
    act: Callable[[Arguments, Server], int],
) -> int:
    """Run a command that asks a server: read configuration and arguments, act, and return the exit status.

    Args:
        command: The command's name.
        argv: The arguments, without the command's name; None for those of this process.
        make_parser: Makes the command's parser from the configuration.
        act: Does what the arguments say.
    """
    endings = Endings(command)

    def with_server(arguments: Arguments) -> int:
        server = Server.chosen_by(arguments)
        endings.server = str(server)
        return act(arguments, server)

    status = enter(endings, argv, make_parser, with_server)
    if argv is None and is_command:
        leave(status)
    return status


def job_of_environment(server: Server) -> int | None:
    """Return the ID of the job that this command runs in, if that is one of `server`'s.

    Raises:
        CommandError: The environment names a job that can't be.
    """
    environment = os.environ
    if not environment.get(JOB_VARIABLE):
        return None
    hostname, port = (environment.get(variable) for variable in SERVER_VARIABLES.values())
    if hostname not in (None, server.hostname) or port not in (None, str(server.port)):
        return None  # only its own server knows the ID
    try:
        return config.job_of_environment()
    except ValueError as error:
        raise CommandError(USAGE, str(error)) from None


def check_version(client: ProtocolClient, timeout: float | None) -> None:
    """Check that this client knows the server's version.

    Raises:
        CommandError: It does not; the status is 2.
    """
    problem = complaint(client.version(timeout=timeout))
    if problem is not None:
        raise CommandError(INCOMPATIBLE, f"{problem} (--ignore-version)")
