# The page of which client works with which server, from what was tried.
"""The matrix of clients and servers as a page."""

from benchmarks.interoperation.cells import Cell, Matrix, read
from benchmarks.report.tables import table

TITLES = {
    "commands of the protocol": "The protocol, through `ProtocolClient`",
    "`Job`": "`Job`",
    "programs": "The five commands",
}
HEAD = """<!-- generated: by `make bench`; change benchmarks/report/ instead -->

# Which client works with which server

`make bench` tries every published client, and ours, with the published server and with ours, each pair with virtual
boards of its own, and looks at what comes back. This page says what happened on {taken}.

A published client refuses a server of version 1!7.0.0, which is what the published server says of itself. Its commands
can be told to go on all the same (`--ignore_version True`); its `Job`, and with it `spalloc`, cannot.
"""


def page(matrix: Matrix) -> str:
    """Return the page."""
    pairs = list(dict.fromkeys((cell.client, cell.server) for cell in matrix.cells))
    heads = [f"{_client(client)} with {_server(server)}" for client, server in pairs]
    notes: dict[str, int] = {}
    parts = [HEAD.format(taken=matrix.taken), f"## In all\n\n{_sums(matrix, pairs)}"]
    for room, title in TITLES.items():
        cells = {(cell.client, cell.server, cell.what): cell for cell in matrix.cells if cell.room == room}
        whats = list(dict.fromkeys(what for _, _, what in cells))
        rows = [[what, *(_shown(cells.get((*pair, what)), notes) for pair in pairs)] for what in whats]
        parts.append(f"## {title}\n\n{table(('what', *heads), rows)}")
    if notes:
        listed = "".join(f"{number}. {_plain(problem)}\n" for problem, number in notes.items())
        parts.append(f"## What went wrong\n\n{listed}")
    return "\n".join(part.strip() + "\n" for part in parts)


def _sums(matrix: Matrix, pairs: list[tuple[str, str]]) -> str:
    rows = []
    for client, server in pairs:
        cells = [cell for cell in matrix.cells if (cell.client, cell.server) == (client, server)]
        plain = sum(cell.works and not cell.ignoring_version for cell in cells)
        ignoring = sum(cell.works and cell.ignoring_version for cell in cells)
        rows.append([_client(client), _server(server), f"{plain} of {len(cells)}", f"{ignoring}"])
    return table(("client", "server", "work", "work when the version is ignored"), rows)


def _shown(cell: Cell | None, notes: dict[str, int]) -> str:
    if cell is None:
        return "not tried"
    if cell.works:
        return "yes, ignoring the version" if cell.ignoring_version else "yes"
    return f"**no** ({notes.setdefault(cell.problem, len(notes) + 1)})"


def _client(name: str) -> str:
    return "our client" if name == "spalloc" else name


def _server(name: str) -> str:
    return "our server" if name == "spalloc" else name


def _plain(problem: str) -> str:
    return "`" + problem.replace("`", "'").strip() + "`"


__all__ = ["page", "read"]
