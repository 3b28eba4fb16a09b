"""What the scheduler promises on whole workloads, in simulated time: nothing here is timed."""

from pathlib import Path

import pytest

from benchmarks.scheduling import floors
from benchmarks.scheduling.failures import FAILURES, Restarted
from benchmarks.scheduling.rules import MACHINE, made_trace, waits, without_geometry
from spalloc_server.core.machine import Machine
from spalloc_server.simulate.simulation import simulate
from spalloc_server.simulate.trace import TraceJob
from spalloc_server.simulate.variation import Limits, varied

HOUR = 3600.0
LIMIT = 2 * HOUR
"""So much longer a wait may be in a short trace, where luck decides."""
BUSY = made_trace(11, 0.9, jobs=300, size=MACHINE, largest=520)


def flood() -> list[TraceJob]:
    """Return jobs of ten minutes that keep the whole machine busy for a day, and one for all of it each hour."""
    small = [TraceJob(second, 600.0 + second % 7, 60) for second in range(0, 24 * 3600, 32)]
    large = [TraceJob(hour * HOUR, 300.0, MACHINE.boards) for hour in range(1, 24)]
    return sorted([*small, *large], key=lambda job: job.submit)


@pytest.mark.parametrize("limits", [Limits.NONE, Limits.MADE])
def test_jobs_for_the_whole_machine_start_while_small_ones_keep_coming(limits: Limits) -> None:
    history = simulate(Machine("m", MACHINE), varied(flood(), limits), lambda: 0.0)
    last = max(job.submit for job in flood())
    large = [run for run in history.runs if run.job.boards == MACHINE.boards]
    others = [run.wait for run in history.runs if run.job.boards < MACHINE.boards]

    assert len(history.runs) == len(flood())
    assert min(run.started for run in large) < last / 3
    assert sum(others) / len(others) < 2 * HOUR


@pytest.mark.parametrize("what", FAILURES)
def test_nobody_starves_when_something_is_wrong(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floors, "RUNS", 1)
    jobs = FAILURES[what](BUSY)
    mean, longest = floors.waits_of(jobs, Limits.DECLARED)
    fifo = waits(without_geometry(jobs, MACHINE.boards, patience=0.0))

    assert mean <= 1.2 * fifo.mean
    assert longest <= 2.0 * fifo.longest + LIMIT


def test_a_server_that_often_forgets_what_it_kept_serves_nobody_much_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Restarted, "EVENTS", 100)
    monkeypatch.setattr(floors, "RUNS", 1)
    jobs = varied(BUSY, Limits.MADE)
    mean, longest = floors.waits_of(jobs, Limits.DECLARED)
    often, latest = floors.waits_of(jobs, Limits.DECLARED, Restarted)

    assert often <= 1.5 * mean
    assert latest <= 1.5 * longest


def test_the_table_says_when_a_trace_is_not_as_good_as_it_must_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "few.csv"
    path.write_text("submit,duration,boards\n0,100,1200\n0,100,1200\n", encoding="utf-8")
    monkeypatch.setattr(floors, "FLOORS", {"few": ((51.0, 102.0), (51.0, 102.0))})
    assert floors.main([str(path)]) == 0
    assert "| few | 50 / 100 | 51 / 102 | 50 / 100 | 51 / 102 |" in capsys.readouterr().out

    monkeypatch.setattr(floors, "FLOORS", {"few": ((51.0, 99.0), (51.0, 102.0))})
    assert floors.main([str(path)]) == 1
