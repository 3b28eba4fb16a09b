"""Groups and quotas in the simulated world: who has jobs charged to which, and what must hold.

What every group has used is what the history of allocations says, to a second, through kills, moves and cold starts. No
job of a group keeps its boards for longer than the group's quota allows, but for what its server missed; none is ended
by a quota before it is used up; whoever has boards is told before. Half of the sites have groups.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING

from spalloc_client.states import JobState
from spalloc_server.core.account_commands import AddAccount
from spalloc_server.core.admission import Trust
from spalloc_server.core.askers import SERVER, Role
from spalloc_server.core.commands import Command
from spalloc_server.core.commands import RefusedError as NotDoneError
from spalloc_server.core.effects import Effects
from spalloc_server.core.group_commands import AddGroup, SetGroups, SetQuota
from spalloc_server.core.groups import GroupRules
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.networks import NetworkNames
from spalloc_server.core.quotas import is_of_quota
from spalloc_server.core.site import Site
from spalloc_server.store.accounts import read_groups
from spalloc_server.store.charges import all_charges
from tests.simulation.client import Client, GoneError, RefusedError

if TYPE_CHECKING:
    from tests.simulation.site import SimulatedSite

ACCOUNT = "payer"
GROUPS = ("lab", "theory")
WARNING_SECONDS = 2.0
SLACK_SECONDS = 5.0
"""How long a server that is up and well may take to end the jobs of a group."""
EXACT = 1.0
"""By how many board-seconds what is used may differ from the history: the promise is a second."""
_REFUSALS = ("may look at jobs, but not create any", "has used", "is in no group", "there is no group")
"""Why nobody may create a job: there is no account or group yet, or nothing is left."""


class Payers:
    """Users whose jobs are charged to groups, and the administrator who gives these quotas."""

    def __init__(self, site: "SimulatedSite") -> None:
        self._site = site
        self._dice = site.world.dice("groups")
        self.exist = self._dice.random() < 0.5
        self.trust = Trust()
        if self.exist:
            self.trust = Trust(accounts=NetworkNames(((ip_network("10.0.3.0/24"), ACCOUNT),)))
        self.rules = GroupRules(quota_warning=WARNING_SECONDS)
        self._ended: Counter[str] = Counter()
        """The board-seconds of each group's allocations that have ended, as far as the present process knows."""
        self._changed: dict[str, float] = {}
        """When each group was given another quota."""
        self._told: set[int] = set()
        self._wrong: list[str] = []
        """What was found where the engine would take a failed check for its own."""

    # What the administrator does

    def plan(self, seconds: float) -> None:
        """Make the account and the groups, and change quotas now and then within the next `seconds`."""
        if not self.exist:
            return
        self._found()
        for _ in range(self._dice.choice((0, 2, 6, 12))):
            self._site.world.after(self._dice.uniform(0, seconds), self._change)

    def _found(self) -> None:
        """Make the account and the groups, as soon as the server lets that be done."""
        engine = self._site.engine
        if engine is not None:
            missing = list(self._missing(engine.site))
            if not missing:
                return
            self._tell(*missing)
        self._site.world.after(1.0, self._found)

    def _missing(self, core: Site) -> Iterator[Command[object]]:
        for name in GROUPS:
            if name not in core.groups.by_name:
                yield AddGroup(name, self._quota(), "mary")
        account = core.accounts.by_name.get(ACCOUNT)
        if account is None:
            yield AddAccount(ACCOUNT, Role.USER, None, "mary")
        if account is None or not account.groups:
            yield SetGroups(ACCOUNT, GROUPS, self._dice.choice(GROUPS), "mary")

    def _quota(self) -> float | None:
        return self._dice.choice((None, 0.0, 10.0, 40.0, 100.0, 400.0))

    def _change(self) -> None:
        adds, quota = self._dice.random() < 0.5, self._quota()
        self._tell(SetQuota(self._dice.choice(GROUPS), quota, "mary", adds and quota is not None))

    def _tell(self, *commands: Command[object]) -> None:
        site = self._site
        if site.server is not None and site.server.alive and site.engine is not None and not site.stopping:
            for command in commands:
                site.server.enter(partial(self._do, command))

    def _do(self, command: Command[object]) -> None:
        engine = self._site.engine
        if engine is None:
            return
        try:
            engine.do(command, SERVER)
        except NotDoneError:
            self._site.happened["administrator refused"] += 1
            return
        self._site.happened[type(command).__name__] += 1
        if isinstance(command, SetQuota):
            self._changed[command.name] = self._site.world.now

    # What users do

    async def use(self, host: str) -> None:
        """Be a user who creates jobs for groups, and waits, or ends some."""
        site, mine = self._site, list[int]()
        client: Client | None = None
        while self.exist and site.world.now < site.end:
            await site.crowd.passing(self._dice.uniform(0.1, 4.0))
            try:
                if client is None or client.gone:
                    client = Client.connect(site.crowd, site.network, host)
                await self._create_or_destroy(client, mine)
            except (ConnectionRefusedError, GoneError):
                pass
            except RefusedError as refusal:
                site.happened["no quota left"] += "has used" in str(refusal)
                if not any(words in str(refusal) for words in _REFUSALS):
                    site.excuse(refusal)

    async def _create_or_destroy(self, client: Client, mine: list[int]) -> None:
        site = self._site
        if mine and self._dice.random() < 0.4:
            job = mine.pop(self._dice.randrange(len(mine)))
            site.promises.maybe_destroyed.add(job)
            await client.call("destroy_job", job)
            site.promises.destroyed.add(job)
        else:
            group, size = self._dice.choice((None, *GROUPS)), self._dice.choice(((1,), (1,), (3,), (1, 1)))
            job = await client.call("create_job", *size, owner="payer", keepalive=None, group=group)
            site.promises.created.add(job)
            mine.append(job)

    # What must hold

    def follow(self) -> None:
        """Begin with what a process has taken up: what is used is what all charges on disk add up to."""
        self._ended = Counter()
        for charge in all_charges(self._site.database):
            if charge.group is not None:
                self._ended[charge.group] += charge.board_seconds
        for group in read_groups(self._site.database):
            self._hold(group.name, group.used, self._ended[group.name], "on disk")

    def ended(self, record: JobRecord, wall: float) -> None:
        """Note that a job's allocation has ended."""
        if record.group is not None:
            assert record.allocation is not None
            assert record.allocated is not None
            self._ended[record.group] += len(record.allocation.boards) * (wall - record.allocated)

    def note(self, effects: Effects, core: Site) -> None:
        """Note who was told, and look at jobs that a quota has ended."""
        self._told |= effects.endings
        for job, record in effects.jobs.items():
            if record.state is not JobState.destroyed or not is_of_quota(record.reason):
                continue
            assert record.group is not None
            quota = core.groups.by_name[record.group].quota
            used = self._used(record.group, core)
            if quota is None or used <= quota - 2 * EXACT:
                self._wrong.append(f"a quota ended job {job}, with {used} of {quota} used")
            if record.allocation is not None:
                self._site.happened["ended by quota"] += 1
                # A server that was held up until the end had no time for it.
                was_well = self._site.world.now - self._site.last_hindrance > WARNING_SECONDS + SLACK_SECONDS
                if was_well and job not in self._told:
                    self._wrong.append(f"nobody was told that a quota will end job {job}")

    def is_over(self, record: JobRecord) -> bool:
        """Return whether a job was ended by a quota; `note` has looked whether it was used up."""
        return self.exist and is_of_quota(record.reason)

    def check(self, core: Site) -> None:
        """What is used is what the history says, and no jobs use more than is left, but for what the server missed."""
        assert not self._wrong, self._wrong[0]
        if not self.exist or core.effects.charges:
            return
        now = self._site.world.now
        for name, group in core.groups.by_name.items():
            used = self._used(name, core)
            self._hold(name, core.quotas.used(group, now), used, "in memory")
            rate = sum(self._boards(name, core))
            if group.quota is None or not rate or self._site.is_hampered:
                continue
            over_since = max(now - (used - group.quota) / rate, self._changed.get(name, 0.0))
            end = max(over_since, self._site.last_hindrance + WARNING_SECONDS)
            assert now <= end + SLACK_SECONDS, f"group {name} uses {used} board-seconds of {group.quota}"

    def _boards(self, group: str, core: Site) -> Iterator[int]:
        for job in core.jobs.values():
            if job.record.group == group and job.record.allocation is not None:
                yield len(job.record.allocation.boards)

    def _used(self, group: str, core: Site) -> float:
        """Return what a group has used, by the history of allocations."""
        wall = self._site.clock.wall()
        running = [
            len(job.record.allocation.boards) * (wall - (job.record.allocated or wall))
            for job in core.jobs.values()
            if job.record.group == group and job.record.allocation is not None
        ]
        return self._ended[group] + sum(running)

    def _hold(self, group: str, found: float, expected: float, where: str) -> None:
        assert abs(found - expected) < EXACT, (
            f"group {group} has used {found} board-seconds {where}, and the history says {expected}"
        )
