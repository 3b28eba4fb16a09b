"""SpiNNMan as it is published, in its own environment, with the double as with the Java service itself."""

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from spinnaker.geometry import Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.doubles.defects import Defect
from tests.doubles.service import JavaService
from tests.peers.environments import PeerEnvironment
from tests.spalloc_server.fronts.http.test_spinnman import SCRIPT

Peer = Callable[[str], PeerEnvironment]

pytestmark = [pytest.mark.uncounted, pytest.mark.timeout(300)]


def spinnman(peer: Peer, service: JavaService, task: str, **arguments: object) -> Any:
    trusted = str(service.bundle)
    done = subprocess.run(
        [peer("SpiNNMan==1!7.4.1").python, SCRIPT, task, json.dumps({"url": service.url, **arguments})],
        env={**os.environ, "REQUESTS_CA_BUNDLE": trusted, "WEBSOCKET_CLIENT_CA_BUNDLE": trusted},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_spinnman_boots_writes_and_reads_boards_through_the_double_with_all_its_defects(peer: Peer) -> None:
    machine = VirtualMachine(size=Size(2, 2), timings=Timings.instant())
    with JavaService(machines={"big": machine}) as service:
        told = spinnman(peer, service, "use", n_boards=3, user=service.user, password=service.password)
    assert (told["chips"], told["ethernets"]) == (144, [[0, 0], [4, 8], [8, 4]])
    assert told["where"][2] is None
    assert told["read"]
    assert told["connected"]
    assert told["answer"] == "RC_OK"
    assert told["again"] == ["READY", "04030201"]
    assert told["after"] == ["DESTROYED", {}]


def test_spinnman_logs_in_by_token_only_where_the_login_pages_cookie_is_worth_something(peer: Peer) -> None:
    with JavaService() as service:
        with pytest.raises(AssertionError, match="Unexpected response from server 401"):
            spinnman(peer, service, "look", token=service.token)
        service.defects.discard(Defect.BEARER_LOGIN_PAGE)
        told = spinnman(peer, service, "look", token=service.token)
    assert told["version"] == "7.4.2"
    assert told["machines"] == {"big": [2, 2, ["default", "machine-room"], 0, 0]}
