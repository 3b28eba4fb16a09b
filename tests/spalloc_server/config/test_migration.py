"""Configurations of older servers in Python: what they read from a file is what the converted file says."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_server.config.document import parse
from spalloc_server.config.migration.converting import convert
from spalloc_server.config.migration.recognising import TAKEN
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.writing import to_toml
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Board, BoardLink, Link, far_end
from tests.peers.environments import PeerEnvironment
from tests.processes import SERVER
from tests.spalloc_server.config.examples import CSV

pytestmark = pytest.mark.slow

MANUALLY = """
import os
from spalloc_server.links import Links as L

computed = set(
    str([int(number) for number in numbers])
    for numbers in (
        [board_to_chip(1, 1, 2), board_to_chip(0, 0, 1), chip_to_board(20, 4, 24, 24), chip_to_board(3, 9, 24, 24)]
        + [triad_dimensions_to_chips(2, 3, wrap) for wrap in WrapAround]
        + [board_down_link(x, y, z, link, 2, 2) for x in range(2) for y in range(2) for z in range(3) for link in L]
    )
)

def rows(width):
    return {(x, 0, z): (0, x, 2 * z) for x in range(width) for z in range(3)}

print("standard output belongs to nobody")
machines = [
    Machine(
        name="three",
        tags=set(["three", "default"]) | computed,
        board_locations=rows(1),
        bmp_ips={(0, 0): "192.168.240.0"},
        spinnaker_ips={(0, 0, 0): "192.168.240.1", (0, 0, 1): "192.168.240.17", (0, 0, 2): "192.168.240.41"},
        dead_links=set([(0, 0, 0, L.north), (0, 0, 1, L.south_west)]),
    ),
    Machine.single_board("single", tags=set(["odd one"]), bmp_ip="spinn-board-bmp", spinnaker_ip="spinn-board"),
    Machine.with_standard_ips("room", board_locations=rows(2), base_ip="10.3.0.0", dead_boards=set([(1, 0, 2)])),
    Machine.with_standard_ips(
        "strides", width=1, height=1, board_locations=rows(1), base_ip="10.4.0.0", board_stride="0.0.0.4",
        frame_stride="0.0.2.0", bmp_offset="0.0.0.2", spinnaker_offset="0.0.0.3",
    ),
    Machine.with_standard_ips("csv", board_locations=board_locations_from_spinner("boards.csv"), base_ip="10.2.0.0"),
]
if os.sep == "/":
    configuration = Configuration(machines=machines, ip="127.0.0.1", seconds_before_free=12.5, max_retired_jobs=7)
"""

# The same as a server of 2025 has it, with the names of SpiNNMachine.
SINCE_2025 = """
from spinn_machine.spalloc_server.configuration import Configuration, MachineConfig, board_locations_from_spinner
from spinn_machine.spalloc_server.coordinates import chip_to_board
from spinn_machine.spalloc_server.links import Links

places = {(x, 0, z): (0, x, 2 * z) for x in range(2) for z in range(3)}
configuration = Configuration(
    ip_address="127.0.0.1",
    seconds_before_free=20,
    machines=[
        MachineConfig.single_board("single", bmp_ip="192.168.0.2", spinnaker_ip="192.168.0.3"),
        MachineConfig.with_standard_ips(
            "room", frozenset(["default", str(chip_to_board(20, 4, 24, 24))]), board_locations=places,
            base_ip="10.3.0.0", dead_boards=frozenset([(1, 0, 2)]),
            dead_links=frozenset([(0, 0, 0, Links.NORTH), (0, 0, 1, Links.SOUTH_WEST), (0, 0, 0, Links.EAST)]),
        ),
        MachineConfig.with_standard_ips("csv", board_locations=board_locations_from_spinner("boards.csv")),
    ],
)
"""

# What a published server makes of a file, told by its own classes.
_PEER_READS = """
import json, sys
from importlib import import_module
package = sys.argv[2]
configuration, coordinates = (import_module(f"{package}.{name}") for name in ("configuration", "coordinates"))
names = dict(configuration.__dict__)
names.update(coordinates.__dict__)
exec(open(sys.argv[1]).read(), names)
c = names["configuration"]
pairs = lambda mapping: sorted([list(key), value] for key, value in mapping.items())
print("ANSWER", json.dumps({
    "ip": c[2],
    "seconds_before_free": c.seconds_before_free,
    "machines": [
        {
            "name": m.name, "tags": sorted(m.tags), "size": [m.width, m.height],
            "dead_boards": sorted(map(list, m.dead_boards)),
            "dead_links": sorted([x, y, z, int(link)] for x, y, z, link in m.dead_links),
            "places": pairs(m.board_locations), "bmps": pairs(m.bmp_ips), "addresses": pairs(m.spinnaker_ips),
        }
        for m in c.machines
    ],
}))
"""


def _told(machine: Machine) -> dict[str, object]:
    return json.loads(  # type: ignore[no-any-return]
        json.dumps(
            {
                "name": machine.name,
                "tags": sorted(machine.tags),
                "size": list(machine.size),
                "dead_boards": sorted(machine.dead_boards),
                "dead_links": sorted([*end.board, end.link] for end in machine.dead_links),
                "places": sorted(machine.places.items()),
                "bmps": sorted(machine.bmps.items()),
                "addresses": sorted(machine.addresses.items()),
            }
        )
    )


_WITHOUT_SPINNMACHINE = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *others: None if name == "spinn_machine" else find(name, *others)
"""


@pytest.mark.parametrize(
    ("file", "published", "package"),
    [
        (MANUALLY, "spalloc-server==1!7.0.0", "spalloc_server"),
        (SINCE_2025, "SpiNNMan==1!7.4.1", "spinn_machine.spalloc_server"),
    ],
)
def test_a_converted_file_says_what_its_server_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    peer: Callable[[str], PeerEnvironment],
    file: str,
    published: str,
    package: str,
) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    (tmp_path / "old.cfg").write_text(file)
    monkeypatch.chdir(tmp_path)
    script = [peer(published).python, "-W", "ignore", "-c", _PEER_READS, "old.cfg", package]
    done = subprocess.run(script, capture_output=True, text=True, check=True, timeout=60)
    theirs = json.loads(done.stdout.rpartition("ANSWER ")[2])
    converted = parse(to_toml(convert(Path("old.cfg")).configuration), "new.toml", tmp_path)
    assert list(converted.v1.addresses) == [theirs["ip"]]
    for ours, expected in zip(converted.machines, theirs["machines"], strict=True):
        # Both ends of a dead link are dead here, and dead boards have neither place nor address.
        ends = [BoardLink(Board(*board), Link(link)) for *board, link in expected["dead_links"]]
        both = {*ends, *(far_end(ours.size, end) for end in ends)}
        expected["dead_links"] = sorted([*end.board, end.link.value] for end in both)
        for key in ("places", "addresses"):
            expected[key] = [pair for pair in expected[key] if pair[0] not in expected["dead_boards"]]
        assert _told(ours) == expected
        assert ours.cool_down_seconds == theirs["seconds_before_free"]


def test_the_json_that_the_java_service_is_given_says_the_same_as_the_file_it_was_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: Callable[[str], PeerEnvironment]
) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    (tmp_path / "old.cfg").write_text(SINCE_2025)
    monkeypatch.chdir(tmp_path)
    python = peer("SpiNNMan==1!7.4.1").python
    subprocess.run(
        [python, "-W", "ignore", "-m", "spinn_machine.spalloc_server.py2json", "old.cfg", "machines.json"],
        check=True,
        timeout=60,
    )
    converted = convert(Path("machines.json"))
    assert converted.configuration == convert(Path("old.cfg")).configuration
    assert converted.configuration.machines
    assert converted.notes == (
        "max_retired_jobs = 1200 was left out: ended jobs are kept for a time; see history.days",
    )


def test_a_file_of_2025_may_use_the_rest_of_spinnmachine_where_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spinn_machine").mkdir()
    (tmp_path / "spinn_machine" / "__init__.py").write_text("NAME = 'from there'\n")
    (tmp_path / "old.cfg").write_text(
        "from spinn_machine import NAME\n"
        "from spinn_machine.spalloc_server.configuration import MachineConfig, Configuration\n"
        "board = MachineConfig.single_board(NAME, bmp_ip='10.0.0.0', spinnaker_ip='10.0.0.1')\n"
        "configuration = Configuration([board])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert [machine.name for machine in convert(tmp_path / "old.cfg").configuration.machines] == [
        "from there"
    ]


def test_a_file_of_2025_can_be_converted_without_spinnmachine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    (tmp_path / "old.cfg").write_text(SINCE_2025)
    (tmp_path / "sitecustomize.py").write_text(_WITHOUT_SPINNMACHINE)
    monkeypatch.chdir(tmp_path)
    expected = convert(Path("old.cfg")).configuration
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    tried = subprocess.run([sys.executable, "-c", "import spinn_machine"], capture_output=True, check=False)
    assert b"ModuleNotFoundError" in tried.stderr
    assert convert(Path("old.cfg")).configuration == expected
    assert expected.machines


def test_the_command_writes_what_check_accepts(tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    (tmp_path / "old.cfg").write_text(MANUALLY)
    # From elsewhere: the CSV file is found beside the configuration.
    done = subprocess.run([*SERVER, "convert", str(tmp_path / "old.cfg")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# Converted from old.cfg by spalloc-server convert.\n")
    assert "note: max_retired_jobs = 7 was left out" in done.stderr
    assert [machine.name for machine in parse(done.stdout, "new.toml", tmp_path).machines] == [
        "three",
        "single",
        "room",
        "strides",
        "csv",
    ]


def test_a_file_whose_machines_make_no_sense_is_reported_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "old.cfg").write_text(
        "configuration = Configuration(machines=[Machine('a', width=1, height=1)])"
    )
    done = subprocess.run([*SERVER, "convert", str(tmp_path / "old.cfg")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert 'machine "a" has neither a place for (0, 0, 0), (0, 0, 1), (0, 0, 2) nor' in done.stderr


def _convert(tmp_path: Path, text: str) -> str:
    file = tmp_path / "old.cfg"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        convert(file)
    (mistake,) = error.value.mistakes
    return f"{mistake.line}: {mistake.sentence}"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("\n1 / 0\n", "2: ZeroDivisionError: division by zero"),
        ("\n\nconfiguration = Configuration(", f"3: the file is not Python: '(' was never closed; {TAKEN}"),
        ("x = 1\n", "1: TypeError: the file must define `configuration = Configuration(...)`"),
        ("raise SystemExit('no')\n", "1: SystemExit: no"),
        ("import os\nos._exit(3)\n", "1: the file ended the process that ran it, with status 3"),
        (
            "configuration = Configuration(machines=[7])",
            "1: TypeError: machines has 7, which is no Machine or MachineConfig",
        ),
        (
            "configuration = Configuration(machines=[Machine('a', tags='default')])",
            "1: TypeError: the tags of machine 'a' are one string, 'default'; write them as a set",
        ),
        (
            "configuration = Configuration(machines=[Machine('a', width='1', height=1)])",
            (
                "1: the file's values are not those of a configuration: Expected `int`, got `str` - at "
                "`$.configuration.machines[0].width`"
            ),
        ),
        ("open('/nonexistent')", "1: [Errno 2] No such file or directory: '/nonexistent'"),
    ],
)
def test_a_file_that_fails_is_reported_with_its_line(tmp_path: Path, text: str, mistake: str) -> None:
    assert _convert(tmp_path, text) == mistake


def test_a_file_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    text = "import os, sys\nraise ValueError(f'{os.getppid()} {\"pytest\" in sys.modules}')"
    assert _convert(tmp_path, text) == f"2: ValueError: {os.getpid()} False"


def test_an_empty_configuration_can_be_converted(tmp_path: Path) -> None:
    (tmp_path / "old.cfg").write_text("configuration = Configuration()")
    converted = convert(tmp_path / "old.cfg")
    assert converted.configuration.machines == ()
    assert converted.configuration.v1.addresses == ("0.0.0.0",)
    assert any("the older server listened on all addresses" in note for note in converted.notes)
