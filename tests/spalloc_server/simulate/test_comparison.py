"""`spalloc-server simulate` with several settings: what is compared, and how it is told."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.config.settings import Configuration
from spalloc_server.config.writing import to_toml
from spalloc_server.core.machine import Machine
from spalloc_server.scripts.server import main
from spalloc_server.simulate.trace import TraceJob
from spalloc_server.simulate.variation import Limits, varied
from spinnaker.geometry import Board, Size
from spinnaker.places import Frame, sequential_places
from tests.examples import examples

TRACE = "submit,duration,boards,owner,limit\n0,100,12,ann,\n10,50,12,ben,40\n20,10,1,ann,60\n"
LOG = """\
; MaxProcs: 12
; Queue: 1 {"machine": "room"}
; Queue: 2 {"tags": ["large"]}
1 0 -1 100 12 -1 -1 12 -1 -1 1 1 -1 -1 1 -1 -1 -1
2 1 -1 100 12 -1 -1 12 -1 -1 1 1 -1 -1 2 -1 -1 -1
3 2 -1  -1 -1 -1 -1 12 -1 -1 5 1 -1 -1 2 -1 -1 -1
"""


def site(*dead: Board) -> str:
    """Return the configuration of a site of 2 x 2 triads."""
    places = {board: at for board, at in sequential_places(Size(2, 2)).items() if board not in dead}
    addresses = {board: f"10.0.0.{place.board}" for board, place in places.items()}
    machine = Machine(
        "room",
        Size(2, 2),
        dead_boards=frozenset(dead),
        places=places,
        addresses=addresses,
        bmps={Frame(0, 0): "10.0.1.0"},
    )
    return to_toml(Configuration(None, (machine,)))


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trace.csv").write_text(TRACE)
    (tmp_path / "log.swf").write_text(LOG)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["simulate", *words]) == 0
    return capsys.readouterr().out


def figures(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, float]]:
    found = json.loads(told(capsys, *words, "--json"))
    return found if isinstance(found, list) else [found]


def mistake(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["simulate", *words]) in (1, 2)
    return capsys.readouterr().err


def test_settings_stand_below_one_another_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, "trace.csv", "--machine", "2x2", "--set", "patience=5", "--set", "patience=7").split(
        "\n"
    )
    assert [line[:24].strip() for line in lines[:4]] == [
        "settings",
        "2x2 triads",
        "2x2 triads, patience=5",
        "2x2 triads, patience=7",
    ]
    assert "ann: 7.0" in lines[1]


def test_limits_are_kept_taken_away_or_made_as_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("trace.csv", "--machine", "2x2", "--limits", "declared", "--limits", "none", "--limits", "made")
    found = figures(capsys, *words)
    assert [each["settings"] for each in found] == [
        "2x2 triads, limits declared",
        "2x2 triads, limits none",
        "2x2 triads, limits made",
    ]
    assert [each["at_limit"] for each in found] == [1, 0, 0]
    assert [each["max_wait"] for each in found] == [120.0, 130.0, 130.0]


def test_the_site_s_default_and_longest_limits_count_as_on_the_site(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("trace.csv", "--machine", "2x2", "--set", "jobs.default_time_limit=30", "--set")
    longest = (*words, "jobs.longest_time_limit=20s", "--limits")
    assert [each["at_limit"] for each in figures(capsys, *longest, "declared")] == [1, 2, 2]
    assert [each["at_limit"] for each in figures(capsys, *longest, "none")] == [0, 0, 0]


def test_a_site_s_fair_share_and_priorities_move_jobs_as_on_the_site(
    capsys: pytest.CaptureFixture[str], files: Path
) -> None:
    # All are for the whole machine: ann's ten, and then one of ben's.
    jobs = [f"{number},1000,12,ann" for number in range(10)]
    (files / "trace.csv").write_text("\n".join(["submit,duration,boards,owner", *jobs, "10,1000,12,ben", ""]))
    words = ("trace.csv", "--machine", "2x2", "--set", "fair_share.enabled=true", "--set")
    found = figures(capsys, *words, "priority.owners.ben=1h")
    assert [each["worst_owner"] for each in found] == ["ben", "ann", "ann"]
    assert [each["max_wait"] for each in found] == [9990.0, 9991.0, 9991.0]


def test_runs_change_lengths_a_little_and_tell_the_range(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("trace.csv", "--machine", "2x2", "--limits", "none", "--runs", "3")
    (found,) = figures(capsys, *words)
    ranges = found["ranges"]
    assert isinstance(ranges, dict)
    least, most = ranges["max_wait"]
    assert 128.5 <= least < found["max_wait"] < most <= 131.5
    (again,) = figures(capsys, *words)
    assert again["max_wait"] == found["max_wait"]
    (other,) = figures(capsys, *words, "--seed", "77")
    assert other["max_wait"] != found["max_wait"]
    assert "mean wait         74 s (73 to 74)" in told(capsys, *words)
    assert "runs              3, told as mean (least to most)" in told(capsys, *words)


def test_all_settings_are_in_one_picture(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    told(capsys, "trace.csv", "--machine", "2x2", "--machine", "1x1", "--set", "patience=5", "--svg", "p.svg")
    labels = [text.text for text in ET.parse(files / "p.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "trace.csv on 2x2 triads, 1x1 triads" in labels
    assert "trace.csv on 2x2 triads, 1x1 triads, patience=5" in labels


def test_sites_are_compared_with_their_machines_and_dead_boards(
    capsys: pytest.CaptureFixture[str], files: Path
) -> None:
    (files / "a.toml").write_text(site())
    (files / "b.toml").write_text(site(Board(0, 0, 1)))
    found = figures(capsys, "trace.csv", "--site", "a.toml", "--site", "b.toml")
    assert [each["settings"] for each in found] == ["a.toml", "b.toml"]
    assert [each["started"] for each in found] == [3, 1]


def test_jobs_go_where_they_asked_to_unless_machines_have_no_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (nameless,) = figures(capsys, "log.swf", "--machine", "2x2", "--machine", "2x2")
    assert (nameless["started"], nameless["max_wait"]) == (2, 0.0)
    (named,) = figures(capsys, "log.swf", "--machine", "room=2x2", "--machine", "hall=2x2:large,default")
    assert (named["started"], named["max_wait"]) == (2, 0.0)
    (alone,) = figures(capsys, "log.swf", "--machine", "room=2x2:large")
    assert (alone["started"], alone["max_wait"]) == (2, 99.0)
    text = told(capsys, "log.swf", "--machine", "hall=2x2:large")
    assert "jobs started      1 of 2" in text
    assert "never:" in text
    assert "room" in text
    assert "left out: 1 job of the log that never ran" in text


def test_reservations_of_a_site_are_not_simulated_and_that_is_said(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reservation = (
        '[[reservation]]\nname = "course"\nmachine = "room"\nreason = "a course"\n'
        "from = 2040-07-01T09:00:00Z\nto = 2040-07-02T09:00:00Z\n"
    )
    (files / "a.toml").write_text(f"{site()}\n{reservation}")
    assert "not simulated: 1 reservation" in told(capsys, "trace.csv", "--site", "a.toml")
    (files / "b.toml").write_text(site())
    both = ("trace.csv", "--site", "a.toml", "--site", "b.toml")
    assert "a.toml, not simulated: 1 reservation" in told(capsys, *both)
    assert [each["reservations_left_out"] for each in figures(capsys, *both)] == [1, 0]


def test_the_whole_of_a_log_s_machine_is_all_boards_that_are_not_dead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dead = [f"--dead-boards={number}" for number in (0, 11, 12)]
    found = [figures(capsys, "log.swf", "--machine", "2x2", each)[0] for each in dead]
    assert [each["started"] for each in found] == [2, 2, 0]


def test_a_setting_of_the_site_is_changed_and_checked(
    capsys: pytest.CaptureFixture[str], files: Path
) -> None:
    (files / "a.toml").write_text(site())
    found = figures(capsys, "trace.csv", "--site", "a.toml", "--set", "jobs.live=5", "patience=60")
    assert [each["settings"] for each in found] == ["a.toml", "a.toml, jobs.live=5, patience=60"]
    for words in (["--site", "a.toml"], ["--machine", "2x2"]):
        assert "jobs.lives is not a setting; did you mean 'live'?" in mistake(
            capsys, "trace.csv", *words, "--set", "jobs.lives=5"
        )
    assert "machine is no table" in mistake(capsys, "trace.csv", "--site", "a.toml", "--set", "machine.x=5")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say on which machines: --machine WxH, or --site CONFIG.toml"),
        (
            ["--machine", "a=2x2", "--machine", "a=3x3"],
            "two machines are called 'a'; give each a name of its own",
        ),
        (["--machine", "a=2x2=3"], "'a=2x2=3' is not a machine: expected WIDTHxHEIGHT in triads"),
        (
            ["--machine", "2x2", "--set", "pateince=5"],
            (
                "'pateince' is no parameter of the scheduler (a site's settings have the name of their table before "
                "them, such as jobs.live); did you mean 'patience'?"
            ),
        ),
        (
            ["--machine", "2x2", "--set", "patience=long"],
            "patience is 'long'; it must be a number of seconds",
        ),
        (
            ["--machine", "2x2", "--set", "patience=-3"],
            "patience is '-3'; it must be a number of seconds, 0 or more, such as 3000",
        ),
        (["--machine", "2x2", "--set", "patience=nan"], "patience is 'nan'; it must be a number of seconds"),
        (["--machine", "2x2", "--set", "patience"], "'patience' is not NAME=VALUE, such as patience=1800"),
        (["--machine", "2x2", "--runs", "0"], "'0' is not a number of runs, 1 to 1000"),
        (["--site", "none.toml"], "none.toml:1: the file can't be read"),
        (["--site", "empty.toml"], "empty.toml has no machine; a simulation needs one"),
        (["--site", "empty.toml", "--dead-boards", "3"], "--dead-boards is for --machine"),
        (["--machine", "2x2", "--processors-per-board", "0"], "'0' is not a number of processors, 1 to"),
    ],
)
def test_what_cannot_be_is_pointed_out(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], files: Path
) -> None:
    (files / "empty.toml").write_text("machine = []\n")
    assert said in mistake(capsys, "trace.csv", *words)


JOBS = st.builds(
    TraceJob,
    submit=st.just(0.0),
    duration=st.floats(0.0, 1e7),
    boards=st.just(1),
    limit=st.none() | st.floats(1.0, 1e7),
)


@examples(100)
@given(st.lists(JOBS, max_size=20), st.integers())
def test_made_limits_are_the_trace_s_own_or_round_and_end_no_job(jobs: list[TraceJob], seed: int) -> None:
    changed = varied(jobs, Limits.MADE, seed)
    for before, after in zip(jobs, changed, strict=True):
        assert after.limit is not None
        assert after.length == after.duration
        assert after.duration == pytest.approx(before.duration, rel=0.0101)
        if before.limit is not None and before.limit >= 1.02 * before.duration:
            assert after.limit == before.limit
    assert [job.limit for job in varied(jobs, Limits.NONE)] == [None] * len(jobs)
    assert varied(jobs, Limits.DECLARED) == jobs
