"""sPyNNaker as it is published gets boards from the service, and reaches them through it, as far as over v1."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_client.states import JobState
from spinnaker.geometry import Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.docs.pages import File, read
from tests.peers.environments import PeerEnvironment
from tests.spalloc_server.fronts.http.whole import USER, Whole, whole_server

ROOT = Path(__file__).parents[4]
GUIDES = ROOT / "docs/guides"
GUIDES_URL = "https://localhost:22246/spalloc/"
PATIENCE = 240.0


def file_of(guide: str, name: str) -> str:
    """A file that a guide has its reader save."""
    return next(step.text for step in read(GUIDES / guide) if isinstance(step, File) and step.name == name)


@pytest.mark.uncounted
@pytest.mark.timeout(400)
def test_a_network_of_neurons_is_loaded_through_the_service_until_cores_must_compute(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path
) -> None:
    python = peer("sPyNNaker==1!7.4.1").python

    async def task() -> None:
        timings = Timings(power_on=0.1, power_off=0.02, boot_ready=0.0, boot=0.1)
        machine = VirtualMachine(size=Size(1, 1), timings=timings)
        async with whole_server(machine, tmp_path) as whole:
            said = await until_cores_must_compute(whole, python, tmp_path)
            for step in ("Detected Machine on", "Load Application data specification took"):
                assert step in said, said
            (job,) = whole.engine.site.jobs.values()
            assert (job.record.owner, job.record.state) == (USER, JobState.ready)

    asyncio.run(task())


async def until_cores_must_compute(whole: Whole, python: Path, folder: Path) -> str:
    """Run the guide's network, and return what sPyNNaker says until it waits for cores."""
    home, study = folder / "home", folder / "study"
    home.mkdir()
    study.mkdir()
    configuration = file_of("spinnman-and-spynnaker.md", ".spynnaker.cfg")
    assert GUIDES_URL in configuration
    quick = "enable_advanced_monitor_support = False\nenable_reinjection = False\n"
    (home / ".spynnaker.cfg").write_text(configuration.replace(GUIDES_URL, whole.url) + quick)
    (study / "network.py").write_text(file_of("with-spynnaker.md", "network.py"))
    process = await asyncio.create_subprocess_exec(
        python,
        "-W",
        "ignore",
        "network.py",
        cwd=study,
        env={**whole.variables, "HOME": str(home), "OIDC_BEARER_TOKEN": whole.token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(PATIENCE):
            async for line in process.stdout:
                said += line.decode()
                if "Expanding Neuron Data" in said:
                    return said
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
    raise AssertionError(said)
