"""The double of the Java service behaves as that service is described, each defect if and only if it is switched on."""

import struct
from collections.abc import Iterator
from threading import Thread

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from spinnaker.geometry import Board, Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.doubles.caller import CREATION, Answer, Caller, basic, number_of
from tests.doubles.defects import NONE, Defect
from tests.doubles.jobs import Group, State
from tests.doubles.people import Account, Role
from tests.doubles.service import JavaService
from tests.doubles.serving import THREADS

JOBS, MACHINES = "srv/spalloc/jobs", "srv/spalloc/machines"


@pytest.fixture
def service() -> Iterator[JavaService]:
    """A service with all defects, on a machine of 12 boards of which one is dead."""
    machine = VirtualMachine(
        size=Size(2, 2), timings=Timings.instant(), dead_boards=frozenset({Board(1, 1, 2)})
    )
    with JavaService(machines={"big": machine}) as running:
        yield running


@pytest.fixture
def user(service: JavaService) -> Iterator[Caller]:
    with Caller.user(service) as caller:
        yield caller


def ready(user: Caller, **wish: object) -> tuple[int, str]:
    address = user.create(**wish)
    user.service.until(number_of(address), State.READY)
    return number_of(address), address


# Logging in


def test_a_wrong_password_is_answered_401_and_a_right_one_302_with_a_new_cookie(service: JavaService) -> None:
    with Caller(service) as caller:
        wrong = caller.log_in(service.user, "guess")
        assert (wrong.status, wrong.json()["message"]) == (401, "computer says no")
        before = caller.cookie
        right = caller.log_in(f" {service.user} ", service.password)
        assert (right.status, right.body) == (302, b"")
        assert caller.cookie != before
        root = caller.ask("GET", "srv/spalloc")
        assert root.json()["version"]["major-version"] == 7
        assert root.json()["jobs-ref"] == f"{service.url}srv/spalloc/jobs"


def test_who_has_not_logged_in_is_told_so_or_redirected_where_html_is_accepted(service: JavaService) -> None:
    with Caller(service) as caller:
        answer = caller.ask("GET", JOBS)
        assert answer.status == 401
        assert len(answer.headers.get_all("WWW-Authenticate")) == 2
        assert caller.ask("GET", JOBS, Accept="text/html").status == 302
        service.defects.discard(Defect.REDIRECTS_HTML)
        assert caller.ask("GET", JOBS, Accept="text/html").status == 401


def test_basic_without_a_cookie_reads_and_creates_nothing(service: JavaService) -> None:
    words = basic(service.user, service.password)
    with Caller(service) as caller:
        assert caller.ask("POST", JOBS, CREATION, Authorization=words).status == 401
        root = caller.ask("GET", "srv/spalloc", Authorization=words)
        assert root.status == 200
        assert caller.ask("POST", JOBS, CREATION, Authorization=words).status == 403
        caller.csrf = root.json()["csrf-token"]
        assert caller.ask("POST", JOBS, CREATION).status == 201
    service.defects.discard(Defect.CSRF_BEFORE_BASIC)
    with Caller(service) as caller:
        assert caller.ask("POST", JOBS, CREATION, Authorization=words).status == 201


def test_a_bearer_token_needs_no_other_and_its_cookie_works_unless_it_is_the_login_pages(
    service: JavaService,
) -> None:
    words = f"Bearer {service.token}"
    with Caller(service) as caller:
        assert caller.ask("POST", JOBS, CREATION, Authorization=words).status == 201
        assert caller.ask("GET", JOBS).status == 200
        assert caller.ask("GET", JOBS, Authorization="Bearer of nothing").status == 401
    for status in (401, 200):
        with Caller(service) as caller:
            caller.ask("GET", "system/login.html", Authorization=words)
            assert caller.ask("GET", JOBS).status == status
        service.defects.discard(Defect.BEARER_LOGIN_PAGE)


def test_sessions_end_after_half_an_hour_without_a_request_and_when_a_test_says_so(
    service: JavaService, user: Caller
) -> None:
    service.advance(1700)
    assert user.ask("GET", JOBS).status == 200
    service.advance(1801)
    assert user.ask("GET", JOBS).status == 401
    with Caller.user(service) as other:
        service.end_sessions()
        assert other.ask("GET", JOBS).status == 401


def test_a_role_allows_what_it_allows_and_the_type_of_the_refusal_lies(service: JavaService) -> None:
    for role, name in ((Role.BASIC, "basic"), (Role.READER, "reader")):
        service.people.add(Account(name, name, role))
    with Caller(service, "basic", "basic") as basic_user:
        assert "jobs-ref" not in basic_user.ask("GET", "srv/spalloc").json()
        refused = basic_user.ask("GET", MACHINES)
        assert (refused.status, refused.text) == (403, "computer says no")
        assert refused.headers.get_content_type() == "application/json"
    with Caller(service, "reader", "reader") as reader:
        assert reader.ask("GET", MACHINES).status == 200
        assert reader.ask("POST", JOBS, CREATION).status == 403


# Jobs


def test_requests_are_refused_in_the_services_own_words(user: Caller) -> None:
    fault = "unexpected server problem:"
    both = "either specify num-boards or dimensions and/or board"
    for wish, status, words in (
        ({"machine-name": "big"}, 400, "either machine-name or tags must be supplied"),
        ({"num-boards": 1, "board": {"x": 0, "y": 0, "z": 0}}, 400, both),
        ({"num-boards": 0}, 400, "number of boards must be at least 1 if given"),
        ({"dimensions": {"width": 30, "height": 1}}, 400, "triad width (30) must be at least 1 and no more than 21"),
        ({"board": {"x": 1}}, 400, "at least one way of identifying a board must be given"),
        ({"board": {"address": "there"}}, 400, "address must be an IP address"),
        ({"board": {"x": 1, "y": 1, "z": 2}}, 400, "no machine available which matches allocation request"),
        ({"dimensions": {"width": 3, "height": 1}}, 400, "request cannot fit on machine"),
        ({"tags": ["blue"]}, 400, "no machine available which matches allocation request"),
        ({"keepalive-interval": 20}, 400, "keepalive-interval must be 30 to 300 seconds"),
        ({"keepalive-interval": None}, 400, "keepalive-interval is required"),
        ({"owner": "alice"}, 400, "Only admin and NMPI users can specify an owner"),
        ({"group": "no"}, 500, f"{fault} NoSuchGroup: group no does not exist or alice is not a member of it"),
        ({"nmpi-job-id": 3}, 500, f"{fault} AuthenticationCredentialsNotFound: "),
        ({"min-ratio": 0.5}, 500, ""),
        ({"keepalive-interval": "soon"}, 500, ""),
    ):  # fmt: skip
        answer = user.ask("POST", JOBS, CREATION | wish)
        assert (answer.status, answer.text) == (status, words), wish
    assert user.ask("POST", JOBS, "{", Content_Type="application/json").status == 500
    assert user.ask("POST", JOBS, "{}", Content_Type="text/plain").status == 415
    assert user.ask("GET", f"{JOBS}/nine").status == 404
    assert user.ask("GET", f"{JOBS}/0").status == 400
    assert user.ask("GET", f"{JOBS}/9").text == "no such job"
    assert user.ask("GET", "srv//spalloc/jobs").status == 400


def test_a_job_gets_whole_triads_and_is_described_as_the_service_does(
    service: JavaService, user: Caller
) -> None:
    for wish, boards in (
        ({"num-boards": 1}, 1), ({}, 1), ({"num-boards": 2}, 3), ({"num-boards": 5}, 6),
        ({"num-boards": 11}, 11), ({"dimensions": {"width": 2, "height": 1}}, 6),
        ({"board": {"x": 1, "y": 0, "z": 2}}, 1),
    ):  # fmt: skip
        number, address = ready(user, **wish)
        told = user.ask("GET", f"{address}/machine").json()
        assert (len(told["connections"]), len(told["boards"])) == (boards, boards), wish
        assert told["depth"] == (3 if boards > 1 else 1)
        assert user.ask("DELETE", f"{address}?reason=enough").status == 204
        after = user.ask("GET", address).json()
        assert (after["state"], after["reason"]) == ("DESTROYED", "enough")
        assert user.ask("GET", f"{address}/machine").json()["boards"] == []
        assert service.job(number).state is State.DESTROYED


def test_a_waiting_job_has_no_boards_and_no_websocket_and_is_described_without(
    service: JavaService, user: Caller
) -> None:
    service.hold()
    address = user.create()
    assert user.ask("GET", address).json()["state"] == "QUEUED"
    assert "proxy-ref" not in user.ask("GET", address).json()
    for path in ("machine", "machine/power", "chip"):
        assert user.ask("GET", f"{address}/{path}").status == 204
    with user.websocket(number_of(address)) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    service.hold(held=False)
    service.until(number_of(address), State.READY)
    assert user.ask("GET", address).json()["proxy-ref"].startswith("wss://")


def test_a_job_lives_by_keepalives_with_a_type_and_ends_without(service: JavaService, user: Caller) -> None:
    number, address = ready(user)
    service.advance(50)
    assert user.ask("PUT", f"{address}/keepalive", "alive").status == 415
    assert user.ask("PUT", f"{address}/keepalive", "alive", Content_Type="text/plain").text == "ok"
    service.advance(50)
    assert service.job(number).state is State.READY
    user.ask("GET", address)
    service.advance(50)
    ended = user.ask("GET", address).json()
    assert (ended["state"], ended["reason"]) == ("DESTROYED", "keepalive expired")


def test_power_goes_off_and_on_and_unknown_words_do_nothing(service: JavaService, user: Caller) -> None:
    number, address = ready(user)
    for power, status, after in (
        ("OFF", 202, "OFF"),
        ("ON", 202, "ON"),
        ("perhaps", 204, "ON"),
        (0, 202, "OFF"),
    ):
        assert user.ask("POST", f"{address}/machine/power", {"power": power}).status == status
        service.until(number, State.READY)
        assert user.ask("GET", f"{address}/machine/power").json() == {"power": after}


def test_a_job_that_is_destroyed_too_early_comes_back_to_life_once(
    service: JavaService, user: Caller
) -> None:
    service.hold()
    address = user.create()
    assert user.ask("DELETE", address).status == 204
    assert user.ask("GET", address).json()["state"] == "DESTROYED"
    service.hold(held=False)
    service.until(number_of(address), State.READY)
    assert "finish-time" in user.ask("GET", address).json()
    user.ask("DELETE", address)
    service.call(service.jobs.tick)
    assert user.ask("GET", address).json()["state"] == "DESTROYED"
    user.ask("POST", f"{address}/machine/power", {"power": "ON"})
    service.until(number_of(address), State.READY)


def test_without_the_defect_a_destroyed_job_stays_so(service: JavaService, user: Caller) -> None:
    service.defects.discard(Defect.BACK_TO_LIFE)
    service.hold()
    address = user.create()
    user.ask("DELETE", address)
    service.call(service.jobs.tick)
    service.call(service.jobs.tick)
    assert user.ask("GET", address).json()["state"] == "DESTROYED"


def test_a_deadlock_is_a_500_and_makes_nothing(service: JavaService, user: Caller) -> None:
    service.fail("POST", "jobs$")
    answer = user.ask("POST", JOBS, CREATION)
    assert (answer.status, answer.text) == (500, "failed")
    assert user.ask("GET", JOBS).json() == {"jobs": []}
    assert user.ask("POST", JOBS, CREATION).status == 201


def test_lists_have_pages_of_addresses_newest_first(user: Caller) -> None:
    addresses = [user.create() for _ in range(3)]
    first = user.ask("GET", f"{JOBS}?limit=2")
    assert first.json()["jobs"] == addresses[:0:-1]
    assert 'rel="next"' in first.headers["Link"]
    second = user.ask("GET", first.json()["next"]).json()
    assert second["jobs"] == addresses[:1]
    assert "prev" in second


def test_a_quota_ends_jobs_and_refuses_new_ones(service: JavaService, user: Caller) -> None:
    number, address = ready(user)
    service.call(lambda: service.jobs.groups.update(test=Group("test", 4, 10.0)))
    service.advance(20)
    assert service.job(number).state is State.DESTROYED
    assert user.ask("GET", address).json()["reason"] == "quota exceeded"
    assert user.ask("POST", JOBS, CREATION).text == "quota exceeded in group 4"


def test_somebody_elses_job_is_none_at_all(service: JavaService, user: Caller) -> None:
    service.people.add(Account("bob", "bob's"))
    _, address = ready(user)
    with Caller(service, "bob", "bob's") as bob:
        assert bob.ask("GET", address).status == 404
        assert bob.ask("GET", JOBS).json()["jobs"] == [address]
        with pytest.raises(InvalidStatus) as refused:
            bob.websocket(number_of(address))
        assert refused.value.response.status_code == 200
        found = bob.ask("GET", f"{MACHINES}/big/logical-board?x=0&y=0&z=0").json()
        assert found["job-id"] == number_of(address)


# References and places


def test_references_are_wrong_in_three_ways_each_of_which_can_be_switched_off() -> None:
    with JavaService(host="127.0.0.1") as service, Caller.user(service) as user:
        _, address = ready(user)
        at = f"https://localhost:{service.port}/spalloc/srv"
        assert user.ask("GET", address).json()["proxy-ref"].startswith(f"wss://localhost:{service.port}/")
        machine = user.ask("GET", f"{address}/machine").json()
        assert machine["machine-ref"] == f"{at}/machines/big"
        service.defects.discard(Defect.SHORT_REFERENCES)
        machine = user.ask("GET", f"{address}/machine").json()
        assert machine["machine-ref"] == f"{at}/spalloc/machines/big"
        service.defects.discard(Defect.LOCALHOST)
        machine = user.ask("GET", f"{address}/machine").json()
        assert machine["machine-ref"] == f"{service.url}srv/spalloc/machines/big"
        service.settings.forwarded = False
        assert user.ask("GET", "srv/spalloc").json()["jobs-ref"].startswith("http://")


def test_places_are_found_in_four_ways_and_chips_on_the_first_board_only(
    service: JavaService, user: Caller
) -> None:
    at = f"{MACHINES}/big"
    place = service.jobs.machines["big"].places[Board(1, 0, 1)]
    address = service.jobs.machines["big"].address(Board(1, 0, 1))
    for path in (
        "logical-board?x=1&y=0&z=1",
        "physical-board?cabinet={}&frame={}&board={}".format(*place),
        f"board-ip?address={address}",
    ):
        assert user.ask("GET", f"{at}/{path}").json()["logical-board-coordinates"] == [1, 0, 1]
    assert user.ask("GET", f"{at}/chip?x=21&y=5").text == "failed to locate board"
    service.defects.discard(Defect.FIRST_BOARD_ONLY)
    assert user.ask("GET", f"{at}/chip?x=21&y=5").json()["logical-board-coordinates"] == [1, 0, 1]
    assert user.ask("GET", f"{MACHINES}/small").text == "no such machine"
    assert user.ask("GET", f"{at}/logical-board?x=nine").status == 404


def test_a_jobs_chip_is_told_wrongly_unless_the_defect_is_off(service: JavaService, user: Caller) -> None:
    _, address = ready(user, board={"x": 1, "y": 0, "z": 1})
    told = user.ask("GET", f"{address}/chip?x=2&y=3").json()
    assert (told["chip"], told["job-chip"]) == ([2, 3], [6, 23])
    service.defects.discard(Defect.WRONG_JOB_CHIP)
    assert user.ask("GET", f"{address}/chip?x=2&y=3").json()["job-chip"] == [2, 3]
    assert user.ask("GET", f"{address}/chip?x=9&y=9").status == 204


def test_a_dead_board_and_its_links_are_listed_under_two_names(user: Caller) -> None:
    (listed,) = user.ask("GET", MACHINES).json()["machines"]
    alone = user.ask("GET", f"{MACHINES}/big").json()
    assert [(dead["x"], dead["y"], dead["z"]) for dead in listed["dead-boards"]] == [(1, 1, 2)]
    assert len(listed["dead-links"]) == 6
    assert (alone["down-boards"], alone["down-links"]) == (listed["dead-boards"], listed["dead-links"])


def test_a_second_report_fails_and_after_an_emergency_nothing_is_given_out(
    service: JavaService, user: Caller
) -> None:
    number, address = ready(user)
    report = {"issue": "smells", "boards": [{"machine": "big", "chip": [0, 0]}]}
    assert user.ask("POST", f"{address}/report-issue", report).json() == {"action": "report noted"}
    assert user.ask("POST", f"{address}/report-issue", report).text == "failed"
    service.defects.discard(Defect.REPORTS_FAIL)
    assert user.ask("POST", f"{address}/report-issue", report).json()["action"].startswith("1 boards")
    assert user.ask("GET", "srv/spalloc/emergencyStop?commandCode=stop").status == 200
    assert service.job(number).state is State.DESTROYED
    assert service.jobs.machines["big"].taken != {}
    assert "emergency" in user.ask("POST", JOBS, CREATION).text


# Waiting


def waiting(service: JavaService, address: str) -> tuple[Thread, list[Answer]]:
    """Wait for a job in another thread; return when the service has been asked."""
    answers: list[Answer] = []

    def wait(caller: Caller) -> None:
        answers.append(caller.ask("GET", f"{address}?wait=true"))
        caller.close()

    thread = Thread(target=wait, args=(Caller.user(service),))
    before = service.asked("GET .*")
    thread.start()
    while service.asked("GET .*") == before:
        pass
    return thread, answers


def test_a_wait_hears_the_next_change_and_misses_those_before_it(service: JavaService, user: Caller) -> None:
    _, address = ready(user)
    thread, answers = waiting(service, address)
    user.ask("POST", f"{address}/machine/power", {"power": "OFF"})
    thread.join()
    assert answers[0].json()["state"] == "POWER"
    service.until(number_of(address), State.READY)
    service.settings.wait = 0.1
    assert user.ask("GET", f"{address}?wait=true").json()["state"] == "READY"


def test_without_the_defect_a_wait_ends_at_once_when_something_changed_since(
    service: JavaService, user: Caller
) -> None:
    service.defects.discard(Defect.LOSES_CHANGES)
    service.hold()
    address = user.create()
    assert user.ask("GET", address).json()["state"] == "QUEUED"
    service.hold(held=False)
    service.until(number_of(address), State.READY)
    assert user.ask("GET", f"{address}?wait=true").json()["state"] == "READY"


def test_sixteen_waits_keep_all_others_from_creating_jobs(service: JavaService, user: Caller) -> None:
    _, address = ready(user)
    waits = [waiting(service, address) for _ in range(THREADS)]
    made: list[str] = []
    creation = Thread(target=lambda: made.append(user.create()))
    creation.start()
    with Caller.user(service) as other:
        assert other.ask("GET", JOBS).json()["jobs"] == [address]
        assert made == []
        assert other.ask("PUT", f"{address}/keepalive", "alive", Content_Type="text/plain").status == 200
        other.ask("DELETE", address)
    for thread, _ in waits:
        thread.join()
    creation.join()
    assert len(made) == 1


# Boards


def word(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def test_boards_answer_through_the_websocket(service: JavaService, user: Caller) -> None:
    number, _ = ready(user, num_boards=3)
    with user.websocket(number) as socket:
        socket.send(word(0, 7, 8, 4, 17893))
        answer = struct.unpack("<III", socket.recv())
        assert answer[:2] == (0, 7)
        socket.send(word(0, 8, 1, 1, 17893))
        assert socket.recv() == word(5, 8) + b"unrecognised ethernet chip"
        socket.send(word(0, 9, 500, 1, 17893))
        assert socket.recv() == word(5, 9) + b"bad X co-ordinate: 500"
        socket.send(word(0, 9, 0, 0, 1 << 16))
        assert socket.recv() == word(5, 9) + b"bad port number"
        socket.send(word(3, 10))
        listener = socket.recv()
        assert (listener[:8], listener[12:16]) == (word(3, 10), bytes(4))
        for channel, status in ((answer[2], answer[2]), (answer[2], 0)):
            socket.send(word(1, 11, channel))
            assert socket.recv() == word(1, 11, status)
        service.defects.discard(Defect.LISTENS_NOWHERE)
        socket.send(word(3, 10))
        assert socket.recv()[12:16] == bytes((127, 0, 0, 1))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"abc", 1007),
        (word(0, 1, 0, 0), 1007),
        (word(5, 1), 1007),
        (word(6, 1), 1011),
        ("words", 1003),
        (bytes(8193), 1009),
    ],
)
def test_a_broken_message_closes_the_websocket(user: Caller, message: bytes | str, code: int) -> None:
    number, _ = ready(user)
    with user.websocket(number) as socket:
        socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_a_websocket_ends_with_its_session_and_needs_a_login(service: JavaService, user: Caller) -> None:
    number, _ = ready(user)
    with user.websocket(number) as socket:
        service.end_sessions()
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, "has ended" in closed.value.rcvd.reason) == (1008, True)
    with Caller(service) as nobody, pytest.raises(InvalidStatus) as refused:
        nobody.websocket(number)
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize("outlives", [True, False])
def test_a_websocket_outlives_its_job_if_the_defect_is_on(
    service: JavaService, user: Caller, outlives: bool
) -> None:
    if not outlives:
        service.defects.discard(Defect.WEBSOCKET_OUTLIVES_JOB)
    number, address = ready(user)
    with user.websocket(number) as socket:
        socket.send(word(0, 7, 0, 0, 17893))
        assert socket.recv()[:8] == word(0, 7)
        user.ask("DELETE", address)
        if outlives:
            socket.send(word(0, 8, 0, 0, 17893))
            assert socket.recv()[:8] == word(0, 8)
        else:
            with pytest.raises(ConnectionClosed):
                socket.recv()


def test_memory_of_boards_that_are_not_booted_is_a_500(service: JavaService, user: Caller) -> None:
    _, address = ready(user)
    assert user.ask("GET", f"{address}/memory?x=0&y=0&address=0x10&size=4").status == 404
    user.ask("DELETE", address)
    assert user.ask("GET", f"{address}/memory?x=0&y=0&address=16&size=4").status == 500


def test_every_defect_can_be_switched_off(service: JavaService) -> None:
    with JavaService(defects=NONE) as kind, Caller.user(kind) as user:
        _, address = ready(user)
        assert user.ask("POST", JOBS, CREATION | {"group": "no"}).status == 400
        assert user.ask("DELETE", address).status == 204
