"""How many requests of one account, and from one address, are done at a time."""

import pytest

from spalloc_server.fronts.http.settings import Limits
from tests.spalloc_server.fronts.http.service import Call, Service, run

JOBS = "srv/spalloc/jobs"


async def stuck(service: Service, name: str, address: str) -> Call:
    """Begin a request whose body never comes to its end."""
    client = await service.log_in(name, address)
    call = client.begin("POST", JOBS, body=[], headers={"content-type": "application/json"})
    await call.asked.wait()
    return call


@pytest.mark.parametrize(
    ("limits", "said", "others"),
    [
        ({"requests_of_one_account": 2}, "2 requests of this account are under way", ("bob", "10.0.0.1")),
        (
            {"requests_from_one_address": 2},
            "2 requests from this address are under way",
            ("alice", "10.0.0.2"),
        ),
    ],
)
def test_one_more_is_refused_and_others_are_not(
    limits: dict[str, int], said: str, others: tuple[str, str]
) -> None:
    async def test(service: Service) -> None:
        alice, other = await service.log_in(), await service.log_in(*others)
        calls = [await stuck(service, "alice", "10.0.0.1") for _ in range(2)]
        refused = await alice.get(JOBS)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert refused.text.startswith(said)
        assert (await other.get(JOBS)).status == 200
        for call in calls:
            await call.leave()
        assert (await alice.get(JOBS)).status == 200
        assert len(service.app.under_way) == 0

    run(test, **limits)


def test_requests_that_wait_for_a_change_are_not_under_way() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        calls = [alice.begin("GET", f"{JOBS}?wait=true") for _ in range(5)]
        for call in calls:
            await call.asked.wait()
        assert (await alice.get(JOBS)).status == 200
        for call in calls:
            await call.leave()

    run(test, requests_of_one_account=1, requests_from_one_address=1)


def test_networks_of_ipv6_count_as_one_address() -> None:
    async def test(service: Service) -> None:
        call = await stuck(service, "alice", "2001:db8::1")
        bob = await service.log_in("bob", "2001:db8::2")
        assert (await bob.get(JOBS)).status == 429
        await call.leave()

    run(test, requests_from_one_address=1)


def test_limits_change_while_requests_are_under_way() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        call = await stuck(service, "alice", "10.0.0.1")
        assert (await alice.get(JOBS)).status == 429
        service.app.limit(Limits(requests_of_one_account=2, waiting=1))
        assert (await alice.get(JOBS)).status == 200
        wait = alice.begin("GET", f"{JOBS}?wait=true")
        await wait.asked.wait()
        assert (await alice.get(f"{JOBS}?wait=true")).status == 429
        await wait.leave()
        await call.leave()

    run(test, requests_of_one_account=1)
