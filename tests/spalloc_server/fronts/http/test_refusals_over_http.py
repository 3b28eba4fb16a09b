"""Whatever the core refuses, and a server that has failed: answered with the status that its sort of reason has."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from spalloc_server.core.account_commands import AddToken
from spalloc_server.core.accounts import Scope
from spalloc_server.core.admission import JobLimits
from spalloc_server.core.askers import SERVER
from spalloc_server.core.commands import RefusedError, SetRules
from spalloc_server.core.refusals import Refusal, Sort
from spalloc_server.core.site import Site
from spalloc_server.engine import EngineFailedError
from spalloc_server.fronts.http.api.refusals import STATUSES, refused
from spalloc_server.tokens import hash_of
from tests.spalloc_server.fronts.http.service import PASSWORD, Answer, Client, Service, job, run

JOBS = "srv/spalloc/jobs"


def test_each_sort_of_reason_has_a_status_of_its_own_and_what_passes_says_when_to_ask_again() -> None:
    assert STATUSES.keys() == set(Sort)
    assert len(set(STATUSES.values())) == len(Sort)
    for sort, status in STATUSES.items():
        answer = refused(RefusedError(Refusal("no", sort))).answer
        assert (answer.status, answer.body) == (status, b"no")
        assert ((b"retry-after", b"5") in answer.headers) is (status in (429, 503))
    assert refused(RefusedError("no")).answer.status == 400


def test_whoever_has_too_many_jobs_is_told_so_and_when_to_ask_again() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        service.engine.do(SetRules(JobLimits(from_one_host=1), service.engine.site.trust), SERVER)
        url = await alice.create()
        answer = await alice("POST", JOBS, document=job())
        assert (answer.status, answer.headers["retry-after"]) == (429, "5")
        assert answer.text.startswith("there is 1 job created from account alice, and this server allows 1")
        await alice("DELETE", url)
        await alice.create()

    run(test)


def test_the_time_limit_of_a_job_that_has_ended_is_not_changed() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        url = await alice.create()
        await alice("DELETE", url)
        answer = await alice("PUT", f"{url}/time-limit", document={"time-limit": "PT2H"})
        assert (answer.status, answer.text) == (410, "job 1 is not live, so its time limit can't be changed")

    run(test)


async def _by_form(service: Service, _client: Client) -> Answer:
    client = service.client()
    page = await client.get("system/login.html")
    csrf = page.text.partition('name="_csrf" value="')[2].partition('"')[0]
    form = {"_csrf": csrf, "username": "alice", "password": PASSWORD}
    return await client("POST", "system/perform_login", form=form)


async def _wrongly(service: Service, _client: Client) -> Answer:
    basic = {"authorization": "Basic YWxpY2U6d3Jvbmc="}
    return await service.client().get("srv/spalloc", headers=basic)


async def _by_token(service: Service, _client: Client) -> Answer:
    return await service.client().get("srv/spalloc", headers={"authorization": "Bearer another"})


async def _by_cookie(service: Service, client: Client) -> Answer:
    service.people._noted.clear()
    return await client.get("srv/spalloc")


async def _log_out(_service: Service, client: Client) -> Answer:
    return await client("POST", "system/perform_logout")


@pytest.mark.parametrize("ask", [_by_form, _wrongly, _by_token, _by_cookie, _log_out])
@pytest.mark.parametrize("is_over", [False, True], ids=["in the middle", "before"])
def test_a_server_that_fails_says_so_to_whoever_logs_in_or_out(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[Service, Client], Awaitable[Answer]], is_over: bool
) -> None:
    async def test(service: Service) -> None:
        token = AddToken("alice", "another", hash_of("another"), Scope.USE, 30.0, "root")
        service.engine.do(token, SERVER)
        client = await service.log_in()

        def fail(*_: Any) -> None:
            raise ValueError("nobody foresaw this")

        if is_over:
            service.engine.fail(ValueError("nobody foresaw this"))
        monkeypatch.setattr(Site, "take_effects", fail)
        answer = await ask(service, client)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.text == "the server failed and ends; ask again when it is back"
        assert isinstance(service.engine.failure, ValueError)

    run(test)


def test_a_websocket_is_refused_when_the_server_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service) -> None:
        client = await service.log_in()
        assert client.cookie is not None
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        def fail(*_: object) -> None:
            raise EngineFailedError("nobody foresaw this")

        monkeypatch.setattr(service.people, "session", fail)
        scope = {
            "type": "websocket",
            "path": "/spalloc/proxy/1",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"spalloc.example"), (b"cookie", f"JSESSIONID={client.cookie}".encode())],
            "client": ("10.0.0.1", 50000),
            "scheme": "wss",
        }
        await service.app(scope, receive, send)  # type: ignore[arg-type]
        assert sent[0]["type"] == "websocket.http.response.start"
        assert sent[0]["status"] == 503

    run(test)
