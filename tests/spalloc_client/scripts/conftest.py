"""A site with virtual boards, and the commands as their users start them: as processes.

Nothing here knows what a command prints.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_server.embedded import EmbeddedSite

_SCRIPTS = Path(sys.executable).parent
_PATIENCE = 30.0


class Running:
    """A command that is running, with pipes for its streams."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen = ""
        self._errors: list[str] = []
        self._news = threading.Condition()
        self._readers = [threading.Thread(target=self._read, args=(process.stderr, "error"), daemon=True)]
        self._readers.append(
            threading.Thread(target=self._read, args=(process.stdout, "output"), daemon=True)
        )
        self.said = {"error": "", "output": ""}
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, name: str) -> None:
        while text := os.read(stream.fileno(), 65536).decode(errors="replace"):
            with self._news:
                self.said[name] += text
                self._news.notify_all()

    def until(self, text: str, stream: str = "error") -> str:
        """Wait until the command has said `text`."""
        with self._news:
            assert self._news.wait_for(lambda: text in self.said[stream], _PATIENCE), self.said
            return self.said[stream]

    def end(self, number: int | None = None) -> int:
        """Send a signal, if one is given, and wait for the end; return the status."""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(_PATIENCE)
        for reader in self._readers:
            reader.join(_PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return status


class Commands:
    """Starts commands against one server."""

    def __init__(self, hostname: str, port: int) -> None:
        self.server = ["--hostname", hostname, "--port", str(port)]
        self.started: list[subprocess.Popen[str]] = []

    def run(
        self, name: str, *arguments: str, server: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; for `spalloc`, --command must come last."""
        return subprocess.run(
            self.line(name, arguments, server),
            encoding="utf-8",
            errors="replace",
            capture_output=True,
            timeout=_PATIENCE,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            check=False,
            **options,
        )

    def start(self, name: str, *arguments: str, **options: Any) -> Running:
        """Start a command in a session of its own."""
        process = subprocess.Popen(
            self.line(name, arguments, server=True),
            text=True,
            stdin=options.pop("stdin", subprocess.PIPE),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **options,
        )
        self.started.append(process)
        return Running(process)

    def line(self, name: str, arguments: tuple[str, ...], server: bool) -> list[str]:
        """Return the arguments that start a command."""
        return [str(_SCRIPTS / name), *(self.server if server else []), *arguments]

    def clean(self) -> None:
        """End what a failed test left running, and leave no pipe open for others to be blamed for."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(_PATIENCE)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture
def site() -> Iterator[EmbeddedSite]:
    """A server with 4 x 2 triads of virtual boards."""
    with EmbeddedSite(4, 2) as running:
        yield running


@pytest.fixture
def commands(site: EmbeddedSite) -> Iterator[Commands]:
    """The commands, talking to `site`."""
    made = Commands(site.hostname, site.port)
    yield made
    made.clean()


@pytest.fixture
def client(site: EmbeddedSite) -> Iterator[ProtocolClient]:
    """A connection to `site`."""
    with ProtocolClient(site.hostname, site.port, timeout=_PATIENCE) as connected:
        yield connected


@pytest.fixture
def make_job(client: ProtocolClient) -> Callable[..., int]:
    """Creates jobs that live until the site ends, and waits until they are ready."""

    def make(*what: int, owner: str = "jane", **options: Any) -> int:
        options.setdefault("keepalive", None)
        job = client.create_job(*what, owner=owner, **options)
        client.notify_job(job)
        while client.get_job_state(job)["state"] == 2:
            client.wait_for_notification(timeout=_PATIENCE)
        return job

    return make
