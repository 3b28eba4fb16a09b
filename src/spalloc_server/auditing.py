"""Makes the entries of the audit as commands come in, and their lines in the log.

Which commands are in it, and in which words, is decided in core/audit.py. Clients can't fill it: the number of entries
a minute about what was refused, and about logins, has a limit for each address or account, and one entry counts the
others; so has the number of lines in the log, of all entries.
"""

import logging
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from spalloc_server.core.askers import Asker
from spalloc_server.core.audit import LOG_IN, Entry, deed_of, entry_of
from spalloc_server.core.commands import Command
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment
from spalloc_server.ration import Ration
from spalloc_server.words import counted

_log = logging.getLogger(__name__)

ENTRIES = 60
"""Entries about what was refused, and logins, of one source that are made within a minute; also lines in the log."""
SOURCES = 200
"""Addresses and accounts that may have such entries within a minute."""
KEPT_BACK = "kept-back"
"""What an entry says that counts those which were not made."""


class Auditor:
    """Makes the entries of one site's audit."""

    def __init__(self, site: Site, neighbours: Callable[[str], str]) -> None:
        """Make entries.

        Args:
            site: To which the commands are given.
            neighbours: Returns as what an address or account is counted.
        """
        self._site = site
        self._neighbours = neighbours
        self._entries = Ration(ENTRIES, SOURCES)
        self._lines = Ration(ENTRIES, SOURCES)

    def entries(
        self,
        command: Command[Any],
        by: Asker,
        at: Moment,
        *,
        value: object,
        changed: bool,
        refused: str | None,
    ) -> Iterable[Entry]:
        """Yield the entries that a command leads to.

        Args:
            command: The command.
            by: Who gave it.
            at: When.
            value: Its result; None if it was refused.
            changed: Whether it changed anything.
            refused: Why it was refused; None if it was done.
        """
        deed = deed_of(command, self._site)
        if deed is None or not (changed or deed.always or refused is not None):
            return
        job = value if deed.creates and isinstance(value, int) else None
        entry = entry_of(deed, by, at.wall, job, refused)
        if entry.outcome is not None or deed.what == LOG_IN:
            for source, count in self._entries.summary(at.now):
                text = f"{count} more of {source or 'others'}"
                yield Entry(at.wall, KEPT_BACK, None, None, "", None, None, text, None)
            if by.host and not self._entries.admits(self._neighbours(by.source), at.now):
                return
        yield entry

    def log(self, entries: Iterable[Entry], now: float) -> None:
        """Write the lines of entries, at a moment of the core's time."""
        if not _log.isEnabledFor(logging.INFO):
            return
        for entry in entries:
            self.sum_up(now)
            source = entry.host if entry.account is None else f"account {entry.account}"
            if not source or self._lines.admits(self._neighbours(source), now):
                _log.info("audit: %s", entry.what, extra=_about(entry))

    def sum_up(self, now: float = inf) -> None:
        """Log how many lines were kept back, if a minute is over."""
        for source, count in self._lines.summary(now):
            more = counted(count, "more line")
            _log.info("audit: %s of %s were kept back", more, source or "others")


def _about(entry: Entry) -> dict[str, object]:
    names = {
        "account": entry.account,
        "by": entry.by,
        "client": entry.host or None,
        "job": entry.job,
        "subject": entry.subject,
        "detail": entry.detail,
    }
    outcome = "done" if entry.outcome is None else f"refused: {entry.outcome}"
    return {**{name: value for name, value in names.items() if value is not None}, "outcome": outcome}
