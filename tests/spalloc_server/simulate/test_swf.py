"""Logs in the Standard Workload Format: what is read of them, what is left out, and what is refused."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle
from spalloc_server.simulate.swf import FIELDS, parse_swf, read_swf
from spalloc_server.simulate.trace import TraceError, TraceJob
from spinnaker.geometry import Board, Size
from tests.examples import examples

# In the style of the archive's logs.
HEADER = """\
; Version: 2.2
; Computer: Linux Cluster (Athlon MP2000+)
; Installation: High-Performance Computing Center North (HPC2N), Sweden
; Information: http://www.hpc2n.umu.se/
; UnixStartTime: 1027839845
; TimeZoneString: Europe/Stockholm
; MaxNodes: 120
; MaxProcs: 240
; Note: Scheduler is Maui
; Queue: 1 the only one
;
"""
JOBS = """\
     1        0    20     3600    30     -1  2500    30    7200   1024  1   1   1  -1  1 -1 -1 -1
     2       60     0      -1     -1     -1    -1     8     600     -1  5   2   1  -1  1 -1 -1 -1
     3      120    12       0      1     -1    -1    -1      -1     -1  0   2   1  -1  1 -1 -1 -1
     4      130    12      -1      1     -1    -1    -1      -1     -1  1   2   1  -1  1 -1 -1 -1
     5      140    12      50     -1     -1    -1    -1      -1     -1  1   2   1  -1  1 -1 -1 -1
     6      150    12      50      4  17.25    -1     4      -1     -1  2   2   1  -1  1 -1 -1 -1
     7       -1    12      50      4     -1    -1     4      -1     -1  1   2   1  -1  1 -1 -1 -1
     8       90    12      50    240     -1    -1   240      -1     -1  1  -1  -1  -1  1 -1 -1 -1
"""


def line(**changes: object) -> str:
    """Return the line of a job of an hour with one processor; each change names a field as the format does."""
    names = ("number", "submit", "wait", "run", "allocated", "cpu", "memory", "asked", "limit")
    names += (
        "asked_memory",
        "status",
        "user",
        "group",
        "executable",
        "queue",
        "partition",
        "before",
        "think",
    )
    fields: dict[str, object] = dict.fromkeys(names, -1) | {"submit": 0, "run": 3600, "asked": 1, "status": 1}
    return " ".join(str(value) for value in (fields | changes).values())


def parsed(*lines: str, per_board: int | None = 1) -> Sequence[TraceJob]:
    return parse_swf(lines, "log.swf", per_board).jobs


def test_jobs_have_the_archives_fields_and_the_whole_log_becomes_the_whole_machine() -> None:
    trace = parse_swf((HEADER + JOBS).splitlines(keepends=True), "log.swf")
    assert trace.on(1200) == [
        TraceJob(0.0, 3600.0, 150, "1", 7200.0),
        TraceJob(90.0, 50.0, 1200),
        TraceJob(120.0, 0.0, 5, "2"),
    ]


def test_jobs_that_did_not_run_or_are_broken_are_counted() -> None:
    trace = parse_swf((HEADER + JOBS).splitlines(), "log.swf")
    assert trace.left_out == {
        "never ran": 1,
        "came without a known length": 1,
        "came without a known number of processors": 1,
        "came as part of a job that has a line of its own": 1,
        "came without a known time of submission": 1,
    }


def test_processors_become_boards_and_parts_of_a_board_a_whole_one() -> None:
    jobs = parsed(line(asked=1), line(asked=48), line(asked=49), per_board=48)
    assert [job.boards for job in jobs] == [1, 1, 2]


def test_a_log_without_the_size_of_its_machine_needs_to_be_told_what_a_board_is() -> None:
    with pytest.raises(TraceError, match="neither MaxProcs nor MaxNodes.*--processors-per-board"):
        parsed(line(), per_board=None)
    assert parsed("; MaxNodes: 10", line(asked=3), per_board=None)[0].boards == 3


def test_a_compressed_log_is_read_as_if_it_were_not(tmp_path: Path) -> None:
    (tmp_path / "log.swf").write_text(HEADER + JOBS)
    (tmp_path / "log.swf.gz").write_bytes(gzip.compress((HEADER + JOBS).encode()))
    assert read_swf(tmp_path / "log.swf.gz").jobs == read_swf(tmp_path / "log.swf").jobs


def test_comments_may_be_in_any_encoding(tmp_path: Path) -> None:
    (tmp_path / "log.swf").write_bytes("; Installation: Universität\n".encode("latin-1") + line().encode())
    assert len(read_swf(tmp_path / "log.swf", 1).jobs) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2 3", r"log.swf, line 2: it has 3 fields; a job has 18, separated by blanks"),
        (line(run="soon"), r"log.swf, line 2: field 4 is 'soon'; it must be a number, -1 if it is not known"),
        (line(run="nan"), r"line 2: field 4 is 'nan'"),
        (line(submit="1e999"), r"line 2: field 2 is '1e999'"),
        (line(run=-1), r"log.swf: it has no job that ran; 1 came without a known length"),
    ],
)
def test_a_line_that_is_no_job_is_pointed_out(text: str, said: str) -> None:
    with pytest.raises(TraceError, match=said):
        parse_swf(["; a comment", text], "log.swf", 1)


def test_a_file_that_cannot_be_read_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"none.swf: the file can't be read: No such file or directory"):
        read_swf(tmp_path / "none.swf")
    whole = gzip.compress((HEADER + JOBS).encode())
    for name, data in (("cut", whole[:-20]), ("damaged", whole[:20] + b"nonsense" + whole[28:])):
        path = tmp_path / f"{name}.swf.gz"
        path.write_bytes(data)
        with pytest.raises(TraceError, match="can't be read"):
            read_swf(path)
    (tmp_path / "long.swf").write_bytes(b"1 " * 60_000)
    with pytest.raises(TraceError, match="line 1: it is longer than 100000 bytes"):
        read_swf(tmp_path / "long.swf")


def test_owners_and_requests_are_read_from_the_comments_that_export_writes() -> None:
    jobs = parsed(
        '; User: 1 "jane doe"',
        '; Group: 7 "10.0.0.9"',
        '; Queue: 1 {"tags": ["large"]}',
        '; Queue: 2 {"args": [2, 3], "machine": "room"}',
        '; Queue: 3 {"args": [4, 5, 1]}',
        "; ProcessorsPerBoard: 1",
        line(user=1, group=7, queue=1, asked=7),
        line(user=2, queue=1),
        line(user="j%20d", queue=2, asked=18),
        line(user="%31", queue=3),
        line(queue=4),
        per_board=None,
    )
    assert [job.owner for job in jobs] == ["jane doe", "2", "j d", "1", ""]
    assert [job.host for job in jobs] == ["10.0.0.9", "", "", "", ""]
    large = frozenset({"large"})
    assert [job.request for job in jobs] == [
        JobRequest(Boards(7), tags=large),
        JobRequest(AnyBoard(), tags=large),
        JobRequest(Rectangle(Size(2, 3)), machine="room"),
        JobRequest(BoardAt(Board(4, 5, 1))),
        None,
    ]


@pytest.mark.parametrize("asked", ['{"boards": 3}', '{"args": ["x"]}', '{"tags": 5}', '{"args": [0, 1]}'])
def test_a_comment_that_is_no_request_is_pointed_out(asked: str) -> None:
    with pytest.raises(TraceError, match=r"log.swf, the comment Queue: 1: it is no request"):
        parsed(f"; Queue: 1 {asked}", line(queue=1))


def test_descriptions_in_words_and_nonsense_in_comments_change_nothing() -> None:
    comments = [
        "; Queue: 1 batch",
        "; User: 1 [",
        "; Queue: 1 " + "[" * 10_000,
        ";",
        "; :",
        ";;; MaxProcs: many",
    ]
    assert parsed(*comments, line(user=1, queue=1)) == (TraceJob(0.0, 3600.0, 1, "1"),)


NUMBERS = st.integers(-1, 10**6) | st.floats(-1.0, 1e9, width=32)


@examples(200)
@given(st.lists(st.lists(NUMBERS, min_size=FIELDS, max_size=FIELDS), min_size=1, max_size=20))
def test_every_line_of_numbers_is_a_job_that_can_be_run_or_is_counted(rows: list[list[float]]) -> None:
    lines = [" ".join(map(str, row)) for row in rows]
    try:
        trace = parse_swf(["; MaxProcs: 100", *lines], "log.swf")
    except TraceError as error:
        assert "it has no job that ran" in str(error)
        return
    assert len(trace.jobs) + sum(trace.left_out.values()) == len(rows)
    jobs = trace.on(48)
    assert all(1 <= job.boards <= 48 and job.submit >= 0 and job.length >= 0 for job in jobs)
    assert [job.submit for job in jobs] == sorted(job.submit for job in jobs)


@examples(200)
@given(st.text(max_size=200))
def test_any_text_is_a_log_or_an_error_that_names_it(text: str) -> None:
    try:
        parse_swf(text.splitlines(), "log.swf", 1)
    except TraceError as error:
        assert str(error).startswith("log.swf")
