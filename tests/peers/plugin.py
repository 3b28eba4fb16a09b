"""Gives every test the fixture `peer`.

What the peers are and how they are installed stands in environments.py.
"""

import os
from collections.abc import Callable

import pytest

from tests.peers.environments import PEERS, PeerEnvironment, PeerUnavailableError, environment

INSTALL_SECONDS = 600

# As it was before any fixture pointed the configuration elsewhere: pip's own settings live there too.
_VARIABLES = dict(os.environ)


@pytest.fixture(scope="session")
def peer(pytestconfig: pytest.Config) -> Callable[[str], PeerEnvironment]:
    """Published software, by the requirement that names it: `peer("spalloc==1!7.0.0").command("spalloc-ps")`.

    Installed the first time into `.peers/`. A test is skipped when the package index can't be reached, and
    fails when the environment variable CI is set.
    """
    folder = pytestconfig.rootpath / ".peers"

    def get(name: str) -> PeerEnvironment:
        try:
            return environment(name, folder, _VARIABLES)
        except PeerUnavailableError as reason:
            if os.environ.get("CI"):
                pytest.fail(str(reason), pytrace=False)
            pytest.skip(str(reason))

    return get


@pytest.fixture(params=["spalloc==1!7.0.0", "spalloc==1!7.4.1", "spalloc==2.0.1"])
def published_client(
    request: pytest.FixtureRequest, peer: Callable[[str], PeerEnvironment]
) -> PeerEnvironment:
    """Each published client in turn."""
    return peer(request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses a peer carries the mark `peer`, so that nobody can forget it, and has time to install it."""
    for item in items:
        if isinstance(item, pytest.Function) and "peer" in item.fixturenames:
            item.add_marker(pytest.mark.peer)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(INSTALL_SECONDS))


__all__ = ["PEERS", "PeerEnvironment", "peer", "published_client"]
