"""Boards that users say are sick: whose reports count, and how many boards they may take out.

A name can be made up, and an address can't: a report counts for the host that it came from, once, and only if
a job of that host has had the board lately. What is done with a board that enough hosts complain of is
boards.py's subject.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from spalloc_server.core.board_life import Objection
from spalloc_server.core.effects import BoardKey, Notice, about_board
from spalloc_server.core.machine import Machine
from spalloc_server.core.networks import Groups
from spalloc_server.core.objections import Fault
from spalloc_server.words import counted, there_are

T = TypeVar("T")

RECENT_SECONDS = 86_400.0
"""How long ago a host may have had a board that it reports."""
MOST_HOSTS = 64
"""Hosts that are remembered to have had a board; of more, those that had it last."""
NOTED = 20
"""How many reports that don't count are logged within `WINDOW_SECONDS`."""
WINDOW_SECONDS = 60.0
LONGEST_REASON = 1000
"""Characters of what users say that are kept as the reason why a board is set aside."""


class Reports:
    """Who has had which board, and the latest report of each host on each board until it has been looked after."""

    def __init__(self, groups: Groups) -> None:
        """Begin with no reports; `groups` says which addresses are one host's."""
        self._groups = groups
        self._reports: dict[BoardKey, dict[str, tuple[str, str]]] = {}
        """What was said of a board, by groups of addresses, with the address that it came from."""
        self._had: dict[BoardKey, dict[str, tuple[str, float]]] = {}
        """The groups that gave back a board, with an address of theirs and when, the latest last."""
        self._kept_in_use: set[BoardKey] = set()
        """Boards of which it was said that they stay in use though enough hosts reported them."""
        self._window_ends = 0.0
        self._in_window = 0

    # Whose word counts

    def had(self, keys: Iterable[BoardKey], host: str, when: float) -> None:
        """Note that a job that was created from `host` had boards until `when` (the core's time)."""
        group = self._groups.of(host)
        for key in keys:
            hosts = self._had.setdefault(key, {})
            _, before = hosts.pop(group, (host, when))
            hosts[group] = host, max(when, before)
            if len(hosts) > MOST_HOSTS:
                del hosts[next(iter(hosts))]

    def counts(self, key: BoardKey, host: str, holder: str | None, now: float) -> bool:
        """Return whether what `host` says of a board counts.

        Args:
            key: The board.
            host: Where the report came from.
            holder: Where the job that has the board now was created from; None if no job has it.
            now: The core's time.
        """
        group = self._groups.of(host)
        if not group:
            return False
        if holder is not None and self._groups.of(holder) == group:
            return True
        had = self._had.get(key, {}).get(group)
        return had is not None and now - had[1] <= RECENT_SECONDS

    def note(self, key: BoardKey, host: str, text: str, now: float) -> list[Notice]:
        """Return what the log is to tell of a report that doesn't count; of many, it tells how many."""
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

    # What counts

    def add(
        self, key: BoardKey, host: str, text: str, machine: Machine, out: int
    ) -> tuple[list[Notice], Fault | None]:
        """Take a report that counts.

        Args:
            key: The board.
            host: Where the report came from.
            text: What the user says.
            machine: The board's machine.
            out: How many boards of the machine are out because users reported them.

        Returns:
            what the log is to tell, and what is wrong with the board if it is to be taken out.
        """
        notices = []
        theirs = self._reports.setdefault(key, {})
        group = self._groups.of(host)
        if group not in theirs:
            told = f"{key.machine} {key.board} is reported by {host}: {text}"
            notices.append(Notice(told, serious=True, about=about_board(key)))
        theirs[group] = host, text
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
        # What was said is heeded, and begins again when the board is back in use.
        self._kept_in_use.discard(key)
        del self._reports[key]
        said = dict.fromkeys(what for _, what in theirs.values() if what)
        what = "; ".join(said)[:LONGEST_REASON] or "no description"
        why = f"{hosts} reported it: {what}"
        return notices, Fault(why, machine.report_rest_seconds, objection=Objection.REPORTED)

    def counted(self) -> dict[BoardKey, int]:
        """Return the boards that are not set aside for reports, each with how many hosts' reports of it count."""
        return {key: len(said) for key, said in self._reports.items()}

    def forget(self, keys: Iterable[BoardKey]) -> list[BoardKey]:
        """Forget what was said of boards; return those of which anything was."""
        self._kept_in_use.difference_update(keys)
        return [key for key in keys if self._reports.pop(key, None) is not None]

    def regroup(self) -> None:
        """Group what is known again, after the rule for addresses has changed."""
        self._reports = {key: self._sorted(of) for key, of in self._reports.items()}
        self._had = {key: self._sorted(of) for key, of in self._had.items()}

    def _sorted(self, known: Mapping[str, tuple[str, T]]) -> dict[str, tuple[str, T]]:
        return {self._groups.of(host): (host, what) for host, what in known.values()}

    def forget_all_but(self, knows: Callable[[BoardKey], bool]) -> None:
        """Forget the boards that there are no more."""
        self._reports = {key: said for key, said in self._reports.items() if knows(key)}
        self._had = {key: hosts for key, hosts in self._had.items() if knows(key)}
        self._kept_in_use = {key for key in self._kept_in_use if knows(key)}


def most_set_aside(machine: Machine) -> int:
    """Return how many boards of a machine may be out at one time because users reported them."""
    if machine.reports_share <= 0:
        return 0
    return max(1, int(machine.reports_share * len(machine.places)))
