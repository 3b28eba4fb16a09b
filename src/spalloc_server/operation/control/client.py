"""What an administrator's command does to speak to the running server: ask, show the answer, end with its status.

What is asked for is the commands' subject, in scripts/.
"""

from collections.abc import Iterator
from pathlib import Path

from spalloc_server.operation.control import protocol, sockets
from spalloc_server.operation.control.protocol import Line, Request


class NoAnswerError(Exception):
    """The server could not be asked, or its answer could not be read; the message says what to do."""


def ask(path: Path, request: Request) -> Iterator[tuple[Line, int | None]]:
    """Ask the server that listens at `path`; yield each line, the last one with the status to end with.

    Raises:
        NoAnswerError: No server listens there, this user may not ask it, or it answers nothing.
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
