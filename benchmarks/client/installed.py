"""What a client takes once it is installed: its size, and the number of packages that come with it."""

from collections.abc import Callable, Generator
from pathlib import Path

from benchmarks.programs.clients import clients
from benchmarks.suite.measurement import PUBLISHED_CLIENTS, Effort, Measurement, Scene, Subject, Take, Unit

ONCE = {"peers": tuple(PUBLISHED_CLIENTS), "rounds": 1, "quick_rounds": 1}
SIZE = Measurement(
    name="client/size",
    work="installed size of the client with what it needs, without byte code",
    unit=Unit.BYTES,
    reason="Ours has the server and the virtual boards in it as well.",
    **ONCE,
)
SIZE_COMPILED = Measurement(
    name="client/size-compiled",
    work="the same with byte code",
    unit=Unit.BYTES,
    reason="Ours has the server and the virtual boards in it as well.",
    **ONCE,
)
PACKAGES = Measurement(
    name="client/packages",
    work="packages that come with the client",
    unit=Unit.COUNT,
    **ONCE,
)


def installed(_: Effort) -> Generator[Scene, None, None]:
    """Measure what an installation adds to an empty environment."""
    folders = {subject: client.packages for subject, client in clients().items()}

    def takes(count: Callable[[Path], int]) -> dict[Subject, Take]:
        return {
            subject: Take(lambda folder=folder: float(count(folder))) for subject, folder in folders.items()
        }

    yield SIZE, takes(lambda folder: _bytes(folder, compiled=False))
    yield SIZE_COMPILED, takes(lambda folder: _bytes(folder, compiled=True))
    yield PACKAGES, takes(lambda folder: len(list(folder.glob("*.dist-info"))) - 1)


def _bytes(folder: Path, *, compiled: bool) -> int:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if compiled or "__pycache__" not in path.parts)
