"""Users' reports of faulty boards: which of them count, and how many boards may be set aside for them.

A name can be made up, an address can't. So a report counts once for the host that it came from, and only if a job of
that host has had the board lately. What happens to a board that enough hosts have reported is decided in upkeep.py.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from spalloc_server.core.board_life import Objection
from spalloc_server.core.effects import BoardKey, Notice, about_board
from spalloc_server.core.machine import Machine
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.objections import Fault
from spalloc_server.words import counted, there_are

T = TypeVar("T")

RECENT_SECONDS = 86_400.0
"""How long after a host had a board its report still counts."""
MOST_HOSTS = 64
"""How many hosts are remembered to have had a board: those that had it last."""
NOTED = 20
"""How many of the reports that don't count are logged within `WINDOW_SECONDS`."""
WINDOW_SECONDS = 60.0
LONGEST_REASON = 1000
"""How many characters of what users say are kept as the reason why a board is set aside."""


class Reports:
    """Which hosts had which boards, and each host's latest report of a board, until the board is set aside."""

    def __init__(self, neighbours: Neighbours) -> None:
        """Begin with no reports; `neighbours` says which addresses count as one host."""
        self._neighbours = neighbours
        self._reports: dict[BoardKey, dict[str, tuple[str, str]]] = {}
        """The reports of a board: by neighbours (networks.py), the address and what it said."""
        self._had: dict[BoardKey, dict[str, tuple[str, float]]] = {}
        """The neighbours that gave back a board, each with one of its addresses and the time, the latest last."""
        self._kept_in_use: set[BoardKey] = set()
        """Boards of which the log was told that they stay in use though enough hosts reported them."""
        self._window_ends = 0.0
        self._in_window = 0

    # Whose reports count

    def had(self, keys: Iterable[BoardKey], host: str, when: float) -> None:
        """Note that a job that was created from `host` had boards until `when` (the core's time)."""
        neighbours = self._neighbours.of(host)
        for key in keys:
            hosts = self._had.setdefault(key, {})
            _, before = hosts.pop(neighbours, (host, when))
            hosts[neighbours] = host, max(when, before)
            if len(hosts) > MOST_HOSTS:
                del hosts[next(iter(hosts))]

    def counts(self, key: BoardKey, host: str, holder: str | None, now: float) -> bool:
        """Return whether a report of a board from `host` counts.

        Args:
            key: The board.
            host: Where the report came from.
            holder: Where the job that has the board now was created from; None if no job has it.
            now: The core's time.
        """
        neighbours = self._neighbours.of(host)
        if not neighbours:
            return False
        if holder is not None and self._neighbours.of(holder) == neighbours:
            return True
        had = self._had.get(key, {}).get(neighbours)
        return had is not None and now - had[1] <= RECENT_SECONDS

    def note(self, key: BoardKey, host: str, text: str, now: float) -> list[Notice]:
        """Return what the log is told of a report that doesn't count; of very many, it is told how many."""
        unsaid = 0
        if now >= self._window_ends:
            unsaid = max(0, self._in_window - NOTED)
            self._window_ends, self._in_window = now + WINDOW_SECONDS, 0
        self._in_window += 1
        if self._in_window > NOTED:
            return []
        others = f"; {there_are(unsaid, 'other report', past=True)} not logged" if unsaid else ""
        told = (
            f"{key.machine} {key.board} is reported by {host}, which does not count, since no job of that host had "
            f"it within a day: {text}{others}"
        )
        return [Notice(told, about=about_board(key))]

    # Reports that count

    def add(
        self, key: BoardKey, host: str, text: str, machine: Machine, out: int
    ) -> tuple[list[Notice], Fault | None]:
        """Add a report that counts.

        Args:
            key: The board.
            host: Where the report came from.
            text: What the user says.
            machine: The board's machine.
            out: How many boards of the machine are set aside because users reported them.

        Returns:
            what the log is told, and the board's fault if it is to be set aside.
        """
        notices = []
        theirs = self._reports.setdefault(key, {})
        neighbours = self._neighbours.of(host)
        if neighbours not in theirs:
            told = f"{key.machine} {key.board} is reported by {host}: {text}"
            notices.append(Notice(told, serious=True, about=about_board(key)))
        theirs[neighbours] = host, text
        if len(theirs) < machine.reports_to_set_aside:
            return notices, None
        hosts = counted(len(theirs), "host")
        most = most_set_aside(machine)
        if out >= most:
            if key not in self._kept_in_use:
                self._kept_in_use.add(key)
                told = (
                    f"{key.machine} {key.board} stays in use, though {hosts} reported it: as many "
                    f"boards as reports may take out are out already ({most}, by reports_share)"
                )
                notices.append(Notice(told, serious=True, about=about_board(key)))
            return notices, None
        # Reports count from the beginning again once the board is back in use.
        self._kept_in_use.discard(key)
        del self._reports[key]
        said = dict.fromkeys(what for _, what in theirs.values() if what)
        what = "; ".join(said)[:LONGEST_REASON] or "no description"
        why = f"{hosts} reported it: {what}"
        return notices, Fault(why, machine.report_rest_seconds, objection=Objection.REPORTED)

    def counted(self) -> dict[BoardKey, int]:
        """Return the reported boards that are not set aside for it, each with how many hosts have reported it."""
        return {key: len(said) for key, said in self._reports.items()}

    def forget(self, keys: Iterable[BoardKey]) -> list[BoardKey]:
        """Forget the reports of boards; return the boards that had any."""
        self._kept_in_use.difference_update(keys)
        return [key for key in keys if self._reports.pop(key, None) is not None]

    def recount(self) -> None:
        """Count by neighbours again, after the rule for them has changed."""
        self._reports = {key: self._recounted(of) for key, of in self._reports.items()}
        self._had = {key: self._recounted(of) for key, of in self._had.items()}

    def _recounted(self, known: Mapping[str, tuple[str, T]]) -> dict[str, tuple[str, T]]:
        return {self._neighbours.of(host): (host, what) for host, what in known.values()}

    def forget_all_but(self, knows: Callable[[BoardKey], bool]) -> None:
        """Forget the boards that no longer exist."""
        self._reports = {key: said for key, said in self._reports.items() if knows(key)}
        self._had = {key: hosts for key, hosts in self._had.items() if knows(key)}
        self._kept_in_use = {key for key in self._kept_in_use if knows(key)}


def most_set_aside(machine: Machine) -> int:
    """Return how many boards of a machine may be set aside at one time because users reported them."""
    if machine.reports_share <= 0:
        return 0
    return max(1, int(machine.reports_share * len(machine.places)))
