"""The order in which waiting jobs came, which jobs that were moved take up again."""

from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.request_groups import Alike, Arrivals, Queued, RequestGroups
from spalloc_server.core.requests import AnyBoard, JobRequest

ALIKE = Alike(RequestGroups().begin(JobRequest(AnyBoard())), "me", None)


class Since(float):
    """A time that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: float) -> bool:
        Since.compared += 1
        return super().__lt__(other)


def add(arrivals: Arrivals, job: int, since: float) -> None:
    arrivals.add(Queued(job, ALIKE, (since, job), 0))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 3))))
def test_jobs_are_in_the_order_in_which_they_came_whatever_comes_and_goes(
    changes: list[tuple[bool, int, int]],
) -> None:
    arrivals, oracle = Arrivals(), dict[int, tuple[int, int]]()
    for comes, job, since in changes:
        if comes and job not in oracle:
            add(arrivals, job, since)
            oracle[job] = since, job
        elif job in oracle and not comes:
            arrivals.pop(job)
            del oracle[job]
        if since:
            continue
        in_order = sorted(oracle, key=oracle.__getitem__)
        assert [queued.job for queued in arrivals] == in_order
        assert [arrivals.position(job) for job in in_order] == list(range(1, len(in_order) + 1))


def test_hundreds_of_moved_jobs_are_put_in_order_once() -> None:
    arrivals = Arrivals()
    for job in range(1000):
        add(arrivals, job, Since(1000 + job))
    for job in range(1000, 1500):
        add(arrivals, job, Since(job - 1000))
    Since.compared = 0
    assert next(iter(arrivals)).job == 1000
    assert Since.compared < 10 * 1500, "each of the 500 would cost 1,000 comparisons"
