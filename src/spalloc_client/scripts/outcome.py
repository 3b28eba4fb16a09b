"""How a command ends: each exception becomes one line on standard error and an exit status.

This is the only file that words a command's errors for its user.
"""

from __future__ import annotations

import os
import sys

from spalloc_client.checks import is_url
from spalloc_client.config import USER_CONFIG_FILE
from spalloc_client.errors import ConfigError, ProtocolError, ProtocolTimeoutError, SpallocServerException
from spalloc_client.job_answers import AnswerError
from spalloc_client.terminal.console import NotWrittenError, ReaderGoneError, trouble
from spalloc_client.terminal.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SUCCESS = 0
SERVER_TROUBLE = 1
USAGE = 2
WHICH_JOB = 3
"""There is no such job, or it is not clear which one is meant."""
BOARDS_UNREACHABLE = 6
INTERNAL_ERROR = 70
"""A mistake in the command itself (`EX_SOFTWARE` of sysexits.h)."""
NOT_WRITTEN = 74
"""Its output could not be written (`EX_IOERR` of sysexits.h)."""
NOT_EXECUTABLE = 126
NOT_FOUND = 127
SIGNALLED = 128
"""Plus the number of the signal that ended the command."""
INTERRUPTED = SIGNALLED + 2
BROKEN_PIPE = SIGNALLED + 13


class CommandError(Exception):
    """The command can't do what it was told to do."""

    def __init__(self, status: int, message: str, paste: Sequence[str] = ()) -> None:
        """Say why.

        Args:
            status: The command's exit status.
            message: One line for the user: what went wrong, and what to do.
            paste: Lines of a file that would correct it.
        """
        super().__init__(message)
        self.status = status
        self.paste = paste


class Ended:
    """How the use of the boards ended: the wrapped command, or the wait at the prompt."""

    __slots__ = ("interrupted", "job_is_over", "status")
    status: int
    """Its exit status, or 128 plus the number of the signal that ended it."""
    interrupted: bool
    """Whether Ctrl-C at the terminal, which it had to itself, ended it."""
    job_is_over: bool
    """Whether the job no longer exists."""

    def __init__(self, status: int, *, interrupted: bool, job_is_over: bool = False) -> None:
        self.status = status
        self.interrupted = interrupted
        self.job_is_over = job_is_over


def not_configured(missing: Sequence[str], more: str = "") -> CommandError:
    """Return the error of a command that lacks what a configuration file usually says.

    Args:
        missing: What is missing, with the options that say it.
        more: What to do instead.
    """
    message = f"{' and '.join(missing)} must be specified{more}; or put these lines into {USER_CONFIG_FILE}:"
    lines = ("[spalloc]", "hostname = NAME-OF-THE-SERVER", "owner = YOUR-EMAIL-ADDRESS")
    return CommandError(USAGE, message, lines)


class Endings:
    """How one command reports the ways it can end."""

    __slots__ = ("command", "debug", "server", "server_trouble")

    def __init__(
        self,
        command: str,
        *,
        server: str | None = None,
        server_trouble: int = SERVER_TROUBLE,
        debug: bool = False,
    ) -> None:
        """Describe the command.

        Args:
            command: Its name.
            server: `hostname:port` or URL of the server it talks to, for messages.
            server_trouble: Its exit status when the server can't be reached or refuses.
            debug: Whether to show tracebacks.
        """
        self.command = command
        self.server = server
        self.server_trouble = server_trouble
        self.debug = debug

    def status_of(self, action: Callable[[], int]) -> int:
        """Do `action`, report what it raises, and return the command's exit status."""
        try:
            status = action()
            _flush()
        except ReaderGoneError:
            _silence()
            return BROKEN_PIPE
        except NotWrittenError as error:
            _silence()
            return self._report(error)
        except KeyboardInterrupt:
            return INTERRUPTED
        except Exception as error:  # noqa: BLE001  # no traceback reaches a user who has not asked for it
            return self._report(error)
        return status

    def _report(self, error: Exception) -> int:
        status, message = self._explain(error)
        if self.debug:
            import traceback

            traceback.print_exception(error)
        self.warn(message)
        if isinstance(error, CommandError) and error.paste:
            sys.stderr.write("".join(f"{line}\n" for line in error.paste))
        return status

    def warn(self, message: str) -> None:
        """Write a line to standard error, after the command's name."""
        try:
            sys.stderr.write(f"{self.command}: {printable(message)}\n")
        except OSError:
            return  # the terminal has gone, so the message can't be read

    def _server_trouble(self, error: Exception) -> str:
        from spalloc_client.conversation import NO_PROTOCOL, UNTRUSTED

        what = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        if self.server is not None and self.server not in what:
            what = f"{what} (server {self.server})"
        if UNTRUSTED in what:
            return what
        # A URL has its own port.
        names = "--hostname" if is_url(self.server or "") else "--hostname and --port"
        if isinstance(error, ProtocolTimeoutError | TimeoutError):
            return f"{what}; check {names}, or raise --timeout"
        if isinstance(error, ProtocolError):
            if NO_PROTOCOL in what:
                return f"{what}; what answers there is no spalloc server: check {names}"
            return f"{what}; check that the server is running, and try again"
        return f"{what}; check {names}, and that the server is running"

    def _explain(self, error: Exception) -> tuple[int, str]:
        if isinstance(error, CommandError):
            return error.status, str(error)
        if isinstance(error, NotWrittenError):
            return NOT_WRITTEN, f"can't write the output: {error}"
        if isinstance(error, ConfigError):
            return USAGE, str(error)
        if isinstance(error, SpallocServerException):
            named = self.server is not None and self.server in str(error)
            return self.server_trouble, str(error) if named else f"the server {self.server} refused: {error}"
        if isinstance(error, AnswerError):
            return self.server_trouble, f"{error} (server {self.server}); is it a spalloc server?"
        if isinstance(error, ProtocolTimeoutError | ProtocolError | OSError):
            return self.server_trouble, self._server_trouble(error)
        return INTERNAL_ERROR, (
            f"unexpected {type(error).__name__}: {error}; this is a mistake in {self.command}: "
            "run it again with --debug and report what it shows"
        )


def _flush() -> None:
    """Write out what argparse and the like have printed."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise trouble(error) from error


def _silence() -> None:
    """Discard unwritten output: the interpreter would try to write it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
