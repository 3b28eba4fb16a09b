"""What an administrator does to an account, and what an attacker tries, as HTTP clients meet it."""

import asyncio
import base64
import tempfile
from pathlib import Path

import pytest

from spalloc_server.core.account_commands import (
    AddToken,
    RemoveAccount,
    RevokeTokens,
    SetLocked,
    SetPassword,
    SetRole,
)
from spalloc_server.core.accounts import Scope
from spalloc_server.core.askers import SERVER, Role
from spalloc_server.core.commands import Command
from spalloc_server.core.lockout import OF_PAIR
from spalloc_server.store.database import Store
from spalloc_server.tokens import hash_of
from tests.spalloc_server.fronts.http import service as module
from tests.spalloc_server.fronts.http.service import PASSWORD, Client, Service, job, run

JOBS = "srv/spalloc/jobs"
ATTACKER = "203.0.113.9"


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def is_out(client: Client) -> bool:
    """Whether a client that was logged in can neither look nor change anything."""
    looked, created = await client.get(JOBS), await client("POST", JOBS, document=job())
    assert looked.status == created.status
    return looked.status == 401


@pytest.mark.parametrize(
    "change",
    [
        SetPassword("alice", module.HASH, "root"),
        SetRole("alice", Role.READER, "root"),
        SetLocked("alice", True, "root"),
        RemoveAccount("alice", "root"),
    ],
)
def test_whatever_is_changed_of_an_account_its_clients_are_out_at_once_and_others_stay(
    change: Command[object],
) -> None:
    async def test(service: Service) -> None:
        alice, again, bob = await service.log_in(), await service.log_in(), await service.log_in("bob")
        waiting = alice.begin("GET", f"{JOBS}?wait=true")
        await waiting.asked.wait()
        service.engine.do(change, SERVER)
        assert await is_out(alice)
        assert await is_out(again)
        assert (await waiting.answer()).status == 401
        await bob.create()

    run(test)


def test_a_revoked_token_and_the_cookie_that_it_gave_are_worth_nothing() -> None:
    async def test(service: Service) -> None:
        by_header, by_cookie, by_password = service.client(), service.client(), await service.log_in()
        for client in (by_header, by_cookie):
            assert (await client.get(JOBS, headers=bearer("token-alice"))).status == 200
        by_header.cookie = None
        waiting = by_cookie.begin("GET", f"{JOBS}?wait=true")
        await waiting.asked.wait()
        service.engine.do(RevokeTokens("alice", ["robot"], "root"), SERVER)
        refused = await by_header.get(JOBS, headers=bearer("token-alice"))
        assert refused.status == 401
        assert refused.text.startswith("this token is not valid: it is over or revoked")
        assert (await by_cookie.get(JOBS)).status == 401
        assert (await waiting.answer()).status == 401
        await by_password.create()

    run(test)


def test_who_logs_in_by_a_token_is_told_when_it_ends() -> None:
    async def test(service: Service) -> None:
        by_token, by_password = service.client(), service.client()
        told = (await by_token.get("srv/spalloc", headers=bearer("token-alice"))).json
        assert told["login-ends"].endswith("Z")
        told = (await by_password.get("srv/spalloc", headers=basic("alice", PASSWORD))).json
        assert "login-ends" not in told

    run(test)


def test_with_a_token_for_reading_nothing_is_changed_and_nobodys_job_is_created() -> None:
    async def test(service: Service) -> None:
        service.engine.do(AddToken("boss", "screen", hash_of("screen"), Scope.READ, 1.0, "root"), SERVER)
        alice = await service.log_in()
        url = await alice.create()
        screen = service.client()
        assert (await screen.get(JOBS, headers=bearer("screen"))).status == 200
        refused = await screen("POST", JOBS, document=job(), headers=bearer("screen"))
        assert (refused.status, refused.text) == (
            403,
            "this token of the account boss is for reading only; give one with the scope use",
        )
        for method in ("DELETE", "GET"):
            assert (await screen(method, url, headers=bearer("screen"))).status in (403, 404)
        assert (await alice.get(url)).json["state"] != "DESTROYED"

    run(test)


def test_an_attacker_who_guesses_is_slowed_down_and_the_owner_logs_in_from_home() -> None:
    async def test(service: Service) -> None:
        await service.log_in()
        attacker, owner = service.client(ATTACKER), service.client()
        statuses = [
            (await attacker.get(JOBS, headers=basic("alice", f"guess {n}"))).status for n in range(20)
        ]
        assert statuses == [401] * OF_PAIR.free + [429] * (20 - OF_PAIR.free)
        assert service.passwords.checked == OF_PAIR.free
        # Not even the right one tells the attacker anything now.
        late = await attacker.get(JOBS, headers=basic("alice", PASSWORD))
        assert (late.status, late.text) == (429, "too many wrong passwords; try again in 1 s")
        assert (await owner.get(JOBS, headers=basic("alice", PASSWORD))).status == 200

    run(test)


def test_names_can_not_be_found_out() -> None:
    async def test(service: Service) -> None:
        answers = []
        for name in ("alice", "nobody"):
            client = service.client(f"203.0.113.{len(answers)}")
            said = [await client.get(JOBS, headers=basic(name, f"guess {n}")) for n in range(10)]
            answers.append([(one.status, one.all_headers, one.text) for one in said])
        assert answers[0] == answers[1]
        assert service.passwords.checked == 2 * OF_PAIR.free

    run(test)


def test_tokens_are_not_guessed_slowly_but_never() -> None:
    async def test(service: Service) -> None:
        attacker = service.client(ATTACKER)
        for token in ("", "token-", "token-alice2", "Token-alice", hash_of("token-alice"), "é", "x" * 4000):
            refused = await attacker.get(JOBS, headers=bearer(token))
            assert refused.status in (400, 401), refused
            assert attacker.cookie is None

    run(test)


def test_a_session_outlives_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(module, "Store", lambda _: Store(Path(folder) / "state"))
        clients: list[Client] = []

        async def first(service: Service) -> None:
            alice, bob = await service.log_in(), await service.log_in("bob")
            await alice.create()
            left = bob.cookie
            await bob("POST", "system/perform_logout")
            bob.cookie = left
            clients.extend([alice, bob])

        async def second(service: Service) -> None:
            alice, bob = service.client(), service.client()
            for client, before in zip((alice, bob), clients, strict=True):
                client.cookie, client.csrf = before.cookie, before.csrf
            assert len((await alice.get(JOBS)).json["jobs"]) == 1
            await alice.create()
            assert bob.cookie is not None
            assert await is_out(bob)

        run(first)
        monkeypatch.setattr(module, "ACCOUNTS", {})
        run(second)


def test_right_logins_are_let_in_while_others_are_refused() -> None:
    async def test(service: Service) -> None:
        await service.log_in("bob", "10.0.0.2")
        attackers = [
            service.client(f"203.0.{n}.9").get(JOBS, headers=basic("bob", f"guess {n}")) for n in range(150)
        ]
        crowd = [asyncio.ensure_future(one) for one in attackers]
        await asyncio.sleep(0)
        found = await service.client("10.0.0.2").get(JOBS, headers=basic("bob", PASSWORD))
        assert found.status == 200
        statuses = {answer.status for answer in await asyncio.gather(*crowd)}
        assert statuses == {401, 429}

    run(test)
