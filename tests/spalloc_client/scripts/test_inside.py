"""Inside an allocation: what a wrapped command runs asks the allocation's server, and means its job."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_client import Job, aio
from spalloc_client.config import read_config
from spalloc_client.errors import ConfigError
from spalloc_client.protocol_client import ProtocolClient
from tests.spalloc_client.scripts.conftest import Commands

FOLDER = Path(sys.executable).parent


def inside(server: tuple[str, int], job: object) -> dict[str, str]:
    """The environment of a command that runs in a job."""
    hostname, port = server
    return {"SPALLOC_SERVER_HOSTNAME": hostname, "SPALLOC_SERVER_PORT": str(port), "SPALLOC_ID": str(job)}


@pytest.fixture
def strangers(make_job: Callable[..., int]) -> None:
    """Jobs of others on the configured server, with the IDs that a new site gives too."""
    make_job(1, owner="stranger")
    make_job(1, owner="stranger")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("nested", "shown"),
    [
        ("spalloc-job", "Owner: "),
        ("spalloc-job {id}", "Owner: "),
        ("spalloc-job --ethernet-ips", "0,0,"),
        ("spalloc-where-is --job-chip 0 0", "Job using board: 1"),
        ("spalloc-where-is -j {id} 0, 0", "Job using board: 1"),
        ("spalloc-ps", "ready"),
        ("spalloc-machine", "virtual  "),
        ("spalloc --quiet --owner me -c true && spalloc-ps --all", "me (127.0.0.1)"),
        (
            "python -c 'from spalloc_client import *; j = Job.from_environment(); print(j.id, j.hostname)'",
            "1 127",
        ),
        ("python -c 'from spalloc_client import *; j = Job(owner=str(5)); print(j.id); j.destroy()'", "2"),
    ],
)
def test_what_runs_in_a_job_of_a_virtual_site_asks_that_site(
    commands: Commands, strangers: None, tmp_path: Path, nested: str, shown: str
) -> None:
    hostname, port = commands.server[1::2]
    (tmp_path / ".spalloc").write_text(f"[spalloc]\nhostname = {hostname}\nport = {port}\n")
    environment = {**os.environ, "PATH": f"{FOLDER}:{os.environ['PATH']}"}
    line = ("--quiet", "--virtual", "1x1", "1", "-c", nested)
    ended = commands.run("spalloc", *line, server=False, cwd=tmp_path, env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert shown in ended.stdout
    assert "stranger" not in ended.stdout


@pytest.mark.slow
def test_an_argument_wins_over_the_environment(commands: Commands, make_job: Callable[..., int]) -> None:
    mine, other = make_job(1, owner="me"), make_job(1, owner="you")
    hostname, port = commands.server[1::2]
    nowhere = {**os.environ, **inside(("127.0.0.1", 1), other)}
    # The ID means nothing to another server.
    assert f"Job ID: {mine}\n" in commands.run("spalloc-job", "--owner", "me", env=nowhere).stdout
    assert commands.run("spalloc-job", env=nowhere).returncode == 2
    here = {**os.environ, **inside((hostname, int(port)), other)}
    assert f"Job ID: {other}\n" in commands.run("spalloc-job", server=False, env=here).stdout
    for which in (["--owner", "me"], [str(mine)]):
        assert f"Job ID: {mine}\n" in commands.run("spalloc-job", *which, server=False, env=here).stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", [("1",), ("1", "2", "3", "4"), ("1", "2")])
def test_a_wrong_number_of_words_for_a_job_s_chip_is_one_line(words: tuple[str, ...]) -> None:
    ended = Commands("127.0.0.1", 1).run("spalloc-where-is", "--job-chip", *words)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "a job ID, X and Y" in ended.stderr


def test_the_environment_wins_over_files(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("[spalloc]\nhostname = from-file\nport = 1\nowner = me\n")
    config = read_config([file], inside(("from-environment", 2), 3))
    assert (config["hostname"], config["port"], config["owner"]) == ("from-environment", 2, "me")
    assert read_config([file], {})["hostname"] == "from-file"


def test_a_variable_that_makes_no_sense_is_named() -> None:
    with pytest.raises(ConfigError, match="^SPALLOC_SERVER_PORT: port is 'x'"):
        _ = read_config([], {"SPALLOC_SERVER_PORT": "x"})["port"]


@pytest.mark.parametrize("kind", [Job, aio.Job])
@pytest.mark.parametrize(
    ("given", "said"), [("", "runs in no job"), ("x", "SPALLOC_ID is 'x'"), ("0", "1 or more")]
)
def test_a_program_that_runs_in_no_job_is_told(
    kind: type, given: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPALLOC_ID", given)
    with pytest.raises(ValueError, match=said):
        kind.from_environment(hostname="127.0.0.1", port=1)  # type: ignore[attr-defined]


async def _hostname(**options: object) -> str | None:
    job = await aio.Job.from_environment(**options)
    try:
        return await job.hostname
    finally:
        await job.close()


@pytest.mark.slow
def test_a_program_takes_on_the_job_that_it_runs_in(
    commands: Commands, client: ProtocolClient, make_job: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    job = make_job(1)
    hostname, port = commands.server[1::2]
    for name, value in inside((hostname, int(port)), job).items():
        monkeypatch.setenv(name, value)
    ((_, wanted),) = client.get_job_machine_info(job)["connections"] or ()
    taken = Job.from_environment(config_filenames=[])
    assert (taken.id, taken.hostname) == (job, wanted)
    taken.close()
    assert asyncio.run(_hostname(config_filenames=[])) == wanted
    assert [live["job_id"] for live in client.list_jobs()] == [job]
