"""What the HTTP service says of machines, and of paths and methods that there are not."""

import pytest

from spalloc_server.core.administration import Drain, SetReservations
from spalloc_server.core.askers import SERVER
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.reservations import Reservation
from spinnaker.geometry import Board
from tests.spalloc_server.fronts.http.service import Service, job, run

ROOT = "https://spalloc.example/spalloc/srv/spalloc"
MACHINE = f"{ROOT}/machines/big%20one"
DEAD = {"x": 1, "y": 1, "z": 2, "cabinet": None, "frame": None, "board": None, "address": None}


def test_machines_are_described_in_a_list_and_alone() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        (listed,) = (await alice.get("srv/spalloc/machines")).json["machines"]
        assert (listed["name"], listed["tags"], listed["uri"]) == ("big one", ["default"], MACHINE)
        assert (listed["width"], listed["height"], listed["dead-boards"]) == (2, 2, [DEAD])
        ends = [
            {(end["board"]["x"], end["board"]["y"], end["board"]["z"]) for end in link}
            for link in listed["dead-links"]
        ]
        assert len(ends) == 7, "the dead link, once, and the six of the dead board"
        assert sum((1, 1, 2) in pair for pair in ends) == 6
        ((one, two),) = [
            link for link in listed["dead-links"] if DEAD not in (link[0]["board"], link[1]["board"])
        ]
        assert {one["direction"], two["direction"]} == {"N", "S"}
        alone = (await alice.get(MACHINE)).json
        assert alone["down-boards"] == listed["dead-boards"]
        assert alone["down-links"] == listed["dead-links"]

    run(test)


def test_look_ups_are_where_the_machine_says_and_agree() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create(board={"x": 1, "y": 0, "z": 2})
        await service.becomes(alice, url, "READY")
        machine = (await alice.get(MACHINE)).json
        place = service.machine.places[Board(1, 0, 2)]
        address = service.machine.addresses[Board(1, 0, 2)]
        answers = [
            (await alice.get(target)).json
            for target in (
                f"{machine['lookup-by-logical-board']}?x=1&y=0&z=2",
                f"{machine['lookup-by-physical-board']}?cabinet={place.cabinet}&frame={place.frame}&board={place.board}",
                f"{machine['lookup-by-chip']}?x=16&y=8",
                f"{machine['lookup-by-address']}?address={address}",
            )
        ]
        assert answers[0] == {
            "job-id": 1,
            "job-ref": url,
            "job-chip": [0, 0],
            "chip": [16, 8],
            "logical-board-coordinates": [1, 0, 2],
            "machine": "big one",
            "machine-ref": MACHINE,
            "board-chip": [16, 8],
            "physical-board-coordinates": list(place),
        }
        assert answers[1:] == answers[:1] * 3
        inside = (await alice.get(f"{machine['lookup-by-chip']}?x=18&y=9")).json
        assert (inside["chip"], inside["board-chip"], inside["job-chip"]) == ([18, 9], [16, 8], [2, 1])
        nothing_given = (await alice.get(machine["lookup-by-chip"])).json
        assert nothing_given["logical-board-coordinates"] == [0, 0, 0]
        assert "job-id" not in nothing_given

    run(test)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("machines/none", 404, "no such machine"),
        ("machines/none/chip?x=0&y=0", 404, "no such machine"),
        ("machines/none/board-ip?address=x", 404, "no such machine"),
        ("machines/big one/chip?x=24&y=0", 404, "failed to locate board"),
        ("machines/big one/chip?x=300&y=300", 404, "failed to locate board"),
        ("machines/big one/logical-board?x=5", 404, "failed to locate board"),
        ("machines/big one/logical-board?z=3", 404, "failed to locate board"),
        ("machines/big one/logical-board?x=1&y=1&z=2", 404, "failed to locate board"),
        ("machines/big one/physical-board?cabinet=1", 404, "failed to locate board"),
        ("machines/big one/board-ip?address=10.9.9.9", 404, "failed to locate board"),
        (
            "machines/big one/board-ip",
            400,
            "the query is not as it must be: address is required",
        ),
        ("machines/big one/chip?x=0x10", 400, "x is '0x10'; it must be a whole number in decimal digits"),
        (
            "machines/big one/chip?x=-1",
            400,
            "the query is not as it must be: x: expected a whole number >= 0",
        ),
    ],
)
def test_what_is_not_there_is_told(path: str, status: int, said: str) -> None:
    async def test(service: Service) -> None:
        answer = await (await service.log_in()).get(f"srv/spalloc/{path}")
        assert (answer.status, answer.text) == (status, said)

    run(test)


def test_boards_set_aside_and_reservations_are_told_with_the_machine() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        key = BoardKey("big one", Board(0, 1, 0))
        service.engine.do(Drain([key], "a fan is broken", "root"), SERVER)
        school = Reservation(
            "school", 0.0, 250_000_000_000.0, "a course", frozenset({key}), owners=frozenset({"eve"})
        )
        service.engine.do(SetReservations([school]), SERVER)
        await (await alice.create() and alice).get("srv/spalloc")
        for machine in (
            (await alice.get("srv/spalloc/machines")).json["machines"][0],
            (await alice.get(MACHINE)).json,
        ):
            (aside,) = machine["set-aside-boards"]
            assert aside["board"] == [0, 1, 0]
            assert "a fan is broken" in aside["reason"]
            (reserved,) = machine["reservations"]
            assert reserved["begins"] == "1970-01-01T00:00:00Z"
            assert (reserved["owners"], reserved["boards"]) == (["eve"], [[0, 1, 0]])

    run(test)


@pytest.mark.parametrize(
    "path",
    ["srv/spalloc/", "srv//spalloc", "/spalloc//srv/spalloc//", "srv/spalloc/jobs//", "srv/spalloc//jobs/1/"],
)
def test_slashes_may_be_doubled_and_trail(path: str) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        await alice.create()
        assert (await alice.get(path)).status == 200

    run(test)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/spallo",
        "srv",
        "srv/spalloc/job",
        "srv/spalloc/jobs/1/machine/x",
        "srv/spalloc/../jobs",
        "/x",
    ],
)
def test_there_is_nothing_elsewhere(path: str) -> None:
    async def test(service: Service) -> None:
        answer = await (await service.log_in()).get(path)
        assert (answer.status, answer.text) == (
            404,
            "there is nothing here; /spalloc/srv/spalloc says what there is",
        )

    run(test)


def test_the_address_of_the_service_leads_to_its_page() -> None:
    async def test(service: Service) -> None:
        for path in ("/spalloc", "/spalloc/"):
            answer = await service.client().get(path)
            assert (answer.status, answer.headers["location"]) == (
                302,
                "https://spalloc.example/spalloc/system/",
            )

    run(test)


def test_every_path_knows_its_methods() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        asked = await service.client()("OPTIONS", "srv/spalloc/jobs")
        assert (asked.status, asked.headers["allow"], asked.body) == (200, "GET, POST, HEAD, OPTIONS", b"")
        refused = await alice("PATCH", url)
        assert (refused.status, refused.headers["allow"]) == (405, "GET, DELETE, HEAD, OPTIONS")
        assert refused.text == "PATCH can't be done here; GET, DELETE, HEAD, OPTIONS can"
        whole, head = await alice.get("srv/spalloc/machines"), await alice("HEAD", "srv/spalloc/machines")
        assert (head.status, head.body, head.headers) == (200, b"", whole.headers)
        assert head.headers["content-length"] == str(len(whole.body))

    run(test)


def test_no_answer_is_kept_framed_or_guessed() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        for answer in (
            await alice.get("srv/spalloc"),
            await alice.get("nowhere"),
            await alice("POST", "srv/spalloc"),
        ):
            assert answer.headers["cache-control"].startswith("no-cache, no-store")
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-content-type-options"] == "nosniff"

    run(test)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "srv/spalloc/jobs/1/fast-data-read"),
        ("POST", "srv/spalloc/jobs/1/fast-data-write"),
        ("POST", "srv/spalloc/admin/import"),
        ("GET", "srv/spalloc/admin/users/7"),
    ],
)
def test_what_this_server_leaves_out_is_said_in_words(method: str, path: str) -> None:
    async def test(service: Service) -> None:
        boss = await service.log_in("boss")
        answer = await boss(method, path)
        assert answer.status == 501
        assert answer.text.startswith("this server ")

    run(test)


def test_a_request_without_a_host_is_refused() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        for host in ("", "a b@c/d", "x" * 300):
            assert (
                await alice("POST", "srv/spalloc/jobs", document=job(), headers={"host": host})
            ).status == 400

    run(test)


def test_addresses_in_answers_are_those_under_which_the_client_came() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        root = (await alice.get("srv/spalloc", headers={"host": "127.0.0.1:8443"})).json
        assert root["jobs-ref"] == "https://127.0.0.1:8443/spalloc/srv/spalloc/jobs"
        plain = service.client(scheme="http")
        plain.cookie, plain.csrf = alice.cookie, alice.csrf
        url = await plain.create()
        assert url == "http://spalloc.example/spalloc/srv/spalloc/jobs/1"
        assert (await service.becomes(plain, url, "READY"))[
            "proxy-ref"
        ] == "ws://spalloc.example/spalloc/proxy/1"

    run(test)


def test_a_fault_of_the_server_is_a_500_without_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        service.engine._site.machines["big one"] = None  # type: ignore[attr-defined]
        answer = await alice.get("srv/spalloc/machines")
        assert (answer.status, answer.text) == (500, "the server failed to do this; its log says why")
        assert "a request for /spalloc/srv/spalloc/machines failed" in caplog.text

    run(test)
