"""A server that says what a test tells it to: for what a good server never says, and never leaves unsaid."""

import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeAlias

from spalloc_client.wire import Failure, Json, Lines, Request, Return, decode_request, encode

Answer: TypeAlias = "Json | Failure | bytes | Callable[[Request], Json | Failure | bytes]"
"""What to answer a command with: a value to return, a failure, raw bytes (`b""` for silence), or what decides that."""

PATIENCE = 20.0
"""Seconds after which an event that does not come fails the test."""


class ScriptedServer:
    """Answers each command as told; unknown ones with null. Runs while it is entered."""

    def __init__(
        self, answers: Mapping[str, Answer] | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.answers: dict[str, Answer] = {"version": "1.0.0", **(answers or {})}
        self.hostname = host
        self.requests: list[Request] = []
        self.accepted = 0
        """How many connections there have ever been."""
        self.greeting = b""
        """What is sent as soon as somebody connects."""
        self._changed = threading.Condition()
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Accept no more connections, and close those there are."""
        self._listener.close()
        # A thread in accept() is not woken by close(); one more connection, refused or not, is nothing to it.
        with socket.socket(self._listener.family) as wake:
            wake.connect_ex((self.hostname, self.port))
        self.drop()
        for thread in self._threads:
            thread.join(PATIENCE)

    def drop(self) -> None:
        """Close all connections, as a server that dies does."""
        with self._changed:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def send(self, data: bytes) -> None:
        """Send bytes to everybody connected."""
        with self._changed:
            for connection in self._connections:
                try:
                    connection.sendall(data)
                except (BrokenPipeError, ConnectionResetError):
                    continue  # it has just gone, and is no longer of those connected

    def count(self, command: str) -> int:
        """How often a command has come."""
        return sum(request.command == command for request in self.requests)

    def wait_for(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until something holds that requests or connections change."""
        with self._changed:
            assert self._changed.wait_for(condition, patience), f"has not come about: {self.requests}"

    def wait_for_command(self, command: str, times: int = 1) -> None:
        """Wait until a command has come `times` times in all."""
        self.wait_for(lambda: self.count(command) >= times)

    def wait_for_connections(self, number: int) -> None:
        """Wait until this number of clients is connected."""
        self.wait_for(lambda: len(self._connections) == number)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._listener.fileno() == -1:
                connection.close()
                return
            with self._changed:
                self._connections.append(connection)
                self.accepted += 1
                self._changed.notify_all()
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        lines = Lines()
        try:
            connection.sendall(self.greeting)
            while data := connection.recv(65536):
                for line in lines.feed(data):
                    connection.sendall(self._answer(decode_request(line)))
        except OSError:
            pass
        finally:
            with self._changed:
                self._connections.remove(connection)
                self._changed.notify_all()
            connection.close()

    def _answer(self, request: Request) -> bytes:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        answer = self.answers.get(request.command)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, bytes):
            return answer
        return encode(answer if isinstance(answer, Failure) else Return(answer))
