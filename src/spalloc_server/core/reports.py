# Boards that users say are sick: whose reports count, and how many boards they may take out.
#
# A name can be made up, and an address can't: a report counts for the host that it came from, once, and only if a job
# of that host has had the board lately. What is done with a board that enough hosts complain of is decided in site.py.
"""Reports of sick boards."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from spalloc_server.core.effects import BoardKey
from spalloc_server.core.machine import Machine
from spalloc_server.core.networks import Groups

T = TypeVar("T")

RECENT_SECONDS = 86_400.0
"""How long ago a host may have had a board that it reports."""
MOST_HOSTS = 64
"""Hosts that are remembered to have had a board; of more, those that had it last."""
NOTED = 20
"""How many reports that don't count are logged within `WINDOW_SECONDS`."""
WINDOW_SECONDS = 60.0


class Reports:
    """Who has had which board, and the latest report of each host on each board until it has been looked after."""

    def __init__(self, groups: Groups) -> None:
        """Begin with no reports; `groups` says which addresses are one host's."""
        self._groups = groups
        self._reports: dict[BoardKey, dict[str, tuple[str, str]]] = {}
        """What was said of a board, by groups of addresses, with the address that it came from."""
        self._heeded: set[BoardKey] = set()
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

    def may_note(self, now: float) -> tuple[bool, int]:
        """Return whether a report that doesn't count may be logged, and how many were not since somebody was told."""
        unsaid = 0
        if now >= self._window_ends:
            unsaid = max(0, self._in_window - NOTED)
            self._window_ends, self._in_window = now + WINDOW_SECONDS, 0
        self._in_window += 1
        return self._in_window <= NOTED, unsaid

    # What counts

    def has(self, key: BoardKey, host: str) -> bool:
        """Return whether a host has reported a board already."""
        return self._groups.of(host) in self._reports.get(key, ())

    def add(self, key: BoardKey, host: str, text: str) -> list[str]:
        """Note a report and return what all hosts say of the board, the first to report it first."""
        theirs = self._reports.setdefault(key, {})
        theirs[self._groups.of(host)] = host, text
        return [said for _, said in theirs.values()]

    def has_room(self, machine: Machine) -> bool:
        """Return whether one more board of a machine may be taken out because of reports."""
        return sum(key.machine == machine.name for key in self._heeded) < most_set_aside(machine)

    def keep_in_use(self, key: BoardKey) -> bool:
        """Note that there was no room to take a board out, and return whether that is news."""
        news = key not in self._kept_in_use
        self._kept_in_use.add(key)
        return news

    def heed(self, key: BoardKey) -> None:
        """Note that there are enough reports on a board, and that something is done about it: more add nothing."""
        self._reports.pop(key, None)
        self._kept_in_use.discard(key)
        self._heeded.add(key)

    def heeded(self, key: BoardKey) -> bool:
        """Return whether something is being done about a board already."""
        return key in self._heeded

    def back_in_use(self, key: BoardKey) -> None:
        """Begin again with a board that was looked after; what was said of one that was not still counts."""
        self._heeded.discard(key)

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
