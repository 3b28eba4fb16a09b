"""The sources that are mutated, and the tests that should notice.

These are the tests of `make check` that concern a room, the nearest first, and a few simulated sites.
"""

from dataclasses import dataclass
from pathlib import Path

SITES = ("-m", "tests.simulation.run", "1", "40")
"""Whole sites, in simulated time."""
_SERVER = "tests/spalloc_server"
_FRONT = f"{_SERVER}/fronts/v1"


@dataclass(frozen=True, slots=True)
class Room:
    """Sources, and the tests that should fail when they are changed."""

    name: str
    sources: tuple[str, ...]
    """Patterns, relative to src/."""
    tests: tuple[str, ...]
    """Files and folders."""
    sites: bool = True
    """Whether simulated sites belong to the tests."""

    def files(self, root: Path) -> list[Path]:
        """Return the sources, relative to `root`."""
        found = {path.relative_to(root) for pattern in self.sources for path in (root / "src").glob(pattern)}
        return sorted(path for path in found if path.name != "__init__.py")

    def commands(self) -> list[tuple[str, ...]]:
        """Return the arguments of Python that run the tests, one after the other."""
        fast = "not slow and not uncounted and not long and not peer"
        options = ("-q", "-x", "-p", "no:cacheprovider", "--hypothesis-profile", "check", "-m", fast)
        pytest = ("-m", "pytest", *options, *self.tests)
        return [pytest, SITES] if self.sites else [pytest]


ROOMS = (
    Room("packing", ("spalloc_server/core/packing/*.py",), (f"{_SERVER}/core/packing", f"{_SERVER}/core")),
    Room("core", ("spalloc_server/core/*.py",), (f"{_SERVER}/core", _FRONT)),
    Room(
        "engine",
        ("spalloc_server/engine.py",),
        (f"{_SERVER}/test_engine.py", f"{_SERVER}/test_failure.py", f"{_SERVER}/test_job_lines.py", _FRONT),
    ),
    Room(
        "wire",
        ("spalloc_client/wire.py",),
        (
            "tests/spalloc_client/test_wire.py",
            "tests/spalloc_client/test_conversation.py",
            f"{_FRONT}/test_codec.py",
        ),
        sites=False,
    ),
    Room("store", ("spalloc_server/store/*.py",), (f"{_SERVER}/store", f"{_SERVER}/test_engine.py")),
)
