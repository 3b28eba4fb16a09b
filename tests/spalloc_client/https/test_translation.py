"""The commands of v1 in terms of requests: what is sent, and what is made of answers, faults of services included."""

import json
from typing import Any

import pytest

from spalloc_client.errors import ProtocolError, SpallocServerException
from spalloc_client.wire import JobsChanged, MachinesChanged, Other
from tests.spalloc_client.https.playing import JAVA_ROOT, OUR_ROOT, Player, reply

REQUEST = {
    "owner": "alice", "group": None, "keepalive-interval": 60.0, "num-boards": 3, "dimensions": None, "board": None,
    "machine-name": None, "tags": ["default"], "max-dead-boards": 0,
}  # fmt: skip
JOB = {
    "state": "READY", "owner": "alice", "start-time": "2026-11-29T23:51:23Z", "keepalive-host": "127.0.0.1",
    "original-request": REQUEST,
}  # fmt: skip
BOARDS = {
    "width": 1, "height": 1, "depth": 3, "machine-name": "big",
    "connections": [[[0, 0], "127.91.1.25"], [[8, 4], "127.91.1.33"], [[4, 8], "127.91.1.41"]],
    "boards": [[2, 1, 0], [2, 1, 1], [2, 1, 2]],
}  # fmt: skip


def end(x: int, y: int, z: int, direction: str) -> dict[str, Any]:
    return {"board": {"x": x, "y": y, "z": z}, "direction": direction}


MACHINE = {
    "name": "big", "tags": ["machine-room", "default"], "width": 4, "height": 4,
    "dead-boards": [{"x": 3, "y": 3, "z": 1, "address": "127.91.1.177"}],
    "dead-links": [
        [end(0, 0, 0, "N"), end(0, 0, 2, "S")],
        [end(3, 3, 1, "SE"), end(3, 3, 0, "NW")],
    ],
}  # fmt: skip


@pytest.fixture
def java() -> Player:
    player = Player(JAVA_ROOT)
    player.says("GET machines", reply({"machines": [MACHINE]}))
    return player


@pytest.fixture
def ours() -> Player:
    player = Player(OUR_ROOT)
    known = {**MACHINE, "set-aside-boards": [], "reservations": []}
    player.says("GET machines", reply({"machines": [known]}))
    return player


@pytest.mark.parametrize(
    ("args", "kwargs", "body"),
    [
        ((), {}, {"tags": ["default"], "max-dead-boards": 0}),
        ((3,), {"tags": ["a", "b"]}, {"num-boards": 3, "tags": ["a", "b"], "max-dead-boards": 0}),
        (
            (2, 3),
            {"machine": "big", "max_dead_boards": 2},
            {"dimensions": {"width": 2, "height": 3}, "machine-name": "big", "max-dead-boards": 2},
        ),
        (
            (1, 2, 0),
            {"group": "nengo", "collab": None},
            {"board": {"x": 1, "y": 2, "z": 0}, "tags": ["default"], "group": "nengo", "max-dead-boards": 0},
        ),
        (
            (3,),
            {"collab": "c", "max_dead_boards": None},
            {"num-boards": 3, "tags": ["default"], "nmpi-collab": "c", "max-dead-boards": 1_000_000},
        ),
    ],
)
def test_a_job_is_asked_for_as_the_api_has_it(java: Player, args: Any, kwargs: Any, body: Any) -> None:
    java.says("POST jobs", reply({"job-id": 7, "job-ref": "x"}, 201))
    assert java.ask("create_job", *args, owner="me", keepalive=60.0, min_ratio=0.333, **kwargs) == 7
    assert json.loads(java.sent[-1].body or b"") == {"keepalive-interval": 60.0, **body}


def test_a_keepalive_of_none_is_the_longest_that_services_take(java: Player) -> None:
    java.says("POST jobs", reply({"job-id": 7, "job-ref": "x"}, 201))
    java.ask("create_job", 1, owner="me", keepalive=None)
    assert json.loads(java.sent[-1].body or b"")["keepalive-interval"] == 300.0


@pytest.mark.parametrize(
    ("args", "kwargs", "name"),
    [
        ((4, 4), {"require_torus": True}, "require_torus"),
        ((3,), {"max_dead_links": 0}, "max_dead_links"),
        ((3,), {"min_ratio": 1.0}, "min_ratio"),
    ],
)
def test_what_the_java_service_would_not_heed_is_refused_and_not_promised(
    java: Player, args: Any, kwargs: Any, name: str
) -> None:
    with pytest.raises(SpallocServerException, match=f"knows no {name}"):
        java.ask("create_job", *args, keepalive=60.0, **kwargs)
    assert java.requests == []


def test_our_server_heeds_all_requirements_and_takes_another_owner_from_who_may_name_one() -> None:
    ours = Player({**OUR_ROOT, "role": "service"})
    ours.says("POST jobs", reply({"job-id": 7, "job-ref": "x"}, 201))
    ours.ask(
        "create_job", 4, 4, owner="you", keepalive=60.0, require_torus=True, max_dead_links=0, time_limit=60
    )
    sent = json.loads(ours.sent[-1].body or b"")
    assert (sent["owner"], sent["require-torus"], sent["max-dead-links"], sent["time-limit"]) == (
        "you",
        True,
        0,
        60,
    )


def test_the_state_of_a_job_is_that_of_v1(java: Player) -> None:
    java.says("GET jobs/7", reply(JOB))
    java.says("GET jobs/7/machine/power", reply({"power": "OFF"}))
    assert java.ask("get_job_state", 7) == {
        "state": 3, "power": False, "keepalive": 60.0, "reason": None, "start_time": 1795996283.0,
        "keepalivehost": "127.0.0.1",
    }  # fmt: skip
    java.says("GET jobs/7", reply({**JOB, "state": "DESTROYED", "reason": ""}))
    assert java.ask("get_job_state", 7)["state"] == 4
    assert java.ask("get_job_state", 8)["state"] == 0


def test_a_job_of_the_java_service_s_v1_port_is_taken_to_need_a_keepalive(java: Player) -> None:
    java.says(
        "GET jobs/7", reply({key: JOB[key] for key in JOB if key != "original-request"} | {"state": "QUEUED"})
    )
    assert java.ask("get_job_state", 7)["keepalive"] == 60.0


def test_boards_have_sizes_in_chips_and_none_while_there_are_none(java: Player) -> None:
    java.says("GET jobs/7/machine", reply(BOARDS))
    told = java.ask("get_job_machine_info", 7)
    assert (told["width"], told["height"], told["machine_name"]) == (16, 16, "big")
    assert told["connections"] == BOARDS["connections"]
    assert told["boards"] == BOARDS["boards"]
    one = {**BOARDS, "depth": 1, "connections": [[[0, 0], "a"]], "boards": [[2, 1, 1]]}
    java.says("GET jobs/7/machine", reply(one))
    told = java.ask("get_job_machine_info", 7)
    assert (told["width"], told["height"]) == (8, 8)
    for nothing in (
        reply(None, 204),
        reply({**BOARDS, "connections": [], "boards": []}),
        reply("no such job", 404),
    ):
        java.says("GET jobs/7/machine", nothing)
        assert set(java.ask("get_job_machine_info", 7).values()) == {None}


def test_links_have_v1_s_numbers_and_those_of_dead_boards_are_left_out(java: Player) -> None:
    (machine,) = java.ask("list_machines")
    assert machine["dead_boards"] == [[3, 3, 1]]
    assert machine["dead_links"] == [[0, 0, 0, 2], [0, 0, 2, 5]]
    assert machine["tags"] == ["default", "machine-room"]
    assert "set_aside_boards" not in machine


def test_chips_are_found_though_the_java_service_looks_in_the_wrong_place(java: Player) -> None:
    board = {
        "logical-board-coordinates": [2, 1, 1],
        "machine": "big",
        "physical-board-coordinates": [0, 1, 9],
    }
    # Chip (33, 17) is on board (2, 1, 1), whose first is (32, 16).
    java.says("GET machines/big/logical-board?x=2&y=1&z=1", reply({**board, "job-id": 7, "job-chip": [8, 4]}))
    assert java.ask("where_is", machine="big", chip_x=33, chip_y=17) == {
        "machine": "big", "logical": [2, 1, 1], "physical": [0, 1, 9], "chip": [33, 17], "board_chip": [1, 1],
        "job_id": 7, "job_chip": [9, 5],
    }  # fmt: skip
    of_job = {**board, "chip": [9, 5], "board-chip": [8, 4], "job-chip": [77, 88]}
    java.says("GET jobs/7/chip?x=9&y=5", reply(of_job))
    assert java.ask("where_is", job_id=7, chip_x=9, chip_y=5) == java.ask(
        "where_is", machine="big", chip_x=33, chip_y=17
    )
    assert java.ask("where_is", job_id=7, chip_x=99, chip_y=5) is None
    assert java.ask("where_is", machine="none", x=0, y=0, z=0) is None


def test_who_one_is_and_what_is_left_of_quotas_is_told_where_the_service_tells_it(
    java: Player, ours: Player
) -> None:
    lab = {"name": "lab", "quota": 7200.0, "used": 3600.0, "left": 3600.0}
    ours.says("GET groups", reply({"groups": [lab], "default": "lab"}))
    assert ours.ask("who_am_i") == {"account": "me", "role": "user", "groups": [lab], "default-group": "lab"}
    assert java.ask("who_am_i") == {"account": "me", "role": None, "groups": None, "default-group": None}


def test_of_others_jobs_the_java_service_tells_the_id_alone(java: Player) -> None:
    java.says("GET jobs?limit=200&start=0", reply({"jobs": ["https://s/jobs/8", "https://s/jobs/7"]}))
    java.says("GET jobs/7", reply(JOB))
    java.says("GET jobs/7/machine", reply(BOARDS))
    java.says("GET jobs/7/machine/power", reply({"power": "ON"}))
    mine, other = java.ask("list_jobs")
    assert (mine["job_id"], mine["owner"], mine["power"], mine["args"]) == (7, "alice", True, [3])
    assert mine["boards"] == BOARDS["boards"]
    assert (other["job_id"], other["owner"], other["state"], other["boards"]) == (8, "<hidden>", 0, None)


def test_our_server_tells_all_jobs_in_one_request(ours: Player) -> None:
    summary = {
        "job-id": 7,
        "state": "QUEUED",
        "owner": "you",
        "start-time": "2026-11-29T23:51:23Z",
        "asked": "2x3 triads",
    }
    mine = {**summary, "job-id": 8, "owner": "alice", "yours": True, "details": JOB}
    ours.says("GET jobs?details=true&limit=200&start=0", reply({"jobs": [], "details": [mine, summary]}))
    first, second = ours.ask("list_jobs")
    assert ours.requests == ["GET jobs?details=true&limit=200&start=0"]
    assert (first["job_id"], first["args"], first["keepalive"]) == (7, [2, 3], None)
    assert (second["job_id"], second["args"], second["keepalive"]) == (8, [3], 60.0)


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("job_queue_position", (7,)),
        ("job_times", (7,)),
        ("job_starts", ()),
        ("extend_job", (7, 60.0)),
        ("list_ended_jobs", ()),
        ("notify_job_ending", (7,)),
        ("no_such_command", ()),
    ],
)
def test_what_the_java_service_can_not_do_is_said(java: Player, command: str, args: Any) -> None:
    with pytest.raises(SpallocServerException, match=r"^https://service/spalloc/ "):
        java.ask(command, *args)


def test_a_deletion_that_the_java_service_takes_back_is_repeated(java: Player) -> None:
    powering = {**JOB, "state": "POWER"}
    java.says(
        "GET jobs/7", reply(powering), reply({**JOB, "state": "READY"}), reply({**JOB, "state": "DESTROYED"})
    )
    java.says("DELETE jobs/7?reason=done", reply(None, 204))
    java.ask("destroy_job", 7, "done")
    assert java.requests.count("DELETE jobs/7?reason=done") == 2
    assert java.slept > 0


def test_a_job_that_is_ready_is_deleted_at_once(java: Player, ours: Player) -> None:
    for player in (java, ours):
        player.says("GET jobs/7", reply(JOB))
        player.says("DELETE jobs/7", reply(None, 204))
        player.ask("destroy_job", 7)
        assert player.requests.count("DELETE jobs/7") == 1
        assert player.slept == 0
    assert ours.requests == ["DELETE jobs/7"]


def test_the_boards_of_an_ended_job_are_not_switched_which_would_bring_it_back_to_life(java: Player) -> None:
    java.says("GET jobs/7", reply({**JOB, "state": "DESTROYED"}))
    java.ask("power_on_job_boards", 7)
    assert java.requests == ["GET jobs/7"]


def test_an_answer_that_can_not_be_read_is_a_fault_of_the_protocol(java: Player) -> None:
    java.says("GET machines", reply({"machines": [{"name": "big"}]}))
    with pytest.raises(ProtocolError, match="can't be read"):
        java.ask("list_machines")


# Changes.


def look(player: Player) -> list[Any]:
    (watch,) = player.translation.watching.watches.values()
    told: list[Any] = player.play(player.translation.watching.look(watch))
    return told


def test_our_server_is_waited_for_with_the_tag_of_what_is_known(ours: Player) -> None:
    ours.says("GET jobs/7", reply(JOB, etag='"1"'))
    ours.says(
        "GET jobs/7?wait=true", reply(None, 304, etag='"1"'), reply(JOB, etag='"2"'), reply(JOB, etag='"3"')
    )
    ours.ask("notify_job", 7)
    assert look(ours) == []
    assert look(ours) == [JobsChanged([7])]
    assert look(ours) == [JobsChanged([7])]
    tags = [sent.headers.get("if-none-match") for sent in ours.sent if "jobs/7" in sent.path]
    assert tags == [None, '"1"', '"1"', '"2"']
    assert ours.slept == 0


def test_a_job_that_has_ended_is_not_asked_about_in_a_busy_loop(ours: Player) -> None:
    ours.says("GET jobs/7", reply(JOB, etag='"1"'))
    ours.says("GET jobs/7?wait=true", reply("no such job", 404))
    ours.ask("notify_job", 7)
    assert look(ours) == [JobsChanged([7])]
    assert look(ours) == []
    assert ours.slept > 0


def test_the_java_service_is_looked_at_now_and_then_and_never_waited_for(java: Player) -> None:
    java.says(
        "GET jobs/7", reply(JOB), reply({**JOB, "keep-alive-time": "now"}), reply({**JOB, "state": "POWER"})
    )
    java.ask("notify_job", 7)
    assert look(java) == []
    assert look(java) == [JobsChanged([7])]
    for _ in range(10):
        assert look(java) == []
    before = java.slept
    assert look(java) == []
    assert java.slept - before == 5.0
    assert not [sent for sent in java.sent if "wait" in sent.path]


def test_a_change_there_and_back_that_somebody_was_told_of_is_not_missed(java: Player) -> None:
    java.says("GET jobs/7", reply(JOB), reply({**JOB, "state": "POWER"}), reply(JOB))
    java.says("GET jobs/7/machine/power", reply({"power": "ON"}))
    java.ask("notify_job", 7)
    assert java.ask("get_job_state", 7)["state"] == 2
    assert java.translation.watching.take() == [JobsChanged([7])]
    assert look(java) == [JobsChanged([7])]


def test_all_jobs_and_machines_are_watched_by_the_list(ours: Player) -> None:
    ours.says("GET jobs?limit=200", reply({"jobs": []}, etag='"1"'))
    ours.says("GET jobs?limit=200&wait=true", reply({"jobs": []}, etag='"2"'))
    ours.ask("notify_job")
    assert look(ours) == [JobsChanged([])]
    ours.ask("no_notify_job")
    ours.ask("notify_machine")
    assert look(ours) == [MachinesChanged([])]


def test_the_end_of_a_job_is_told_once_when_it_is_near_and_again_when_it_is_put_off(ours: Player) -> None:
    def times(left: float | None) -> Any:
        return {**JOB, "times": {"ends-in": left, "why": "its limit"}}

    ours.says("GET jobs/7", reply(times(900.0), etag='"1"'))
    ours.says(
        "GET jobs/7?wait=true",
        reply(times(100.0), etag='"2"'),
        reply(None, 304),
        reply(times(None), etag='"3"'),
    )
    ours.ask("notify_job_ending", 7)
    assert look(ours) == []
    assert look(ours) == [Other({"job_ending": {"job_id": 7, "seconds": 100.0, "reason": "its limit"}})]
    assert look(ours) == []
    assert look(ours) == [Other({"job_ending": {"job_id": 7, "seconds": None, "reason": None}})]
