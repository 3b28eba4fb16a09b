"""The clients, ours and published ones, each installed in an environment of its own, as users install it.

Other packages in the same environment would slow a client's start.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.programs.ours import client_environment
from benchmarks.programs.process import ENVIRONMENT
from benchmarks.programs.published import published_clients
from benchmarks.suite.measurement import CLIENT_2_0_1, OURS, CannotDoError, Subject

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class InstalledClient:
    """A client in its environment."""

    root: Path
    package: str
    """The name that its users import."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.root / "bin" / "python"

    @property
    def packages(self) -> Path:
        """The folder that packages are installed into."""
        (folder,) = (self.root / "lib").glob("python*/site-packages")
        return folder

    def command(self, name: str) -> Path:
        """The path of one of its commands."""
        return self.root / "bin" / name

    def run(self, program: str, *arguments: str) -> str:
        """Run a program with its interpreter, where `CLIENT` stands for the package's name; return what it prints.

        Raises:
            CannotDoError: The program failed, or took too long.
        """
        words = [str(self.python), "-W", "ignore", "-c", program.replace("CLIENT", self.package), *arguments]
        return output(words)


def output(words: list[str]) -> str:
    """Run a process to its end and return what it prints.

    Raises:
        CannotDoError: It failed, or took too long.
    """
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, env=dict(ENVIRONMENT), timeout=PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise CannotDoError(f"no end within {PATIENCE_SECONDS:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise CannotDoError(said[-1])
    return done.stdout


def clients() -> dict[Subject, InstalledClient]:
    """Return all clients, ours first."""
    environments = {OURS: client_environment()} | {
        subject: environment.root for subject, environment in published_clients().items()
    }
    return {
        subject: InstalledClient(root, "spalloc" if subject is CLIENT_2_0_1 else "spalloc_client")
        for subject, root in environments.items()
    }
