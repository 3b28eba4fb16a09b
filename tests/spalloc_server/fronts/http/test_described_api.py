"""The OpenAPI document: that it says what is served, and that no request made from it makes the server fail."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema_rs
import pytest
import schemathesis
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core import NOT_SET

from spalloc_server.fronts.http.api import waiting
from spalloc_server.hardware import transfers
from spalloc_server.hardware.conversation import Patience
from tests.spalloc_server.fronts.http.service import ACCOUNTS, Answer, Client, Service, job, run

_CREDENTIALS = ("authorization", "cookie", "x-csrf-token")
MOST_JOBS = 50
"""How many live jobs there may be before all are ended."""


def test_the_description_names_every_resource_and_is_valid() -> None:
    async def test(service: Service) -> None:
        answer = await service.client().get("srv/openapi.json")
        assert (answer.status, answer.json["openapi"]) == (200, "3.1.0")
        schema = schemathesis.openapi.from_dict(answer.json)
        schema.validate()
        labels = {found.ok().label for found in schema.get_all_operations()}
        assert {
            "GET /srv/spalloc/jobs/{job}",
            "POST /srv/spalloc/jobs",
            "GET /srv/spalloc/machines/{name}/chip",
        } <= labels
        asked = answer.json["components"]["schemas"]["NewJob"]["properties"]
        assert job().keys() <= asked.keys()
        (example,) = answer.json["components"]["schemas"]["NewJob"]["examples"]
        alice = await service.log_in()
        assert (await alice("POST", "srv/spalloc/jobs", document=example)).status == 201

    run(test)


def test_the_reference_tells_of_every_resource() -> None:
    page = (Path(__file__).parents[4] / "docs" / "reference" / "http-api.md").read_text(encoding="utf-8")

    async def test(service: Service) -> None:
        answer = await service.client().get("srv/openapi.json")
        for path, methods in answer.json["paths"].items():
            if path.startswith("/srv/spalloc/") and not re.search("/admin/|/fast-data-", path):
                last = path.rpartition("}/")[2].removeprefix("/srv/spalloc/")
                last = {"jobs/{job}": "jobs/ID", "machines/{name}": "machines/NAME"}.get(last, last)
                for method in methods:
                    assert re.search(rf"`{method.upper()}`?[^|\n]*\b{last}\b", page), (method, path)

    run(test)


def test_the_page_loads_nothing_from_elsewhere() -> None:
    async def test(service: Service) -> None:
        # Without a login, its requests would have browsers ask for a password in a window of their own.
        sent = await service.client().get("system/api.html", headers={"accept": "text/html"})
        assert sent.headers["location"].endswith("/spalloc/system/login.html")
        client = await service.log_in()
        page = await client.get("system/api.html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for name, kind in (("system/api.js", "text/javascript"), ("system/style.css", "text/css")):
            assert f'="/spalloc/{name}"' in page.text
            part = await client.get(name)
            assert part.status == 200
            assert part.headers["content-type"].startswith(kind)
            assert "http" not in part.text

    run(test)


class Tries:
    """A service, its clients, and what answers to requests must be like."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.service = Service()
        self.statuses: Counter[int] = Counter()
        self._clients: dict[str, Client] = {}
        loop.run_until_complete(self._start())
        self._validators: dict[str, Any] = {}
        self._described = self.ask(self.service.client(), "GET", "srv/openapi.json").json
        self.schema = schemathesis.openapi.from_dict(self._described)

    async def _start(self) -> None:
        self.service.start()

    async def _stop(self) -> None:
        self.service.app.stop()
        self.service.people.stop()
        await self.service.engine.stop()
        self.service.store.close()

    def stop(self) -> None:
        self._loop.run_until_complete(self._stop())

    def ask(self, client: Client, method: str, target: str, **request: Any) -> Answer:
        return self._loop.run_until_complete(client(method, target, **request))

    def client(self, name: str) -> Client:
        client = self._clients.get(name)
        if client is None or self.ask(client, "GET", "srv/spalloc").status != 200:
            client = self._clients[name] = self._loop.run_until_complete(self.service.log_in(name))
        return client

    def try_(self, case: Any, name: str, there: int | None) -> None:
        """Send a request, as it is or changed to be about what there is, and look at the answer."""
        site = self.service.engine.site
        if site.stopped is not None:
            self.ask(self.client("boss"), "DELETE", "srv/spalloc/emergencyStop")
        if len(site.jobs) > MOST_JOBS:
            for number in list(site.jobs):
                self.ask(self.client("boss"), "DELETE", f"srv/spalloc/jobs/{number}")
        headers = {key.lower(): str(value) for key, value in case.headers.items()}
        if there is not None:
            headers = {key: value for key, value in headers.items() if key not in _CREDENTIALS}
            if "job" in case.path_parameters and site.jobs:
                case.path_parameters["job"] = list(site.jobs)[there % len(site.jobs)]
            if "name" in case.path_parameters:
                case.path_parameters["name"] = "big one"
            if case.operation.label == "POST /srv/spalloc/jobs" and isinstance(case.body, dict):
                more = case.body if there % 2 else {}
                case.body = job() | {key: value for key, value in more.items() if len(key) % 3 == there % 3}
        client = self.client(name)
        body = b""
        if case.body is not NOT_SET:
            kind = headers.setdefault("content-type", case.media_type or "application/json")
            body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
            if kind == "application/x-www-form-urlencoded" and isinstance(case.body, dict):
                body = urlencode({key: str(value) for key, value in case.body.items()}).encode()
        path = case.path
        for key, value in case.path_parameters.items():
            path = path.replace(f"{{{key}}}", str(value))
        query = urlencode([(key, str(value)) for key, value in case.query.items()])
        answer = self.ask(
            client, case.method, f"{path[1:]}?{query}".replace("#", "%23"), body=body, headers=headers
        )
        self.statuses[answer.status] += 1
        assert answer.status < 500 or answer.status in (501, 503, 504), f"{case} is answered {answer}"
        told = case.operation.definition.raw["responses"]
        if answer.status < 400:
            self._check(told[str(answer.status)], answer)
        else:
            assert answer.headers["content-type"] in ("text/plain; charset=utf-8", "application/json"), answer
            assert answer.body or case.method == "HEAD"

    def _check(self, told: Any, answer: Answer) -> None:
        content = told.get("content")
        if content is None:
            assert answer.body == b""
            return
        ((kind, one),) = content.items()
        assert answer.headers["content-type"].startswith(kind)
        if "$ref" in one.get("schema", {}):
            name = one["schema"]["$ref"]
            if name not in self._validators:
                whole = {"$ref": name, "components": self._described["components"]}
                self._validators[name] = jsonschema_rs.Draft202012Validator(whole)
            self._validators[name].validate(answer.json)


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tries]:
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.001)
    monkeypatch.setattr(transfers, "PATIENCE", Patience(0.001, 0.001, 1))  # its boards are not there
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = Tries(runner.get_loop())
        yield found
        found.stop()


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(1_000, marks=pytest.mark.uncounted),
        pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(7200)]),
    ],
)
def test_no_request_makes_the_server_fail_and_answers_are_as_described(count: int, tries: Tries) -> None:
    operations = [found.ok() for found in tries.schema.get_all_operations()]
    strategies = [
        operation.as_strategy(generation_mode=mode)
        for operation in operations
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    ]

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=False,
    )
    @given(st.data(), st.sampled_from(sorted(ACCOUNTS)), st.none() | st.integers(0, 1000))
    def tried(data: st.DataObject, name: str, there: int | None) -> None:
        tries.try_(data.draw(data.draw(st.sampled_from(strategies))), name, there)

    tried()
    print(tries.statuses)
    assert tries.statuses[200] > count // 20
    assert tries.statuses[201] >= count // 10_000
