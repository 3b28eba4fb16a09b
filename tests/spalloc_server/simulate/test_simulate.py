"""`spalloc-server simulate`: what an administrator types and reads."""

import json
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from spalloc_server.core.machine import Machine
from spalloc_server.scripts.server import main
from spalloc_server.simulate.figures import figures, slowdown
from spalloc_server.simulate.picture import draw, occupancy_of
from spalloc_server.simulate.simulation import simulate
from spalloc_server.simulate.trace import TraceError, TraceJob, parse_trace
from spinnaker.geometry import Size

TRACE = "submit,duration,boards\n0,100,12\n10,50,12\n20,10,1\n"
"""On 2 x 2 triads: the second job waits 90 s for the first, the third 140 s for both."""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    return path


def test_the_figures_are_those_of_the_jobs_waits(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(trace), "--machine", "2x2", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures.pop("us_per_event") > 0
    assert figures == {
        "settings": "2x2 triads",
        "runs": 1,
        "started": 3,
        "refused": 0,
        "mean_wait": pytest.approx((0 + 90 + 130) / 3),
        "median_wait": 90.0,
        "p95_wait": 130.0,
        "max_wait": 130.0,
        "mean_slowdown": pytest.approx((1 + 140 / 50 + 140 / 10) / 3),
        "worst_owner": "",
        "worst_owner_slowdown": pytest.approx((1 + 140 / 50 + 140 / 10) / 3),
        "at_limit": 0,
        "requested_use": pytest.approx((1200 + 600 + 10) / (12 * 160)),
        "left_out": {},
        "reservations_left_out": 0,
    }


def test_people_are_told_the_same_in_words(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(trace), "--machine", "2x2"]) == 0
    told = capsys.readouterr().out
    assert "jobs started      3 of 3" in told
    assert "longest wait      130 s" in told


def test_jobs_that_can_never_run_are_named_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    assert main(["simulate", str(path), "--machine", "1x1"]) == 0
    told = capsys.readouterr().out
    assert "jobs started      1 of 3" in told
    assert "never: A rectangle with 12 boards can never be allocated: simulated has only 3 boards." in told


def test_the_same_seed_gives_the_same_dead_boards(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for seed in ("7", "7", "8"):
        assert (
            main(
                ["simulate", str(trace), "--machine", "4x4", "--dead-boards", "30", "--seed", seed, "--json"]
            )
            == 0
        )
        figures = json.loads(capsys.readouterr().out)
        told.append((figures["refused"], figures["mean_wait"]))
    assert told[0] == told[1]


def test_the_picture_is_svg(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "picture.svg"
    assert main(["simulate", str(trace), "--machine", "2x2", "--svg", str(picture)]) == 0
    root = ET.parse(picture).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert any(
        "trace.csv on 2x2 triads" in (text.text or "")
        for text in root.iter("{http://www.w3.org/2000/svg}text")
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("submit,boards\n", "does not name the column duration"),
        ("submit,duration,boards\n", "no jobs"),
        ("submit,duration,boards\n1,2,none\n", "line 2: boards is 'none'"),
        ("submit,duration,boards\n1,2,0\n", "line 2: boards is '0'"),
        ("submit,duration,boards\n1,2,1.5\n", "line 2: boards is '1.5'"),
        ("submit,duration,boards\n1,2,3\nnan,2,3\n", "line 3: submit is 'nan'"),
        ("submit,duration,boards\n1,-2,3\n", "line 2: duration is '-2'"),
        ("submit,duration,boards\n1,2\n", "line 2: boards is None"),
        ("submit,duration,boards,limit\n1,2,3,soon\n", "line 2: limit is 'soon'"),
        (
            "submit,duration,boards,limit\n1,2,3,0\n",
            "line 2: limit is '0'; it must be a number above 0, or empty",
        ),
    ],
)
def test_a_line_that_is_no_job_is_pointed_out(text: str, said: str) -> None:
    with pytest.raises(TraceError, match=said):
        parse_trace(text.splitlines(keepends=True), "t.csv")


def test_a_file_that_cannot_be_read_or_written_is_an_error_of_one_line(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", str(tmp_path / "none.csv"), "--machine", "2x2"]) == 1
    assert "none.csv: the file can't be read: No such file" in capsys.readouterr().err
    (tmp_path / "bytes.csv").write_bytes(b"\xff\x00")
    assert main(["simulate", str(tmp_path / "bytes.csv"), "--machine", "2x2"]) == 1
    assert "save it as UTF-8" in capsys.readouterr().err
    assert main(["simulate", str(trace), "--machine", "2x2", "--svg", str(tmp_path / "no" / "p.svg")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("size", ["20", "0x5", "axb", "-1x2", "9999x9999"])
def test_a_machine_of_no_size_is_refused(trace: Path, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(trace), f"--machine={size}"]) == 2
    assert size in capsys.readouterr().err


def test_owners_and_limits_may_be_there_and_may_be_empty() -> None:
    jobs = parse_trace("submit,duration,boards,owner,limit\n3,1,2,jane,60\n9,1,1,,\n".splitlines(), "t.csv")
    assert jobs == [TraceJob(3.0, 1.0, 2, "jane", 60.0), TraceJob(9.0, 1.0, 1)]


def test_a_job_that_reaches_its_limit_ends_there() -> None:
    jobs = [TraceJob(0.0, 100.0, 12, limit=40.0), TraceJob(1.0, 5.0, 12, limit=60.0)]
    history = simulate(Machine("m", Size(2, 2)), jobs, lambda: 0.0)
    assert [run.started for run in history.runs] == [0.0, 40.0]
    assert figures(history).at_limit == 1


def test_the_owner_whose_jobs_are_slowed_down_most_is_the_worst_off() -> None:
    jobs = [TraceJob(0.0, 100.0, 12, "ann"), TraceJob(50.0, 50.0, 12, "ben"), TraceJob(60.0, 10.0, 12, "ann")]
    found = figures(simulate(Machine("m", Size(2, 2)), jobs, lambda: 0.0))
    assert (found.worst_owner, found.worst_owner_slowdown) == ("ann", (1.0 + 100.0 / 10.0) / 2)


def test_jobs_shorter_than_ten_seconds_count_as_ten_and_none_is_faster_than_its_length() -> None:
    assert [slowdown(0.0, 1.0), slowdown(20.0, 1.0), slowdown(20.0, 20.0)] == [1.0, 2.1, 2.0]


def test_jobs_use_all_machines() -> None:
    jobs = [TraceJob(0.0, 10.0, 12), TraceJob(0.0, 10.0, 12), TraceJob(0.0, 10.0, 12)]
    history = simulate([Machine("a", Size(2, 2)), Machine("b", Size(2, 2))], jobs, lambda: 0.0)
    assert [run.allocation.machine for run in history.runs] == ["a", "b", "a"]
    assert figures(history).requested_use == 360 / (24 * 20)


def test_jobs_are_taken_in_the_order_of_their_submission() -> None:
    jobs = parse_trace("submit,duration,boards\n9,1,1\n3,1,2\n".splitlines(keepends=True), "t.csv")
    assert [job.submit for job in jobs] == [3.0, 9.0]


def test_boards_are_free_again_at_the_moment_a_job_ends() -> None:
    jobs = [TraceJob(0.0, 10.0, 12), TraceJob(10.0, 5.0, 12)]
    history = simulate(Machine("m", Size(2, 2)), jobs, lambda: 0.0)
    assert [run.started for run in history.runs] == [0.0, 10.0]
    assert figures(history).max_wait == 0.0


@pytest.mark.parametrize(("days", "unit"), [(2, "h"), (20, "d")])
def test_the_axis_of_a_long_picture_is_in_days(days: int, unit: str) -> None:
    drawn = draw([occupancy_of("t", 12, [(0.0, 0.0, days * 86_400.0, 12)])])
    labels = [text.text or "" for text in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]
    assert f"0 {unit}" in labels
    assert labels.count(f"{days if unit == 'd' else days * 24} {unit}") <= 1


def test_occupancy_changes_when_jobs_come_start_and_end() -> None:
    changes = occupancy_of("t", 12, [(0.0, 0.0, 100.0, 12), (10.0, 100.0, 150.0, 6)]).changes
    assert changes == ((0.0, 12, 0), (10.0, 0, 6), (100.0, -6, -6), (150.0, -6, 0))
    assert all(a[0] < b[0] for a, b in pairwise(changes))
