# Boards that users say are sick: how many different users have said so.
#
# What is done with a board that enough users complain of is decided in site.py.
"""Reports of sick boards."""

from dataclasses import dataclass

from spalloc_server.core.effects import BoardKey


@dataclass(frozen=True, slots=True)
class Report:
    """What one user says of a board."""

    reporter: str
    """The owner of the job that had the board, or the host that the report came from."""
    text: str


class Reports:
    """The latest report of each user on each board, until the board has been looked after."""

    def __init__(self) -> None:
        """Begin with no reports."""
        self._reports: dict[BoardKey, dict[str, Report]] = {}
        self._heeded: set[BoardKey] = set()

    def has(self, key: BoardKey, reporter: str) -> bool:
        """Return whether somebody has reported a board already."""
        return reporter in self._reports.get(key, ())

    def add(self, key: BoardKey, report: Report) -> list[Report]:
        """Note a report and return all there are on the board, one a user, first reporter first."""
        theirs = self._reports.setdefault(key, {})
        theirs[report.reporter] = report
        return list(theirs.values())

    def heed(self, key: BoardKey) -> None:
        """Note that there are enough reports on a board, and that something is done about it: more add nothing."""
        self._reports.pop(key, None)
        self._heeded.add(key)

    def heeded(self, key: BoardKey) -> bool:
        """Return whether something is being done about a board already."""
        return key in self._heeded

    def back_in_use(self, key: BoardKey) -> None:
        """Begin anew with a board that was looked after; what was said of one that was not still counts."""
        self._heeded.discard(key)
