"""Time limits in the simulated world: which ones users ask for, what they were promised, and what must hold.

No job with a limit keeps its boards longer than that, but for what its server missed; and none is ended before. Whoever
asked for it was told before. Some sites have no limits at all, as all had once.
"""

from math import inf
from typing import TYPE_CHECKING

from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.limits import is_of_limit
from spalloc_server.core.site import Site
from tests.simulation.client import Client, GoneError, RefusedError

if TYPE_CHECKING:
    from tests.simulation.site import SimulatedSite

SLACK_SECONDS = 5.0
"""How long a server that is up and well may take to end a job."""
_ROUNDING = 1e-3
_REFUSALS = ("is not live", "has had its boards for", "can't have its boards for longer")


class Limits:
    """What users know of their jobs' time limits."""

    def __init__(self, site: "SimulatedSite") -> None:
        self._site = site
        self._dice = site.world.dice("limits")
        self.used = self._dice.random() < 0.4
        self._least: dict[int, float] = {}
        """The shortest limit that each job may have: while an extension is not answered, it may have either."""
        self._most: dict[int, float] = {}
        self.disturbed = 0.0
        """When something last kept the server from what it should do."""

    # What users do

    def wish(self) -> dict[str, float]:
        """Return what a user says about the limit of a new job."""
        seconds = self._dice.choice((None, 2.0, 5.0, 20.0, 60.0)) if self.used else None
        return {} if seconds is None else {"time_limit": seconds}

    def created(self, job: int, wish: dict[str, float]) -> None:
        """Note the limit of a new job."""
        if wish:
            self._site.happened["limit"] += 1
            self._set(job, *wish.values())

    async def wait_for_ends(self, host: str) -> None:
        """Be a user who creates jobs with limits, one after the other, and waits until each is ended."""
        site = self._site
        while self.used and site.world.now < site.end:
            await site.crowd.passing(self._dice.uniform(0.5, 5.0))
            try:
                await self._wait_for_an_end(Client.connect(site.crowd, site.network, host))
            except (ConnectionRefusedError, GoneError):
                pass
            except RefusedError as refusal:
                site.excuse(refusal)

    async def _wait_for_an_end(self, client: Client) -> None:
        site, wish = self._site, {"time_limit": self._dice.choice((2.0, 5.0, 10.0))}
        # The limit counts from its start, which may be long before the reply if the disk is full meanwhile.
        began = site.world.now
        job = await client.call("create_job", owner="patient", keepalive=None, **wish)
        site.promises.created.add(job)
        self.created(job, wish)
        await client.call("notify_job_ending", job)
        was_live = False
        while (state := await client.call("get_job_state", job))["state"] != 4 and site.world.now < site.end:
            was_live = True
            await site.crowd.passing(1.0)
        is_quiet = not site.is_hampered and max(self.disturbed, site.last_trouble) < began
        if was_live and is_quiet and is_of_limit(state["reason"]):
            site.happened["end told"] += 1
            assert state["reason"] in client.endings.get(job, []), f"nobody was told that job {job} will end"
        client.transport.abort()

    def _set(self, job: int, seconds: float) -> None:
        self._least[job] = self._most[job] = seconds

    def wants_to_extend(self) -> bool:
        return self.used and self._dice.random() < 0.2

    async def extend(self, client: Client, job: int) -> None:
        seconds = self._dice.choice((3.0, 10.0, 40.0, 300.0))
        before = self._least.get(job, inf), self._most.get(job, inf)
        self._least[job], self._most[job] = min(before[0], seconds), max(before[1], seconds)
        try:
            given = await client.call("extend_job", job, seconds)
        except GoneError:
            raise
        except RefusedError as refusal:
            self._least[job], self._most[job] = before
            if not any(words in str(refusal) for words in _REFUSALS):
                raise
        else:
            assert given == seconds
            self._site.happened["extension"] += 1
            self._set(job, seconds)

    # What must hold

    def is_over(self, record: JobRecord) -> bool:
        """Return whether a job was ended by its limit, and not too early."""
        if not is_of_limit(record.reason) or record.allocated is None or record.ended is None:
            return False
        self._site.happened["ended by limit"] += 1
        return record.ended - record.allocated >= self._least.get(record.id, inf) - _ROUNDING

    def check(self, core: Site) -> None:
        """No job has its boards for longer than its limit, but for what its server missed."""
        site = self._site
        if not self._most or site.is_hampered:
            return
        now = site.clock.wall()
        well_since = now - site.world.now + max(self.disturbed, site.last_trouble)
        for job in core.jobs.values():
            most, allocated = self._most.get(job.id, inf), job.record.allocated
            if allocated is not None and most < inf:
                # After a restart, its user is told first.
                end = max(allocated + most, well_since + most / 2)
                assert now <= end + SLACK_SECONDS, (
                    f"job {job.id} has had its boards for {now - allocated} s, and its limit is {most} s"
                )
