"""Fair share and priorities in a simulation: by how much each job is moved in the order of the queue.

The rules are the core's own (core/shares.py). They need what records need, so this is imported only where they are on.
"""

from spalloc_server.core.networks import Neighbours
from spalloc_server.core.request_groups import wanted
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.share_rules import ShareRules
from spalloc_server.core.shares import Asking, Shares
from spalloc_server.simulate.trace import TraceJob, request_of


class Sharing:
    """What the owners of a trace have used lately."""

    def __init__(self, rules: ShareRules, boards: int) -> None:
        """Begin with nothing used.

        Args:
            rules: by which jobs are moved.
            boards: how many boards the machines have that are not dead.
        """
        self._shares = Shares(Neighbours())
        self._shares.follow(rules, 0.0)
        self._boards = boards

    def moved_back(self, number: int, job: TraceJob, scheduler: Scheduler) -> float:
        """Return by how many seconds a job that is submitted now stands later in the order than it comes.

        Args:
            number: its number, as for the scheduler.
            job: the job.
            scheduler: says how long it is expected to take.
        """
        request = request_of(job)
        boards = wanted(request)
        asking = Asking(
            number,
            job.owner,
            # Where hosts are not known, each owner counts as one.
            job.host or job.owner,
            request.tags,
            job.submit,
            boards * scheduler.expected(job.owner, boards, job.limit),
        )
        return self._shares.moved_back(asking, self._boards, job.submit)

    def begin(self, number: int, boards: int, now: float) -> None:
        """Note that a job has got boards."""
        self._shares.begin(number, boards, now)

    def end(self, number: int, now: float) -> None:
        """Note that a job has ended, or can never run."""
        self._shares.end(number, now)
