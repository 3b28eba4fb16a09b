"""The site's reservations: which there are, when they begin and end, and what the scheduler and jobs have from that.

What a reservation is stands in reservations.py. That a job ends for one is decided in site.py.
"""

from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from math import inf

from spalloc_server.core.effects import Notice
from spalloc_server.core.endings import Ending
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.packer import Zone
from spalloc_server.core.reservations import (
    WARNING_SECONDS,
    Reservation,
    by_machine,
    clash_sentence,
    first_to_end,
)
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.timekeeping import Moment
from spalloc_server.words import date_and_time
from spinnaker.geometry import Board

CAUSE = "reservation"
"""What `Endings` calls the ending of a job by a reservation."""
LOOK_SECONDS = 30.0
"""How often the wall clock is looked at while there are reservations: it may be corrected."""
CORRECTION_SECONDS = 1.0
"""How far the wall clock may move against the core's time before reservations follow it."""
GRAIN_SECONDS = 0.001
"""By how much a beginning or an end may come early, so that no rounding of times puts it off for ever."""
OVER_SECONDS = 3600.0
"""How long a reservation must be over before it is forgotten: the clock may be wrong, and be corrected."""


class ReservingView:
    """The reservations, read-only."""

    def __init__(self) -> None:
        """Begin with none."""
        self._configured: dict[str, Reservation] = {}
        self._added: dict[str, Reservation] = {}
        self._on: Mapping[str, list[tuple[Reservation, frozenset[Board]]]] = {}
        """For each machine the reservations that are not over, with their boards there."""

    @property
    def configured(self) -> Mapping[str, Reservation]:
        """The reservations of the configuration, by name."""
        return self._configured

    @property
    def added(self) -> Mapping[str, Reservation]:
        """Those that administrators made by command, by name."""
        return self._added

    def __iter__(self) -> Iterator[Reservation]:
        """Go through all reservations, also those that are over and not yet forgotten."""
        yield from self._configured.values()
        yield from self._added.values()

    def on(self, machine: str) -> list[tuple[Reservation, frozenset[Board]]]:
        """Return a machine's reservations that are not over, each with its boards there."""
        return self._on.get(machine, [])

    def boards_now(self, machine: str, wall: float) -> frozenset[Board]:
        """Return the boards of a machine that are reserved at `wall`, in Unix time."""
        now = [boards for one, boards in self.on(machine) if one.begins <= wall < one.ends]
        return frozenset().union(*now)


class Reserving(ReservingView):
    """Keeps reservations; call `look` before each decision."""

    def __init__(self, machines: Mapping[str, Machine], scheduler: Scheduler) -> None:
        """Begin with no reservations; a changed configuration changes `machines` in place."""
        super().__init__()
        self.records: dict[str, Reservation | None] = {}
        """Those to be recorded, or to be removed from the records."""
        self.notices: list[Notice] = []
        """What is to be told since this was last taken."""
        self._machines = machines
        self._scheduler = scheduler
        self._known: dict[tuple[str, bool], bool] = {}
        """Those that are not over, by name and whether they are configured, and whether each has begun."""
        self._skew = 0.0
        """The wall clock's time less the core's, as it was when this was last computed."""
        self._recalled: frozenset[Reservation] = frozenset()
        """Those that there were at the start: while the server was down, no user could be told of them."""
        self._started = -inf
        """When that was, in the core's time."""
        self._over: dict[str, float] = {}
        """Since when reservations made by command are over, in the core's time."""
        self._changed = False
        self._next: float | None = None

    # Changes

    def configure(self, reservations: Collection[Reservation]) -> None:
        """Replace the reservations of the configuration."""
        self._configured = {one.name: one for one in reservations}
        self._changed = True

    def machines_changed(self) -> None:
        """Note that the scheduler has other machines, and has forgotten what is reserved on them."""
        self._changed = True

    def recall(self, reservations: Collection[Reservation], now: float) -> None:
        """Take up the recorded reservations, after a restart with a configuration that may not fit them.

        Args:
            reservations: Those that were recorded.
            now: The core's time.
        """
        self._added = {one.name: one for one in reservations}
        self._changed = True
        self._recalled, self._started = frozenset(self), now
        for one in self._configured.values():
            wrong = clash_sentence(one, reservations, self._machines.values())
            if wrong is not None:
                text = f"reservation {one.name} of the configuration {wrong}; until then, both hold"
                self.notices.append(Notice(text, serious=True, about={"reservation": one.name}))

    def add(self, reservation: Reservation) -> None:
        """Add a reservation that was made by command; there must be none of its name."""
        self._added[reservation.name] = self.records[reservation.name] = reservation
        self._changed = True

    def remove(self, name: str) -> None:
        """Remove a reservation that was made by command."""
        del self._added[name]
        self.records[name] = None
        self._over.pop(name, None)
        self._known.pop((name, False), None)
        self._changed = True

    # Time

    def ending(self, record: JobRecord) -> Ending | None:
        """Return when and why a job that has boards is ended by a reservation; None if none ends it."""
        allocation = record.allocation
        if allocation is None or allocation.machine not in self._on:
            return None
        on = self._on[allocation.machine]
        first = first_to_end(record.owner, allocation.boards, on, self._ends_jobs)
        if first is None:
            return None
        end = self._ends_jobs(first)
        return Ending(end, first.why, near=end - WARNING_SECONDS)

    def _ends_jobs(self, reservation: Reservation) -> float:
        """Return when a reservation ends jobs of others, in the core's time."""
        begins = reservation.begins - self._skew
        return max(begins, self._started + WARNING_SECONDS) if reservation in self._recalled else begins

    def next_deadline(self) -> float | None:
        """Return when `look` has something to do, in the core's time; None if it has not without a change."""
        return -inf if self._changed else self._next

    def look(self, at: Moment) -> AbstractSet[str]:
        """Follow changes, both clocks, beginnings and ends; return the machines whose reservations have changed."""
        if not self._changed:
            if self._next is None:
                return frozenset()
            is_corrected = abs(at.wall - at.now - self._skew) > CORRECTION_SECONDS
            if at.now < self._next and not is_corrected:
                return frozenset()
        before, is_new = self._on, self._changed
        self._changed = False
        if is_new or abs(at.wall - at.now - self._skew) > CORRECTION_SECONDS:
            self._skew, is_new = at.wall - at.now, True
        wall = at.now + self._skew + GRAIN_SECONDS
        self._forget(at.now, wall)
        current = [one for one in self if not one.is_over(wall)]
        known = {(one.name, one.by is None): one.begins <= wall for one in current}
        self._tell(known)
        self._on = by_machine(current, self._machines.values())
        touched = self._on.keys() | before.keys()
        if known == self._known and not is_new:
            touched = {name for name in touched if self._on.get(name) != before.get(name)}
        for name in touched & self._machines.keys():
            self._scheduler.set_zones(name, [self._zone(one, boards) for one, boards in self.on(name)])
        self._known = known
        self._next = self._next_look(at.now, wall)
        return touched

    def _zone(self, reservation: Reservation, boards: frozenset[Board]) -> Zone:
        return Zone(
            reservation.name,
            boards,
            reservation.begins - self._skew,
            reservation.ends - self._skew,
            reservation.owners,
        )

    def _forget(self, now: float, wall: float) -> None:
        for name, reservation in list(self._added.items()):
            if not reservation.is_over(wall):
                self._over.pop(name, None)
            elif now - self._over.setdefault(name, now) >= OVER_SECONDS:
                del self._added[name], self._over[name]
                self.records[name] = None

    def _tell(self, known: Mapping[tuple[str, bool], bool]) -> None:
        """Tell which reservations begin, and which are over, compared with those that were known before."""
        for one in self:
            key = (one.name, one.by is None)
            if known.get(key) and not self._known.get(key):
                until = date_and_time(one.ends)
                begins = f"reservation {one.name} holds until {until}, for {one.for_whom}: {one.reason}"
                self.notices.append(Notice(begins, about={"reservation": one.name}))
            elif key in self._known and key not in known:
                self.notices.append(
                    Notice(f"reservation {one.name} is over", about={"reservation": one.name})
                )

    def _next_look(self, now: float, wall: float) -> float | None:
        """Return when something begins, ends or is to be forgotten, or when the clock is looked at again."""
        moments = [since + OVER_SECONDS for since in self._over.values()]
        for one in self:
            moments += [when - self._skew for when in (one.begins, one.ends) if when > wall]
        return min(now + LOOK_SECONDS, *moments) if moments else None
