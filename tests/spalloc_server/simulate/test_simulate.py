"""`spalloc-server simulate`: what an administrator types and reads."""

import json
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from spalloc_server.core.machine import Machine
from spalloc_server.scripts.server import main
from spalloc_server.simulate.picture import occupancy_of
from spalloc_server.simulate.simulation import figures, simulate
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
        "started": 3,
        "refused": 0,
        "mean_wait": pytest.approx((0 + 90 + 130) / 3),
        "median_wait": 90.0,
        "p95_wait": 130.0,
        "max_wait": 130.0,
        "requested_use": pytest.approx((1200 + 600 + 10) / (12 * 160)),
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


def test_jobs_are_taken_in_the_order_of_their_submission() -> None:
    jobs = parse_trace("submit,duration,boards\n9,1,1\n3,1,2\n".splitlines(keepends=True), "t.csv")
    assert [job.submit for job in jobs] == [3.0, 9.0]


def test_boards_are_free_again_at_the_moment_a_job_ends() -> None:
    jobs = [TraceJob(0.0, 10.0, 12), TraceJob(10.0, 5.0, 12)]
    history = simulate(Machine("m", Size(2, 2)), jobs, lambda: 0.0)
    assert [run.started for run in history.runs] == [0.0, 10.0]
    assert figures(history).max_wait == 0.0


def test_occupancy_changes_when_jobs_come_start_and_end() -> None:
    changes = occupancy_of("t", 12, [(0.0, 0.0, 100.0, 12), (10.0, 100.0, 150.0, 6)]).changes
    assert changes == ((0.0, 12, 0), (10.0, 0, 6), (100.0, -6, -6), (150.0, -6, 0))
    assert all(a[0] < b[0] for a, b in pairwise(changes))
