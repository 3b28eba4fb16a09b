"""What groups and quotas cost a decision: `python -m benchmarks.scheduling.quotas [ROUNDS]`.

A site of 1,200 boards has 600 jobs with boards. One job is created and another one ended, with both decisions: in turn
by 10,000 accounts of no group, by as many in 100 groups with quotas, and by as many of one group whose quota is used up
within the warning, so that all its jobs are told. Prints the processor time of each such pair, and the ratios.
"""

import sys
from collections.abc import Callable
from random import Random
from statistics import median
from time import process_time

from benchmarks.suite.statistics import Better, times_better
from spalloc_server.core.account_commands import AddAccount
from spalloc_server.core.askers import SERVER, Asker, Login, Role
from spalloc_server.core.commands import Command, CreateJob
from spalloc_server.core.group_commands import AddGroup, SetGroups
from spalloc_server.core.jobs import Asked
from spalloc_server.core.machine import Machine
from spalloc_server.core.requests import AnyBoard, JobRequest
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment
from spinnaker.geometry import Size
from spinnaker.places import sequential_places

SIZE = Size(20, 20)
ACCOUNTS = 10_000
GROUPS = 100
JOBS = 600
PAIRS = 200
"""How many jobs are created, and as many ended, in each sample."""
ROUNDS = 15
_FAR, _NEAR = 1e9, 60_000.0
"""Quotas in board-seconds: of many years, and of 100 s with 600 boards."""


class Work:
    """One site, on which jobs come and go."""

    def __init__(self, accounts: int, groups: int, quota: float) -> None:
        """Fill a site with accounts, each in one of the groups if there are any, and with jobs."""
        places = sequential_places(SIZE)
        self._site = Site([Machine("m", SIZE, places=places, addresses=dict.fromkeys(places, ""))])
        self._dice, self._now, self._live = Random(18), 0.0, list[int]()
        for number in range(groups):
            self._do(AddGroup(f"g{number}", quota, "mary"))
        for number in range(accounts):
            self._do(AddAccount(f"a{number}", Role.USER, None, "mary"))
            if groups:
                self._do(SetGroups(f"a{number}", (f"g{number % groups}",), None, "mary"))
        self._askers = [Asker("10.0.0.1", Login(f"a{number}", Role.USER)) for number in range(accounts)]
        self._site.take_effects()
        for _ in range(JOBS):
            self._create()

    def _do(self, command: Command[object], by: Asker = SERVER) -> object:
        assert command.refusal(self._site, by) is None
        return command.apply(self._site, by, Moment(self._now, 1e9 + self._now))

    def _decide(self) -> None:
        # The clock goes on, but no quota is used up however many rounds there are.
        self._now += 1e-4
        while not self._site.decide(Moment(self._now, 1e9 + self._now)):
            pass
        for order in self._site.take_effects().orders:
            self._site.power_done(order.number, {}, Moment(self._now, 1e9 + self._now))  # type: ignore[union-attr]
        self._site.take_effects()

    def _create(self) -> None:
        asker = self._dice.choice(self._askers)
        owner = asker.login.account if asker.login else ""
        job = self._do(CreateJob(JobRequest(AnyBoard()), Asked((1,), {}), owner, None), asker)
        assert isinstance(job, int)
        self._live.append(job)
        self._decide()

    def sample(self) -> float:
        """Return the processor seconds of creating a job and ending another."""
        began = process_time()
        for _ in range(PAIRS):
            self._create()
            oldest = self._live.pop(0)
            self._site.destroy_job(oldest, None, Moment(self._now, 1e9 + self._now))
            self._decide()
        return (process_time() - began) / PAIRS


def measure(rounds: int, report: Callable[[str], None]) -> None:
    """Measure all in turn, and report."""
    without, groups, near = Work(ACCOUNTS, 0, _FAR), Work(ACCOUNTS, GROUPS, _FAR), Work(ACCOUNTS, 1, _NEAR)
    samples: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, work in (("no group", without), ("100 groups", groups), ("one group near its end", near)):
            samples.setdefault(name, []).append(work.sample())
    for name, found in samples.items():
        report(
            f"{name}: {1e6 * median(found):.0f} µs of processor time for a job that comes and one that goes"
        )
        if found is not samples["no group"]:
            ratio = times_better(samples["no group"], found, Better.LOWER)
            report(
                f"  {ratio.median:.3f} times that of no group (quartiles {ratio.low:.3f}, {ratio.high:.3f})"
            )


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS, print)
