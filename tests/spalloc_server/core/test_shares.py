"""By how much jobs are moved in the order, as users and administrators are told."""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.account_commands import AddAccount
from spalloc_server.core.askers import Asker, Login, Role
from spalloc_server.core.commands import CreateJob, DestroyJob
from spalloc_server.core.effects import Share
from spalloc_server.core.group_commands import AddGroup, SetGroups
from spalloc_server.core.jobs import Asked
from spalloc_server.core.networks import Neighbours, Networks
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest
from spalloc_server.core.share_rules import ShareRules
from spalloc_server.core.shares import MOST_REMEMBERED, Asking, Shares
from spalloc_server.core.timekeeping import Moment
from tests.examples import examples
from tests.spalloc_server.core.driver import HOST, World, machine

HOUR = 3600.0
DAY = 86_400.0
FAIR = ShareRules(enabled=True)
OFF = ShareRules()


def shares(rules: ShareRules = FAIR) -> Shares:
    found = Shares(Neighbours())
    found.follow(rules, 0.0)
    return found


def job(number: int, owner: str, since: float, work: float = 600.0, host: str = "10.0.0.1") -> Asking:
    return Asking(number, owner, host, frozenset({"default"}), since, work)


# What an owner's jobs have used, and what they want


def test_a_first_job_stands_where_it_came() -> None:
    assert shares().moved_back(job(1, "jane", 5.0), 100, 5.0) == 0.0


def test_a_job_stands_back_by_the_time_that_the_site_needs_for_what_was_used() -> None:
    fair = shares()
    fair.moved_back(job(1, "jane", 0.0, work=0.0), 100, 0.0)
    fair.begin(1, 50, 0.0)
    fair.end(1, 60.0)
    moved = fair.moved_back(job(2, "jane", 60.0), 100, 60.0)
    assert moved == pytest.approx(50 * 60 / 100, rel=1e-3)


def test_use_counts_half_after_a_half_life_and_boards_in_use_count() -> None:
    fair = shares(replace(FAIR, half_life=HOUR))
    fair.moved_back(job(1, "jane", 0.0, work=0.0), 100, 0.0)
    fair.begin(1, 50, 0.0)
    running = fair.moved_back(job(2, "jane", 60.0, work=0.0), 100, 60.0)
    assert running == pytest.approx(30.0, rel=0.02)
    fair.end(2, 60.0)
    fair.end(1, 60.0)
    later = fair.moved_back(job(3, "jane", 60.0 + HOUR, work=0.0), 100, 60.0 + HOUR)
    assert later == pytest.approx(running / 2)


def test_a_thousand_jobs_at_once_are_spread_out_and_the_next_persons_stands_before_most_of_them() -> None:
    fair = shares()
    flood = [
        fair.moved_back(job(number, "flood", 0.0, 4 * 600.0, "10.0.0.9"), 1200, 0.0) for number in range(1000)
    ]
    assert flood == sorted(flood)
    assert flood[-1] > 2 * HOUR
    other = 60.0 + fair.moved_back(job(2000, "jane", 60.0), 1200, 60.0)
    assert sum(place < other for place in flood) < 20


def test_a_job_that_leaves_the_queue_no_longer_counts() -> None:
    fair = shares()
    for number in range(10):
        fair.moved_back(job(number, "jane", 0.0), 10, 0.0)
    for number in range(10):
        fair.end(number, 1.0)
    assert fair.moved_back(job(10, "jane", 1.0), 10, 1.0) == 0.0


# Whose


@given(st.integers(0, 2**32), st.booleans())
@examples(50)
def test_inventing_owners_on_one_host_does_not_help(seed: int, others: bool) -> None:
    def places(invent: bool) -> list[float]:
        dice, fair, found, live = random.Random(seed), shares(), [], []
        now = 0.0
        for number in range(60):
            now += dice.expovariate(1 / 300.0)
            is_other = others and dice.random() < 0.3
            host = "10.0.0.2" if is_other else "10.0.0.1"
            owner = "joe" if is_other else f"invented {number}" if invent else "jane"
            asked = job(number, owner, now, dice.uniform(60.0, 1e5), host)
            found.append(fair.moved_back(asked, 100, now))
            live.append(number)
            if dice.random() < 0.6:
                fair.begin(number, dice.randrange(1, 50), now)
            if dice.random() < 0.4:
                fair.end(live.pop(dice.randrange(len(live))), now)
        return found

    assert places(invent=True) == pytest.approx(places(invent=False))


def test_whoever_comes_from_many_hosts_counts_as_one_owner() -> None:
    fair = shares()
    moved = [
        fair.moved_back(job(number, "jane", 0.0, 1e4, f"10.0.1.{number}"), 100, 0.0) for number in range(50)
    ]
    assert moved == sorted(set(moved))


def test_on_a_host_that_is_named_as_shared_each_owner_counts_alone() -> None:
    fair = shares(replace(FAIR, shared_hosts=Networks((ip_network("10.0.0.0/24"),))))
    for number in range(50):
        fair.moved_back(job(number, "jane", 0.0, 1e4), 100, 0.0)
    assert fair.moved_back(job(50, "joe", 0.0), 100, 0.0) == 0.0


# Accounts and groups


def of_account(number: int, account: str, *, owner: str = "", group: str | None = None) -> Asking:
    return job(number, owner or account, 0.0, 1e4, f"10.0.0.{number}")._replace(account=account, group=group)


def test_an_account_counts_as_one_whoever_the_owner_is_and_wherever_its_jobs_come_from() -> None:
    fair = shares()
    moved = [fair.moved_back(of_account(number, "jane", owner=f"o{number}"), 100, 0.0) for number in range(9)]
    assert moved == sorted(set(moved))
    assert fair.moved_back(of_account(10, "joe"), 100, 0.0) == 0.0


def test_clients_with_accounts_behind_one_host_do_not_count_for_it() -> None:
    fair = shares()
    first, second = of_account(1, "jane"), of_account(2, "joe")._replace(host="10.0.0.1")
    assert [fair.moved_back(one, 100, 0.0) for one in (first, second)] == [0.0, 0.0]


def test_in_an_account_that_many_people_share_each_owner_counts_alone() -> None:
    fair = shares(replace(FAIR, shared_accounts=frozenset({"hub"})))
    assert fair.moved_back(of_account(1, "hub", owner="jane"), 100, 0.0) == 0.0
    assert fair.moved_back(of_account(2, "hub", owner="joe"), 100, 0.0) == 0.0
    assert fair.moved_back(of_account(3, "hub", owner="jane"), 100, 0.0) > 0.0


def test_groups_go_in_turns_and_within_a_group_the_people() -> None:
    fair = shares(replace(FAIR, groups=True))

    def moved(number: int, account: str, group: str) -> float:
        return fair.moved_back(of_account(number, account, group=group), 100, 0.0)

    assert moved(1, "jane", "lab") == 0.0
    colleague, other, again = moved(2, "joe", "lab"), moved(3, "ann", "theory"), moved(4, "jane", "lab")
    assert other == 0.0 < colleague < again


def test_groups_count_only_where_the_site_says_so() -> None:
    fair = shares()
    assert fair.moved_back(of_account(1, "jane", group="lab"), 100, 0.0) == 0.0
    assert fair.moved_back(of_account(2, "joe", group="lab"), 100, 0.0) == 0.0


def test_jobs_of_one_account_in_a_group_stand_back_once_for_what_the_group_used() -> None:
    fair = shares(replace(FAIR, groups=True))
    fair.moved_back(of_account(1, "ann", group="lab")._replace(work=0.0), 100, 0.0)
    fair.begin(1, 50, 0.0)
    fair.end(1, HOUR)
    moved = [
        fair.moved_back(of_account(number, "jane", group="lab")._replace(work=0.0, since=HOUR), 100, HOUR)
        for number in range(2, 50)
    ]
    assert moved == sorted(set(moved))
    assert moved[-1] - moved[0] < 1.0


def test_accounts_and_groups_are_moved_forward_and_back_by_name() -> None:
    rules = ShareRules(
        priority_of_accounts={"jane": HOUR}, priority_of_groups={"lab": -60.0, "exam": 2 * HOUR}
    )
    fair = shares(rules)
    assert fair.move_any
    assert fair.moved_back(of_account(1, "jane"), 100, 0.0) == -HOUR
    assert fair.moved_back(of_account(2, "jane", group="exam"), 100, 0.0) == -3 * HOUR
    assert fair.moved_back(of_account(3, "joe", group="lab"), 100, 0.0) == 60.0
    assert fair.moved_back(job(4, "jane", 0.0), 100, 0.0) == 0.0


def test_what_groups_have_used_is_there_after_a_restart() -> None:
    world = World(machine())
    world.site.share_by(replace(FAIR, groups=True), world.at)
    world.do(AddGroup("lab", None, "mary"))
    for name in ("jane", "joe"):
        world.do(AddAccount(name, Role.USER, None, "mary"))
        world.do(SetGroups(name, ("lab",), None, "mary"))

    def create(name: str) -> int:
        asker = Asker("10.0.0.1", Login(name, Role.USER))
        number = world.do(CreateJob(JobRequest(Boards(12)), Asked((), {}), name, None), asker)
        world.answer_all()
        return number

    first = create("jane")
    world.wait(HOUR)
    world.destroy(first)
    assert set(world.share_records) == {"owner jane", "account jane", "group lab"}
    world.restart()
    assert world.record(create("joe")).moved_back == pytest.approx(HOUR, rel=0.05)


def test_addresses_of_one_network_count_as_one_host() -> None:
    fair = shares()
    fair.moved_back(job(1, "a", 0.0, 1e5, "2001:db8::1"), 100, 0.0)
    assert fair.moved_back(job(2, "b", 0.0, 1e5, "2001:db8::2"), 100, 0.0) > 0


# Priorities, and the most that a job is moved

RULES = st.builds(
    ShareRules,
    enabled=st.booleans(),
    most_moved=st.sampled_from([0.0, HOUR, DAY]),
    half_life=st.sampled_from([60.0, HOUR, 7 * DAY]),
    priority_of_owners=st.dictionaries(st.sampled_from("ab"), st.floats(-2 * DAY, 2 * DAY)),
    priority_of_tags=st.dictionaries(st.just("default"), st.floats(-2 * DAY, 2 * DAY)),
)


@given(RULES, st.integers(0, 2**32))
@examples(50)
def test_no_job_is_moved_by_more_than_the_most_either_way(rules: ShareRules, seed: int) -> None:
    dice, fair = random.Random(seed), shares(rules)
    for number in range(30):
        now = 600.0 * number
        asked = job(number, dice.choice("abc"), now, dice.uniform(0, 1e7))
        assert abs(fair.moved_back(asked, 100, now)) <= rules.most_moved
        if dice.random() < 0.5:
            fair.begin(number, 50, now)


def test_an_administrators_priorities_move_jobs_forward_or_back_with_fair_share_or_without() -> None:
    rules = ShareRules(priority_of_owners={"vip": HOUR, "cron": -HOUR}, priority_of_tags={"default": -60.0})
    for enabled in (False, True):
        fair = shares(replace(rules, enabled=enabled))
        moved = [
            fair.moved_back(job(n, owner, 0.0, host=f"10.0.0.{n}"), 100, 0.0)
            for n, owner in enumerate(("vip", "cron", "jane"))
        ]
        assert moved == [60.0 - HOUR, HOUR + 60.0, 60.0]


def test_a_limited_number_of_owners_is_remembered_and_those_that_used_least_are_forgotten() -> None:
    fair = shares()
    kept: dict[str, Share] = {}
    for number in range(3 * MOST_REMEMBERED):
        now = 10.0 * number
        fair.moved_back(job(number, f"owner {number}", now, host=f"host {number}"), 100, now)
        fair.begin(number, 50 if number == 7 else 1, now)
        fair.end(number, now + 5.0)
        for name, share in fair.take_news(Moment(now + 5.0, now + 5.0)).items():
            if share is None:
                kept.pop(name, None)
            else:
                kept[name] = share
    assert len(kept) <= MOST_REMEMBERED + 200
    assert kept["owner owner 7"].used == pytest.approx(250.0, rel=1e-3)


# On a site


@dataclass
class Site:
    """A site whose users' jobs end when they have had their boards for long enough."""

    rules: ShareRules
    started: dict[int, float] = field(default_factory=dict)
    ends: list[tuple[float, int]] = field(default_factory=list)
    lengths: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world = World(machine(4, 4))
        self.world.site.share_by(self.rules, self.world.at)

    def go_on(self, until: float) -> None:
        while self.ends and self.ends[0][0] <= until:
            self.world.now, number = heapq.heappop(self.ends)
            self.world.destroy(number)
            self._look()
        self.world.now = until

    def submit(self, at: float, boards: int, length: float, owner: str, host: str) -> int:
        self.go_on(at)
        request = JobRequest(AnyBoard() if boards == 1 else Boards(boards))
        number = self.world.create(request, keepalive=None, owner=owner, host=host)
        self.lengths[number] = length
        self._look()
        return number

    def _look(self) -> None:
        self.world.answer_all()
        for number, live in self.world.site.jobs.items():
            if live.record.allocation is not None and number not in self.started:
                self.started[number] = self.world.now
                heapq.heappush(self.ends, (self.world.now + self.lengths[number], number))


Submission = tuple[float, int, float, str, str]


def run(rules: ShareRules, trace: list[Submission]) -> dict[int, float]:
    """Return when each job started."""
    site = Site(rules)
    for at, boards, length, owner, host in trace:
        site.submit(at, boards, length, owner, host)
    site.go_on(1e9)
    return site.started


def arrivals(seed: int, gap: float, count: int, who: Callable[[random.Random], str]) -> Iterator[Submission]:
    dice, now = random.Random(seed), 0.0
    for _ in range(count):
        now += dice.expovariate(1 / gap)
        owner = who(dice)
        yield now, dice.choice((1, 3, 6, 12, 24, 48)), dice.lognormvariate(6.0, 1.0), owner, f"10.0.0.{owner}"


@given(st.integers(0, 2**32))
@examples(10)
def test_nothing_changes_for_an_owner_who_is_alone_however_greedy(seed: int) -> None:
    trace = list(arrivals(seed, 60.0, 120, lambda _: "1"))
    assert run(FAIR, trace) == run(OFF, trace)


def test_owners_who_want_the_same_wait_the_same() -> None:
    waits: dict[str, list[float]] = defaultdict(list)
    for seed in range(6):
        trace = list(arrivals(seed, 240.0, 150, lambda dice: dice.choice("123")))
        started = run(FAIR, trace)
        for (at, *_, owner, _), start in zip(
            trace, (started[number] for number in sorted(started)), strict=True
        ):
            waits[owner].append(start - at)
    means = sorted(fmean(some) for some in waits.values())
    assert means[0] > 60.0, "somebody must wait for this to say anything"
    assert means[-1] < 1.4 * means[0]


def test_who_asks_for_much_at_once_does_not_hold_up_who_comes_next() -> None:
    flood: list[Submission] = [(float(n) / 1000, 12, 600.0, "9", "10.0.0.9") for n in range(100)]
    trace = [*flood, (300.0, 12, 60.0, "1", "10.0.0.1"), (900.0, 12, 60.0, "2", "10.0.0.2")]
    before, after = run(OFF, trace), run(FAIR, trace)
    for number, (at, *_) in enumerate(trace[100:], 101):
        assert before[number] - at > 3 * HOUR
        assert after[number] - at <= 1200.0


def test_a_waiting_job_is_told_by_how_much_it_was_moved() -> None:
    site = Site(replace(FAIR, priority_of_owners={"vip": 2 * HOUR}))
    site.submit(0.0, 48, 600.0, "1", "10.0.0.1")
    first = site.submit(0.0, 48, 600.0, "1", "10.0.0.1")
    second = site.submit(0.0, 48, 600.0, "1", "10.0.0.1")
    third = site.submit(60.0, 48, 600.0, "vip", "10.0.0.2")
    told = {number: site.world.site.waiting(number) for number in (first, second, third)}
    begins = {number: waiting.sentence.partition(";")[0] for number, waiting in told.items() if waiting}
    assert begins == {
        first: "Number 2 of 3 in the queue",
        second: "Number 3 of 3 in the queue, moved back by 40 minutes by fair share and priorities",
        third: "Number 1 of 3 in the queue, moved forward by 2 hours by fair share and priorities",
    }


def test_fair_share_that_is_switched_on_counts_the_jobs_that_are_there() -> None:
    site = Site(OFF)
    for _ in range(3):
        site.submit(0.0, 48, 600.0, "1", "10.0.0.1")
    site.world.now = 500.0
    site.world.site.share_by(FAIR, site.world.at)
    moved = site.world.record(site.submit(500.0, 1, 60.0, "1", "10.0.0.1")).moved_back
    assert moved == pytest.approx(500.0 + 4 * 2 * 600.0, rel=0.01)
    other = site.world.record(site.submit(500.0, 1, 60.0, "2", "10.0.0.2"))
    assert other.moved_back == 0.0
    site.world.site.share_by(OFF, site.world.at)
    assert site.world.record(site.submit(500.0, 1, 60.0, "1", "10.0.0.1")).moved_back == 0.0


def test_a_restart_keeps_the_order_and_what_was_used() -> None:
    worlds = []
    for _ in range(2):
        site = Site(FAIR)
        for submission in arrivals(3, 30.0, 60, lambda dice: dice.choice("123")):
            site.submit(*submission)
        site.world.now += HOUR
        worlds.append(site.world)
    before, after = worlds
    after.restart()
    queue = [queued.job for queued in before.site.scheduler._queue]
    assert len(queue) > 10
    assert queue != sorted(queue)
    assert [queued.job for queued in after.site.scheduler._queue] == queue
    for owner in "1234":
        later = job(10_000, owner, after.now, host=f"10.0.0.{owner}")
        moved = [world.site.shares.moved_back(later, 48, world.now) for world in worlds]
        assert moved[1] == pytest.approx(moved[0])
        assert moved[0] > 0 or owner == "4"


def test_a_restart_changes_no_place_of_later_jobs_whatever_priorities_the_earlier_ones_had() -> None:
    exam = replace(machine(2, 2), tags=frozenset({"default", "exam"}))
    moved = []
    for restarts in (False, True):
        world = World(exam)
        world.site.share_by(replace(FAIR, priority_of_tags={"exam": 8 * HOUR}), world.at)

        def create(tag: str, hours: float, owner: str = "ann", world: World = world) -> int:
            request = JobRequest(Boards(12), tags=frozenset({tag}))
            return world.create(request, keepalive=None, owner=owner, time_limit=hours * HOUR)

        create("default", 80.0, "ben")
        gone = create("default", 2.0)
        create("default", 1.0)
        create("exam", 1.0)
        world.destroy(gone)
        world.wait(60.0)
        if restarts:
            world.restart()
        moved.append(world.record(create("default", 1.0)).moved_back)
    assert moved[1] == pytest.approx(moved[0])


def test_a_waiting_job_counts_after_a_restart_as_it_did_when_it_came() -> None:
    moved = []
    for restarts in (False, True):
        world = World(machine(2, 2))
        world.site.share_by(FAIR, world.at)
        first = [world.create(JobRequest(Boards(3)), keepalive=None, owner="ben") for _ in range(3)]
        world.answer_all()
        world.create(JobRequest(Boards(12)), keepalive=None, owner="ben")
        world.wait(5 * HOUR)
        for ended in first:
            # From now on, his jobs are expected to take much longer. The boards are not off yet.
            world.do(DestroyJob(ended), HOST)
        if restarts:
            world.restart()
        later = world.create(JobRequest(Boards(12)), keepalive=None, owner="ben")
        moved.append(world.record(later).moved_back)
    assert moved[1] == pytest.approx(moved[0])


def test_a_job_that_loses_its_boards_stands_in_its_owners_line_where_it_stood() -> None:
    fair = shares()
    moved = [fair.moved_back(job(number, "jane", 0.0), 100, 0.0) for number in range(1, 4)]
    fair.begin(1, 1, 0.0)
    fair.lose(1, 0.0)
    last = fair.moved_back(job(4, "jane", 0.0), 100, 0.0)
    assert moved[0] < moved[1] < moved[2] < last
    for number in (1, 2, 3):
        fair.end(number, 0.0)
    assert fair.moved_back(job(5, "jane", 0.0), 100, 0.0) > last, "it stands behind the one that is left"
