# What is kept for clients that watch: no more than can still be told.

from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.fronts.v1.watchers import Watchers


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
    watchers = Watchers(live.__contains__, lambda _: True)
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
