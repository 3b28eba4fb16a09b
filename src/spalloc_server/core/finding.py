"""What a job that is tried gets now: a spot outside all zones or, failing that, inside those that it may use.

Which job is tried is decided in scheduler.py; what zones are is said there, too. What has failed is remembered with the
request's options (request_groups.py).
"""

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.lengths import Lengths
from spalloc_server.core.packing.packer import KEPT, Packer, Zones
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.request_groups import Alike, Failure, Line, Option, Queued, RequestGroup, Stage


class Finder:
    """Finds spots that are free now."""

    def __init__(self, lengths: Lengths) -> None:
        """Begin at time 0; `lengths` tells how long jobs are expected to take."""
        self._lengths = lengths
        self.now = 0.0
        """The time of the decision."""
        self.longest = 0.0
        """No job that waits is expected to take longer, in seconds."""

    @property
    def far(self) -> float:
        """No job that waits is expected to end later if it starts now."""
        return self.now + self.longest

    def seconds(self, alike: Alike) -> float:
        """Return how long alike jobs are expected to have their boards."""
        if alike.limit is not None:
            return alike.limit
        if alike.noted != self._lengths.noted:
            alike.noted = self._lengths.noted
            alike.seconds = self._lengths.expected(alike.owner, alike.group.boards, None)
        return alike.seconds

    def closed(self, alike: Alike, packer: Packer) -> Zones:
        """Return the zones that alike jobs may not use if they start now."""
        seconds = self.seconds(alike)
        self.longest = max(self.longest, seconds)
        return packer.closed(alike.owner, self.now + seconds)

    def may_fit_inside(self, alike: Alike, option: Option) -> bool:
        """Return whether there can be a spot for alike jobs inside zones that they may use."""
        closed = self.closed(alike, option.packer)
        return closed != option.packer.outside_of and option.may_fit_inside(closed)

    def find(self, line: Line, kept_at: str | None) -> Steps[Allocation | None]:
        """Return what the job in front of a line gets, but on the machine where a spot is kept for it."""
        group = line.alike.group
        options = [
            (option, self.closed(line.alike, option.packer))
            for option in group.options
            if option.packer.machine.name != kept_at
        ]
        for option, closed in options if line.outside else ():
            if closed & ~option.packer.outside_of:
                # A reservation so far ahead that nobody was expected to run into it at the last look.
                line.is_looked_at_again = True
            else:
                found = yield from self._outside(group, option)
                if found is not None:
                    return found
        for option, closed in options:
            if closed != option.packer.outside_of:
                found = yield from self._inside(option, closed, group.fewest)
                if found is not None:
                    return found
        return None

    def _outside(self, group: RequestGroup, option: Option) -> Steps[Allocation | None]:
        packer = option.packer
        version = packer.version
        if version < option.next_version:
            return None
        missing = group.fewest - packer.available_boards
        if missing <= 0:
            wish = option.known_wish or (yield from option.wish())
            failed_version = packer.previous_version if group.stage is Stage.NO_SPOT else 0
            found = yield from packer.find(wish, failed_version=failed_version)
            if isinstance(found, Allocation):
                return found
            missing = found.boards
        option.next_version = version + missing
        return None

    def _inside(self, option: Option, closed: Zones, fewest: int) -> Steps[Allocation | None]:
        if not option.may_fit_inside(closed):
            return None
        now = option.packer.space(closed).open
        version, missing = now.version, fewest - now.size
        failed = option.inside.get(closed)
        failed_version = 0 if failed is None else failed.version
        if missing <= 0:
            wish = option.known_wish or (yield from option.wish())
            found = yield from option.packer.find(wish, closed, failed_version=failed_version)
            if isinstance(found, Allocation):
                return found
            missing, failed_version = found.boards, version
        option.inside[closed] = Failure(failed_version, version + missing)
        return None

    def find_for_kept(self, queued: Queued, option: Option) -> Steps[Allocation | None]:
        """Return what a job gets on the machine where a spot is kept for it, there or elsewhere."""
        closed = self.closed(queued.alike, option.packer) & ~KEPT
        option.packer.see(self.far)
        return self._inside(option, closed, queued.group.fewest)

    def denied(self, group: RequestGroup, packer: Packer) -> Steps[int]:
        """Return how many boards the jobs of a group ask for that could start if nothing were kept on a machine."""
        option = group.option(packer)
        if option is None:
            return 0
        closed = self.closed(next(iter(group.alike.values())), packer) & ~KEPT
        if option.denied is None or not packer.is_open(option.denied, closed):
            found = yield from self._inside(option, closed, group.fewest)
            option.denied = None if found is None else packer.found
        waiting = sum([len(alike.jobs) for alike in group.alike.values()])
        return 0 if option.denied is None else group.boards * waiting
