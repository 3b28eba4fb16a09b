"""What a configuration means, and what is said about one that is wrong."""

import os
from pathlib import Path

import pytest

from spalloc_server.config.changes import differences
from spalloc_server.config.document import load
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.settings import Audit, History, Level, Usage
from spalloc_server.core.admission import Control, JobLimits
from spalloc_server.core.groups import GroupRules
from spalloc_server.core.limits import LimitRules, TimeLimits
from spalloc_server.core.networks import EVERYWHERE
from spalloc_server.core.share_rules import ShareRules
from spinnaker.geometry import Board, BoardLink, Link, Size
from spinnaker.places import Frame, Place
from tests.spalloc_server.config.examples import CSV, OF_A_FILE, ONE_BOARD, THREE_BOARDS, read


def _mistakes(text: str, folder: Path = Path("/nowhere")) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        read(text, folder)
    return [f"{mistake.line}: {mistake.sentence}" for mistake in error.value.mistakes]


def test_a_server_without_machines_listens_on_this_computer_only() -> None:
    configuration = read("machine = []")
    assert configuration.machines == ()
    assert configuration.v1.addresses == ("127.0.0.1",)
    assert configuration.v1.port == 22244
    assert configuration.metrics is None
    assert configuration.state == Path("/nowhere/site.state")
    assert configuration.trust.control is Control.ANYONE


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("# machines\n", "has no machine"),
        ("[v1]\nport = 1\n", "has no machine"),
    ],
)
def test_a_file_without_machines_is_refused_unless_it_says_that_there_are_none(
    text: str, mistake: str
) -> None:
    assert _mistakes(text) == [
        f"1: the file {mistake}; expected [[machine]] tables, or the line machine = [] for a server without machines"
    ]


@pytest.mark.parametrize("text", [THREE_BOARDS, OF_A_FILE, "[v1]\nport = 1\n" + ONE_BOARD])
def test_a_configuration_cut_off_anywhere_is_refused_or_says_the_same(text: str, tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    whole = read(text, tmp_path)
    for end in range(len(text)):
        try:
            left = read(text[:end], tmp_path)
        except ConfigurationError:
            continue
        for machine, before in zip(left.machines, whole.machines, strict=True):
            assert (machine.size, machine.places) == (before.size, before.places)


def test_places_cut_off_anywhere_are_refused(tmp_path: Path) -> None:
    for end in range(len(CSV)):
        (tmp_path / "boards.csv").write_text(CSV[:end])
        os.utime(tmp_path / "boards.csv", (0, 0))
        assert _mistakes(OF_A_FILE, tmp_path)


def test_the_size_that_the_places_have_is_told_where_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    assert _mistakes(OF_A_FILE.replace('size = "2x1"\n', ""), tmp_path) == [
        '2: machine "room" has no size; expected a size in triads, such as size = "2x1"'
    ]


def test_one_board_has_the_standard_addresses() -> None:
    (machine,) = read(ONE_BOARD).machines
    assert machine.name == "desk"
    assert machine.size == Size(1, 1)
    assert machine.tags == {"default"}
    assert machine.places == {Board(0, 0, 0): Place(0, 0, 0)}
    assert machine.addresses == {Board(0, 0, 0): "192.168.240.1"}
    assert machine.bmps == {Frame(0, 0): "192.168.240.0"}
    assert machine.dead_boards == {Board(0, 0, 1), Board(0, 0, 2)}


def test_every_board_can_be_described_by_hand() -> None:
    (machine,) = read(THREE_BOARDS).machines
    assert machine.tags == {"default", "three"}
    assert machine.places[Board(0, 0, 2)] == Place(0, 1, 5)
    assert machine.addresses[Board(0, 0, 0)] == "board-0.example"
    assert machine.bmps == {Frame(0, 0): "bmp.example:50000", Frame(0, 1): "192.168.241.0"}
    assert machine.settle_seconds == 4.5
    assert machine.cool_down_seconds == 2.0
    assert machine.board_retry_seconds == 60.0


def test_a_dead_link_is_dead_from_both_ends() -> None:
    (machine,) = read(THREE_BOARDS).machines
    assert machine.dead_links == {
        BoardLink(Board(0, 0, 0), Link.NORTH),
        BoardLink(Board(0, 0, 2), Link.SOUTH),
    }


def test_places_come_from_spinners_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    (tmp_path / "site.toml").write_text(OF_A_FILE)
    (machine,) = load(tmp_path / "site.toml").machines
    assert machine.size == Size(2, 1)
    assert machine.places[Board(1, 0, 1)] == Place(0, 1, 4)
    assert machine.addresses[Board(1, 0, 1)] == "10.2.1.33"
    assert machine.bmps == {Frame(0, 0): "10.2.0.0", Frame(0, 1): "10.2.1.0"}


def test_a_board_by_hand_goes_before_the_file_and_the_standard_address(tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    by_hand = '[[machine.boards]]\nboard = [1, 0, 0]\nplace = [3, 2, 1]\naddress = "other"\n'
    (machine,) = read(OF_A_FILE + by_hand, tmp_path).machines
    assert machine.places[Board(1, 0, 0)] == Place(3, 2, 1)
    assert machine.addresses[Board(1, 0, 0)] == "other"


def test_settings_of_the_server_are_read() -> None:
    configuration = read(
        """
        [v1]
        listen = ["0.0.0.0", "::"]
        port = 0
        allow = ["10.0.0.0/8", "fd00::/8", "192.168.1.1"]
        [metrics]
        port = 9999
        [state]
        file = "/var/lib/spalloc/jobs"
        [history]
        days = 0.5
        [usage]
        days = 400
        charges = 5
        [audit]
        days = 50
        entries = 6
        [jobs]
        live = 9
        queued = 8
        of_one_owner = 7
        from_one_host = 6
        queued_from_one_host = 5

        [trust]
        control = "owner"
        administrators = ["10.1.0.0/16"]
        accounts = { "10.2.0.0/16" = "robotlab", "fd00::/8" = "jane" }
        [log]
        level = "debug"
        """
        + ONE_BOARD
    )
    assert configuration.v1.addresses == ("0.0.0.0", "::")
    assert configuration.v1.port == 0
    assert "10.9.9.9" in configuration.v1.allow
    assert "::ffff:10.9.9.9" in configuration.v1.allow
    assert "192.168.1.2" not in configuration.v1.allow
    assert configuration.metrics is not None
    assert configuration.metrics.port == 9999
    assert configuration.metrics.allow == EVERYWHERE
    assert configuration.state == Path("/var/lib/spalloc/jobs")
    assert configuration.history == History(days=0.5)
    assert configuration.usage == Usage(days=400, charges=5)
    assert configuration.audit == Audit(days=50, entries=6)
    assert configuration.trust.control is Control.OWNER
    assert configuration.job_limits == JobLimits(
        live=9, queued=8, of_one_owner=7, from_one_host=6, queued_from_one_host=5
    )
    assert "10.1.2.3" in configuration.trust.administrators
    found = [configuration.trust.accounts.of(host) for host in ("10.2.3.4", "fd00::1", "10.3.0.1", "")]
    assert found == ["robotlab", "jane", None, None]
    assert configuration.log_level is Level.DEBUG


def test_every_mistake_is_in_one_report_with_its_line() -> None:
    text = """[v1]
port = 70000
lisen = ["127.0.0.1"]
allow = ["10.0.0.1/8", "10.0.0.0/8"]
[v2]
[[machine]]
name = "desk"
size = "2x"
dead_boards = [
  [0, 0],
]
[[machine]]
[trust]
control = "me"
accounts = { "10.0.0.1/8" = "jane", "10.0.0.0/8" = "a b" }
"""
    assert _mistakes(text) == [
        "2: v1.port is 70000; expected a whole number from 0 to 65535",
        "3: v1.lisen is not a setting; did you mean 'listen'?",
        (
            '4: v1.allow[0] is "10.0.0.1/8"; expected a network, such as "10.0.0.0/8" (no bits set after the first 8), '
            "or an address"
        ),
        (
            "5: v2 is not a setting; known are audit, boards, control, fair_share, groups, history, http, jobs, log, "
            "machine, metrics, priority, reservation, state, trust, usage, v1"
        ),
        '8: machine "desk" size is "2x"; expected a size in triads, "WIDTHxHEIGHT", from "1x1" to "21x21"',
        '10: machine "desk" dead_boards[0] is [0, 0]; expected a board\'s [x, y, z]',
        '12: machine[1] has no name; expected a name, such as name = "desk"',
        '12: machine[1] has no size; expected a size in triads, such as size = "20x20"',
        '14: trust.control is "me"; expected "anyone" or "owner"',
        (
            '15: trust.accounts."10.0.0.0/8" is "a b"; expected the name of an account: letters of A to Z, digits and '
            "any of . _ @ + -, the first a letter or a digit, at most 64 characters"
        ),
        (
            '15: trust.accounts."10.0.0.1/8" is "10.0.0.1/8"; expected a network, such as "10.0.0.0/8" (no bits set '
            "after the first 8), or an address"
        ),
    ]


def test_the_report_can_be_shown_as_it_is() -> None:
    with pytest.raises(ConfigurationError) as error:
        read("machine = []\nv1 = 1\n[log]\nlevel = 3\n")
    assert str(error.value) == (
        "site.toml has 2 mistakes:\n"
        "site.toml:2: v1 is 1; expected a table: [v1]\n"
        'site.toml:4: log.level is 3; expected "debug" or "info" or "warning" or "error"'
    )


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        (("place = [0, 0, 0]", "place = [0, 0, 24]"), "[cabinet, frame, board] with a board from 0 to 23"),
        (("board = [0, 0, 0]", "board = [1, 0, 0]"), "with x below 1, y below 1 and z below 3"),
        (("[0, 0, 2]]", "[0, 0, 3]]"), "with x below 1, y below 1 and z below 3"),
        ((", [0, 0, 2]]", "]"), "has neither a place for (0, 0, 2) nor an entry in dead_boards"),
        (('base_address = "192.168.240.0"', ""), "has no address for (0, 0, 0); expected a base_address"),
        (
            ('base_address = "192.168.240.0"', ""),
            "has no BMP for cabinet 0, frame 0; expected a base_address",
        ),
        (('"192.168.240.0"', '"192.168.240"'), "expected an IPv4 address"),
        (('"192.168.240.0"', '"255.255.255.255"'), "has no address for (0, 0, 0)"),
        (('size = "1x1"', 'size = "22x1"'), 'from "1x1" to "21x21"'),
        (('size = "1x1"', 'size = "1x1"\ntags = "default"'), "expected a list of tags"),
        (('size = "1x1"', 'size = "1x1"\nsettle_seconds = nan'), "expected a number of seconds, 0 or more"),
        (('size = "1x1"', 'size = "1x1"\nsettle_seconds = true'), "expected a number of seconds, 0 or more"),
        (('size = "1x1"', 'size = "1x1"\ndead_links = [[0,0,0,"nort"]]'), "LINK one of east, north_east"),
        (('size = "1x1"', 'size = "1x1"\nsettle_second = 3'), "did you mean 'settle_seconds'?"),
        (('name = "desk"', 'name = "a\\nb"'), "expected a string of printable characters"),
        (("[[machine.boards]]", "[machine.boards]"), "expected tables, each headed [[machine.boards]]"),
    ],
)
def test_a_machine_that_is_wrong_is_reported(change: tuple[str, str], mistake: str) -> None:
    assert change[0] in ONE_BOARD
    assert any(mistake in found for found in _mistakes(ONE_BOARD.replace(*change)))


def test_two_machines_cannot_share_a_name_an_address_or_a_bmp() -> None:
    mistakes = _mistakes(ONE_BOARD + ONE_BOARD)
    assert any('machine "desk" name is the name of another machine' in found for found in mistakes)
    mistakes = _mistakes(ONE_BOARD + ONE_BOARD.replace('"desk"', '"other"'))
    assert mistakes == [
        (
            '12: machine "other" has a BMP with the address of another: 192.168.240.0 (cabinet 0, frame 0); '
            "192.168.240.0 is that of desk cabinet 0, frame 0"
        ),
        (
            '12: machine "other" has a board with the address of another: 192.168.240.1 ((0, 0, 0)); '
            "192.168.240.1 is that of desk (0, 0, 0)"
        ),
    ]


def test_two_boards_cannot_stand_in_one_slot() -> None:
    assert any(
        "has both (0, 0, 0) and (0, 0, 1) at cabinet 0, frame 0, board 0" in found
        for found in _mistakes(THREE_BOARDS.replace("place = [0, 0, 2]", "place = [0, 0, 0]"))
    )


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "1: has no column cabinet; expected a first line that names cabinet, frame, board, x, y"),
        ("cabinet,frame,board,x,y\n", "1: has no boards"),
        ("cabinet,frame,board,x,y\n0,0,0,0,0\n0,0,-1,4,8\n", '3: board is "-1"; expected a whole number'),
        ("cabinet,frame,board,x,y\n0,0,0,0\n", "2: y is null; expected a whole number"),
        ("cabinet,frame,board,x,y\n0,0,0,1,1\n", "2: chip (1, 1) is not the Ethernet-connected chip"),
        ("cabinet,frame,board,x,y\n0,0,0,0,0\n0,0,1,0,0\n", "3: chip (0, 0) is in the file twice"),
        (
            "cabinet,frame,board,x,y\n0,0,0,600,0\n",
            "size is 2x1, and places has boards outside it: (50, 0, 0)",
        ),
        (None, "1: the file can't be read: No such file or directory"),
    ],
)
def test_a_wrong_file_of_places_is_reported_with_its_own_lines(
    text: str | None, mistake: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "boards.csv").write_text(text)
    assert any(mistake in found for found in _mistakes(OF_A_FILE, tmp_path))


def test_a_file_of_places_that_is_not_there_is_the_only_mistake(tmp_path: Path) -> None:
    (mistake,) = _mistakes(OF_A_FILE, tmp_path)
    assert "can't be read: No such file" in mistake


def test_a_size_that_the_places_exceed_is_reported(tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text(CSV)
    text = OF_A_FILE.replace('"2x1"', '"1x1"')
    assert any(
        "is 1x1, and places has boards outside it: (1, 0, 0)" in found for found in _mistakes(text, tmp_path)
    )


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[v1\n", "1: the file is not valid TOML: expected ']' at the end of a table declaration"),
        ("a = 1\nb = \n", "2: the file is not valid TOML: invalid value"),
        ("a = " + "[" * 10_000, "1: the file has arrays or tables that are nested too deeply"),
        (
            "configuration = Configuration(machines=[])\n",
            "1: the file is a configuration of the 2023 server; make a TOML file of it with: spalloc-server convert",
        ),
    ],
)
def test_what_is_not_toml_is_reported(text: str, mistake: str) -> None:
    assert _mistakes(text) == [mistake]


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml:1: the file can't be read: No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"a = 1\n# caf\xe9\n")
    with pytest.raises(ConfigurationError, match=r"latin\.toml:2: the text is not in UTF-8"):
        load(tmp_path / "latin.toml")
    with pytest.raises(ConfigurationError, match=r"the file can't be read: Is a directory"):
        load(tmp_path)


LIMITED = """
[jobs]
default_time_limit = "2h"
longest_time_limit = 172800
time_limit_warning = "90s"
[jobs.tags.quick]
longest_time_limit = "10m"
[jobs.tags."day long"]
default_time_limit = "1-0"
[[machine]]
longest_time_limit = "1:30:00"
"""


def test_time_limits_are_of_the_site_of_tags_and_of_machines() -> None:
    limits = read(LIMITED + ONE_BOARD.replace("[[machine]]", "", 1)).time_limits
    assert limits == LimitRules(
        7200.0,
        172_800.0,
        90.0,
        {"quick": TimeLimits(longest=600.0), "day long": TimeLimits(default=86_400.0)},
        {"desk": TimeLimits(longest=5400.0)},
    )


def test_what_jobs_must_be_charged_to_is_read() -> None:
    rules = read('[groups]\nrequired = true\nquota_warning = "10m"' + ONE_BOARD).groups
    assert rules == GroupRules(required=True, quota_warning=600.0)
    assert read(ONE_BOARD).groups == GroupRules(required=False, quota_warning=300.0)
    with pytest.raises(ConfigurationError, match=r"groups\.required is 1; expected true or false"):
        read("[groups]\nrequired = 1" + ONE_BOARD)


SHARED = """
[fair_share]
enabled = true
half_life = "7d"
most_moved = 7200
shared_hosts = ["10.0.0.5", "10.1.0.0/16"]
shared_accounts = ["hub"]
groups = true
[priority.owners]
jane = "2h"
"cron job" = "-1h30m"
[priority.tags]
large = -60
[priority.accounts]
exam = "1h"
[priority.groups]
lab = 5
"""


def test_how_jobs_are_moved_in_the_order_is_read() -> None:
    rules = read(SHARED + ONE_BOARD).shares
    assert (rules.enabled, rules.half_life, rules.most_moved) == (True, 7 * 86400.0, 7200.0)
    assert "10.1.2.3" in rules.shared_hosts
    assert rules.priority_of_owners == {"jane": 7200.0, "cron job": -5400.0}
    assert rules.priority_of_tags == {"large": -60.0}
    assert rules.priority_of_accounts == {"exam": 3600.0}
    assert rules.priority_of_groups == {"lab": 5.0}
    assert (rules.shared_accounts, rules.groups) == ({"hub"}, True)


def test_without_these_tables_no_job_is_moved() -> None:
    assert read(ONE_BOARD).shares == ShareRules()
    assert not ShareRules().enabled


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("[fair_share]\nenabled = 1", "fair_share.enabled is 1; expected true or false"),
        ("[fair_share]\nhalf_life = 0", "fair_share.half_life is 0; expected a duration"),
        ("[fair_share]\nhalflife = 1", "fair_share.halflife is not a setting; did you mean 'half_life'?"),
        (
            '[priority.owners]\njane = "soon"',
            'priority.owners.jane is "soon"; expected a duration, such as "2h", or',
        ),
        ("[priority]\nowner = {}", "priority.owner is not a setting; did you mean 'owners'?"),
    ],
)
def test_a_mistake_in_how_jobs_are_moved_is_told(line: str, mistake: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(f"{line}\n{ONE_BOARD}")
    assert mistake in str(raised.value)


def test_a_site_without_time_limits_has_none() -> None:
    assert read(ONE_BOARD).time_limits == LimitRules(None, None, 300.0)


def test_time_limits_that_can_not_be_are_mistakes() -> None:
    text = """[jobs]
default_time_limit = "2h"
longest_time_limit = "1h"
time_limit_warning = 0
[jobs.tags.quick]
default_time_limit = "soon"
shortest = 1
[[machine]]
longest_time_limit = true
"""
    expected = 'expected a duration, such as "30m" or "1d", or a number of seconds, more than 0'
    assert _mistakes(text + ONE_BOARD.replace("[[machine]]", "", 1)) == [
        '2: jobs.default_time_limit is "2h"; expected at most longest_time_limit',
        f"4: jobs.time_limit_warning is 0; {expected}",
        f'6: jobs.tags.quick.default_time_limit is "soon"; {expected}',
        "7: jobs.tags.quick.shortest is not a setting; known are default_time_limit, longest_time_limit",
        f'9: machine "desk" longest_time_limit is true; {expected}',
    ]


def test_changed_time_limits_are_named_as_the_file_names_them() -> None:
    before, after = read(ONE_BOARD), read(LIMITED + ONE_BOARD.replace("[[machine]]", "", 1))
    assert differences(before, after) == [
        "jobs.default_time_limit is 7200.0, was none",
        "jobs.longest_time_limit is 172800.0, was none",
        "jobs.time_limit_warning is 90.0, was 300.0",
        'jobs.tags is "quick": default none, longest 600.0; "day long": default 86400.0, longest none, was none',
        'the machines\' time limits is "desk": default none, longest 5400.0, was none',
    ]
