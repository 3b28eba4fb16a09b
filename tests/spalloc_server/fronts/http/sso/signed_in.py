"""The HTTP service in one process with an issuer of whose answers a test says each word."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import uvloop

from spalloc_server.fronts.http.sso.single_sign_on import SingleSignOn
from tests.spalloc_server.fronts.http.service import Client, Service
from tests.spalloc_server.fronts.http.sso.double import PATIENCE, Double, doubled
from tests.spalloc_server.fronts.http.sso.signing import OPENID

ROOT = "srv/spalloc"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def account(client: Client, token: str | None = None) -> str:
    """Return as whom a client is logged in, or why it is not."""
    answer = await client.get(ROOT, headers={} if token is None else bearer(token))
    return str(answer.json["account"]) if answer.status == 200 else f"{answer.status} {answer.text}"


def run(test: Callable[[Service, Double], Awaitable[None]], **changed: Any) -> None:
    """Run a test of a service whose clock shows the real time, with settings of its issuer."""

    async def main() -> None:
        async with doubled() as double:
            service = Service()
            double.now = service.engine.clock.wall
            service.start()
            openid = replace(OPENID, **{"issuer": double.issuer, "secret": "only ours", **changed})
            sign_on = SingleSignOn(service.engine, service.people, openid)
            service.people.single_sign_on = sign_on
            try:
                await asyncio.wait_for(test(service, double), PATIENCE)
            finally:
                await sign_on.stop()
                service.app.stop()
                service.people.stop()
                await service.engine.stop()
                service.store.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
