"""Administrators' commands: drain boards, put them back, clear the reports of them; make and remove reservations.

Like those of commands.py, they come in by the engine's `do`. They are accepted on the administrators' socket only,
never over a front. How boards are named belongs to operation/.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from spalloc_server.core.askers import Asker
from spalloc_server.core.commands import LONGEST_REASON, Command
from spalloc_server.core.effects import BoardKey, about_board
from spalloc_server.core.objections import Drained
from spalloc_server.core.reservations import (
    LONGEST_NAME,
    MOST_RESERVATIONS,
    Reservation,
    clash_sentence,
    flaw,
    sentence,
)
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment
from spalloc_server.words import date_and_time
from spinnaker.geometry import Board

_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Drain(Command[list[int]]):
    """Take boards out of service until they are put back; the result is the jobs that were moved."""

    boards: Collection[BoardKey]
    """Boards that are configured."""
    why: str
    """Users read it, too; cut after `LONGEST_REASON` characters."""
    by: str
    """The administrator's name."""
    moves_jobs: bool = False
    """Whether jobs that hold them lose their boards now and wait for others, instead of keeping them to their end.

    The others are left off if the owner had these off.
    """

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return that a reason is missing, or has nothing that can be read; or None."""
        is_read = any(one.isprintable() and not one.isspace() for one in self.why[:LONGEST_REASON])
        return None if is_read else "say why, with --reason: users whose jobs wait for the board read it"

    def apply(self, site: Site, by: Asker, at: Moment) -> list[int]:  # noqa: ARG002
        """Drain the boards, and move jobs if asked to."""
        site.upkeep.drain(self.boards, Drained(self.why[:LONGEST_REASON], self.by, at.wall))
        site.collect_findings()
        moved: dict[int, list[Board]] = defaultdict(list)
        for key in sorted(self.boards) if self.moves_jobs else ():
            holder = site.boards.holder(key)
            if holder is not None:
                moved[holder].append(key.board)
        for number, boards in sorted(moved.items()):
            site.move(site.jobs[number], boards, f"taken out by {self.by}", {}, at)
        return sorted(moved)


@dataclass(frozen=True, slots=True)
class PutBack(Command[None]):
    """Make boards available that were drained or set aside; those that must pass a test are tested now.

    Boards that are no longer configured are forgotten, and taken to be off.
    """

    boards: Collection[BoardKey]
    """Boards that are no longer configured are allowed, if they were drained or are perhaps on."""
    by: str
    """The administrator's name."""

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Put the boards back."""
        site.upkeep.put_back(self.boards, self.by)
        site.collect_findings()


@dataclass(frozen=True, slots=True)
class ClearReports(Command[None]):
    """Forget users' reports of boards; those that are set aside because of them are tested now."""

    boards: Collection[BoardKey]
    by: str
    """The administrator's name."""

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Forget the reports."""
        for key in site.reports.forget(self.boards):
            about = {**about_board(key), "by": self.by}
            site.notice(f"{key.machine} {key.board} has its reports cleared by {self.by}", about)
        site.upkeep.forget_reports(self.boards, self.by)
        site.collect_findings()


@dataclass(frozen=True, slots=True)
class SetReservations(Command[None]):
    """Replace the reservations of the configuration."""

    is_lasting: ClassVar[bool] = False

    reservations: Collection[Reservation]

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Replace them; they count from the next decision."""
        site.reserving.configure(self.reservations)


@dataclass(frozen=True, slots=True)
class Reserve(Command[None]):
    """Make a reservation; it stays until it is removed or over."""

    reservation: Reservation
    """`by` is the administrator's name."""

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return what is wrong with it, or which other one it can't be beside; or None."""
        new = self.reservation
        wrong = flaw(new) or clash_sentence(new, site.reserving, site.machines.values())
        if wrong is not None:
            return f"reservation {new.name[:LONGEST_NAME]} {wrong}"
        if len(site.reserving.added) >= MOST_RESERVATIONS:
            return f"there are {MOST_RESERVATIONS} reservations made by command, and no more are allowed: remove some"
        return None

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Make it; it counts from the next decision."""
        new = self.reservation
        site.reserving.add(new)
        about = {"reservation": new.name, "by": new.by or ""}
        times = f"from {date_and_time(new.begins)} to {date_and_time(new.ends)}"
        site.notice(f"{times}, {new.by} has reserved {sentence(new, site.machines)}", about)


@dataclass(frozen=True, slots=True)
class Unreserve(Command[None]):
    """Remove reservations that were made by command: all of these, or none."""

    names: Collection[str]
    by: str
    """The administrator's name."""

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return that one does not exist, or is in the configuration; or None."""
        added, configured = site.reserving.added, site.reserving.configured
        for name in self.names:
            if name in added:
                continue
            if name in configured:
                return f"reservation {name} is in the configuration: take it out there, and reload"
            known = ", ".join(sorted(added)[:_MOST_NAMED])
            there = f"the list has {known}" if known else "there are none"
            return f"no reservation {name[:LONGEST_NAME]!r} was made by command; {there}"
        return None if self.names else "say which reservations, by name"

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Remove them; that counts from the next decision."""
        for name in self.names:
            site.reserving.remove(name)
            site.notice(f"reservation {name} is removed by {self.by}", {"reservation": name, "by": self.by})
