# Answers to an administrator: takes a request, has it done, and sends the answer.
#
# What commands there are and what they do is given from outside; bounds of time and bytes are protocol.py's.
"""The server's end of the control socket."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from spalloc_server.operation.control import protocol, sockets
from spalloc_server.operation.control.protocol import NOT_UNDERSTOOD, REFUSED, Answer, Request

_log = logging.getLogger(__name__)

MOST_CONNECTIONS = 16
"""Administrators who speak to the server at one time; one more is cut off."""

Command = Callable[[Mapping[str, object]], Awaitable[Answer]]
"""Does something with its arguments.

Raises:
    ValueError: The arguments are wrong; the message says how.
"""


class ControlServer:
    """Listens at a path of the file system."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        """Do `commands` for whoever may open the socket at `path`."""
        self.path = path
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self._file: tuple[int, int] | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The socket can't be made; the message says why.
        """
        listening = sockets.listen(self.path)
        found = self.path.lstat()
        self._file = (found.st_dev, found.st_ino)
        self._server = await asyncio.start_unix_server(
            self._converse, sock=listening, limit=protocol.LONGEST_REQUEST_BYTES
        )

    async def stop(self) -> None:
        """Stop listening, end all conversations, and remove the socket."""
        if self._server is not None:
            self._server.close()
            for task in self._conversations:
                task.cancel()
            await asyncio.gather(*self._conversations, return_exceptions=True)
        with contextlib.suppress(OSError):
            found = self.path.lstat()
            # Another server may have taken the place since.
            if (found.st_dev, found.st_ino) == self._file:
                self.path.unlink()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._conversations) >= MOST_CONNECTIONS:
            _log.warning("more than %d connections to %s: one is cut off", MOST_CONNECTIONS, self.path)
            writer.transport.abort()
            return
        self._conversations.add(task)
        try:
            answer = await self._answer(reader, writer)
            writer.write(protocol.of_answer(answer))
            async with asyncio.timeout(protocol.REQUEST_SECONDS):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            # Who asked has gone, or does not read: what they asked for is done all the same, and in the log.
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._conversations.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        try:
            async with asyncio.timeout(protocol.REQUEST_SECONDS):
                # Also of those who are refused: with a request unread, the system may throw the answer away.
                line = await reader.readline()
            if not sockets.may_speak(writer.get_extra_info("socket")):
                _log.warning("another user than the server's or root spoke to %s, and is refused", self.path)
                return Answer(REFUSED, "only the server's user and root may speak to it here")
            return await self._do(protocol.to_request(line))
        except TimeoutError:
            return Answer(NOT_UNDERSTOOD, f"the request took longer than {protocol.REQUEST_SECONDS:g} s")
        except ValueError as error:
            return Answer(NOT_UNDERSTOOD, f"the request is not one: {error}")

    async def _do(self, request: Request) -> Answer:
        if request.version != protocol.VERSION:
            return Answer(
                NOT_UNDERSTOOD,
                f"the server speaks version {protocol.VERSION} here and was asked in version {request.version}; "
                "use the spalloc-server that it was started with",
            )
        command = self._commands.get(request.command)
        if command is None:
            known = ", ".join(self._commands)
            return Answer(
                NOT_UNDERSTOOD, f"the server knows no {request.command[:60]!r} here; it knows {known}"
            )
        try:
            return await command(request.arguments)
        except ValueError:
            raise
        except Exception:  # noqa: BLE001 — whatever it is, the server goes on
            _log.exception("the administrator's %s failed", request.command)
            return Answer(REFUSED, "the server failed to do this; its log says why")
