"""Programs of green threads, of real eventlet and gevent, have jobs as others do, and go on meanwhile."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_client import ProtocolClient
from spalloc_server.embedded import EmbeddedSite
from tests.peers.environments import PeerEnvironment

SOURCE = Path(__file__).parents[2] / "src"

PATCHING = {
    "eventlet": """
import eventlet
eventlet.monkey_patch()
start, pause, result = eventlet.spawn, eventlet.sleep, eventlet.greenthread.GreenThread.wait
""",
    "gevent": """
from gevent import monkey
monkey.patch_all()
import gevent
start, pause, result = gevent.spawn, gevent.sleep, gevent.Greenlet.get
""",
}
IMPORTING = "from spalloc_client import Job, JobState, ProtocolClient\n"
KEEPALIVE = 1.5
PROGRAM = f"""
import sys

at = dict(hostname=sys.argv[1], port=int(sys.argv[2]), owner="me", config_filenames=[], keepalive={KEEPALIVE})
turns = 0

def others():
    global turns
    while True:
        turns += 1
        pause(0.01)

def use():
    with Job(1, **at) as job:
        return job.id, job.hostname

start(others)
assert len(set(map(result, [start(use) for _ in range(5)]))) == 5

job = Job(1, **at)
before = turns
job.wait_until_ready()
assert job.wait_for_state_change(JobState.ready, timeout=1.5 * {KEEPALIVE}) == JobState.ready
assert turns > before + 20, "the program stood still"
assert {{result(seen) for seen in [start(lambda: job.hostname) for _ in range(9)]}} == {{job.hostname}}
with ProtocolClient(at["hostname"], at["port"]) as client:
    news = start(client.wait_for_notification, 20)
    client.notify_job(job.id)
    job.destroy("done")
    assert result(news) == {{"jobs_changed": [job.id]}}
    assert client.get_job_state(job.id)["state"] == JobState.destroyed
    assert not client.list_jobs()
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", PATCHING)
@pytest.mark.parametrize("order", ["patched, then imported", "imported, then patched"])
def test_a_job_is_created_kept_alive_and_destroyed_under_green_threads_which_go_on_meanwhile(
    kind: str, order: str, peer: Callable[[str], PeerEnvironment]
) -> None:
    python = peer("eventlet==0.41.3").python
    parts = [PATCHING[kind], IMPORTING] if order.startswith("patched") else [IMPORTING, PATCHING[kind]]
    with EmbeddedSite(3, 2) as site:
        done = subprocess.run(
            [python, "-W", "ignore", "-c", "".join([*parts, PROGRAM]), site.hostname, str(site.port)],
            env={"PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
        with ProtocolClient(site.hostname, site.port) as client:
            assert client.list_jobs() == []
