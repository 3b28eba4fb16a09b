"""The `[[reservation]]` tables: boards that are set apart from a time to a time.

What a reservation may be, and which may stand side by side, is decided in core/reservations.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from spalloc_server.config.kinds import a_board, a_flag, a_string, a_time, list_of
from spalloc_server.config.reading import Table
from spalloc_server.core.machine import Machine
from spalloc_server.core.reservations import MOST_RESERVATIONS, Reservation, clash_sentence, flaw
from spinnaker.geometry import Board

_A_TIME = "a date and time with its offset from UTC, such as {} = 2026-12-01T09:00:00+01:00"


def read_reservations(tables: Sequence[Table], machines: Sequence[Machine] | None) -> tuple[Reservation, ...]:
    """Return the reservations that are valid, and note what is wrong with the others.

    Args:
        tables: One for each reservation.
        machines: The site's machines; None if something is wrong with them.
    """
    if len(tables) > MOST_RESERVATIONS:
        table = tables[MOST_RESERVATIONS]
        table.mistakes.add(
            table.path,
            f"is one of {len(tables)} reservations; {MOST_RESERVATIONS} are allowed: take out those that are over",
        )
    found: list[Reservation] = []
    for table in tables[:MOST_RESERVATIONS]:
        reservation = _Reader(table, machines).read()
        if reservation is None:
            continue
        wrong = flaw(reservation) or clash_sentence(reservation, found, machines or ())
        if wrong is not None:
            table.mistakes.add(table.path, wrong)
        else:
            found.append(reservation)
    return tuple(found)


@dataclass(slots=True)
class _Boards:
    """The boards of a reservation, as `Reservation` names them."""

    boards: frozenset[tuple[str, Board]] = field(default_factory=frozenset)
    machines: frozenset[str] = field(default_factory=frozenset)
    tags: frozenset[str] = field(default_factory=frozenset)


class _Reader:
    """Reads one reservation."""

    def __init__(self, table: Table, machines: Sequence[Machine] | None) -> None:
        self._table = table
        self._mistakes = table.mistakes
        self._before = len(table.mistakes.found)
        self._machines = machines

    def read(self) -> Reservation | None:
        table = self._table
        name = table.need("name", a_string, 'a name, such as name = "course"')
        if name is not None:
            self._mistakes.call(table.path, name)
        begins = table.need("from", a_time, _A_TIME.format("from"))
        ends = table.need("to", a_time, _A_TIME.format("to"))
        owners = table.take("owners", list_of(a_string, "owners"), ())
        if table.has("owners") and table.values["owners"] == []:
            table.entry("owners").wrong("at least one owner; for maintenance, leave owners out")
        reason = table.need("reason", a_string, 'why, such as reason = "a new BMP"; users read it')
        ends_jobs = table.take("ends_jobs", a_flag, True)
        where = self._boards()
        table.finish()
        if len(self._mistakes.found) > self._before or name is None or begins is None or ends is None:
            return None
        return Reservation(
            name=name,
            begins=begins,
            ends=ends,
            reason=reason or "",
            boards=where.boards,
            machines=where.machines,
            tags=where.tags,
            owners=frozenset(owners),
            ends_jobs=ends_jobs,
        )

    def _boards(self) -> _Boards:
        table = self._table
        machine, tag = table.take("machine", a_string, None), table.take("tag", a_string, None)
        known = {one.name: one for one in self._machines or ()}
        if table.has("machine") == table.has("tag"):
            both = "has both machine and tag" if table.has("tag") else "has neither machine nor tag"
            self._mistakes.add(table.path, f"{both}; expected one of them")
        if machine is not None and self._machines is not None and machine not in known:
            table.entry("machine").wrong(f"the name of a machine: {', '.join(known) or 'there are none'}")
        if (
            tag is not None
            and self._machines is not None
            and not any(tag in one.tags for one in known.values())
        ):
            table.entry("tag").wrong("a tag that a machine has")
        size = known[machine].size if machine in known else None
        boards = table.take("boards", list_of(a_board(size), "boards, each [x, y, z]"), ())
        if table.has("boards") and table.has("tag"):
            self._mistakes.add(
                (*table.path, "boards"), "can't stand beside tag; name the machine of the boards"
            )
        if table.has("boards") and table.values["boards"] == []:
            table.entry("boards").wrong("at least one board; for all boards of the machine, leave boards out")
        if tag is not None:
            return _Boards(tags=frozenset({tag}))
        if machine is None:
            return _Boards()
        if table.has("boards"):
            return _Boards(boards=frozenset((machine, board) for board in boards))
        return _Boards(machines=frozenset({machine}))
