"""Which waiting jobs are tried with a decision, and in which order.

What a job that is tried gets is found in finding.py.
"""

from collections.abc import Mapping
from math import inf

from spalloc_server.core.finding import Finder
from spalloc_server.core.keeping import Keeper
from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.request_groups import Alike, Line, RequestGroup, RequestGroups, chunks

SOFTENING = 1200.0
"""Seconds that are added to the time that a job has waited and to the time that it is expected to take."""

Rank = tuple[float, tuple[float, int]]


class Lines:
    """Chooses the jobs that are tried."""

    def __init__(self, keepers: Mapping[str, Keeper], groups: RequestGroups, finder: Finder) -> None:
        """Choose among the jobs of `groups`, for the machines `keepers`; both are changed in place."""
        self._keepers, self._groups, self._finder = keepers, groups, finder

    @property
    def _packers(self) -> list[Packer]:
        return [keeper.packer for keeper in self._keepers.values()]

    def rank(self, line: Line, first: int | None) -> Rank:
        """Return what is smaller the earlier the job in front of a line is tried.

        Args:
            line: the line.
            first: the first job of the queue, which goes before all others.
        """
        queued, finder = line.queued, self._finder
        order = queued.order
        if queued.job == first:
            return -inf, order
        waited = max(0.0, finder.now - order[0])
        return -(waited + SOFTENING) / (finder.seconds(line.alike) + SOFTENING), order

    def hopeful(self, last: int) -> Steps[list[Line]]:
        """Return the jobs for which there may be a spot now.

        Args:
            last: jobs that were queued with larger numbers are left out.
        """
        groups = list(self._groups.fresh)
        packers = self._packers
        far = self._finder.far
        most = max([packer.look(far) for packer in packers], default=0)
        if most and self._groups.without_spot:
            groups += yield from self._groups.hopeful(packers, most)
        yield 1
        lines: list[Line] = []
        for some in chunks(groups):
            for group in some:
                for alikes in chunks(list(group.alike.values())):
                    lines += [Line(alike, last, outside=True) for alike in alikes]
            yield 1
        insiders = yield from self._insiders(set(groups))
        return lines + [Line(alike, last, outside=False) for alike in insiders]

    def _insiders(self, others: set[RequestGroup]) -> Steps[list[Alike]]:
        """Return the jobs for which there may be a spot inside zones, but for those of some groups."""
        packers = [packer for packer in self._packers if packer.lets_in(self._finder.now)]
        if not packers:
            return []
        insiders: list[Alike] = []
        for some in chunks(self._groups.within(max([packer.opened_boards for packer in packers]))):
            for group in some:
                if group not in others:
                    options = [option for option in group.options if option.may_fit_inside(0)]
                    for alikes in chunks(list(group.alike.values())) if options else ():
                        insiders += [
                            alike
                            for alike in alikes
                            if any(self._finder.may_fit_inside(alike, option) for option in options)
                        ]
                        yield 1
            yield 1
        return insiders
