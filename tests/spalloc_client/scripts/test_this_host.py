"""Whether it was this host that asked for a job's end, whichever of its addresses it used."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from spalloc_client.scripts.outlook import Outlook
from spalloc_client.scripts.this_host import is_this_host
from spalloc_client.scripts.wording import Happened
from tests.spalloc_client.scripted import ScriptedServer

ELSEWHERE = "203.0.113.7"  # of a network that is for documents only


def own_address() -> str:
    """An address of this host that is not loopback, or else loopback; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ELSEWHERE, 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@pytest.mark.parametrize(
    ("address", "server", "ours"),
    [
        (lambda: "127.0.0.1", "localhost", True),
        (lambda: "::1", "127.0.0.1", True),
        (lambda: "::ffff:127.0.0.1", "127.0.0.1", True),
        (own_address, "127.0.0.1", True),
        (lambda: "127.0.0.1", ELSEWHERE, False),  # the server's host, which is not this one
        (lambda: "::1", ELSEWHERE, False),
        (lambda: "127.0.0.1", "no-such-name.invalid", False),
        (lambda: "127.0.0.2", "127.0.0.1", False),
        (lambda: ELSEWHERE, "127.0.0.1", False),
        (lambda: "2001:db8::7", "127.0.0.1", False),
        (lambda: "whatever", "127.0.0.1", False),
    ],
)
def test_an_address_is_this_host_s_if_it_has_it(address: Callable[[], str], server: str, ours: bool) -> None:
    assert is_this_host(address(), server) is ours


@pytest.mark.parametrize(
    ("told", "revoked"),
    [
        ({"ended_here": False, "ended_by": "::1"}, False),
        ({"ended_here": False, "ended_by": "127.0.0.1"}, False),
        ({"ended_here": True, "ended_by": ELSEWHERE}, False),
        ({"ended_here": False, "ended_by": ELSEWHERE}, True),
        ({"ended_here": False, "ended_by": None}, True),
        ({}, True),
    ],
)
def test_a_job_is_revoked_only_if_this_host_did_not_end_it(told: Any, revoked: bool) -> None:
    state = {"state": 4, "power": None, "keepalive": None, "reason": "why", "start_time": None, **told}
    info = dict.fromkeys(("width", "height", "connections", "machine_name", "boards"))
    happened: list[Happened] = []
    with ScriptedServer({"get_job_state": state, "get_job_machine_info": info}) as server:
        Outlook(7, (server.hostname, server.port), [], happened.append, 1.0).last_look()
    assert [event.spoils for event in happened] == [revoked]
