"""Reservations: boards that an administrator has set apart from a time to a time, for some owners or for nobody.

Values only, in seconds of Unix time. What follows for jobs is decided in reserving.py.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from spalloc_server.core.machine import Machine
from spalloc_server.words import counted, date_and_time
from spinnaker.geometry import Board

MOST_RESERVATIONS = 100
"""How many reservations there may be in the configuration, and as many again by command."""
LONGEST_NAME = 64
"""How many characters the name of a reservation may have."""
LONGEST_RESERVATION_DAYS = 366
WARNING_SECONDS = 600.0
"""How long before a reservation ends jobs they are told."""
_DAY_SECONDS = 86_400.0
LAST_MOMENT = 253_402_300_799.0
"""The end of the year 9999, in seconds of Unix time."""
_MOST_NAMED = 5
"""How many owners a sentence names; the others are counted."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Boards that are set apart; they are named singly, by machine, by tag, or in several of these ways."""

    name: str
    begins: float
    ends: float
    reason: str
    """Why, for users to read."""
    boards: frozenset[tuple[str, Board]] = frozenset()
    """Single boards, each with its machine."""
    machines: frozenset[str] = frozenset()
    """Machines of which all boards are reserved."""
    tags: frozenset[str] = frozenset()
    """All boards of each machine that has one of these are reserved."""
    owners: frozenset[str] = frozenset()
    """Whose jobs may use the boards; of nobody if it is for maintenance."""
    ends_jobs: bool = True
    """Whether jobs of others end when it begins; otherwise they go on, and it waits for them."""
    by: str | None = None
    """The administrator who made it by command; None if it is in the configuration."""

    @property
    def for_whom(self) -> str:
        """For whom it is, in words."""
        return owners_in_words(self.owners)

    @property
    def why(self) -> str:
        """The reason that the owners of ended jobs read."""
        since = date_and_time(self.begins)
        return f"Its boards are reserved for {self.for_whom} from {since} ({self.name}): {self.reason}"

    def lets(self, owner: str) -> bool:
        """Return whether jobs of `owner` may use the boards."""
        return owner in self.owners

    def is_over(self, wall: float) -> bool:
        """Return whether it has ended at `wall`, in Unix time."""
        return self.ends <= wall

    def boards_on(self, machine: Machine) -> frozenset[Board]:
        """Return the live boards of a machine that are reserved."""
        if machine.name in self.machines or not self.tags.isdisjoint(machine.tags):
            return frozenset(machine.places)
        return frozenset(
            board for name, board in self.boards if name == machine.name and board in machine.places
        )


def owners_in_words(owners: Collection[str]) -> str:
    """Return for whom a reservation is."""
    if not owners:
        return "maintenance"
    named = sorted(owners)
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return f"{', '.join(named[:_MOST_NAMED])}{more}"


def flaw(reservation: Reservation) -> str | None:
    """Return what is wrong with a reservation by itself, as a sentence without its subject; None if nothing is."""
    name, begins, ends = reservation.name, reservation.begins, reservation.ends
    if not name.isprintable() or name != name.strip() or not 0 < len(name) <= LONGEST_NAME:
        return f"has no name of 1 to {LONGEST_NAME} printable characters that neither begins nor ends with a space"
    if not (reservation.boards or reservation.machines or reservation.tags):
        return "has no boards; name boards, a machine or a tag"
    if not reservation.reason.strip():
        return "has no reason that can be read; users whose jobs wait or end read it"
    if any(not owner.strip() for owner in reservation.owners):
        return "has an owner without a name; name nobody for maintenance"
    if not (0 <= begins <= LAST_MOMENT and 0 <= ends <= LAST_MOMENT):
        return "has no times that a calendar has: from 1970 to 9999"
    if ends <= begins:
        return f"ends at {date_and_time(ends)}, which is not after it begins, at {date_and_time(begins)}"
    days = (ends - begins) / _DAY_SECONDS
    if days > LONGEST_RESERVATION_DAYS:
        return f"is {days:.0f} days long; {LONGEST_RESERVATION_DAYS} are allowed"
    return None


def clash(
    new: Reservation, others: Iterable[Reservation], machines: Iterable[Machine]
) -> tuple[Reservation, str] | None:
    """Return another reservation that is for others on the same boards at the same time, and says where and when.

    Returns:
        the first such reservation, and the end of a sentence; None if there is none.
    """
    machines = list(machines)
    for other in others:
        begins, ends = max(new.begins, other.begins), min(new.ends, other.ends)
        if ends <= begins or other.owners == new.owners:
            continue
        for machine in machines:
            both = new.boards_on(machine) & other.boards_on(machine)
            if both:
                return other, (
                    f"{counted(len(both), 'board')} of {machine.name} for {other.for_whom} from "
                    f"{date_and_time(begins)} to {date_and_time(ends)}"
                )
    return None


def clash_sentence(
    new: Reservation, others: Iterable[Reservation], machines: Iterable[Machine]
) -> str | None:
    """Return why a reservation can't be beside others, as a sentence without its subject; None if it can."""
    others = list(others)
    if any(other.name == new.name for other in others):
        return "has the name of another one; give it another name"
    found = clash(new, others, machines)
    if found is None:
        return None
    other, where = found
    what_then = "give it other boards or times, or the same owners"
    return f"overlaps the reservation {other.name}, which has {where}; {what_then}"


def first_to_end(
    owner: str,
    boards: frozenset[Board],
    of_machine: Iterable[tuple[Reservation, frozenset[Board]]],
    when: Callable[[Reservation], float] = attrgetter("begins"),
) -> Reservation | None:
    """Return the reservation that ends a job soonest, or None if none does.

    Args:
        owner: The job's owner.
        boards: The job's boards.
        of_machine: The reservations that are not over, each with its boards of the job's machine.
        when: Tells when a reservation ends jobs.
    """
    ending = [
        reservation
        for reservation, theirs in of_machine
        if reservation.ends_jobs and not reservation.lets(owner) and not theirs.isdisjoint(boards)
    ]
    return min(ending, key=lambda one: (when(one), one.name), default=None)


def by_machine(
    reservations: Iterable[Reservation], machines: Iterable[Machine]
) -> Mapping[str, list[tuple[Reservation, frozenset[Board]]]]:
    """Return the reservations of each machine that has any, with its boards that they reserve."""
    reservations = list(reservations)
    found = {
        machine.name: [(one, boards) for one in reservations if (boards := one.boards_on(machine))]
        for machine in machines
    }
    return {name: some for name, some in found.items() if some}


def sentence(reservation: Reservation, machines: Mapping[str, Machine]) -> str:
    """Return which boards a reservation has, for whom, and what it does to jobs of others."""
    where = [
        f"all of {name}"
        if len(boards) == len(machine.places)
        else f"{counted(len(boards), 'board')} of {name}"
        for name, machine in machines.items()
        if (boards := reservation.boards_on(machine))
    ]
    jobs = "ends jobs of others" if reservation.ends_jobs else "waits for jobs of others"
    return (
        f"{reservation.name}: {', '.join(where) or 'no boards'} for {reservation.for_whom}; {jobs}: "
        f"{reservation.reason}"
    )
