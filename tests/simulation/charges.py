"""Charges in the simulated world: they must be what the history of allocations says, to a second, whatever is killed.

The history is noted here from jobs' records alone, as they leave the core: when each got boards, and when it had them
no more. What was recorded must be charged for, once; nothing else may be.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spalloc_client.states import JobState
from spalloc_server.core.effects import Effects
from spalloc_server.core.jobs import JobRecord
from spalloc_server.engine import Engine
from spalloc_server.store.charges import all_charges

if TYPE_CHECKING:
    from tests.simulation.site import SimulatedSite


@dataclass(frozen=True)
class Spell:
    """One allocation that has ended; `begun` and `ended` are Unix time, in whole seconds."""

    job: int
    boards: int
    begun: int
    ended: int


class Ledger:
    """All allocations of a site that have ended."""

    def __init__(self, site: "SimulatedSite") -> None:
        """Begin with none."""
        self._site = site
        self._having: dict[int, JobRecord] = {}
        """The jobs that have boards, as far as the present process knows."""
        self._sure: Counter[Spell] = Counter()
        """Those whose end is recorded."""
        self._unsure: Counter[Spell] = Counter()
        """Those whose end may not have been recorded, if the server is killed."""

    def follow(self, engine: Engine) -> None:
        """Begin with what a new process has taken up, and hold that the charges on disk are right."""
        self.check()
        # Only those of which it is known: what was noted and isn't on disk has not happened.
        self._having = {job.id: job.record for job in engine.site.jobs.values() if job.record.allocation}

    def note(self, effects: Effects, engine: Engine) -> None:
        """Note which allocations end by effects that are about to be recorded."""
        wall = self._site.clock.wall()
        ended: Counter[Spell] = Counter()
        for number, record in effects.jobs.items():
            had = self._having.pop(number, None)
            if record.state is JobState.destroyed:
                if record.allocation is not None:
                    assert record.ended is not None
                    ended[_spell(record, record.ended)] += 1
                    self._site.payers.ended(record, record.ended)
            elif had is not None and had.allocated != record.allocated:
                ended[_spell(had, wall)] += 1
                self._site.payers.ended(had, wall)
            if record.state is not JobState.destroyed and record.allocation is not None:
                self._having[number] = record
        if ended:
            self._unsure += ended
            engine._gathering.callbacks.append(lambda recorded: self._settle(ended) if recorded else None)

    def _settle(self, ended: Counter[Spell]) -> None:
        self._unsure -= ended
        self._sure += ended

    def check(self) -> None:
        """Hold that everything that was recorded is charged for once, and nothing else is."""
        charged: Counter[Spell] = Counter()
        for charge in all_charges(self._site.database):
            assert charge.ended >= charge.begun
            charged[Spell(charge.job, charge.boards, round(charge.begun), round(charge.ended))] += 1
        lacking = self._sure - charged
        assert not lacking, f"allocations ended, recorded, and nobody was charged: {lacking}"
        more = charged - self._sure - self._unsure
        assert not more, f"charges for allocations that never were: {more}"
        self._site.happened["charges"] = charged.total()
        # What may have been on disk is known now.
        self._sure, self._unsure = charged, Counter()


def _spell(record: JobRecord, ended: float) -> Spell:
    assert record.allocation is not None
    assert record.allocated is not None
    return Spell(record.id, len(record.allocation.boards), round(record.allocated), round(ended))
