"""The server of the control socket: reads an administrator's request, has it done, and sends the answer.

Commands are passed in. Limits of time and bytes are defined in protocol.py.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from pathlib import Path

from spalloc_server.fronts import unix_sockets
from spalloc_server.operation.control import protocol, sockets
from spalloc_server.operation.control.protocol import NOT_UNDERSTOOD, REFUSED, Answer, Request
from spalloc_server.ration import Ration
from spalloc_server.words import there_are

_log = logging.getLogger(__name__)

MOST_CONNECTIONS = 16
"""How many clients may be connected without a request, and how many commands may be in progress. A further client costs
the oldest one without a request its connection; a further command is refused."""
LAST_WORDS_SECONDS = 2.0
"""How long a server that stops lets its last answers go out."""
_CROWDED = (
    f"there are more than {MOST_CONNECTIONS} connections, and this one is the oldest that has asked nothing"
)
_BUSY = f"the server does {MOST_CONNECTIONS} commands of administrators already; try again when they are done"

Command = Callable[[Mapping[str, object], str], Awaitable[Answer]]
"""Does a command with these arguments for the user of this name.

Raises:
    ValueError: The arguments are invalid; the message says how.
"""


class ControlServer:
    """Listens at a path of the file system."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        """Do `commands` for users who may open the socket at `path`."""
        self.path = path
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self._silent: dict[asyncio.Timeout, asyncio.Task[None]] = {}
        """The conversations with clients that have sent no request yet, by their time limits, the oldest first."""
        self._stopping = False
        self._doing = 0
        """How many commands are in progress."""
        self._logged = Ration()
        self._file: tuple[int, int] | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The socket can't be made; the message says why.
        """
        listening = unix_sockets.listen(self.path)
        found = self.path.lstat()
        self._file = (found.st_dev, found.st_ino)
        self._server = await asyncio.start_unix_server(
            self._converse, sock=listening, limit=protocol.LONGEST_REQUEST_BYTES
        )

    def stop_listening(self) -> None:
        """Accept no more clients, and cut off those that have asked nothing; the others still get their answers."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for conversation in self._silent.values():
            conversation.cancel()

    async def stop(self) -> None:
        """Stop listening, let the last answers go out, end all conversations, and remove the socket."""
        self.stop_listening()
        if self._conversations:
            _, slow = await asyncio.wait(self._conversations, timeout=LAST_WORDS_SECONDS)
            for conversation in slow:
                conversation.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
        self._sum_up(inf)
        with contextlib.suppress(OSError):
            found = self.path.lstat()
            # Another server may have put its socket there meanwhile.
            if (found.st_dev, found.st_ino) == self._file:
                self.path.unlink()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            answer = await self._answer(task, reader, writer)
            for line in protocol.of_answer(answer):
                async with asyncio.timeout(protocol.REQUEST_SECONDS):
                    writer.write(line)
                    await writer.drain()
                # A client that reads fast must not keep all others waiting until a long answer is sent.
                await asyncio.sleep(0)
            async with asyncio.timeout(protocol.REQUEST_SECONDS):
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            # The client has gone, or does not read; its command is done all the same, and in the log.
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._conversations.discard(task)

    async def _answer(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Answer:
        limit = asyncio.timeout(protocol.REQUEST_SECONDS)
        try:
            async with limit:
                self._wait_for(task, limit)
                # Read the request even of a client that is refused: if it stays unread, the system may drop the answer.
                line = await self._line(reader)
            connection = writer.get_extra_info("socket")
            if not sockets.may_speak(connection):
                _log.warning("a user other than the server's or root used %s, and is refused", self.path)
                return Answer(REFUSED, "only the server's user and root may use this socket")
            request = protocol.to_request(line)
        except TimeoutError:
            if limit not in self._silent:
                return Answer(REFUSED, _CROWDED)
            return Answer(NOT_UNDERSTOOD, f"the request took longer than {protocol.REQUEST_SECONDS:g} s")
        except ValueError as error:
            return Answer(NOT_UNDERSTOOD, f"the request is not one: {error}")
        finally:
            self._silent.pop(limit, None)
        if self._doing >= MOST_CONNECTIONS:
            self._warn(_BUSY)
            return Answer(REFUSED, _BUSY)
        self._doing += 1
        try:
            return await self._do(request, sockets.name_of(connection))
        except ValueError as error:
            return Answer(NOT_UNDERSTOOD, f"the request is not one: {error}")
        finally:
            self._doing -= 1

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readline()
        except ValueError:
            # The library's own words are about its buffer.
            raise ValueError(f"it is longer than {protocol.LONGEST_REQUEST_BYTES} bytes") from None

    def _wait_for(self, task: asyncio.Task[None], limit: asyncio.Timeout) -> None:
        """Wait for one more client's request; if too many wait, cut off the oldest."""
        self._silent[limit] = task
        if len(self._silent) > MOST_CONNECTIONS:
            oldest = next(iter(self._silent))
            del self._silent[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
            self._warn(_CROWDED)

    def _warn(self, why: str) -> None:
        """Log that a client is cut off: the first within a minute, then how many more."""
        now = asyncio.get_running_loop().time()
        self._sum_up(now)
        if self._logged.admits("", now):
            _log.warning("a connection is cut off from %s: %s", self.path, why)

    def _sum_up(self, now: float) -> None:
        for _, count in self._logged.summary(now):
            more = there_are(count, "more connection", past=True)
            _log.warning("%s cut off from %s", more, self.path)

    async def _do(self, request: Request, by: str) -> Answer:
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
            return await command(request.arguments, by)
        except ValueError:
            raise
        except Exception:  # noqa: BLE001 — a fault in a command must not end the server
            _log.exception("the administrator's %s failed", request.command)
            return Answer(REFUSED, "the server failed to do this; its log says why")
