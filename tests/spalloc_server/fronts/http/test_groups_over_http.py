"""Groups over HTTP: which one a job is charged to, what is refused, and what is left."""

from typing import Any

import pytest

from spalloc_server.core.askers import SERVER
from spalloc_server.core.group_commands import AddGroup, SetGroups
from tests.spalloc_server.fronts.http.service import Service, job, run

JOBS = "srv/spalloc/jobs"


def groups(
    service: Service, *, of_alice: tuple[str, ...] = ("lab", "theory"), quota: float | None = None
) -> None:
    for name in ("lab", "theory"):
        service.engine.do(AddGroup(name, quota, "mary"), SERVER)
    service.engine.do(SetGroups("alice", of_alice, of_alice[0] if of_alice else None, "mary"), SERVER)


@pytest.mark.parametrize(
    ("wanted", "charged"),
    [
        ({}, "lab"),
        ({"group": "theory"}, "theory"),
        ({"nmpi_collab": "theory"}, "theory"),
        ({"nmpi_job_id": 4}, "lab"),
    ],
)
def test_a_job_is_charged_to_what_it_names_or_to_the_default(wanted: dict[str, Any], charged: str) -> None:
    async def test(service: Service) -> None:
        groups(service)
        alice = await service.log_in()
        made = await alice("POST", JOBS, document=job(**wanted))
        assert made.status == 201
        assert (await alice.get(made.headers["location"])).json["group"] == charged

    run(test)


def test_where_there_are_no_groups_one_that_is_named_is_only_noted() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        made = await alice("POST", JOBS, document=job(group="anything"))
        state = (await alice.get(made.headers["location"])).json
        assert (state.get("group"), state["original-request"]["group"]) == (None, "anything")

    run(test)


def test_a_group_that_can_not_be_charged_is_refused_in_words() -> None:
    async def test(service: Service) -> None:
        groups(service, of_alice=("lab",))
        alice, boss = await service.log_in(), await service.log_in("boss")
        refused = await alice("POST", JOBS, document=job(group="theory"))
        assert (refused.status, refused.text) == (
            400,
            "the account alice is in no group 'theory'; it is in lab",
        )
        assert (await boss("POST", JOBS, document=job(group="theory"))).status == 201
        refused = await boss("POST", JOBS, document=job(group="attic"))
        assert (refused.status, refused.text.partition(";")[0]) == (400, "there is no group 'attic'")

    run(test)


def test_a_group_that_has_used_its_quota_gets_no_job() -> None:
    async def test(service: Service) -> None:
        groups(service, quota=0.0)
        alice = await service.log_in()
        refused = await alice("POST", JOBS, document=job())
        assert refused.status == 400
        assert refused.text == (
            "group lab has used 0 board-seconds of its quota of 0 board-seconds; ask an administrator for more, or "
            "have another group charged"
        )

    run(test)


def test_a_job_that_runs_tells_when_its_quota_ends_it_and_is_ended_then() -> None:
    async def test(service: Service) -> None:
        groups(service, quota=1.5)
        alice = await service.log_in()
        url = (await alice("POST", JOBS, document=job())).headers["location"]
        times = (await alice.get(url)).json["times"]
        assert times["ends-in"] <= 1.5
        assert times["why"].startswith("The quota of group lab is used up: 2 board-seconds.")
        state = await service.becomes(alice, url, "DESTROYED")
        assert state["reason"].startswith("The quota of group lab is used up")
        (lab, _) = (await alice.get("srv/spalloc/groups")).json["groups"]
        assert lab["used"] >= 1.5

    run(test)


def test_everybody_sees_their_own_groups_and_administrators_all() -> None:
    async def test(service: Service) -> None:
        groups(service, of_alice=("theory",), quota=3600.0)
        alice, boss, bob = await service.log_in(), await service.log_in("boss"), await service.log_in("bob")
        root = (await alice.get("srv/spalloc")).json
        theory = {"name": "theory", "quota": 3600.0, "used": 0.0, "left": 3600.0}
        assert (await alice.get(root["groups-ref"])).json == {"groups": [theory], "default": "theory"}
        assert (await bob.get(root["groups-ref"])).json["groups"] == []
        assert [one["name"] for one in (await boss.get(root["groups-ref"])).json["groups"]] == [
            "lab",
            "theory",
        ]

    run(test)
