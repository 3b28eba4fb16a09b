"""What a start and a reload do to logins by an issuer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.fronts.http.openid import OpenId
from spalloc_server.fronts.http.people import LoginRefusedError, People
from spalloc_server.fronts.http.settings import HttpSettings
from spalloc_server.service import Service
from tests.spalloc_server.fronts.http.sso.double import PATIENCE, Double, doubled
from tests.spalloc_server.fronts.http.sso.signing import OPENID

HERE = "127.0.0.1"


def configured(folder: Path, openid: OpenId | None) -> Configuration:
    http = HttpSettings(port=0, openid=openid)
    return Configuration(state=folder / "state", machines=(), v1=Listening(0), http=http)


async def served(configuration: Configuration, test: Callable[[Service, People], Awaitable[None]]) -> None:
    service = Service(configuration)
    await service.start()
    try:
        assert service.http is not None
        await test(service, service.http.people)
    finally:
        await service.stop()


def run(folder: Path, test: Callable[[Double, Callable[..., Configuration]], Awaitable[None]]) -> None:
    async def main() -> None:
        async with doubled() as double:

            def by(**changed: object) -> Configuration:
                openid = replace(OPENID, **{"issuer": double.issuer, **changed})  # type: ignore[arg-type]
                return configured(folder, openid)

            await asyncio.wait_for(test(double, by), PATIENCE)

    asyncio.run(main())


async def log_in(double: Double, people: People) -> tuple[str, str]:
    """Log in by a token; return the token, and the cookie's value."""
    double.now = people._engine.clock.wall
    token = double.token()
    cookie, session = await people.bearer(token, HERE)
    assert session.login.account == "openid.jane"
    return token, cookie


def test_a_session_goes_on_over_a_restart_and_ends_at_one_without_its_issuer(tmp_path: Path) -> None:
    async def test(double: Double, by: Callable[..., Configuration]) -> None:
        known: list[tuple[str, str]] = []

        async def first(_: Service, people: People) -> None:
            known.append(await log_in(double, people))

        async def again(_: Service, people: People) -> None:
            ((token, cookie),) = known
            assert people.session(cookie)
            assert (await people.bearer(token, HERE))[0] == cookie

        async def without(_: Service, people: People) -> None:
            ((token, cookie),) = known
            assert people.session(cookie) is None
            with pytest.raises(LoginRefusedError, match="this token is not valid"):
                await people.bearer(token, HERE)

        await served(by(), first)
        await served(by(), again)
        await served(configured(tmp_path, None), without)

    run(tmp_path, test)


def test_a_reload_begins_changes_and_ends_logins_by_an_issuer(tmp_path: Path) -> None:
    async def test(double: Double, by: Callable[..., Configuration]) -> None:
        async def reloaded(service: Service, people: People) -> None:
            assert people.single_sign_on is None
            service.reconfigure(by())
            token, cookie = await log_in(double, people)
            same = people.single_sign_on
            service.reconfigure(by())
            assert people.single_sign_on is same
            # Sessions go on, but the token is looked at again, by the new settings.
            service.reconfigure(by(audience=("another",)))
            assert people.session(cookie)
            with pytest.raises(LoginRefusedError, match="is not for this service"):
                await people.bearer(token, HERE)
            assert people.session(cookie) is None
            service.reconfigure(by())
            _, cookie = await log_in(double, people)
            service.reconfigure(by(issuer="https://another.example"))
            assert people.session(cookie) is None
            service.reconfigure(configured(tmp_path, None))
            assert people.single_sign_on is None

        await served(configured(tmp_path, None), reloaded)

    run(tmp_path, test)


def test_a_server_starts_and_serves_while_its_issuer_is_away(tmp_path: Path) -> None:
    async def test(double: Double, by: Callable[..., Configuration]) -> None:
        async def away(_: Service, people: People) -> None:
            with pytest.raises(LoginRefusedError, match="can't be asked at this moment") as caught:
                await people.bearer("opaque", HERE)
            assert caught.value.is_away
            assert double.asked == []

        await served(by(issuer="http://127.0.0.1:1", secret="x"), away)

    run(tmp_path, test)
