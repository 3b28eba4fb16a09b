"""Sums up a database in two lines, for the administrator who makes a backup or puts one back."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from spalloc_server.store.accounts import read_accounts, read_groups
from spalloc_server.store.history import count_ended
from spalloc_server.store.recalling import Unreadable, read_boards, read_jobs, read_reservations
from spalloc_server.words import counted


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database contains."""

    jobs: int
    """Live jobs that can be read."""
    boards: int
    """Boards that these jobs hold."""
    ended: int
    """Ended jobs."""
    aside: int
    """Boards that are set aside."""
    drained: int
    """Boards that are drained."""
    reservations: int
    """Reservations that were made by command."""
    accounts: int
    """Accounts."""
    groups: int
    """Groups of accounts."""
    unreadable: tuple[Unreadable, ...]
    """Live jobs that can't be read."""

    def lines(self) -> Iterator[str]:
        """Yield the lines for the administrator."""
        drained = f", {self.drained} drained" if self.drained else ""
        reserved = f", {counted(self.reservations, 'reservation')}" if self.reservations else ""
        accounts = f", {counted(self.accounts, 'account')}" if self.accounts else ""
        groups = f", {counted(self.groups, 'group')}" if self.groups else ""
        yield (
            f"  {counted(self.jobs, 'live job')} with {counted(self.boards, 'board')}, "
            f"{counted(self.ended, 'ended job')}, {counted(self.aside, 'board')} set aside{drained}{reserved}{accounts}"
            f"{groups}"
        )
        if self.unreadable:
            first = self.unreadable[0]
            yield (
                f"  {counted(len(self.unreadable), 'live job')} that can't be read, the first is job {first.id}: "
                f"{first.why}; a server starts from these records with --set-aside-unreadable"
            )


def contents_of(database: sqlite3.Connection) -> Contents:
    """Return what a database of this server or an older one contains.

    Raises:
        sqlite3.Error: It can't be read.
    """
    jobs, unreadable = read_jobs(database, 0)
    boards = read_boards(database).values()
    return Contents(
        jobs=len(jobs),
        boards=sum(len(job.allocation.boards) for job in jobs if job.allocation is not None),
        ended=count_ended(database),
        aside=sum(board.aside is not None for board in boards),
        drained=sum(board.drained is not None for board in boards),
        reservations=len(read_reservations(database)),
        accounts=len(read_accounts(database)),
        groups=len(read_groups(database)),
        unreadable=tuple(unreadable),
    )
