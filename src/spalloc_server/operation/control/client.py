"""The client of the control socket: sends a request to the running server, and reads the answer.

Requests are made, and answers shown, in scripts/.
"""

from collections.abc import Iterator
from pathlib import Path

from spalloc_server.fronts import unix_sockets
from spalloc_server.operation.control import protocol
from spalloc_server.operation.control.protocol import Line, Request


class NoAnswerError(Exception):
    """The server can't be reached, or its answer can't be read; the message says what to do."""


class NotThereError(NoAnswerError):
    """No server listens."""


def ask(path: Path, request: Request) -> Iterator[tuple[Line, int | None]]:
    """Send a request to the server that listens at `path`; yield each line of the answer, the last with a status.

    Raises:
        ValueError: The request can't be sent; the message says why.
        NotThereError: No server listens there.
        NoAnswerError: This user may not connect, or there is no answer.
    """
    asked = protocol.of_request(request)
    try:
        with unix_sockets.connect(path, protocol.ANSWER_SECONDS) as connection:
            connection.sendall(asked)
            with connection.makefile("rb") as answer:
                while line := answer.readline(protocol.LONGEST_LINE_BYTES + 1):
                    said, status = protocol.to_line(line)
                    yield said, status
                    if status is not None:
                        return
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotThereError(
            f"no server listens at {path}: it does not run, or was started with other settings; "
            "the log of its start names its control socket, to be given with --socket; "
            "a server with --virtual has none without --https, --socket FILE or --state FILE"
        ) from error
    except PermissionError as error:
        raise NoAnswerError(
            f"{path} may be used only by the server's user and root; run the command as one of them, such as "
            "with sudo"
        ) from error
    except TimeoutError as error:
        raise NoAnswerError(
            f"the server at {path} did not answer within {protocol.ANSWER_SECONDS:g} s; its log says what it does"
        ) from error
    except (ConnectionResetError, BrokenPipeError) as error:
        raise NoAnswerError(f"the server at {path} has cut the connection; its log says why") from error
    except OSError as error:
        raise NoAnswerError(f"the server at {path} can't be asked: {error.strerror or error}") from error
    except ValueError as error:
        raise NoAnswerError(f"what listens at {path} is no spalloc server: {error}") from error
    raise NoAnswerError(f"the server at {path} has ended the connection without an answer; its log says why")
