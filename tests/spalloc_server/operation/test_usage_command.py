"""`spalloc-server usage`, as an administrator types it, and what the control socket answers."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import cast

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_server.operation.control.protocol import DONE, REFUSED, Answer
from spalloc_server.operation.usage_commands import UsageCommands
from spalloc_server.scripts.times import past_moment
from tests.processes import SERVER, spalloc_server
from tests.simulation.world import EPOCH
from tests.spalloc_server.fronts.v1.simulated import SimulatedFront, simulated_front
from tests.spalloc_server.operation.test_export import wait_for

READY = 3


def answer(front: SimulatedFront, **arguments: object) -> Answer:
    answers: list[Answer] = []

    async def hear() -> None:
        try:
            answers.append(await UsageCommands(front.engine).commands["usage.show"](arguments, "mary"))
        except ValueError as error:
            answers.append(Answer(2, str(error)))

    front.server.enter(lambda: front.server.start(hear()) and None)
    front.pass_time(0.5)
    (found,) = answers
    return found


def test_a_running_job_counts_up_to_now_and_one_that_has_ended_for_as_long_as_it_had_boards() -> None:
    with simulated_front() as front:
        peer = front.connect()
        peer.ask("create_job", 3, owner="jane", keepalive=None)
        peer.ask("create_job", 1, owner="joe", keepalive=None)
        front.pass_time(100.0)
        peer.ask("destroy_job", 1)
        front.pass_time(50.0)
        found = answer(front, **{"from": EPOCH, "to": EPOCH + 1e6})
        assert found.status == DONE
        period, *parts = found.lines
        assert [round(part.about["board_seconds"]) for part in parts] == [300, 150]  # type: ignore[call-overload]
        assert [part.about["owner"] for part in parts] == ["jane", "joe"]
        assert parts[0].text.startswith("jane: 1 jobs, 300 board-seconds")
        assert (period.about["jobs"], period.about["left_out"], period.about["complete_since"]) == (
            2,
            0,
            None,
        )
        found = answer(front, **{"from": EPOCH, "to": EPOCH + 1e6, "by": "group", "most": 1})
        assert [line.text for line in found.lines][1].startswith("no group: 2 jobs, ")


def test_what_was_used_is_what_the_history_says_to_a_board_second_and_adds_up() -> None:
    dice = Random(18)
    with simulated_front() as front:
        peer, live, begun = front.connect(), list[int](), front.engine.clock.wall()
        for _ in range(150):
            # Some wait for boards, and some never get any.
            size, owner = dice.choice((1, 2, 3, 6)), dice.choice(("jane", "joe", "eve"))
            live.append(front.call(peer, "create_job", size, owner=owner, keepalive=None))
            front.pass_time(dice.uniform(0.0, 400.0))
            if len(live) > 4:
                front.call(peer, "destroy_job", live.pop(dice.randrange(len(live))))
        for job in live:
            front.call(peer, "destroy_job", job)
        front.pass_time(1.0)
        ended = front.engine.clock.wall()
        expected, had_boards = defaultdict[str, float](float), 0
        for record in front.store.ended_jobs(None, None, 1000):
            if record.allocation is not None and record.allocated is not None and record.ended is not None:
                had_boards += 1
                boards = len(record.allocation.boards)
                expected[record.owner] += boards * (record.ended - record.allocated)
        assert 75 < had_boards < 150

        def used(begins: float, ends: float, by: str = "owner") -> dict[object, float]:
            period, *parts = answer(front, **{"from": begins, "to": ends, "by": by}).lines
            found = {part.about[by]: cast("float", part.about["board_seconds"]) for part in parts}
            assert abs(sum(found.values()) - cast("float", period.about["board_seconds"])) < 0.01
            return found

        for owner, board_seconds in used(begun, ended).items():
            assert abs(board_seconds - expected.pop(str(owner))) < 1.0
        assert not expected
        whole = sum(used(begun, ended).values())
        borders = [begun, *sorted(dice.uniform(begun, ended) for _ in range(5)), ended]
        for by in ("owner", "account", "group", "machine"):
            parts = [sum(used(*period, by).values()) for period in pairwise(borders)]
            assert abs(sum(parts) - whole) < 0.01


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({}, "Object missing required field `from`"),
        ({"from": 1.0, "to": 1.0}, "the period must begin before it ends"),
        ({"from": -1.0, "to": 1.0}, "Expected `float` >= 0"),
        ({"from": 0.0, "to": 1e12}, "Expected `float` < 253402300800"),
        ({"from": 0.0, "to": 1.0, "by": "host"}, "Invalid enum value 'host'"),
        ({"from": 0.0, "to": 1.0, "most": 0}, "Expected `int` >= 1"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], why: str) -> None:
    with simulated_front() as front:
        found = answer(front, **arguments)
        assert found.status == 2
        assert why in found.text


def test_records_that_can_not_be_read_are_told_of() -> None:
    with simulated_front() as front:

        def usage(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        front.store.usage = usage  # type: ignore[assignment]
        found = answer(front, **{"from": 0.0, "to": 1.0})
        assert found == Answer(REFUSED, "the records can't be read just now, try again later: disk I/O error")


NOW = datetime(2026, 12, 9, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("30d", NOW - timedelta(days=30)),
        ("1h30m", NOW - timedelta(hours=1.5)),
        ("2026-11-01 09:30+01:00", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("2026-11-01T09:30Z", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("2026-11-05", datetime(2026, 11, 5).astimezone()),
        ("2026-11", datetime(2026, 11, 1).astimezone()),
    ],
)
def test_moments_of_the_past_are_read_in_many_forms(text: str, moment: datetime) -> None:
    assert past_moment(f" {text} ", NOW) == moment


@pytest.mark.parametrize("tz", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_time_of_day_is_the_latest_one(tz: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", tz)
    time.tzset()
    try:
        now = NOW.astimezone()
        for hour in range(24):
            found = past_moment(f"{hour}:15", now)
            assert (found.hour, found.minute) == (hour, 15)
            assert timedelta(0) <= now - found < timedelta(days=1)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13", "25:00", "-3d", "9999999999d", "0d", "5"])
def test_what_is_no_moment_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"can't be read; it must be now, a time such as"):
        past_moment(text, NOW)


def run(*words: str | Path, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [*SERVER, "usage", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})})


def done(*words: str | Path) -> str:
    found = run(*words)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout


@pytest.mark.slow
def test_an_administrator_asks_a_running_server_and_a_killed_ones_records(tmp_path: Path) -> None:
    state = tmp_path / "state"
    socket = tmp_path / "state.socket"
    site = tmp_path / "site.toml"
    site.write_text(f'machine = []\n[state]\nfile = "{state}"\n')
    began = time.time()
    with (
        spalloc_server(["--virtual", "1x1", "--port", "0", "--state", str(state)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        assert done("--socket", socket).endswith(":\nno job had boards\n")
        first = client.create_job(1, owner="jane", keepalive=None)
        wait_for(client, first, READY)
        client.destroy_job(first)
        second = client.create_job(2, owner="jo\x1be,", keepalive=None)
        wait_for(client, second, READY)
        shown = done("--socket", socket).splitlines()
        assert shown[1].split() == ["Owner", "Jobs", "Board-hours", "Share"]
        assert [line.split()[0] for line in shown[2:]] == ["jo\\x1be,", "jane", "all"]
        found = json.loads(done(site, "--json", "--from", "1h", "--by", "machine"))
        assert found["by"] == "machine"
        assert [part["machine"] for part in found["usage"]] == ["virtual"]
        assert found["jobs"] == found["usage"][0]["jobs"] == 2
        assert 0 < found["board_seconds"] <= 3 * (time.time() - began)
        assert (found["complete_since"], found["left_out"]) == (None, 0)
        running.end(signal.SIGKILL)
    # As the records are now: what has boards still has them, until a start ends it.
    later = json.loads(done(site, "--json", "--by", "owner"))
    assert later["board_seconds"] >= found["board_seconds"]
    assert [part["owner"] for part in later["usage"]] == ["jo\x1be,", "jane"]
    rows = list(csv.DictReader(done("--state", state, "--csv").splitlines()))
    assert [(row["owner"], row["jobs"]) for row in rows] == [("jo\x1be,", "1"), ("jane", "1")]
    assert all(float(row["board_seconds"]) > 0 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (["--from", "tomorrow"], 2, "--from: 'tomorrow' can't be read; it must be now, a time such as"),
        (["--to", "1900-01-01"], 2, "--to '1900-01-01' is before 1970"),
        (["--from", "now", "--to", "1d"], 2, "must begin before it ends"),
        (["--socket", "a", "--state", "b"], 2, "give one of them"),
        (["--state", "nowhere"], 1, "there are no records in "),
        (["--socket", "nowhere"], 1, "no server listens at nowhere"),
        (["nowhere.toml"], 1, "name it with --socket FILE, or its records with --state RECORDS"),
        (["--csv", "--json"], 2, "not allowed with argument"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], status: int, why: str) -> None:
    found = run(*words)
    assert found.returncode == status
    assert why in found.stderr


@pytest.mark.slow
def test_charges_that_were_dropped_are_told_of(tmp_path: Path) -> None:
    from spalloc_server.core.charges import Charge
    from spalloc_server.store.database import Store

    store = Store(tmp_path / "state")
    store.write({}, {}, charges=[Charge(1, "jane", None, None, "m", 1, 1.7e9, 1.7e9 + 10.0)])
    store.charges.drop(1.7e9 + 20.0, 10)
    store.close()
    found = run("--state", tmp_path / "state", "--from", "2020-01-01", env={"TZ": "UTC"})
    assert found.stderr == (
        "charges of before 2023-11-14 22:13:31+00:00 are not kept any more, or not all of them\n"
    )
    assert run("--state", tmp_path / "state", "--from", "2024-01-01").stderr == ""
