"""The client of the control socket: sends a request to the running server, and reads the answer.

Requests are made, and answers shown, in scripts/.
"""

from collections.abc import Iterator
from pathlib import Path

from spalloc_server.operation.control import protocol, sockets
from spalloc_server.operation.control.protocol import Line, Request


class NoAnswerError(Exception):
    """The server can't be reached, or its answer can't be read; the message says what to do."""


def ask(path: Path, request: Request) -> Iterator[tuple[Line, int | None]]:
    """Send a request to the server that listens at `path`; yield each line of the answer, the last with a status.

    Raises:
        NoAnswerError: No server listens there, this user may not connect, or there is no answer.
    """
    try:
        with sockets.connect(path, protocol.ANSWER_SECONDS) as connection:
            connection.sendall(protocol.of_request(request))
            with connection.makefile("rb") as answer:
                left = protocol.LONGEST_ANSWER_BYTES
                while line := answer.readline(left):
                    left -= len(line)
                    said, status = protocol.to_line(line)
                    yield said, status
                    if status is not None:
                        return
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoAnswerError(
            f"no server listens at {path}: it does not run, or was started with other settings; "
            "the log of its start names its control socket, to be given with --socket"
        ) from error
    except PermissionError as error:
        raise NoAnswerError(f"{path} is for the server's user and root; become one of them") from error
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
