"""Commands that live long, take on jobs or answer a shell, over HTTPS as over v1, against each service."""

from collections.abc import Iterator
from typing import Any

import pytest

from spalloc_client import Job
from tests.spalloc_client.conftest import arguments
from tests.spalloc_client.over_https import HTTPS, JAVA, is_java, served
from tests.spalloc_client.scripts.conftest import Commands

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[HTTPS, JAVA])
def site(request: pytest.FixtureRequest) -> Iterator[Any]:
    with served(request.param) as site:
        yield site


@pytest.fixture
def commands(site: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    """The commands, which find out by the environment who logs in."""
    at = site.service if is_java(site) else site.https
    monkeypatch.setenv("SPALLOC_USER", at.user)
    monkeypatch.setenv("SPALLOC_PASSWORD", at.password)
    made = Commands("", 0)
    made.server = ["--hostname", at.url]
    yield made
    made.clean()


def test_a_job_is_kept_and_taken_on(site: Any, commands: Commands) -> None:
    kept = commands.run("spalloc", "3", "--no-destroy", "--command", "echo {id} {hostname}")
    assert kept.returncode == 0, kept.stderr
    number = kept.stdout.split()[0]
    resumed = commands.run("spalloc", "--resume", number, "--command", "echo {id} {hostname}")
    assert (resumed.returncode, resumed.stdout) == (0, kept.stdout), resumed.stderr
    gone = commands.run("spalloc", "--resume", number, "--command", "true")
    assert gone.returncode != 0


@pytest.mark.parametrize("name", ["spalloc-ps", "spalloc-machine"])
def test_lists_are_watched(site: Any, commands: Commands, name: str) -> None:
    watching = commands.start(name, "--watch")
    watching.until("virtual" if name == "spalloc-machine" else "Owner", "output")
    with Job(1, **arguments(site)) as job:
        watching.until(str(job.id) if name == "spalloc-ps" else " 1 ", "output")
    watching.end(2)


def test_a_job_is_watched_to_its_end(site: Any, commands: Commands) -> None:
    with Job(1, **arguments(site)) as job:
        watching = commands.start("spalloc-job", str(job.id), "--watch")
        watching.until("ready", "output")
        job.destroy("enough of it")
        watching.until("enough of it", "output")
        watching.end(2)


def test_a_shell_is_told_jobs_and_machines(site: Any, commands: Commands) -> None:
    with Job(3, **arguments(site)) as job:
        jobs = commands.run("spalloc-job", "--complete", "3", *commands.server, "", server=False)
        assert f"\n{job.id}\t" in jobs.stdout
        assert "3 boards on virtual" in jobs.stdout
    machines = commands.run("spalloc-machine", "--complete", "3", *commands.server, "v", server=False)
    assert machines.stdout.startswith("words\nvirtual\t")


def test_a_shell_is_told_of_the_login_that_stands_in_the_url(site: Any, commands: Commands) -> None:
    line = ["--hostname", site.hostname, "v"]
    machines = commands.run(
        "spalloc-machine", "--complete", "3", *line, server=False, env={"SSL_CERT_FILE": _bundle(site)}
    )
    assert machines.stdout.startswith("words\nvirtual\t")


def _bundle(site: Any) -> str:
    return str((site.service if is_java(site) else site.https).bundle)
