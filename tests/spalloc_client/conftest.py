"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from spalloc_client import Job, ProtocolClient, connection, dialling
from spalloc_client.windows.polling import poll
from tests.spalloc_client.awaited import AwaitedClient, AwaitedJob
from tests.spalloc_client.over_https import HTTPS, PROTOCOLS, over, served

if TYPE_CHECKING:
    from spalloc_server.embedded import EmbeddedSite

AS_ON_WINDOWS = "as-on-Windows"


@pytest.fixture(params=["blocking", AS_ON_WINDOWS, "asyncio"])
def client_class(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Each client in turn, to be used as the blocking one; that one also with no more than Windows has."""
    if request.param == AS_ON_WINDOWS:
        monkeypatch.setattr(connection, "poll", poll)
        monkeypatch.setattr(connection, "_DO_NOT_WAIT", (0,))
        monkeypatch.setattr(connection, "_CAN_WAIT", False)
        monkeypatch.setattr(dialling, "poll", poll)
    return AwaitedClient if request.param == "asyncio" else ProtocolClient


@pytest.fixture(params=[Job, AwaitedJob], ids=["blocking", "asyncio"])
def job_class(request: pytest.FixtureRequest) -> Any:
    """Each Job in turn, to be used as the blocking one."""
    return request.param


# Gone before another file's tests begin: some break a server's code for everybody in the process, to see what it does.
@pytest.fixture(scope="module", params=PROTOCOLS)
def site(request: pytest.FixtureRequest) -> Iterator[EmbeddedSite]:
    """A server with 4 by 4 triads of virtual boards that power up at once, over each protocol; tests free what they
    take."""
    with served(request.param) as site:
        yield site


@pytest.fixture(params=["v1", HTTPS])
def small_site(request: pytest.FixtureRequest) -> Iterator[EmbeddedSite]:
    """A server with three virtual boards that take a moment to power up, for this test alone, over each protocol."""
    from spalloc_server.embedded import EmbeddedSite

    with EmbeddedSite(1, 1, https=request.param == HTTPS) as running, over(running) as site:
        yield site


def arguments(server: Any, **more: Any) -> dict[str, Any]:
    """What a Job needs to be asked of a server, and of no configuration file."""
    return {"hostname": server.hostname, "port": server.port, "owner": "me", "config_filenames": [], **more}
