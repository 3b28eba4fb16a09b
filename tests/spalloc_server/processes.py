# Servers as processes of their own, as an administrator starts them.
"""Starting and ending real `spalloc-server` processes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

SERVER = (sys.executable, "-c", "from spalloc_server.scripts.server import main; raise SystemExit(main())")


@dataclass(slots=True)
class ServerProcess:
    """A server that accepts connections."""

    process: "subprocess.Popen[str]"
    host: str
    port: int
    before: "dict[str, str]"
    """Ports that the log named before the one for clients, by what they are for."""

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal and return the exit status and the rest of the log."""
        self.process.send_signal(number)
        _, log = self.process.communicate()
        return self.process.returncode, log


@contextmanager
def server(arguments: Sequence[str]) -> Iterator[ServerProcess]:
    """Run `spalloc-server` with `arguments` until the block ends."""
    process = subprocess.Popen(
        [*SERVER, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield _wait(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def _wait(process: "subprocess.Popen[str]") -> ServerProcess:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        found = re.search(r"listening on (\S+) port (\d+)", line)
        if found:
            before = re.findall(r"(\w+) are served on \S+ port (\d+)", "".join(lines))
            return ServerProcess(process, found[1], int(found[2]), dict(before))
    raise AssertionError("the server ended before it listened:\n" + "".join(lines))


def open_sockets(process: int) -> list[str]:
    """Return what the process's open sockets are called in /proc."""
    directory = f"/proc/{process}/fd"
    links = [os.readlink(f"{directory}/{name}") for name in os.listdir(directory)]  # noqa: PTH115, PTH208
    return [link for link in links if link.startswith("socket:")]
