"""`spalloc-server export`: the history that a server wrote, as a log that `simulate` reads."""

import gzip
import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle
from spalloc_server.scripts.server import main
from spalloc_server.simulate.export import Log, Owners
from spalloc_server.simulate.swf import FIELDS, parse_swf
from spalloc_server.simulate.trace import Trace, TraceError
from spalloc_server.store.database import Store
from spinnaker.geometry import Board, Size
from tests.examples import examples

BEGIN = 1.7e9
"""A moment of Unix time."""
ON_ROOM = Allocation("room", Board(0, 0, 0), Size(1, 1), frozenset({Board(0, 0, 0), Board(0, 0, 1)}))


def job(number: int = 1, **changes: object) -> JobRecord:
    """Return a job that came at `BEGIN`, waited 10 s, had two boards for 100 s, and was ended by its owner."""
    record = JobRecord(
        id=number,
        owner="jane",
        created=BEGIN,
        keepalive=None,
        request=JobRequest(Boards(2)),
        asked=Asked((2,), {}),
        keepalive_host="10.0.0.9",
        state=JobState.destroyed,
        allocation=ON_ROOM,
        allocated=BEGIN + 10.0,
        ended=BEGIN + 110.0,
        owner_host="10.0.0.9",
        ended_by="10.0.0.9",
    )
    return changed(record, **changes)


def fields(*jobs: JobRecord, owners: Owners = Owners.TABLE) -> list[list[str]]:
    return [line.split() for line in log(*jobs, owners=owners) if not line.startswith(";")]


def log(*jobs: JobRecord, owners: Owners = Owners.TABLE) -> list[str]:
    made = Log(BEGIN + 1000.0, owners)
    for each in jobs:
        made.add(each)
    return list(made.lines())


def trace(*jobs: JobRecord, owners: Owners = Owners.TABLE) -> Trace:
    return parse_swf(log(*jobs, owners=owners), "log.swf")


def test_a_line_says_when_a_job_came_how_long_it_waited_and_what_it_had() -> None:
    (line,) = fields(job(time_limit=299.5))
    assert " ".join(line) == "1 0 10 100 2 -1 -1 2 300 -1 1 1 1 -1 1 1 -1 -1"


@pytest.mark.parametrize(
    ("what", "wait_and_run", "status"),
    [
        (job(ended_by=None), ["10", "100"], "0"),
        (job(allocation=None, allocated=None), ["110", "-1"], "5"),
        (job(allocated=None), ["-1", "-1"], "1"),
        (job(state=JobState.ready, power=True, ended=None, ended_by=None), ["10", "990"], "-1"),
        (
            job(state=JobState.queued, allocation=None, allocated=None, ended=None, ended_by=None),
            ["1000", "-1"],
            "-1",
        ),
        (job(allocated=BEGIN - 5.0), ["0", "115"], "1"),
    ],
    ids=[
        "ended by the server",
        "never had boards",
        "of an older server",
        "has boards",
        "waits",
        "clock set back",
    ],
)
def test_what_is_not_known_is_minus_one(what: JobRecord, wait_and_run: list[str], status: str) -> None:
    (line,) = fields(what)
    assert line[2:4] == wait_and_run
    assert line[10] == status


def test_the_header_says_what_each_field_is_and_since_when_the_log_is() -> None:
    comments = [line for line in log(job()) if line.startswith(";")]
    assert "; UnixStartTime: 1700000000" in comments
    assert "; StartTime: Tue Nov 14 22:13:20 UTC 2023" in comments
    assert "; MaxJobs: 1" in comments
    assert '; User: 1 "jane"' in comments
    assert '; Partition: 1 "room"' in comments
    assert any("requested time (9) is the job's time limit" in line for line in comments)


@pytest.mark.parametrize("owner", ["jane", "jane doe", "7", "-1", "é\n;\t", "1e3", "%41", "nan"])
def test_owners_are_a_table_or_names_or_numbers_and_are_read_again(owner: str) -> None:
    jobs = job(1, owner="ann"), job(2, owner=owner)
    assert [each.owner for each in trace(*jobs).jobs] == ["ann", owner]
    assert [each.owner for each in trace(*jobs, owners=Owners.NAMES).jobs] == ["ann", owner]
    assert [each.owner for each in trace(*jobs, owners=Owners.NUMBERS).jobs] == ["1", "2"]
    assert [each.host for each in trace(*jobs).jobs] == ["10.0.0.9"] * 2
    assert [each.host for each in trace(*jobs, owners=Owners.NUMBERS).jobs] == ["host 1"] * 2
    assert not any("ann" in line or "10.0.0.9" in line for line in log(*jobs, owners=Owners.NUMBERS))


def test_jobs_are_in_the_order_in_which_they_came() -> None:
    lines = fields(job(1, created=BEGIN + 5.0), job(2))
    assert [line[:2] for line in lines] == [["1", "0"], ["2", "5"]]


SHAPES = st.one_of(
    st.just(AnyBoard()),
    st.builds(Boards, st.integers(2, 1000)),
    st.builds(Rectangle, st.builds(Size, st.integers(1, 20), st.integers(1, 20))),
    st.builds(BoardAt, st.builds(Board, st.integers(0, 9), st.integers(0, 9), st.integers(0, 2))),
)
REQUESTS = st.builds(
    JobRequest,
    shape=SHAPES,
    machine=st.none() | st.text(min_size=1, max_size=10),
    tags=st.just(frozenset({"default"})) | st.frozensets(st.text(max_size=5), max_size=3),
    min_ratio=st.floats(0.0, 1.0),
    max_dead_boards=st.none() | st.integers(0, 9),
    max_dead_links=st.none() | st.integers(0, 9),
).map(lambda request: replace(request, tags=frozenset({"default"})) if request.machine else request)
SECONDS = st.floats(0.0, 1e6)
JOBS = st.builds(
    lambda request, owner, wait, length, limit: job(
        request=request,
        owner=owner,
        allocated=BEGIN + wait,
        ended=BEGIN + wait + length,
        time_limit=limit,
    ),
    REQUESTS,
    st.text(max_size=20),
    SECONDS,
    SECONDS,
    st.none() | st.floats(1.0, 1e6),
)


@examples(100)
@given(st.lists(JOBS, min_size=1, max_size=10), st.sampled_from([Owners.TABLE, Owners.NAMES]))
def test_what_is_exported_is_what_is_replayed(jobs: list[JobRecord], owners: Owners) -> None:
    lines = log(*jobs, owners=owners)
    assert all(line.startswith("; ") or len(line.split()) == FIELDS for line in lines)
    replayed = parse_swf(lines, "log.swf").jobs
    for record, found in zip(jobs, replayed, strict=True):
        assert record.allocated is not None
        assert record.ended is not None
        assert found.submit == 0.0
        assert found.duration == pytest.approx(record.ended - record.allocated, abs=0.51)
        assert found.owner == record.owner
        assert found.request == record.request
        assert found.limit == pytest.approx(record.time_limit, abs=1.0)


# The command


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Path]:
    store = Store(tmp_path / "state")
    jobs = [job(1), job(2, owner="ben", created=BEGIN + 3e6, allocated=BEGIN + 3e6, ended=BEGIN + 4e6)]
    store.write({each.id: each for each in jobs}, {})
    store.close()
    return tmp_path / "state"


def export(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["export", *map(str, words)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["export", *map(str, words)]) in (1, 2)
    return capsys.readouterr().err


def test_the_log_of_a_stopped_server_is_written_and_its_records_stay_as_they_are(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    out = tmp_path / "last.swf"
    assert export(capsys, "--state", records, out) == f"{out} has 2 jobs\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert after.pop("last.swf").count(b"\n1 0 10 100 2 ") == 1
    assert after == before


def test_the_log_of_a_server_that_runs_is_written(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(records)
    store.write({3: job(3)}, {})
    try:
        assert "has 3 jobs" in export(capsys, "--state", records, tmp_path / "log.swf")
    finally:
        store.close()


def test_a_log_can_be_compressed_and_go_to_standard_output(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(capsys, "--state", records, tmp_path / "log.swf.gz")
    packed = gzip.decompress((tmp_path / "log.swf.gz").read_bytes()).decode()
    assert main(["export", "--state", str(records), "-"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-2:] == packed.splitlines()[-2:]
    assert captured.err == "- has 2 jobs\n"


def test_only_the_jobs_of_the_last_days_are_written_if_wanted(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spalloc_server.store.backup.time.time", lambda: BEGIN + 3e6 + 86_400.0)
    assert "has 1 job\n" in export(capsys, "--state", records, "--days", "2", tmp_path / "log.swf")
    assert '; User: 1 "ben"' in (tmp_path / "log.swf").read_text()


def test_a_file_that_is_there_is_replaced_only_if_wanted(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "log.swf"
    out.write_text("mine")
    assert "is there already" in refused(capsys, "--state", records, out)
    assert out.read_text() == "mine"
    export(capsys, "--state", records, "--overwrite", out)
    assert out.read_text().startswith("; Version: 2.2\n")


def test_records_that_cannot_be_read_are_counted(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(records)
    store._database.execute("UPDATE jobs SET record = x'7b7d' WHERE id = 1")
    store.close()
    said = export(capsys, "--state", records, tmp_path / "log.swf")
    assert said.endswith("log.swf has 1 job; the records of 1 more job can't be read\n")
    assert "the records of 1 more job can't be read" in (tmp_path / "log.swf").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--state", "none", "log.swf"], "there are no records in"),
        (["--state", "state", "--days", "0", "log.swf"], "'0' is not a number of days above 0"),
        (["--state", "state", "no/log.swf"], "there is no folder"),
        (["--state", "state", "--owners", "--anonymous", "log.swf"], "not allowed with argument"),
    ],
)
def test_what_cannot_be_is_said(
    words: list[str],
    said: str,
    records: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(records.parent)
    assert said in refused(capsys, *words)


def test_an_exported_log_is_simulated_with_boards_as_boards(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(capsys, "--state", records, tmp_path / "log.swf")
    assert main(["simulate", str(tmp_path / "log.swf"), "--machine", "1x1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["started"], found["max_wait"], found["worst_owner"]) == (2, 0.0, "jane")
    with pytest.raises(TraceError, match="no job that ran"):
        trace(job(allocation=None, allocated=None))
