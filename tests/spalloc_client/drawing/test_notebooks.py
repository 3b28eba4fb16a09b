"""What notebooks show: jobs and lists of machines draw themselves."""

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from spalloc_client import Job, ProtocolClient
from spalloc_client.drawing.pictures import job_picture, machines_picture
from spalloc_server.embedded import EmbeddedSite

SVG = "{http://www.w3.org/2000/svg}"
MACHINES = [
    {"name": name, "tags": ["default"], "width": 2, "height": 1, "dead_boards": [], "dead_links": []}
    for name in ("one", "two")
]
JOB = {
    "owner": "me",
    "start_time": 1.0,
    "keepalive": None,
    "state": 3,
    "power": None,
    "args": [],
    "kwargs": {},
}
JOBS = [
    {**JOB, "job_id": 1, "allocated_machine_name": "two", "boards": [[0, 0, 0], [0, 0, 1]]},
    {**JOB, "job_id": 2, "allocated_machine_name": None, "boards": None},
]


def hexagons(picture: str | None) -> int:
    assert picture is not None
    return len(list(ET.fromstring(picture).iter(f"{SVG}polygon")))


def test_machines_are_drawn_below_each_other_with_their_jobs() -> None:
    picture = machines_picture(MACHINES, JOBS)
    assert hexagons(picture) == 12
    assert picture is not None
    assert picture.count("Board (0, 0, 1): job 1, me") == 1
    assert machines_picture([], []) is None


def test_a_job_is_drawn_once_it_has_boards() -> None:
    assert hexagons(job_picture(1, MACHINES, JOBS)) == 2
    assert job_picture(2, MACHINES, JOBS) is None
    assert job_picture(3, MACHINES, JOBS) is None


@pytest.mark.slow
def test_a_real_job_and_a_real_list_of_machines_draw_themselves() -> None:
    with EmbeddedSite(2, 1) as site:
        with Job(3, hostname=site.hostname, port=site.port, owner="me") as job:
            assert hexagons(job._repr_svg_()) == 3
            with ProtocolClient(site.hostname, site.port) as client:
                machines = client.list_machines()
                assert hexagons(machines._repr_svg_()) == 6  # type: ignore[attr-defined]
            assert hexagons(machines._repr_svg_()) == 6  # type: ignore[attr-defined]
        assert job._repr_svg_() is None
    # A list like any other.
    assert json.loads(json.dumps(machines)) == machines == list(machines)
    assert type(copy.deepcopy(machines)) is type(pickle.loads(pickle.dumps(machines))) is list


@pytest.mark.parametrize("before", ["", "import spinnaker; assert spinnaker.mine"])
def test_a_module_of_the_user_s_that_is_named_spinnaker_is_not_run_to_draw(
    tmp_path: Path, before: str
) -> None:
    ran = "mine = True\nprint('ran')\n"
    (tmp_path / "spinnaker.py").write_text(ran)
    (tmp_path / "program.py").write_text(
        f"""
{before}
from spalloc_client.drawing.pictures import machines_picture
print(machines_picture({MACHINES!r}, {JOBS!r}).count("<polygon"))
import spinnaker
assert spinnaker.mine
"""
    )
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    expected = ["ran", "12"] if before else ["12", "ran"]
    assert (done.stdout.split(), done.stderr) == (expected, "")
