"""The page of which client works with which server, from what was tried."""

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

Published clients cannot read the version 1!7.0.0, which is what the published server says of itself: a `ValueError`
ends them. The commands of 1!7.0.0 and 1!7.4.1, but for `spalloc`, can be told to go on all the same
(`--ignore_version True`); those of 2.0.1 cannot, and no published `Job` can. *Not tried* is what needs a job where none
could be had.
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
        listed = "".join(f"{number}. {note}\n" for note, number in notes.items())
        parts.append(f"## Notes\n\n{listed}")
    return "\n".join(part.strip() + "\n" for part in parts)


def _sums(matrix: Matrix, pairs: list[tuple[str, str]]) -> str:
    rows = []
    for client, server in pairs:
        cells = [cell for cell in matrix.cells if (cell.client, cell.server) == (client, server)]
        plain = sum(cell.works and not cell.ignoring_version for cell in cells)
        ignoring = sum(cell.works and cell.ignoring_version for cell in cells)
        tried = sum(cell.tried for cell in cells)
        counts = [f"{plain} of {tried}", f"{ignoring}", f"{len(cells) - tried}"]
        rows.append([_client(client), _server(server), *counts])
    return table(("client", "server", "work", "work when the version is ignored", "not tried"), rows)


def _shown(cell: Cell | None, notes: dict[str, int]) -> str:
    if cell is None:
        return "not tried"
    if not cell.tried:
        shown = "not tried"
    elif cell.works:
        shown = "yes, ignoring the version" if cell.ignoring_version else "yes"
    else:
        shown = "**no**"
    said = [_plain(cell.problem)] if cell.problem else []
    said += [cell.note[0].upper() + cell.note[1:] + "."] if cell.note else []
    numbers = ", ".join(str(notes.setdefault(each, len(notes) + 1)) for each in said)
    return f"{shown} ({numbers})" if numbers else shown


def _client(name: str) -> str:
    return "our client" if name == "spalloc" else name


def _server(name: str) -> str:
    return "our server" if name == "spalloc" else name


def _plain(problem: str) -> str:
    return "`" + problem.replace("`", "'").strip() + "`"


__all__ = ["page", "read"]
