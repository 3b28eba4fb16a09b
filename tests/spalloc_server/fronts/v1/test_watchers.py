"""What is kept for clients that watch: no more than can still be told."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.clock import SystemClock
from spalloc_server.core.site import Site
from spalloc_server.fronts.v1.codec import jobs_changed_line, machines_changed_line
from spalloc_server.fronts.v1.endings import EndingWatchers
from spalloc_server.fronts.v1.watchers import WATCHERS_A_TURN, Watchers


class Client:
    """One that reads what it is sent."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.kept = 0

    def tell(self, line: bytes) -> bool:
        self.lines.append(line)
        return True

    def keep(self, size: int) -> None:
        self.kept = size


@given(st.lists(st.sets(st.integers(1, 20), min_size=1), min_size=1, max_size=10))
def test_nothing_is_kept_of_jobs_that_have_ended_however_long_their_watcher_stays(
    ends: list[set[int]],
) -> None:
    live = set(range(1, 21))
    watchers = Watchers(live.__contains__, lambda _: True, EndingWatchers(Site([]), SystemClock()))
    client = Client()
    for job in live:
        watchers.watch_job(client, job)
    for ended in ends:
        live -= ended
        watchers.jobs_changed(ended)
        nobody = Client()
        for job in live:
            watchers.watch_job(nobody, job)
        assert client.kept == nobody.kept, "as much as for one who never watched the others"
        watchers.forget(nobody)
    assert (client in watchers) == bool(live)


@given(st.lists(st.sampled_from(["job", "machine"]), min_size=1, max_size=5), st.integers(0, 60))
def test_thousands_who_watch_one_thing_are_all_told_but_others_have_their_turn_in_between(
    changes: list[str], leave: int
) -> None:
    many = [Client() for _ in range(20 * WATCHERS_A_TURN)]

    async def turns() -> list[int]:
        watchers = Watchers(lambda _: True, lambda _: True, EndingWatchers(Site([]), SystemClock()))
        for client in many:
            watchers.watch_job(client, 1)
            watchers.watch_machine(client, "m")
        told = [0]
        for change in changes:
            if change == "job":
                watchers.jobs_changed({1})
            else:
                watchers.machines_changed({"m"})
            told.append(sum(len(client.lines) for client in many))
        for client in many[:leave]:
            watchers.forget(client)
        while told[-1] > told[-2] or len(told) < len(changes) + 5:
            await asyncio.sleep(0)
            told.append(sum(len(client.lines) for client in many))
        assert not any(client.kept > many[-1].kept for client in many)
        return told

    told = asyncio.run(turns())
    assert max(after - before for before, after in pairwise(told)) <= 2 * WATCHERS_A_TURN
    lines = {jobs_changed_line([1]) if what == "job" else machines_changed_line(["m"]) for what in changes}
    assert all(set(client.lines) == lines for client in many[leave:])
