"""What was tried between a client and a server, and what came of it.

Values only: trials.py tries, report/matrix.py shows.
"""

from pathlib import Path

import msgspec


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was tried with one client and one server."""

    client: str
    server: str
    room: str
    """`commands of the protocol`, `Job`, or `programs`."""
    what: str
    works: bool
    """False too for what was not tried."""
    ignoring_version: bool = False
    """Whether the client had to be told to ignore the server's version."""
    problem: str = ""
    """What went wrong."""
    note: str = ""
    """How it was tried, where that differs from how others were; or why it could not be tried."""
    tried: bool = True


class Matrix(msgspec.Struct, frozen=True):
    """All that was tried in a run."""

    taken: str
    """The day, as YYYY-MM-DD."""
    cells: tuple[Cell, ...]


def read(path: Path) -> Matrix:
    """Read what was tried.

    Raises:
        FileNotFoundError: There is no such file.
        msgspec.ValidationError: It holds something else.
    """
    return msgspec.json.decode(path.read_bytes(), type=Matrix)


def write(path: Path, matrix: Matrix) -> None:
    """Write what was tried."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(matrix), indent=1) + b"\n")
