"""Configurations as editors leave them: half written, with byte order marks, in other encodings."""

import codecs
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_server.config.document import load
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.simulate.trace import TraceJob, read_trace
from spinnaker_virtual.configuration import MachineFileError
from spinnaker_virtual.scripts.virtual import machine_of, make_parser
from tests.spalloc_server.config.examples import CSV, OF_A_FILE, ONE_BOARD

MARK = codecs.BOM_UTF8
BEFORE_ALL_FILES = 1.0
"""A time of Unix, before all that tests write but for files that are given the time 0."""


@pytest.fixture
def while_it_waits(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Callable[[], object]]], None]:
    """Have something done at each of the reader's pauses; files written meanwhile are new, however slow the test is."""

    def plan(steps: list[Callable[[], object]]) -> None:
        left = list(steps)
        monkeypatch.setattr(time, "sleep", lambda _: left.pop(0)() if left else None)
        monkeypatch.setattr(time, "time", lambda: BEFORE_ALL_FILES)

    return plan


def test_a_file_that_an_editor_has_just_emptied_is_read_when_it_is_written(
    tmp_path: Path, while_it_waits: Callable[[list[Callable[[], object]]], None]
) -> None:
    site = tmp_path / "site.toml"
    site.write_text("")
    half = ONE_BOARD[:30]
    while_it_waits([lambda: site.write_text(half), lambda: site.write_text(ONE_BOARD)])
    assert [machine.name for machine in load(site).machines] == ["desk"]


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, while_it_waits: Callable[[list[Callable[[], object]]], None]
) -> None:
    site, new = tmp_path / "site.toml", tmp_path / "new.toml"
    site.write_text(ONE_BOARD)
    new.write_text(ONE_BOARD.replace("desk", "seat"))
    # As long, and written at the same moment: only that it is another file tells.
    for file in (site, new):
        os.utime(file, ns=(time.time_ns(), site.stat().st_mtime_ns))
    while_it_waits([lambda: new.replace(site)])
    assert [machine.name for machine in load(site).machines] == ["seat"]


def test_places_that_are_just_being_written_are_read_when_they_are_whole(
    tmp_path: Path, while_it_waits: Callable[[list[Callable[[], object]]], None]
) -> None:
    (tmp_path / "site.toml").write_text(OF_A_FILE)
    os.utime(tmp_path / "site.toml", (0, 0))
    places = tmp_path / "boards.csv"
    places.write_text(CSV[:40])
    while_it_waits([lambda: places.write_text(CSV)])
    assert len(load(tmp_path / "site.toml").machines[0].places) == 6


def test_a_file_that_never_stops_changing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site.toml"
    site.write_text(ONE_BOARD)

    def append(_: float) -> None:
        site.write_text(site.read_text() + "\n")

    monkeypatch.setattr(time, "sleep", append)
    monkeypatch.setattr(time, "time", lambda: BEFORE_ALL_FILES)
    with pytest.raises(ConfigurationError, match="keeps changing; try again when it is complete"):
        load(site)


def test_a_file_that_has_long_been_as_it_is_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site.toml").write_text(ONE_BOARD)
    os.utime(tmp_path / "site.toml", (0, 0))
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it was waited for"))
    assert load(tmp_path / "site.toml").machines


def test_a_configuration_may_come_from_a_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, ONE_BOARD.encode())
    os.close(writing)
    try:
        assert load(Path(f"/dev/fd/{reading}")).machines
    finally:
        os.close(reading)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_bytes(MARK + OF_A_FILE.replace("\n", "\r\n").encode())
    (tmp_path / "boards.csv").write_bytes(MARK + CSV.replace("\n", "\r\n").encode())
    assert len(load(tmp_path / "site.toml").machines[0].places) == 6
    (tmp_path / "trace.csv").write_bytes(MARK + b"submit,duration,boards\r\n1,2,3\r\n")
    assert read_trace(tmp_path / "trace.csv") == [TraceJob(1.0, 2.0, 3)]
    (tmp_path / "virtual.toml").write_bytes(MARK + b"width = 2\r\n")
    assert machine_of(make_parser().parse_args([str(tmp_path / "virtual.toml")])).size.width == 2


@pytest.mark.parametrize("damaged", ["site.toml", "boards.csv"])
def test_a_byte_order_mark_is_told_where_something_else_is_wrong(damaged: str, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(OF_A_FILE)
    (tmp_path / "boards.csv").write_text(CSV)
    file = tmp_path / damaged
    file.write_bytes(MARK + file.read_bytes().replace(b"0", b"-"))
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path / "site.toml")
    assert str(error.value).endswith(
        f"\nnote: {file} begins with a byte order mark, as editors on Windows write it; it was skipped"
    )


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-16", ":1: the file is in UTF-16; save it as UTF-8"),
        ("utf-32", ":1: the file is in UTF-32; save it as UTF-8"),
        ("utf-16-le", ": the file has zero bytes, as text in UTF-16 has; save it as UTF-8"),
        ("cp1252", ":3: the text is not in UTF-8"),
    ],
)
@pytest.mark.parametrize("damaged", ["site.toml", "boards.csv"])
def test_other_encodings_are_named(encoding: str, said: str, damaged: str, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(OF_A_FILE)
    (tmp_path / "boards.csv").write_text(CSV)
    text = (tmp_path / damaged).read_text().split("\n")
    text[2] += "é"
    (tmp_path / damaged).write_bytes("\n".join(text).encode(encoding))
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path / "site.toml")
    assert damaged in str(error.value)
    assert said in str(error.value)


def test_a_virtual_machine_in_utf_16_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "virtual.toml").write_text("width = 2\n", encoding="utf-16")
    with pytest.raises(MachineFileError, match="in UTF-16; save it as UTF-8"):
        machine_of(make_parser().parse_args([str(tmp_path / "virtual.toml")]))
