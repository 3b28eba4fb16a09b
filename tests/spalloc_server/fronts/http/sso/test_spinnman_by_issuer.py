"""SpiNNMan as it is published, with bearer tokens of an OpenID Connect provider as it is published."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_server.fronts.http.openid import GroupRule, OpenId, Pattern
from spinnaker.geometry import Size
from spinnaker_virtual import VirtualMachine
from tests.peers.environments import PeerEnvironment
from tests.peers.provider import CLIENT, NAME, SECRET, provider
from tests.spalloc_server.fronts.http.test_spinnman import QUICK, spinnman
from tests.spalloc_server.fronts.http.whole import whole_server

Peer = Callable[[str], PeerEnvironment]

pytestmark = [pytest.mark.uncounted, pytest.mark.timeout(300)]


def test_spinnman_logs_in_with_either_kind_of_token_and_uses_boards(peer: Peer, tmp_path: Path) -> None:
    async def on_a_server() -> None:
        with provider(peer(NAME)) as canaille:
            canaille.add_client("game", "another", "https://game.example/code")
            canaille.add_user("jane", ["brain"])
            rule = GroupRule("groups", (Pattern("", ""),), Pattern("team.", ""), 1e6, True)
            openid = OpenId(issuer=canaille.issuer, client=CLIENT, secret=SECRET, groups=(rule,))
            machine = VirtualMachine(size=Size(1, 1), timings=QUICK)
            async with whole_server(machine, tmp_path, openid) as whole:
                in_time = {"sub": "jane", "exp": time.time() + 600}
                named = {"preferred_username": "jane"}
                for token in (
                    canaille.opaque("jane", CLIENT),
                    # One that has all that is needed, and one of which the rest is asked for.
                    canaille.sign({**in_time, **named, "groups": ["brain"], "aud": [CLIENT]}),
                ):
                    who = {"url": whole.url, "token": token}
                    told = await spinnman(peer, whole, "look", **who)
                    assert told["machines"] == {"virtual": [1, 1, ["default"], 0, 0]}
                    ((state, boards, _, _),) = await spinnman(
                        peer, whole, "create", forms=[{}], n_boards=[3], **who
                    )
                    assert (state, len(boards)) == ("READY", 3)
                account = whole.engine.site.accounts.by_name["openid.jane"]
                assert account.groups == ("team.brain",)
                # What was given to another program is of no use here.
                other = {"url": whole.url, "token": canaille.opaque("jane", "game")}
                with pytest.raises(AssertionError, match="none of the issuer"):
                    await spinnman(peer, whole, "look", **other)

    asyncio.run(on_a_server())
