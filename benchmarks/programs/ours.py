"""Our server and our client, as users run them.

The server has a process of its own. The client is installed without extras in an environment of its own, since other
packages there would slow its start.
"""

import contextlib
import functools
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.programs.address import Address
from benchmarks.programs.process import ServerProcess
from tests import processes

ROOT = Path(__file__).parents[2]


class OurServer(ServerProcess):
    """Our server for some virtual boards; it keeps its records in `folder`."""

    def __init__(
        self, machine: dict[str, Any], folder: Path, program: Sequence[str] = processes.SERVER
    ) -> None:
        super().__init__("our server", [*program, *processes.configured(machine, folder), "--quiet"], folder)


@contextlib.contextmanager
def our_server(machine: dict[str, Any], folder: Path) -> Iterator[Address]:
    """Run our server for some virtual boards, with its records on disk; gives its address."""
    with OurServer(machine, folder).running() as address:
        yield address


@functools.cache
def client_environment() -> Path:
    """Install our client, without extras, into an environment of its own; return the environment's folder.

    Each run makes it from the current sources, and deletes it at its end.
    """
    folder = Path(_kept.enter_context(tempfile.TemporaryDirectory(prefix="spalloc-client-")))
    # Without pip, as the environments of the published programs are: every start of the interpreter would read what
    # comes with it.
    venv.create(folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", ROOT], check=True)
    return folder


_kept = contextlib.ExitStack()


@contextlib.contextmanager
def made_environments() -> Iterator[None]:
    """Remove what `client_environment` made, afterwards."""
    with _kept:
        yield
    client_environment.cache_clear()


@contextlib.contextmanager
def site(width: int, height: int) -> Iterator[tuple[dict[str, Any], Path]]:
    """What servers need: virtual boards that do everything at once, and an empty folder."""
    with processes.boards(width, height) as machine, tempfile.TemporaryDirectory() as folder:
        yield machine, Path(folder)
