"""The page "With sPyNNaker": its script gets boards by our client, and as far as the page says."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spalloc_client import JobState, ProtocolClient
from spalloc_server.embedded import EmbeddedSite
from tests.docs.pages import File, read
from tests.peers.environments import PeerEnvironment
from tests.spalloc_client.scripted import PATIENCE

ROOT = Path(__file__).parents[2]
FILES = {
    step.name: step.text for step in read(ROOT / "docs/guides/with-spynnaker.md") if isinstance(step, File)
}
QUICK = "enable_advanced_monitor_support = False\nenable_reinjection = False\n"


@pytest.fixture
def site() -> Iterator[EmbeddedSite]:
    with EmbeddedSite(1, 1) as site:
        yield site


def start(python: Path, folder: Path, site: EmbeddedSite, script: str) -> subprocess.Popen[str]:
    """Start a script in a folder of its own, by a user whose home has the page's configuration."""
    home, study = folder / "home", folder / "study"
    (home / ".config").mkdir(parents=True)
    study.mkdir()
    configuration = FILES[".spynnaker.cfg"]
    for value, ours in (("localhost", site.hostname), ("22244", str(site.port))):
        assert value in configuration
        configuration = configuration.replace(value, ours)
    (home / ".spynnaker.cfg").write_text(configuration + QUICK)
    (home / ".config" / "spalloc").write_text("[spalloc]\nkeepalive = 5\n")
    (study / "network.py").write_text(script)
    return subprocess.Popen(
        [python, "-W", "ignore", "network.py"],
        cwd=study,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def how_freed(site: EmbeddedSite) -> str | None:
    """Why the script's job ended, once it has."""
    with ProtocolClient(site.hostname, site.port, timeout=PATIENCE) as client:
        client.notify_job(1)
        while client.get_job_state(1)["state"] != JobState.destroyed:
            client.wait_for_notification(PATIENCE)
        return client.get_job_state(1)["reason"]


@pytest.mark.slow
def test_a_network_of_neurons_gets_boards_and_is_loaded_until_cores_must_compute(
    peer: Callable[[str], PeerEnvironment], site: EmbeddedSite, tmp_path: Path
) -> None:
    with start(peer("sPyNNaker==1!7.4.1").python, tmp_path, site, FILES["network.py"]) as running:
        assert running.stdout is not None
        said = ""
        for line in running.stdout:
            said += line
            if "Expanding Neuron Data" in line:
                break
        else:
            pytest.fail(said)
        with ProtocolClient(site.hostname, site.port, timeout=PATIENCE) as client:
            (job,) = client.list_jobs()
        assert (job["owner"], job["state"]) == ("you@example.org", JobState.ready)
        running.send_signal(signal.SIGINT)
        said += running.stdout.read()
    for step in ("Detected Machine on", "Load Application data specification took"):
        assert step in said, said
    assert how_freed(site) == "Job timed out."


@pytest.mark.long
def test_a_network_of_sources_is_loaded_and_started_and_its_cores_do_not_become_ready(
    peer: Callable[[str], PeerEnvironment], site: EmbeddedSite, tmp_path: Path
) -> None:
    script = """
import pyNN.spiNNaker as sim

sim.setup(timestep=1.0)
sim.Population(10, sim.SpikeSourceArray(spike_times=[10.0]), label="source")
sim.run(100)
"""
    with start(peer("sPyNNaker==1!7.4.1").python, tmp_path, site, script) as running:
        assert running.stdout is not None
        said = running.stdout.read()
    assert "Load executable app images took" in said, said
    assert "SpiNNManCoresNotInStateException" in said, said
    assert how_freed(site) != "Job timed out."
