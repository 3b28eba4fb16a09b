"""What clients of the HTTP service are told of who used what: administrators all, everybody else of their own jobs."""

import pytest

from spalloc_server.core.charges import Charge
from tests.spalloc_server.fronts.http.service import Service, job, run

USAGE = "srv/spalloc/usage"
DAY = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z"
BEGIN = 1_767_225_600.0
CHARGES = [
    Charge(1, "alice", "alice", "lab", "m", 3, BEGIN - 100.0, BEGIN + 100.0),
    Charge(2, "bob", "bob", None, "m", 1, BEGIN + 86_300.0, BEGIN + 86_500.0),
    Charge(3, "v1 user", None, None, "n", 1, BEGIN, BEGIN + 10.5),
]


def test_an_administrator_is_told_of_all() -> None:
    async def test(service: Service) -> None:
        service.store.write({}, {}, charges=CHARGES)
        boss = await service.log_in("boss")
        assert (await boss.get(f"{USAGE}?{DAY}")).json == {
            "from": "2026-01-01T00:00:00Z",
            "to": "2026-01-02T00:00:00Z",
            "by": "owner",
            "jobs": 3,
            "board-seconds": 410.5,
            "usage": [
                {"name": "alice", "jobs": 1, "board-seconds": 300.0},
                {"name": "bob", "jobs": 1, "board-seconds": 100.0},
                {"name": "v1 user", "jobs": 1, "board-seconds": 10.5},
            ],
        }
        found = (await boss.get(f"{USAGE}?{DAY}&by=group&limit=1")).json
        assert found["usage"] == [{"name": "lab", "jobs": 1, "board-seconds": 300.0}]
        assert (found["left-out"], found["board-seconds"]) == (1, 410.5)

    run(test)


@pytest.mark.parametrize("name", ["alice", "reader", "broker"])
def test_everybody_else_is_told_of_the_jobs_of_their_own_account(name: str) -> None:
    async def test(service: Service) -> None:
        service.store.write({}, {}, charges=CHARGES)
        client = await service.log_in(name)
        found = (await client.get(f"{USAGE}?{DAY}&by=machine")).json
        assert found["account"] == name
        theirs = [{"name": "m", "jobs": 1, "board-seconds": 300.0}] if name == "alice" else []
        assert found["usage"] == theirs

    run(test)


def test_a_job_that_has_boards_counts_at_once() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        created = await alice("POST", "srv/spalloc/jobs", document=job())
        await service.becomes(alice, created.headers["location"], "READY")
        # Time passes for it, however fast this is.
        found = (await alice.get(USAGE)).json
        assert [used["name"] for used in found["usage"]] == ["alice"]
        assert found["jobs"] == 1
        root = (await alice.get("srv/spalloc")).json
        assert root["usage-ref"] == f"https://spalloc.example/spalloc/{USAGE}"

    run(test)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (
            "from=yesterday",
            "from is 'yesterday'; it must be a time from 1970 on, such as 2026-12-01T09:30:00Z",
        ),
        ("to=1969-12-31T00:00:00Z", "to is '1969-12-31T00:00:00Z'; it must be a time from 1970 on"),
        (
            f"{DAY}&to=2025-01-01",
            "the period from 2026-01-01T00:00:00Z to 2025-01-01T00:00:00Z must begin before",
        ),
        ("by=host", "by"),
        ("limit=0", "limit"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_words(query: str, why: str) -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        answer = await alice.get(f"{USAGE}?{query}")
        assert answer.status == 400
        assert why in answer.body.decode()

    run(test)


@pytest.mark.parametrize(
    "words",
    ["2026-01-01T01:00:00%2B01:00", "2026-01-01T01:00:00+01:00", "2026-01-01", "2026-01-01t00:00:00z"],
)
def test_a_time_may_have_an_offset_and_is_in_utc_without(words: str) -> None:
    async def test(service: Service) -> None:
        boss = await service.log_in("boss")
        found = (await boss.get(f"{USAGE}?from={words}")).json
        assert found["from"] == "2026-01-01T00:00:00Z"

    run(test)
