"""An administrator makes and removes reservations: real processes, virtual boards."""

import getpass
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.states import JobState
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Size
from tests.processes import SERVER, spalloc_server
from tests.spalloc_server.operation.boards import virtual_machines, write

pytestmark = pytest.mark.slow

ME = getpass.getuser()


@pytest.fixture(scope="module")
def machines() -> Iterator[list[Machine]]:
    with virtual_machines(Size(2, 1)) as found:
        yield found


@pytest.fixture
def site(machines: list[Machine], tmp_path: Path) -> Path:
    return write(tmp_path / "site.toml", machines)


def reservations(*words: object, zone: str = "UTC") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*SERVER, "reservations", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "TZ": zone},
    )


def listed(site: Path) -> list[dict[str, object]]:
    shown = reservations(site, "list", "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)["reservations"]
    assert isinstance(found, list)
    return found


def reload(site: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*SERVER, "reload", str(site)], capture_output=True, text=True)


def configured(name: str, begins: datetime, owner: str = "joe") -> str:
    """A reservation of all boards for an hour, as the configuration has it."""
    return (
        f'[[reservation]]\nname = "{name}"\nmachine = "a"\nfrom = {begins.isoformat()}\n'
        f'to = {(begins + timedelta(hours=1)).isoformat()}\nowners = ["{owner}"]\nreason = "x"\n'
    )


def wait_for(client: ProtocolClient, job: int, state: JobState) -> None:
    client.notify_job(job)
    while client.get_job_state(job)["state"] != state:
        client.wait_for_notification(timeout=30.0)


def test_a_reservation_made_in_local_time_is_told_with_its_offset_and_stays_through_a_restart(
    site: Path,
) -> None:
    with spalloc_server([str(site)]):
        made = reservations(
            site, "add", "course", "a", "0,0,0", "0,0,1", "--from", "2040-07-01 09:00", "--for", "1h30m",
            "--owner", "jane", "--owner", "joe", "--reason", "a course", zone="Europe/Berlin",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        assert made.stdout == (
            "reserved from 2040-07-01 09:00:00+02:00 to 2040-07-01 10:30:00+02:00: course: 2 boards of a for jane, "
            "joe; ends jobs of others: a course\n"
        )
    with spalloc_server([str(site)]):
        (one,) = listed(site)
        assert (one["name"], one["by"], one["state"]) == ("course", ME, "to come")
        assert one["from"] == datetime.fromisoformat("2040-07-01T07:00:00Z").timestamp()
        lines = reservations(site, "list", zone="Europe/Berlin").stdout.splitlines()
        assert re.split(" {2,}", lines[0]) == [
            "Name", "Is", "From", "To", "Boards", "For", "Others there", "By", "Why",
        ]  # fmt: skip
        assert re.split(" {2,}", lines[1]) == [
            "course", "to come", "2040-07-01 09:00:00+02:00", "2040-07-01 10:30:00+02:00", "2 of a", "jane, joe",
            ME, "a course",
        ]  # fmt: skip
        removed = reservations(site, "remove", "course")
        assert removed.stdout == "1 reservation is removed\n"
        assert reservations(site, "list").stdout == "there are no reservations\n"


def test_jobs_end_for_a_reservation_that_begins_now_only_if_that_is_said(site: Path) -> None:
    with spalloc_server([str(site)]) as running, ProtocolClient(running.host, running.port) as client:
        job = client.create_job(0, 0, 1, owner="joe", keepalive=None)
        wait_for(client, job, JobState.ready)
        words = ["add", "cable", "a", "--for", "2h", "--reason", "a cable"]
        refused = reservations(site, *words)
        assert (refused.returncode, refused.stdout) == (3, f"job {job} of joe would lose 1 board of it\n")
        assert "nothing is changed: 1 job would end at " in refused.stderr
        made = reservations(site, *words, "--now")
        assert made.returncode == 0, made.stderr
        assert made.stdout.startswith(f"job {job} of joe has 1 board of it now, and ends now\n")
        wait_for(client, job, JobState.destroyed)
        reason = client.get_job_state(job)["reason"]
        assert reason is not None
        assert reason.startswith("Its boards are reserved for maintenance from ")
        waiting = client.create_job(0, 0, 1, owner="joe", keepalive=None)
        client.get_job_state(waiting)
        reservations(site, "remove", "cable")
        wait_for(client, waiting, JobState.ready)


def test_a_reload_with_reservations_says_which_jobs_would_end_and_what_they_overlap(
    machines: list[Machine], site: Path
) -> None:
    now = datetime.now().astimezone()
    with spalloc_server([str(site)]) as running, ProtocolClient(running.host, running.port) as client:
        job = client.create_job(0, 0, 1, owner="jane", keepalive=None)
        wait_for(client, job, JobState.ready)
        write(site, machines, configured("late", now + timedelta(days=1)))
        done = reload(site)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith('reservation "late" is new\n')
        write(site, machines, configured("now", now))
        refused = reload(site)
        assert refused.returncode == 3
        assert f"job {job} of jane would end: Its boards are reserved for joe from " in refused.stdout
        made = reservations(site, "add", "cable", "a", "--from", (now + timedelta(days=3)).isoformat(), "--for", "1h",
                            "--reason", "x")  # fmt: skip
        assert made.returncode == 0, made.stderr
        write(site, machines, configured("clash", now + timedelta(days=3)))
        refused = reload(site)
        assert refused.returncode == 1
        assert "reservation clash overlaps the reservation cable" in refused.stderr
        assert [one["name"] for one in listed(site)] == ["late", "cable"]
        assert reservations(site, "remove", "late").stderr == (
            "reservation late is in the configuration: take it out there, and reload\n"
        )


def test_what_can_not_be_done_is_told(site: Path) -> None:
    later = ["--from", "2040-01-01", "--reason", "x"]
    with spalloc_server([str(site)]):
        for words, status, said in [
            (
                ["add", "x", "a", *later, "--for", "2q"],
                2,
                "--for '2q' can't be read; it must be a duration above 0",
            ),
            (
                ["add", "x", "a", *later, "--to", "soon"],
                2,
                "--to 'soon' can't be read; it must be now, a time of day",
            ),
            (["add", "x", "a", *later], 2, "one of the arguments --to --for is required"),
            (["add", "x", "a", "--for", "1h"], 2, "required: --reason"),
            (["add", "x", *later, "--for", "1h"], 1, "no board is named"),
            (["add", "x", "a", *later, "--for", "400d"], 1, "is 400 days long; 366 are allowed"),
            (["add", "x", "a", *later, "--for", "999999999d"], 2, "is too long"),
            (["add", "x", "--tag", "y", *later, "--for", "1h"], 1, "no machine has the tag 'y'"),
            (["remove", "x"], 1, "no reservation 'x' was made by command; there are none"),
            (["remove"], 2, "required: NAME"),
            (["make"], 2, f"say what to do: one of list, add, remove; you wrote {site} make"),
        ]:
            ended = reservations(site, *words)
            assert (ended.returncode, ended.stdout) == (status, ""), words
            assert said in ended.stderr


def test_a_time_of_day_is_the_next_one(site: Path) -> None:
    with spalloc_server([str(site)]):
        made = reservations(site, "add", "x", "a", "--to", "00:00", "--reason", "x", zone="Asia/Tokyo")
        assert made.returncode == 0, made.stderr
        (one,) = listed(site)
        assert 0 < float(str(one["to"])) - time.time() <= 86_400
        assert float(str(one["to"])) % 86_400 == 15 * 3600.0
