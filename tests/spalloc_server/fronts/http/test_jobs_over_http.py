"""What clients of the HTTP service may ask for and do with jobs, and what they are answered."""

import asyncio
import sqlite3
from typing import Any

import pytest

from spalloc_server.core.askers import Asker
from spalloc_server.core.commands import CreateJob
from spalloc_server.core.emergency import UNRECORDED
from spalloc_server.core.jobs import Asked
from spalloc_server.core.requests import requested
from spalloc_server.engine import EngineFailedError, EngineStoppingError
from spalloc_server.fronts.http.api.lists import DETAILS_A_SLICE
from spinnaker.geometry import Board
from tests.spalloc_server.fronts.http.service import Service, job, run

JOBS = "srv/spalloc/jobs"
UNLIKE = "the body is not as it must be: "
ROOT = "https://spalloc.example/spalloc/srv/spalloc"


@pytest.mark.parametrize(
    ("wanted", "boards"),
    [
        ({}, 1),
        ({"num_boards": 1}, 1),
        ({"num_boards": 3}, 3),
        ({"num_boards": 2.7}, 3),
        ({"dimensions": {"width": 2, "height": 1}}, 6),
        ({"dimensions": {"width": 2, "height": 2}, "max_dead_boards": 1}, 11),
        ({"board": {"x": 1, "y": 0, "z": 2}}, 1),
        ({"board": {"cabinet": 0, "frame": 0, "board": 4}}, 1),
        ({"board": {"address": "127.81.0.4"}}, 1),
        ({"board": {"x": 0, "y": 1, "z": 0}, "dimensions": {"width": 1, "height": 2}}, 6),
        ({"board": {"address": "127.81.0.0"}, "dimensions": {"width": 1, "height": 1}}, 3),
        ({"tags": None, "machine_name": "big one"}, 1),
        ({"tags": []}, 1),
        ({"keepalive_interval": 30, "time_limit": "PT1H30M"}, 1),
        ({"keepalive_interval": 300.0, "time_limit": 90}, 1),
        ({"group": "g", "min_ratio": 0.5, "max_dead_links": 3, "require_torus": False, "num_boards": 3}, 3),
        ({"nmpi_collab": "c"}, 1),
        ({"nmpi_job_id": 4}, 1),
    ],
)
def test_a_job_is_created_in_every_form(wanted: dict[str, Any], boards: int) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        answer = await alice("POST", JOBS, document=job(**wanted))
        assert answer.status == 201
        assert answer.json == {"job-id": 1, "job-ref": f"{ROOT}/jobs/1"}
        url = answer.headers["location"]
        assert url == f"{ROOT}/jobs/1"
        state = await service.becomes(alice, url, "READY")
        assert state["owner"] == "alice"
        original = state["original-request"]
        for name, value in wanted.items():
            if name not in ("num_boards", "keepalive_interval", "time_limit"):
                assert original[name.replace("_", "-")] == value
        assert len((await alice.get(f"{url}/machine")).json["boards"]) >= boards

    run(test)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (job(keepalive_interval=None), "the body is not as it must be: keepalive-interval is required"),
        (job(keepalive_interval="PT29S"), "keepalive-interval must be 30 to 300 seconds; it is 29"),
        (job(keepalive_interval=300.5), "keepalive-interval must be 30 to 300 seconds; it is 300.5"),
        (job(keepalive_interval="1 minute"), "keepalive-interval is '1 minute'; it must be a duration such as PT60S"),
        (job(keepalive_interval="P"), "keepalive-interval is 'P'"),
        (job(tags=None), "either machine-name or tags must be supplied"),
        (job(machine_name="big one"), "either machine-name or tags must be supplied"),
        (job(num_boards=0), "number of boards must be at least 1"),
        (job(num_boards=1e300), "number of boards must be at least 1 if given, and at most 1000000"),
        (job(num_boards="3"), "the body is not as it must be: num-boards: expected a number or null, got a string"),
        (job(num_boards=3, board={"x": 0, "y": 0, "z": 0}), "either specify num-boards or dimensions and/or board"),
        (job(num_boards=100), "A rectangle with 100 boards can never be allocated"),
        (job(dimensions={"width": 3, "height": 1}), "A rectangle of 3x1 triads can never be allocated"),
        (job(dimensions={"width": 0, "height": 1}), "the body is not as it must be: dimensions.width: expected"),
        (job(dimensions={"width": 2}), "the body is not as it must be: dimensions.height is required"),
        (job(board={"x": 0, "y": 0}), "at least one way of identifying a board must be given"),
        (job(board={}), "at least one way of identifying a board must be given"),
        (job(board={"x": 0, "y": 0, "z": 0, "address": "a"}), "at least one way of identifying a board must be given"),
        (job(board={"address": "10.9.9.9"}), "no machine available which matches allocation request: none has a"),
        (job(board={"cabinet": 5, "frame": 0, "board": 0}), "no machine available which matches allocation request"),
        (job(board={"x": 1, "y": 1, "z": 2}), "Board"),
        (job(tags=["fast"]), "No machine"),
        (job(owner="carol"), "only a service or an administrator can specify another owner; the owner of this job is"),
        (job(group="g", nmpi_collab="c"), "at most one of group, nmpi-collab and nmpi-job-id can be specified"),
        (job(require_torus=True), "require_torus is for rectangles of triads"),
        (job(time_limit=0), "the time limit is 0 s; it must be more than 0 seconds"),
        (job(colour="red"), f"{UNLIKE}object contains unknown field colour; there are keepalive-interval, num-boards,"),
        (job(num_bords=3), f"{UNLIKE}object contains unknown field num-bords; did you mean num-boards?; there are"),
        (
            job(dimensions={"widht": 2, "height": 1}),
            f"{UNLIKE}dimensions: object contains unknown field widht; did you mean width?; there are width, height",
        ),
        ([], "the body is not as it must be: expected an object, got a list"),
        (None, "the body is empty; it must be a JSON object"),
    ],
)  # fmt: skip
def test_a_request_for_a_job_that_makes_no_sense_is_told_why(document: Any, said: str) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        headers = {} if document is not None else {"content-type": "application/json"}
        answer = await alice("POST", JOBS, document=document, headers=headers)
        assert answer.status == 400
        assert answer.text.startswith(said), answer
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert (await alice.get(JOBS)).json == {"jobs": []}

    run(test)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff{}", "application/json", 400),
        (b"[" * 30_000, "application/json", 400),
        (b"null", "application/json; charset=utf-8", 400),
        (b'{"tags":"\\ud800"}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", None, 415),
        ([b"x" * 40_000, b"x" * 40_000, b"x"], "application/json", 413),
    ],
)
def test_bodies_that_are_no_documents_are_refused(body: Any, kind: str | None, status: int) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        headers = {} if kind is None else {"content-type": kind}
        answer = await alice("POST", JOBS, body=body, headers=headers)
        assert answer.status == status
        assert answer.text

    run(test)


def test_administrators_and_services_may_name_an_owner() -> None:
    async def test(service: Service) -> None:
        for name in ("boss", "broker"):
            client = await service.log_in(name)
            state = (await client.get(await client.create(owner="carol"))).json
            assert (state["owner"], state["account"]) == ("carol", name)

    run(test)


def test_a_job_is_described_kept_alive_powered_and_ended() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create(num_boards=3)
        ready = await service.becomes(alice, url, "READY")
        assert ready["proxy-ref"] == "wss://spalloc.example/spalloc/proxy/1"
        assert (ready["keepalive-host"], ready["power"]) == ("10.0.0.1", "ON")
        for name, path in (
            ("keepalive", "keepalive"),
            ("machine", "machine"),
            ("power", "machine/power"),
            ("chip", "chip"),
        ):
            assert ready[f"{name}-ref"] == f"{url}/{path}"
        kept = await alice("PUT", f"{url}/keepalive", body=b"alive", headers={"content-type": "text/plain"})
        assert (kept.status, kept.text) == (200, "ok")
        wrong = await alice("POST", f"{url}/machine/power", document={"power": "MAYBE"})
        assert (wrong.status, wrong.text) == (400, f"{UNLIKE}power is 'MAYBE'; it must be ON, OFF, 0 or 1")
        assert (await alice("POST", f"{url}/machine/power", document={"power": "OFF"})).status == 202
        assert (await service.becomes(alice, url, "READY"))["power"] == "OFF"
        assert (await alice.get(f"{url}/machine/power")).json == {"power": "OFF"}
        assert (await alice("POST", f"{url}/machine/power", document={"power": 1})).status == 202
        await service.becomes(alice, url, "READY")
        for _ in range(2):
            assert (await alice("DELETE", f"{url}/?reason=all%20done")).status == 204
        over = (await alice.get(url)).json
        assert (over["state"], over["reason"]) == ("DESTROYED", "all done")
        assert not over.keys() & {"keepalive-host", "keep-alive-time", "proxy-ref", "power", "queue", "times"}
        assert (await alice("PUT", f"{url}/keepalive")).text == "ok"

    run(test)


def test_a_destroyed_job_has_no_boards_to_switch_and_none_to_show() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create(num_boards=3)
        await service.becomes(alice, url, "READY")
        await alice("DELETE", url)
        assert (await alice("POST", f"{url}/machine/power", document={"power": "ON"})).status == 410
        assert (await alice.get(url)).json["state"] == "DESTROYED"
        machine = (await alice.get(f"{url}/machine")).json
        assert (machine["width"], machine["boards"], machine["connections"]) == (1, [], [])
        assert (await alice.get(f"{url}/machine/power")).status == 204
        assert (await alice.get(f"{url}/chip?x=0&y=0")).status == 204
        assert "is not live" in (await alice("PUT", f"{url}/time-limit", document={"time-limit": 9})).text

    run(test)


def test_a_queued_job_has_no_boards_yet_and_says_where_it_stands() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        first = await alice.create(dimensions={"width": 2, "height": 2}, max_dead_boards=1)
        second = await alice.create(
            dimensions={"width": 2, "height": 2}, max_dead_boards=1, time_limit="PT2H"
        )
        state = await service.becomes(alice, second, "QUEUED")
        assert state["queue"]["position"] == 1
        assert state["queue"]["of"] == 1
        assert state["queue"]["reason"].startswith("Number 1 of 1 in the queue")
        assert state["times"]["time-limit"] == 7200.0
        for path in ("machine", "machine/power", "chip?x=0&y=0"):
            assert (await alice.get(f"{second}/{path}")).status == 204
        assert (await alice("POST", f"{second}/machine/power", document={"power": "OFF"})).status == 204
        await alice("DELETE", first)
        await service.becomes(alice, second, "READY")

    run(test)


def test_a_jobs_machine_is_told_in_triads_with_boards_and_connections_in_one_order() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create(dimensions={"width": 1, "height": 2})
        machine = (await alice.get(f"{url}/machine")).json
        assert (machine["width"], machine["height"], machine["depth"]) == (1, 2, 3)
        assert machine["machine-name"] == "big one"
        assert machine["machine-ref"] == f"{ROOT}/machines/big%20one"
        assert (await alice.get(machine["machine-ref"])).status == 200
        assert machine["power"] == f"{url}/machine/power"
        for (chip, address), board in zip(machine["connections"], machine["boards"], strict=True):
            assert service.machine.addresses[Board(*board)] == address
            where = (await alice.get(f"{url}/chip?x={chip[0]}&y={chip[1]}")).json
            assert where["logical-board-coordinates"] == board
            assert where["chip"] == where["job-chip"] == where["board-chip"] == chip
            assert where["physical-board-coordinates"] == list(service.machine.places[Board(*board)])
            assert where["job-ref"] == url
        single = await alice.create()
        machine = (await alice.get(f"{single}/machine")).json
        assert (machine["width"], machine["height"], machine["depth"]) == (1, 1, 1)
        for x, y in ((8, 0), (7, 0), (24, 0), (1000, 1000)):
            assert (await alice.get(f"{single}/chip?x={x}&y={y}")).status == 204, "no chip of this board"

    run(test)


def test_time_limits_are_changed() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create(time_limit=60)
        await service.becomes(alice, url, "READY")
        answer = await alice("PUT", f"{url}/time-limit", document={"time-limit": "PT2H"})
        assert answer.json == {"time-limit": 7200.0}
        times = (await alice.get(url)).json["times"]
        assert times["time-limit"] == 7200.0
        assert 7000 < times["ends-in"] <= 7200
        wrong = await alice("PUT", f"{url}/time-limit", document={"time-limit": 0})
        assert (wrong.status, wrong.text) == (400, "the time limit is 0 s; it must be more than 0 seconds")

    run(test)


USES = [
    ("GET", "", {}),
    ("GET", "?wait=true", {}),
    ("DELETE", "", {}),
    ("PUT", "/keepalive", {}),
    ("GET", "/machine", {}),
    ("GET", "/machine/power", {}),
    ("POST", "/machine/power", {"document": {"power": "OFF"}}),
    ("GET", "/chip?x=0&y=0", {}),
    ("PUT", "/time-limit", {"document": {"time-limit": 60}}),
    ("POST", "/report-issue", {"document": {"issue": "it smokes", "boards": [{"x": 0, "y": 0, "z": 0}]}}),
]


@pytest.mark.parametrize("is_over", [False, True])
@pytest.mark.parametrize(("method", "path", "request_"), USES)
def test_somebody_elses_job_is_as_if_it_did_not_exist(
    method: str, path: str, request_: dict[str, Any], is_over: bool
) -> None:
    async def test(service: Service) -> None:
        alice, bob = await service.log_in(), await service.log_in("bob")
        url = await alice.create()
        before = await service.becomes(alice, url, "READY")
        if is_over:
            await alice("DELETE", url)
        answer = await bob(method, url + path, **request_)
        assert (answer.status, answer.text) == (404, "no such job")
        if not is_over:
            after = (await alice.get(url)).json
            assert after["state"] == "READY"
            assert after["keepalive-host"] == before["keepalive-host"]

    run(test)


@pytest.mark.parametrize("name", ["boss", "broker"])
def test_administrators_and_services_see_and_use_all_jobs(name: str) -> None:
    async def test(service: Service) -> None:
        alice, other = await service.log_in(), await service.log_in(name)
        url = await alice.create()
        await service.becomes(other, url, "READY")
        assert (await other("DELETE", f"{url}?reason=no")).status == 204
        assert (await alice.get(url)).json["reason"] == "no"

    run(test)


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        ("0", 400, "the job's ID is 0; it must be 1 or more"),
        ("-3", 400, "the job's ID is -3; it must be 1 or more"),
        ("77", 404, "no such job"),
        ("x", 404, "no such job"),
        ("9" * 40, 404, "no such job"),
        ("٣", 404, "no such job"),
    ],
)
def test_there_is_no_job_with_such_an_id(number: str, status: int, said: str) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        answer = await alice.get(f"{JOBS}/{number}")
        assert (answer.status, answer.text) == (status, said)

    run(test)


def test_jobs_are_listed_newest_first_in_pages() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        urls = [await alice.create() for _ in range(5)]
        await alice("DELETE", urls[2])
        assert (await alice.get(JOBS)).json == {"jobs": [urls[4], urls[3], urls[1], urls[0]]}
        listed, target = [], f"{JOBS}?deleted=TRUE&limit=2"
        while True:
            answer = await alice.get(target)
            page = answer.json
            links = [f'<{page[rel]}>; rel="{rel}"' for rel in ("next", "prev") if rel in page]
            assert answer.headers.get("link", "") == ", ".join(links)
            listed += page["jobs"]
            if "next" not in page:
                break
            target = page["next"]
        assert listed == urls[::-1]
        assert (await alice.get(page["prev"])).json["jobs"] == [urls[2], urls[1]]

    run(test)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "the query is not as it must be: limit: expected a whole number >= 1"),
        ("limit=201", "the query is not as it must be: limit: expected a whole number <= 200"),
        ("limit=x", "limit is 'x'; it must be a whole number in decimal digits"),
        ("start=-1", "the query is not as it must be: start: expected a whole number >= 0"),
        ("wait=perhaps", "wait is 'perhaps'; it must be true or false"),
        ("x=%ff", "the query can't be read"),
        ("&".join(["a=1"] * 200), "the query can't be read"),
    ],
)
def test_a_query_that_makes_no_sense_is_told_why(query: str, said: str) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        answer = await alice.get(f"{JOBS}?{query}")
        assert answer.status == 400
        assert answer.text.startswith(said)

    run(test)


def test_everybody_sees_whose_jobs_have_which_boards_and_only_their_users_see_the_rest() -> None:
    async def test(service: Service) -> None:
        alice, reader = await service.log_in(), await service.log_in("reader")
        url = await alice.create(num_boards=3, group="secret project")
        await service.becomes(alice, url, "READY")
        (own,) = (await alice.get(f"{JOBS}?details=true")).json["details"]
        (seen,) = (await reader.get(f"{JOBS}?details=true")).json["details"]
        assert own["yours"]
        assert own["details"] == (await alice.get(url)).json
        assert own["machine"] == (await alice.get(f"{url}/machine")).json
        assert seen == {
            name: value for name, value in own.items() if name not in ("yours", "details", "machine")
        }
        assert (seen["owner"], seen["state"], seen["asked"], len(seen["boards"])) == (
            "alice",
            "READY",
            "3 boards",
            3,
        )
        await alice("DELETE", f"{url}?reason=private")
        for client in (alice, reader):
            (ended,) = (await client.get("srv/spalloc/history?owner=alice&machine=big%20one&limit=5")).json[
                "jobs"
            ]
            assert (ended["job-id"], ended["state"]) == (1, "DESTROYED")
            assert "reason" not in ended
        assert (await reader.get("srv/spalloc/history?owner=bob")).json == {"jobs": []}

    run(test)


def test_a_job_that_left_memory_is_read_from_the_records() -> None:
    async def test(service: Service) -> None:
        alice, bob = await service.log_in(), await service.log_in("bob")
        url = await alice.create()
        await alice("DELETE", f"{url}?reason=old")
        service.engine._site.ended.clear()  # type: ignore[attr-defined]  # as after a thousand others
        answer = await alice.get(url)
        assert answer.json["reason"] == "old"
        known = await alice.get(url, headers={"if-none-match": answer.headers["etag"]})
        assert (known.status, known.body) == (304, b"")
        assert (await bob.get(url)).status == 404
        assert (await alice("DELETE", url)).status == 204

    run(test)


def test_a_job_of_v1_is_for_administrators_and_its_own_host() -> None:
    async def test(service: Service) -> None:
        request = requested([3], tags=["default"])
        asked = Asked((3,), {"tags": ["default"]})
        service.engine.do(CreateJob(request, asked, "me@home", None), Asker("10.7.7.7"))
        boss, alice = await service.log_in("boss"), await service.log_in()
        state = (await boss.get(f"{JOBS}/1")).json
        assert state["owner"] == "me@home"
        assert "account" not in state
        assert state["original-request"]["keepalive-interval"] is None
        assert state["original-request"]["num-boards"] == 3
        assert (await alice.get(f"{JOBS}/1")).status == 404

    run(test)


def test_boards_of_a_job_are_reported() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create(board={"x": 0, "y": 0, "z": 0})
        await service.becomes(alice, url, "READY")

        async def report(*boards: dict[str, Any]) -> Any:
            return await alice("POST", f"{url}/report-issue", document={"issue": "hot", "boards": boards})

        for board in (
            {"machine": "big one", "chip": [0, 0]},
            {"machine": "big one", "x": 0, "y": 0, "z": 0},
            {"machine": "big one", "cabinet": 0, "frame": 0, "board": 0},
            {"machine": "big one", "address": "127.81.0.0"},
            {"address": "127.81.0.0"},
        ):
            assert (await report(board)).json == {"action": "report noted"}
        other = await report({"machine": "big one", "x": 1, "y": 0, "z": 0})
        assert other.json == {"action": "triad (1,0,0) not allocated to job 1"}
        for none in (
            {"address": "x"},
            {"x": 9, "y": 9, "z": 0},
            {"machine": "no", "chip": [0, 0]},
            {"cabinet": 9},
            {},
        ):
            assert (await report(none)).status == 400
        assert (await report()).status == 400

    run(test)


def test_trouble_with_the_disk_is_told_as_such() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        service.engine.trouble = "the disk is full"
        refused = await alice("POST", JOBS, document=job())
        assert refused.status == 503
        assert refused.headers["retry-after"] == "5"
        assert refused.text == "the server takes no changes for now, try again later: the disk is full"
        assert (await alice("PUT", f"{url}/keepalive")).status == 200

    run(test)


def test_an_administrator_stops_all_jobs_and_lets_them_come_again() -> None:
    async def test(service: Service) -> None:
        alice, boss = await service.log_in(), await service.log_in("boss")
        stop = "srv/spalloc/emergencyStop"
        url = await alice.create()
        for name in ("alice", "broker"):
            assert (await (await service.log_in(name))("POST", stop)).status == 403
        assert (await boss.get(f"{stop}?commandCode=x")).json == {"stopped": False}, "a GET changes nothing"
        answer = await boss("POST", f"{stop}?reason=fire")
        reason = "The machine has been shut down due to an emergency: fire"
        assert answer.json == {"stopped": True, "reason": reason, "ended-jobs": 1}
        assert (await alice.get(url)).json["reason"] == reason
        refused = await alice("POST", JOBS, document=job())
        assert refused.status == 503
        assert refused.text == f"{reason}; no jobs are taken until an administrator lifts the stop"
        assert (await alice.get(stop)).json == {"stopped": True, "reason": reason}
        assert (await boss("DELETE", stop)).json == {"stopped": False}
        await alice.create()

    run(test)


def test_a_stop_while_records_can_not_be_written_is_done_and_says_what_is_not_on_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spalloc_server.recorded.RECORD_RETRY_SECONDS", 0.001)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("the disk is full")

    async def test(service: Service) -> None:
        alice, boss = await service.log_in(), await service.log_in("boss")
        url = await alice.create()
        monkeypatch.setattr(service.store, "write", fail)
        answer = await boss("POST", "srv/spalloc/emergencyStop?reason=fire")
        assert answer.status == 200
        assert answer.json["ended-jobs"] == 1
        assert answer.json["unrecorded"] == UNRECORDED
        assert (await alice.get(url)).json["state"] == "DESTROYED"
        assert (await boss("DELETE", "srv/spalloc/emergencyStop")).json == {"stopped": False}
        monkeypatch.undo()

    run(test)


def test_many_jobs_are_described_in_slices() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        urls = [await alice.create() for _ in range(4 * DETAILS_A_SLICE)]
        turns = 0

        def count() -> None:
            nonlocal turns
            turns += 1
            asyncio.get_running_loop().call_soon(count)

        count()
        call = alice.begin("GET", f"{JOBS}?details=true")
        # Until the page is begun.
        for _ in range(3):
            await asyncio.sleep(0)
        await alice("DELETE", urls[0])
        before = turns
        answer = await call.answer()
        assert turns - before >= 2
        states = [one["state"] for one in answer.json["details"]]
        assert len(states) == len(urls)
        assert states[-1] in ("READY", "DESTROYED")

    run(test)


def test_trouble_with_the_history_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        await alice("DELETE", url)
        service.engine._site.ended.clear()  # type: ignore[attr-defined]  # as after a thousand others
        for error, said in (
            (
                sqlite3.OperationalError("disk I/O error"),
                "the history can't be read just now, try again later: disk",
            ),
            (EngineStoppingError("the server stops"), "the server stops; ask again in a moment"),
        ):

            async def fail(*_: object, error: Exception = error) -> None:
                raise error

            for name in ("ended_job", "ended_jobs", "newest_jobs"):
                monkeypatch.setattr(service.engine, name, fail)
            for target in (url, "srv/spalloc/history", f"{JOBS}?deleted=true"):
                answer = await alice.get(target)
                assert (answer.status, answer.headers["retry-after"]) == (503, "5")
                assert answer.text.startswith(said)

    run(test)


def test_a_change_that_the_server_did_not_survive_is_not_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        monkeypatch.setattr(service.engine, "when_recorded", lambda callback: callback(False))
        answer = await alice("POST", JOBS, document=job())
        assert answer.status == 503
        assert answer.text.startswith("the server stops, and this may not be done")

        def fail(*_: object) -> None:
            raise EngineFailedError("the server failed in the middle of this")

        monkeypatch.setattr(service.engine, "do", fail)
        answer = await alice("POST", JOBS, document=job())
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.text == "the server failed and ends; ask again when it is back"

    run(test)


def test_a_list_says_in_words_what_each_job_asked_for() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        for wanted in (
            {},
            {"num_boards": 3},
            {"dimensions": {"width": 1, "height": 1}},
            {"board": {"x": 1, "y": 0, "z": 1}},
            {"board": {"x": 0, "y": 1, "z": 0}, "dimensions": {"width": 1, "height": 1}},
        ):
            await alice.create(**wanted)
        listed = (await alice.get(f"{JOBS}?details=true")).json["details"]
        assert [one["asked"] for one in reversed(listed)] == [
            "1 board",
            "3 boards",
            "1x1 triads",
            "board (1, 0, 1)",
            "1x1 triads at board (0, 1, 0)",
        ]

    run(test)
