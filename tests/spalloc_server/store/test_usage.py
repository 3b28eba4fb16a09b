"""Who used what is what charges add up to: to a board-second, whatever the borders of the period."""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from math import fsum, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.charges import Charge
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.usage import By, Usage, UsageQuestion, Used
from spalloc_server.store.database import Store
from spalloc_server.store.usage import usage
from spinnaker.geometry import Board, Size
from tests.examples import examples
from tests.spalloc_server.store.test_database import a_job, running

BEGIN = 1.7e9
HOUR = 3600.0

moments = st.one_of(
    st.integers(0, 20).map(lambda hours: BEGIN + hours * HOUR), st.floats(BEGIN, BEGIN + 20 * HOUR)
)
spells = st.tuples(moments, moments).map(sorted)
# Of one job, all charges are of one owner, account and group.
PEOPLE = [("jane", None, None), ("jäne 雪", "jane", "lab"), ("jane", "joe", None), ("", "jane", "lab")]
charges = st.builds(
    lambda job, machine, boards, spell: Charge(job, *PEOPLE[job % len(PEOPLE)], machine, boards, *spell),
    st.integers(1, 6),
    st.sampled_from(["m", "n"]),
    st.integers(1, 1200),
    spells,
)


def live(number: int, allocated: float, boards: int, **changes: object) -> JobRecord:
    places = frozenset(Board(x, 0, 0) for x in range(boards))
    allocation = Allocation("m", Board(0, 0, 0), Size(boards, 1), places)
    return changed(running(number), allocation=allocation, allocated=allocated, **changes)


def naive(charges: Sequence[Charge], question: UsageQuestion) -> dict[str | None, Used]:
    jobs, used = defaultdict[str | None, set[int]](set), defaultdict[str | None, list[float]](list)
    for charge in charges:
        begun, ended = max(charge.begun, question.begins), min(charge.ended, question.ends)
        if begun < ended and question.account in (None, charge.account):
            who = getattr(charge, question.by.value)
            jobs[who].add(charge.job)
            used[who].append(charge.boards * (ended - begun))
    return {who: Used(who, len(jobs[who]), fsum(used[who])) for who in jobs}


def asked(
    charges: Sequence[Charge],
    question: UsageQuestion,
    now: float = BEGIN + 20 * HOUR,
    jobs: Sequence[JobRecord] = (),
) -> Usage:
    with closing(Store(None)) as store:
        store.write({job.id: job for job in jobs}, {}, charges=charges)
        found = store.usage(question, now, [job.id for job in jobs])
        # Without the IDs, each job is looked at.
        assert found == usage(store._database, question, now)
    return found


@examples(200)
@given(
    charges=st.lists(charges, max_size=8),
    period=spells.filter(lambda spell: spell[0] < spell[1]),
    by=st.sampled_from(By),
    account=st.sampled_from([None, "jane", "eve"]),
    now=moments,
    allocated=st.lists(moments, max_size=3),
)
def test_it_is_what_each_had_within_the_period_added_up(
    charges: list[Charge],
    period: list[float],
    by: By,
    account: str | None,
    now: float,
    allocated: list[float],
) -> None:
    question = UsageQuestion(*period, by, account)
    jobs = [
        live(5 + 4 * n, when, 1 + n, owner="jäne 雪", account="jane", group="lab")
        for n, when in enumerate(allocated)
    ]
    counted = [
        *charges,
        *[
            Charge(job.id, job.owner, "jane", "lab", "m", n + 1, job.allocated or 0.0, now)
            for n, job in enumerate(jobs)
        ],
    ]
    found = asked(charges, question, now, jobs)
    wanted = naive(counted, question)
    assert {used.who: used.jobs for used in found.parts} == {who: used.jobs for who, used in wanted.items()}
    for used in found.parts:
        assert isclose(used.board_seconds, wanted[used.who].board_seconds, abs_tol=0.01)
    assert [used.board_seconds for used in found.parts] == sorted(
        (used.board_seconds for used in found.parts), reverse=True
    )
    whole = naive([charge._replace(owner="all") for charge in counted], replace(question, by=By.OWNER))
    assert found.whole.jobs == (whole["all"].jobs if whole else 0)
    assert isclose(found.whole.board_seconds, fsum(used.board_seconds for used in found.parts), abs_tol=0.01)


@examples(100)
@given(charges=st.lists(charges, max_size=8), borders=st.lists(moments, min_size=2, max_size=6))
def test_the_parts_of_a_period_add_up_to_the_whole(charges: list[Charge], borders: list[float]) -> None:
    borders.sort()
    with closing(Store(None)) as store:
        store.write({}, {}, charges=charges)

        def used(begins: float, ends: float) -> float:
            return store.usage(UsageQuestion(begins, ends), ends, []).whole.board_seconds

        parts = [used(begins, ends) for begins, ends in pairwise(borders)]
        assert isclose(fsum(parts), used(borders[0], borders[-1]), abs_tol=0.01)


def test_a_job_that_was_moved_counts_once_and_for_each_machine_that_it_was_on() -> None:
    both = [
        Charge(1, "jane", None, None, "m", 3, BEGIN, BEGIN + 10.0),
        Charge(1, "jane", None, None, "n", 3, BEGIN + 20.0, BEGIN + 25.0),
    ]
    found = asked(both, UsageQuestion(BEGIN, BEGIN + 100.0))
    assert (found.parts, found.whole) == ([Used("jane", 1, 45.0)], Used(None, 1, 45.0))
    found = asked(both, UsageQuestion(BEGIN, BEGIN + 100.0, By.MACHINE))
    assert (found.parts, found.whole) == ([Used("m", 1, 30.0), Used("n", 1, 15.0)], Used(None, 1, 45.0))


def test_those_that_used_most_are_named_and_all_are_counted() -> None:
    many = [
        Charge(n, f"owner {n}", None, None, "m", 1, BEGIN, BEGIN + 10.0 - (n == 5) * 9.0) for n in range(10)
    ]
    found = asked(many, UsageQuestion(BEGIN, BEGIN + 100.0, most=9))
    assert [used.who for used in found.parts] == [f"owner {n}" for n in range(10) if n != 5]
    assert (found.left_out, found.whole) == (1, Used(None, 10, 91.0))


@pytest.mark.parametrize(("begins", "is_complete"), [(BEGIN, False), (BEGIN + 31.0, True)])
def test_it_is_told_if_charges_of_the_period_were_dropped(begins: float, is_complete: bool) -> None:
    with closing(Store(None)) as store:
        old = Charge(1, "jane", None, None, "m", 3, BEGIN, BEGIN + 30.0)
        store.write({}, {}, charges=[old])
        store.charges.drop(BEGIN + 40.0, 10)
        found = store.usage(UsageQuestion(begins, BEGIN + 100.0), BEGIN + 100.0, [])
        assert found.complete_since == BEGIN + 31.0
        assert found.is_complete is is_complete


def test_live_jobs_that_can_not_be_read_or_have_no_boards_are_left_out() -> None:
    with closing(Store(None)) as store:
        store.write({1: a_job(1), 2: live(2, BEGIN, 3), 3: live(3, BEGIN, 3)}, {})
        store._database.execute("UPDATE jobs SET record = X'FF' WHERE id = 3")
        found = usage(store._database, UsageQuestion(BEGIN, BEGIN + 10.0), BEGIN + 5.0)
        assert found.whole == Used(None, 1, 15.0)


def test_a_question_that_can_not_be_answered_leaves_the_records_usable() -> None:
    with closing(Store(None)) as store:
        store._database.execute("ALTER TABLE charges RENAME TO elsewhere")
        with pytest.raises(sqlite3.OperationalError):
            usage(store._database, UsageQuestion(BEGIN, BEGIN + 10.0), BEGIN)
        store.write({1: a_job(1)}, {})


def test_what_is_charged_for_jobs_in_the_history_is_what_the_history_says() -> None:
    """`allocated` and `ended` of jobs that were never moved, to a board-second."""
    jobs = [
        changed(
            live(n, BEGIN + n / 7, n % 5 + 1),
            state=JobState.destroyed,
            power=None,
            ended=BEGIN + n * 11 / 7,
        )
        for n in range(1, 200)
    ]
    counted = [
        Charge(
            job.id,
            job.owner,
            None,
            None,
            "m",
            len(job.allocation.boards),
            job.allocated or 0.0,
            job.ended or 0.0,
        )
        for job in jobs
        if job.allocation is not None
    ]
    found = asked(counted, UsageQuestion(BEGIN, BEGIN + 1000.0), jobs=jobs)
    from_history = fsum(
        len(job.allocation.boards) * ((job.ended or 0.0) - (job.allocated or 0.0))
        for job in jobs
        if job.allocation is not None
    )
    assert abs(found.whole.board_seconds - from_history) < 1.0
