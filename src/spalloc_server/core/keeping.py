"""What is known of one machine over time: when its jobs are expected to end, and the spot that is kept for a job.

Which job a spot is kept for is decided in kept_spots.py; where the spot is, in packing/.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from math import ceil, inf

from spalloc_server.core.lengths import Lengths
from spalloc_server.core.packing.bitmaps import NO_BOARDS
from spalloc_server.core.packing.demand import Wish
from spalloc_server.core.packing.occupancy import AT_ONCE
from spalloc_server.core.packing.packer import Expected, Packer
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.request_groups import Queued
from spinnaker.geometry import Board

IDLE_SHARE = 0.1
"""How much of a machine, on average, may be kept idle while somebody could use it."""
SAVED_SECONDS = 86_400.0
"""For how long at most a machine saves up what it has not kept idle, and for how long at most it pays back."""
LOOK_SECONDS = 120.0
"""How much time there is between two looks for a better spot, at least: a look takes as long as ten decisions."""
COUNT_SECONDS = 60.0
"""How much time there is between two counts of the boards that are kept idle, at least."""
SHUT_FACTOR = 3.0
"""A spot that is late is shut when it has been kept this many times as long as nearly all jobs take."""


@dataclass(slots=True)
class Running:
    """A job that has boards."""

    job: int
    owner: str
    boards: int
    """How many it asked for."""
    limit: float | None
    started: float
    number: int
    """The number of its taking of boards."""
    until: float
    """When it is expected to end."""
    ended_by: float = inf
    """When a reservation ends it, if it is still there."""


@dataclass(slots=True)
class KeptSpot:
    """The spot that is kept for a job that has waited long."""

    queued: Queued
    since: float
    """Since when one has been kept for the job."""
    when: float
    """When its boards are expected to be free."""
    promised: float
    """When they were expected to be free at first."""
    shut_after: float = 0.0
    """After how many seconds it is shut, if it is late."""
    shut: float = inf
    """When it was shut: nobody else may start in it since, and it moves to no job's boards that started later."""
    is_late: bool = False
    """Whether it is free later than was expected."""
    next_look: float = -inf
    """When at the soonest another spot is looked for."""
    may_be_sooner: bool = False
    """Whether there may be a spot that is free sooner."""


@dataclass(slots=True)
class IdleBudget:
    """How much of a machine may be kept idle while somebody could use it."""

    left: float = 0.0
    """In board-seconds; below 0, no other spot is kept."""
    idle: int = 0
    """How many boards are kept idle that somebody could use, as of the last count."""
    next_count: float = -inf
    """When at the soonest they are counted again."""
    charged: float = -inf
    """Up to when they have been charged."""

    def charge(self, now: float, boards: int) -> None:
        """Charge what has been kept idle up to now on a machine that has this many boards."""
        if self.charged > -inf:
            share = IDLE_SHARE * boards
            gained = (share - self.idle) * max(0.0, now - self.charged)
            self.left = max(-share * SAVED_SECONDS, min(share * SAVED_SECONDS, self.left + gained))
        self.charged = now

    def paid_back(self, boards: int) -> float:
        """Return when what was kept idle beyond the share will be paid back if nothing is kept; in whole seconds."""
        return self.charged + ceil(-self.left / (IDLE_SHARE * boards))


class Keeper:
    """One machine: its boards, the jobs that have some, and the spot that is kept there."""

    def __init__(self, packer: Packer, lengths: Lengths) -> None:
        """Begin with no job, and nothing kept."""
        self.packer = packer
        self.kept: KeptSpot | None = None
        self.lost: KeptSpot | None = None
        """What was kept last, if its boards were set aside: for its job, another is kept whatever the budget."""
        self.budget = IdleBudget()
        self._lengths = lengths
        self._running: dict[int, Running] = {}
        """The jobs that have boards, by the number of the taking."""

    # Jobs that have boards

    def hold(self, running: Running) -> None:
        """Note that a job has boards, which have been taken with its number."""
        self._running[running.number] = running

    def end(self, running: Running) -> None:
        """Note that a job's boards are about to be free."""
        self._running.pop(running.number, None)
        self.packer.expect(running.number, AT_ONCE)
        if self.kept is not None and running.until >= self.kept.when:
            self.kept.may_be_sooner = True

    def expect(self, running: Running, until: float) -> None:
        """Note when a job is expected to end."""
        kept = self.kept
        if kept is not None:
            if until < kept.when <= running.until:
                kept.may_be_sooner = True
            elif until > kept.when and self.packer.is_in_the_way(running.number):
                kept.is_late = True
        running.until = until
        self.packer.expect(running.number, until)

    def correct(self, now: float) -> list[Running]:
        """Expect new ends of those jobs that should have ended by now, and return these."""
        corrected = []
        for number in self.packer.overdue(now):
            running = self._running.get(number)
            if running is not None:
                self.expect_again(running, now)
                corrected.append(running)
        return corrected

    def expect_again(self, running: Running, now: float) -> None:
        """Expect a new end of a job, from what is known of it now."""
        age = max(0.0, now - running.started)
        until = now + self._lengths.left(running.owner, running.boards, running.limit, age)
        # One that has begun, and has not ended the job, waits until its user has been told.
        self.expect(running, min(until, running.ended_by) if running.ended_by > now else until)

    def end_by(self, running: Running, when: float, now: float) -> None:
        """Note when a reservation ends a job, if it is still there; inf if none does."""
        before, running.ended_by = running.ended_by, when
        if now < when < running.until:
            self.expect(running, when)
        elif before <= running.until < when:
            self.expect_again(running, now)

    def objection(self, running: Running, until: float) -> str | None:
        """Return whose spot or reservation a job would need that went on until a time, as a sentence's end, or None."""
        zone = self.packer.zone_in_the_way(running.number, running.owner, until)
        if zone is not None:
            return f"some of its boards are reserved then: {zone.name}"
        if self.kept is not None and until > self.kept.when and self.packer.is_in_the_way(running.number):
            return f"job {self.kept.queued.job}, which has waited longest, is to have some of its boards then"
        return None

    # The kept spot

    def must_count(self, now: float) -> bool:
        """Return whether it is time to count the boards that are kept idle."""
        return self.kept is not None and now >= self.budget.next_count

    def keeps_idle(self, boards: int, now: float) -> None:
        """Note how many boards are kept idle from now on that somebody could use."""
        self.budget.idle, self.budget.next_count = boards, now + COUNT_SECONDS

    def may_keep(self, job: int | None = None) -> bool:
        """Return whether a spot may be kept for a job, or with None for any job that there may be."""
        if self.kept is not None:
            return False
        return self.budget.left >= 0 or (self.lost is not None and job in (None, self.lost.queued.job))

    def soonest(
        self,
        queued: Queued,
        wish: Wish,
        now: float,
        *,
        latest: float = inf,
        not_before: float = AT_ONCE,
        before: float = inf,
    ) -> Steps[Expected | None]:
        """Return the spot that is expected to be free soonest for a job: see `Packer.soonest`."""
        alike = queued.alike
        seconds = self._lengths.expected(alike.owner, alike.group.boards, alike.limit)
        return self.packer.soonest(
            wish,
            alike.owner,
            now=now,
            seconds=seconds,
            latest=latest,
            not_before=not_before,
            before=before,
        )

    def keep(self, queued: Queued, spot: Expected, now: float) -> None:
        """Keep a spot for a job."""
        self.kept = KeptSpot(queued, now, spot.when, spot.when)
        if self.lost is not None and self.lost.queued.job == queued.job:
            lost, self.lost = self.lost, None
            self.kept.since, self.kept.promised = lost.since, lost.promised
            self.kept.shut_after, self.kept.shut = lost.shut_after, lost.shut
        self.packer.keep(spot.boards, spot.when if self.kept.shut == inf else AT_ONCE)

    def lose(self) -> None:
        """Keep nothing for now: kept boards were set aside."""
        lost = self.kept
        self.drop()
        self.lost = lost

    def drop(self) -> None:
        """Keep nothing any more."""
        self.kept = self.lost = None
        self.budget.idle, self.budget.next_count = 0, -inf
        self.packer.keep(NO_BOARDS, inf)

    def improve(self, now: float) -> Steps[None]:
        """Shut the kept spot if it is time, and move it if another is expected to be free sooner."""
        kept, packer = self.kept, self.packer
        if kept is None:
            return
        # It must not shrink meanwhile: while only short jobs end, the spot would be shut too early.
        kept.shut_after = max(kept.shut_after, SHUT_FACTOR * self._lengths.nearly_longest())
        is_late = now > kept.promised and now - kept.since > kept.shut_after
        if is_late and kept.shut == inf:
            kept.shut, kept.is_late = now, True
            packer.keep(packer.kept, AT_ONCE)
        option = kept.queued.group.option(packer)
        if not (kept.is_late or kept.may_be_sooner) or now < kept.next_look or option is None:
            return
        kept.next_look = now + LOOK_SECONDS
        not_before = AT_ONCE if kept.may_be_sooner else kept.when
        if kept.is_late:
            # The spot stays where it is, unless another is free sooner.
            kept.when = inf if packer.has_reservations else packer.when_free()
        before = kept.when
        kept.is_late = kept.may_be_sooner = False
        spot = None
        if not_before < before:
            wish = yield from option.wish()
            latest = self._latest_of(kept.shut)
            spot = yield from self.soonest(
                kept.queued, wish, now, latest=latest, not_before=not_before, before=before
            )
        if self.kept is not kept:
            return  # the job it was for has left, or kept boards were set aside
        if spot is not None:
            kept.when = spot.when
        elif before == inf:
            self.drop()
            return
        packer.keep(packer.kept if spot is None else spot.boards, kept.when if kept.shut == inf else AT_ONCE)

    def _latest_of(self, shut: float) -> float:
        """Return the number of the latest taking by a job that started before the spot was shut."""
        if shut == inf:
            return inf
        return max((number for number, one in self._running.items() if one.started <= shut), default=0)

    def look_again(self) -> None:
        """Note that there may be a better spot than the one that is kept."""
        if self.kept is not None:
            self.kept.is_late = self.kept.may_be_sooner = True
            self.kept.next_look = -inf

    def copy(self) -> "Keeper":
        """Return the same, which changes by itself from now on."""
        made = Keeper(self.packer.copy(), self._lengths)
        # `replace` takes five times as long, and there may be thousands.
        made._running = {
            number: Running(
                one.job, one.owner, one.boards, one.limit, one.started, one.number, one.until, one.ended_by
            )
            for number, one in self._running.items()
        }
        made.kept = None if self.kept is None else replace(self.kept)
        made.budget = replace(self.budget)
        return made

    @property
    def running(self) -> Collection[Running]:
        """The jobs that have boards."""
        return self._running.values()

    def holdings(self) -> Iterator[tuple[frozenset[Board], Running | None]]:
        """Go through all boards that are in use, with the job that has them, if one does."""
        for number in self.packer.takings:
            yield self.packer.boards_taken(number), self._running.get(number)

    def take_over(self, earlier: "Keeper") -> None:
        """Take over the boards and jobs of the same machine, as it was configured before, and what it may keep idle."""
        self.packer.take_over(earlier.packer)
        self._running = {
            number: running for number, running in earlier._running.items() if self.packer.has_taken(number)
        }
        self.budget = earlier.budget
