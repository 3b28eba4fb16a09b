"""Requests with `wait=true`: what they wait for, when they are answered, and how many there may be."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from unittest.mock import AsyncMock

import pytest

from spalloc_server.engine import EngineFailedError
from spalloc_server.fronts.http.api import waiting
from spalloc_server.fronts.http.api.lists import Lists
from spalloc_server.fronts.http.api.waiting import Poll
from spalloc_server.fronts.v1.endings import EndingWatchers
from spalloc_server.fronts.v1.watchers import Watchers
from tests.spalloc_server.fronts.http.service import Client, Service, run

JOBS = "srv/spalloc/jobs"
MACHINE = "srv/spalloc/machines/big one"
WHOLE = {"dimensions": {"width": 2, "height": 2}, "max_dead_boards": 1}


async def queued(service: Service, client: Client) -> tuple[str, str]:
    """Create a job that has all boards and one that waits for them, and return both addresses."""
    first = await client.create(**WHOLE)
    await service.becomes(client, first, "READY")
    return first, await client.create(**WHOLE)


def test_a_wait_is_answered_at_the_next_change_of_the_job() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        first, second = await queued(service, alice)
        call = alice.begin("GET", f"{second}?wait=true")
        await call.asked.wait()
        assert not call.is_answered
        await alice("DELETE", first)
        answer = await call.answer()
        assert answer.json["state"] == "POWER"
        assert len(service.app.polls) == 0

    run(test)


def test_what_changes_between_two_waits_is_not_lost() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        seen = await alice.get(url)
        await service.becomes(alice, url, "READY")
        if seen.json["state"] != "READY":
            late = await alice.get(f"{url}?wait=true", headers={"if-none-match": seen.headers["etag"]})
            assert (late.status, late.json["state"]) == (200, "READY")

    run(test)


def test_a_tag_stays_while_only_times_pass() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        await service.becomes(alice, url, "READY")
        tag = (await alice.get(url)).headers["etag"]
        await alice("PUT", f"{url}/keepalive", body=b"alive")
        for given in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
            same = await alice.get(url, headers={"if-none-match": given})
            assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
        await alice("POST", f"{url}/machine/power", document={"power": "OFF"})
        assert (await alice.get(url, headers={"if-none-match": tag})).status == 200

    run(test)


def test_nobody_waits_for_a_job_that_has_ended() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        await service.becomes(alice, url, "READY")
        await alice("DELETE", url)
        assert (await alice.get(f"{url}?wait=true")).json["state"] == "DESTROYED"
        service.engine._site.ended.clear()  # type: ignore[attr-defined]  # as after a thousand others
        assert (await alice.get(f"{url}?wait=True")).json["state"] == "DESTROYED"

    run(test)


def test_a_wait_hears_of_the_jobs_end() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        await service.becomes(alice, url, "READY")
        call = alice.begin("GET", f"{url}?wait=true")
        await call.asked.wait()
        await alice("DELETE", f"{url}?reason=enough")
        assert (await call.answer()).json["reason"] == "enough"

    run(test)


def test_a_wait_for_the_list_hears_of_new_jobs_and_of_changes() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        empty = alice.begin("GET", f"{JOBS}?wait=true")
        await empty.asked.wait()
        url = await alice.create()
        page = await empty.answer()
        assert page.json["jobs"] == [url]
        await service.becomes(alice, url, "READY")
        page = await alice.get(JOBS)
        call = alice.begin("GET", f"{JOBS}?wait=true", headers={"if-none-match": page.headers["etag"]})
        await call.asked.wait()
        await alice("POST", f"{url}/machine/power", document={"power": "OFF"})
        assert (await call.answer()).headers["etag"] != page.headers["etag"]

    run(test)


def test_a_wait_for_all_jobs_hears_of_changes_and_of_nothing_twice() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        await service.becomes(alice, url, "READY")
        target = f"{JOBS}?deleted=true&wait=true"
        call = alice.begin("GET", target)
        await call.asked.wait()
        await alice("DELETE", url)
        page = await call.answer()
        assert page.json["jobs"] == [url]
        # The freed boards may still be told of; then nothing is new, until something is.
        tag = (await alice.get(f"{JOBS}?deleted=true")).headers["etag"]
        known = {"if-none-match": tag}
        assert (await alice.get(f"{JOBS}?deleted=true", headers=known)).status == 304
        call = alice.begin("GET", target, headers=known)
        await call.asked.wait()
        another = await alice.create()
        assert (await call.answer()).json["jobs"] == [another, url]
        assert (await alice.get(target, headers=known)).json["jobs"] == [another, url]

    run(test)


def test_a_state_that_came_back_is_not_taken_for_the_same() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        await service.becomes(alice, url, "READY")
        await alice("PUT", f"{url}/keepalive")
        tag = (await alice.get(url)).headers["etag"]
        await alice("POST", f"{url}/machine/power", document={"power": "ON"})
        await service.becomes(alice, url, "READY")
        again = await alice.get(url, headers={"if-none-match": tag})
        assert (again.status, again.json["state"]) == (200, "READY")

    run(test)


def test_a_wait_for_a_machine_hears_of_boards_that_are_allocated_and_freed() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        call = alice.begin("GET", f"{MACHINE}?wait=true")
        await call.asked.wait()
        url = await alice.create()
        first = await call.answer()
        await service.becomes(alice, url, "READY")
        tag = (await alice.get(MACHINE)).headers["etag"]
        call = alice.begin("GET", f"{MACHINE}?wait=true", headers={"if-none-match": tag})
        await call.asked.wait()
        await alice("DELETE", url)
        assert (await call.answer()).headers["etag"] not in (tag, first.headers["etag"])

    run(test)


def test_after_its_time_a_wait_is_answered_with_the_present_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.05)

    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        state = await service.becomes(alice, url, "READY")
        tag = (await alice.get(url)).headers["etag"]
        assert (await alice.get(f"{url}?wait=true")).json["state"] == state["state"]
        assert (await alice.get(f"{url}?wait=true", headers={"if-none-match": tag})).status == 304
        calls = [alice.begin("GET", f"{url}?wait=true") for _ in range(130)]
        assert {(await call.answer()).status for call in calls} == {200}

    run(test)


def test_a_client_that_leaves_is_forgotten() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        _, second = await queued(service, alice)
        calls = [alice.begin("GET", f"{second}?wait=true") for _ in range(3)]
        for call in calls:
            await call.asked.wait()
        assert len(service.app.polls) == 3
        for call in calls:
            await call.leave()
        assert len(service.app.polls) == 0

    run(test)


def test_v1_and_http_hear_of_a_change_in_the_same_turn() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        first, second = await queued(service, alice)
        call = alice.begin("GET", f"{second}?wait=true")
        await call.asked.wait()
        turn = 0

        def count() -> None:
            nonlocal turn
            turn += 1
            loop.call_soon(count)

        class Watcher:
            heard = -1

            def tell(self, line: bytes) -> bool:
                self.heard = turn
                return True

            def keep(self, size: int) -> None:
                pass

        engine, loop = service.engine, asyncio.get_running_loop()
        watchers = Watchers(
            lambda job: job in engine.site.jobs, lambda name: True, EndingWatchers(engine.site, engine.clock)
        )
        watcher = Watcher()
        watchers.watch_job(watcher, 2)
        engine.listeners.add(watchers)
        answered = -1
        leave = service.app.polls.leave

        def noted(poll: waiting.Poll) -> None:
            nonlocal answered
            # It leaves once more when its client is gone.
            answered = turn if answered < 0 else answered
            leave(poll)

        service.app.polls.leave = noted  # type: ignore[method-assign]
        count()
        await alice("DELETE", first)
        assert (await call.answer()).json["state"] == "POWER"
        assert watcher.heard == answered > 0

    run(test)


def test_of_many_who_wait_a_few_are_answered_in_each_turn() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        first, second = await queued(service, alice)
        calls = [alice.begin("GET", f"{second}?wait=true") for _ in range(500)]
        for call in calls:
            await call.asked.wait()
        waiting_after: list[int] = []
        polls = service.app.polls

        def look() -> None:
            waiting_after.append(len(polls))
            if len(polls):
                asyncio.get_running_loop().call_soon(look)

        look()
        await alice("DELETE", first)
        for call in calls:
            assert (await call.answer()).json["state"] in ("POWER", "READY")
        answered = [before - after for before, after in pairwise(waiting_after)]
        assert 0 < max(answered) <= 2 * waiting.ANSWERED_A_TURN

    run(test)


@pytest.mark.parametrize(
    ("limits", "others", "said"),
    [
        ({"waiting_of_one_account": 2}, [("bob", "10.0.0.1")], "2 requests wait of this account already"),
        (
            {"waiting_from_one_address": 2},
            [("alice", "10.0.0.2")],
            "2 requests wait from this address already",
        ),
        ({"waiting": 2}, [], "2 requests wait here already"),
    ],
)
def test_the_number_of_requests_that_wait_is_limited(
    limits: dict[str, int], others: list[tuple[str, str]], said: str
) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        calls = [alice.begin("GET", f"{MACHINE}?wait=true") for _ in range(2)]
        for call in calls:
            await call.asked.wait()
        refused = await alice.get(f"{MACHINE}?wait=true")
        assert (refused.status, refused.headers["retry-after"]) == (429, "5")
        assert refused.text.startswith(said)
        assert (await alice.get(MACHINE)).status == 200
        for name, address in others:
            other = (await service.log_in(name, address)).begin("GET", f"{MACHINE}?wait=true")
            await other.asked.wait()
            await other.leave()
        await calls[0].leave()
        again = alice.begin("GET", f"{MACHINE}?wait=true")
        await again.asked.wait()
        await again.leave()
        await calls[1].leave()

    run(test, **limits)


def test_a_wait_ends_with_its_session() -> None:
    async def test(service: Service) -> None:
        alice, bob = await service.log_in(), await service.log_in("bob")
        calls = [client.begin("GET", f"{JOBS}?wait=true") for client in (alice, bob)]
        for call in calls:
            await call.asked.wait()
        await alice("POST", "system/perform_logout")
        assert (await calls[0].answer()).status == 401
        assert not calls[1].is_answered
        await calls[1].leave()

    run(test)


def test_the_end_of_a_session_is_not_looked_for_among_the_waits_of_others() -> None:
    class NotWalked(dict[Poll, tuple[str, int | str | None]]):
        def __iter__(self) -> Iterator[Poll]:
            raise AssertionError("200 sessions may end at once while 16,384 requests wait")

    async def test(service: Service) -> None:
        alice, bob = await service.log_in(), await service.log_in("bob")
        calls = [client.begin("GET", f"{JOBS}?wait=true") for client in (alice, bob, alice)]
        for call in calls:
            await call.asked.wait()
        service.app.polls._all = NotWalked(service.app.polls._all)
        await alice("POST", "system/perform_logout")
        assert [(await call.answer()).status for call in (calls[0], calls[2])] == [401, 401]
        assert not calls[1].is_answered
        service.app.polls._all = dict(service.app.polls._all.items())
        await calls[1].leave()
        assert not service.app.polls._of_session

    run(test)


def test_waits_are_answered_when_the_server_stops() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        call = alice.begin("GET", f"{JOBS}?wait=true")
        await call.asked.wait()
        service.app.stop()
        answer = await call.answer()
        assert (answer.status, answer.text) == (503, "the server stops; ask again in a moment")

    run(test)


def test_basic_waits_get_their_cookie_with_the_answer() -> None:
    async def test(service: Service) -> None:
        client = service.client()
        call = client.begin("GET", f"{JOBS}?wait=true", headers={"authorization": "Bearer token-bob"})
        await call.asked.wait()
        await (await service.log_in()).create()
        assert "JSESSIONID" in (await call.answer()).headers["set-cookie"]

    run(test)


def test_a_fault_in_one_answer_does_not_keep_the_others_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.05)

    async def test(service: Service) -> None:
        alice = await service.log_in()
        bad, good = [alice.begin("GET", f"{MACHINE}?wait=true") for _ in range(2)]
        for call in (bad, good):
            await call.asked.wait()
        first = next(iter(service.app.polls._all))
        first._render = lambda: 1 / 0  # type: ignore[assignment]
        assert (await bad.answer()).status == 500
        assert (await good.answer()).status == 200
        assert "a request that waited could not be answered" in caplog.text

    run(test)


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (ZeroDivisionError(), 500, "the server failed to do this"),
        (EngineFailedError(), 503, "the server failed and ends"),
    ],
)
def test_a_list_that_can_not_be_made_after_a_wait_is_answered_all_the_same(
    fault: Exception, status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        await alice.create()
        call = alice.begin("GET", f"{JOBS}?wait=true&details=true")
        await call.asked.wait()
        monkeypatch.setattr(Lists, "_page", AsyncMock(side_effect=fault))
        await alice.create()
        answer = await call.answer()
        assert answer.status == status
        assert answer.text.startswith(said)

    run(test)
