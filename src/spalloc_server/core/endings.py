"""When live jobs will be ended by the server itself, why, and when their users are to be told.

A job may have several causes to end, such as its time limit and a reservation; the soonest ends it. Who decides that a
job will end calls `Site.expect_end`. Keepalives are no such cause: they end only jobs that nobody wants.
"""

from dataclasses import dataclass

from spalloc_server.core.timekeeping import Timers

OLD_TIMERS = 64
"""How many timers of changed endings may remain, beyond the number of jobs that will end."""


@dataclass(frozen=True, slots=True)
class Ending:
    """That the server will end a job."""

    at: float
    """When, in the core's time."""
    why: str
    """The job's reason then: a sentence for its owner."""
    near: float
    """From when on clients that asked for it are told, in the core's time."""


class Endings:
    """The endings of all live jobs, each with what causes it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._causes: dict[int, dict[str, Ending]] = {}
        self._soonest: dict[int, Ending] = {}
        self._timers: Timers[tuple[int, Ending]] = Timers()
        """Each soonest ending, at first for when it is near and then for when it is there. Others are out of date."""
        self._near: set[int] = set()
        """Jobs whose ending is near."""
        self._news: set[int] = set()

    def of(self, job: int) -> Ending | None:
        """Return the soonest ending of a job, or None if none is expected."""
        return self._soonest.get(job)

    def is_near(self, job: int) -> bool:
        """Return whether clients are told of the job's ending now."""
        return job in self._near

    def expect(self, job: int, cause: str, ending: Ending | None, now: float) -> None:
        """Replace what one cause, such as `limit`, means for a live job: an ending, or None for none."""
        causes = self._causes.setdefault(job, {})
        if ending is None:
            causes.pop(cause, None)
        else:
            causes[cause] = ending
        if not causes:
            del self._causes[job]
        soonest = min(causes.values(), key=lambda one: one.at, default=None)
        if soonest is not None and soonest == self._soonest.get(job):
            return
        was_near, is_near = job in self._near, soonest is not None and now >= soonest.near
        if was_near or is_near:
            self._news.add(job)
        (self._near.add if is_near else self._near.discard)(job)
        if soonest is None:
            self._soonest.pop(job, None)
        else:
            self._soonest[job] = soonest
            self._timers.add(soonest.at if is_near else soonest.near, (job, soonest))
        self._drop_old_timers()

    def forget(self, job: int) -> None:
        """Drop a job that has ended."""
        self._causes.pop(job, None)
        self._soonest.pop(job, None)
        self._near.discard(job)
        self._news.discard(job)
        self._drop_old_timers()

    def _drop_old_timers(self) -> None:
        # Somebody could extend a job again and again.
        if len(self._timers) > 2 * len(self._soonest) + OLD_TIMERS:
            self._timers.keep(lambda timer: self._soonest.get(timer[0]) is timer[1])

    def due(self, now: float, most: int) -> list[tuple[int, str]]:
        """Return the jobs that must end now, each with the reason; `most` timers are handled at most.

        Whoever does not end one of them says with `expect` what is expected instead, also if that is the same.
        """
        over = []
        for job, ending in self._timers.due(now, most):
            if self._soonest.get(job) is not ending:
                continue
            if now >= ending.at:
                del self._soonest[job]
                over.append((job, ending.why))
                continue
            self._near.add(job)
            self._news.add(job)
            self._timers.add(ending.at, (job, ending))
        return over

    def next(self) -> float | None:
        """Return when `due` has something to do, or None."""
        return self._timers.next()

    def take_news(self) -> set[int]:
        """Return the jobs whose clients are to be told of their ending, or that it has changed, since the last time."""
        news, self._news = self._news, set()
        return news
