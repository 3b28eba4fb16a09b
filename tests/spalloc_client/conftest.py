# Fixtures of the client's tests.
"""Fixtures of the client's tests."""

from typing import Any

import pytest

from spalloc_client import Job, ProtocolClient
from tests.spalloc_client.awaited import AwaitedClient, AwaitedJob


@pytest.fixture(params=[ProtocolClient, AwaitedClient], ids=["blocking", "asyncio"])
def client_class(request: pytest.FixtureRequest) -> Any:
    """Each client in turn, to be used as the blocking one."""
    return request.param


@pytest.fixture(params=[Job, AwaitedJob], ids=["blocking", "asyncio"])
def job_class(request: pytest.FixtureRequest) -> Any:
    """Each Job in turn, to be used as the blocking one."""
    return request.param
