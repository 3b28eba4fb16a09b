"""Every published client with our server, and ours with the published one, as docs/reference/interoperation.md has it.

Published clients run unmodified in environments of their own (tests/peers/); nothing of ours is imported there.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spalloc_client import ProtocolClient
from spalloc_server.embedded import EmbeddedSite
from tests import processes
from tests.peers.environments import PeerEnvironment
from tests.peers.published_server import NAME, published_server

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "interoperation.md"
INSIDE = Path(__file__).with_name("inside_client.py")
OURS = PeerEnvironment(Path(sys.executable).parents[1])
PATIENCE = 120.0
READY, DESTROYED = 3, 4
OWNER, KEEPER = "owner-of-trials", "keeper-of-jobs"
"""Owners that no other word of a command's output could be taken for."""


def _run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        env={"PATH": os.environ["PATH"], "HOME": os.devnull, "COLUMNS": "200"},
    )


def _library(client: PeerEnvironment, package: str, port: int) -> dict[str, str]:
    done = _run(client.python, "-W", "ignore", INSIDE, package, port)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


def _commands(client: PeerEnvironment, port: int) -> Iterator[tuple[str, str]]:
    """Try the five commands; give what was tried, and what went wrong or an empty text."""

    def tries(name: str, *arguments: object, expected: str = "") -> str:
        done = _run(client.command(name), "--hostname", "127.0.0.1", "--port", port, *arguments)
        well = done.returncode == 0 and expected in done.stdout + done.stderr
        return "" if well else f"status {done.returncode}, not {expected!r} in {done.stdout}{done.stderr}"

    echo = ("-c", "echo", "is {w} by {h}")
    size = "is 16 by 16"
    yield "`spalloc 3 -c COMMAND`", tries("spalloc", 3, "--owner", OWNER, *echo, expected=size)
    with ProtocolClient("127.0.0.1", port, timeout=PATIENCE) as own:
        own.notify_job()

        def until(job: int, **wanted: object) -> None:
            while not wanted.items() <= own.get_job_state(job).items():
                own.wait_for_notification(timeout=PATIENCE)

        keeping = tries("spalloc", 3, "--no-destroy", "--owner", KEEPER, *echo, expected=size)
        kept = [job["job_id"] for job in own.list_jobs() if job["owner"] == KEEPER]
        yield (
            "`spalloc 3 --no-destroy -c COMMAND`",
            keeping or ("" if kept else "the job no longer exists"),
        )
        for job in kept:
            own.destroy_job(job)
        resumed, job = (own.create_job(3, owner=OWNER, keepalive=None) for _ in range(2))
        until(resumed, state=READY)
        yield "`spalloc --resume JOB -c COMMAND`", tries("spalloc", "--resume", resumed, *echo, expected=size)
        own.destroy_job(resumed)
        until(job, state=READY)
        yield "`spalloc-ps`", tries("spalloc-ps", expected=OWNER)
        filtered = ("-m", "virtual", "-o", OWNER)
        yield "`spalloc-ps --machine --owner`", tries("spalloc-ps", *filtered, expected=OWNER)
        yield "`spalloc-machine`", tries("spalloc-machine", expected="virtual")
        yield "`spalloc-machine NAME`", tries("spalloc-machine", "virtual", expected="3 of 27")
        detailed = tries("spalloc-machine", "virtual", "--detailed", expected="3 of 27")
        yield "`spalloc-machine NAME --detailed`", detailed
        for form, place in (
            ("--board", ("virtual", 0, 0, 0)),
            ("--physical", ("virtual", 0, 0, 0)),
            ("--chip", ("virtual", 0, 0)),
            ("--job-chip", (job, 0, 0)),
        ):
            yield f"`spalloc-where-is {form}`", tries("spalloc-where-is", form, *place, expected="virtual")
        for form, expected in (("--info", OWNER), ("--ethernet-ips", "127.")):
            yield f"`spalloc-job {form}`", tries("spalloc-job", job, form, expected=expected)
        for form, power in (("--power-off", False), ("--power-on", True), ("--reset", True)):
            if form == "--reset":  # boards that are on already would not show that it did anything
                own.power_off_job_boards(job)
                until(job, state=READY, power=False)
            yield f"`spalloc-job {form}`", tries("spalloc-job", job, form)
            until(job, state=READY, power=power)
        yield "`spalloc-job --destroy`", tries("spalloc-job", job, "--destroy", "enough")
        until(job, state=DESTROYED, reason="enough")


def _page() -> dict[str, dict[str, str]]:
    """Return the page's first table: what works, by the client and the server that stand above the column."""
    first = PAGE.read_text(encoding="utf-8").partition("\n## Our client over HTTP\n")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in first.splitlines()
        if re.match(r"\| (what|`|notifications)", line)
    ]
    return {name: {row[0]: row[at] for row in rows[1:]} for at, name in enumerate(rows[0]) if at}


def _is_as_the_page_says(column: str, client: PeerEnvironment, package: str, port: int) -> None:
    problems = {**_library(client, package, port), **dict(_commands(client, port))}
    said = {what: "**no**" if problem else "yes" for what, problem in problems.items()}
    assert said == _page()[column], json.dumps(problems, indent=1)


@pytest.mark.parametrize("version", ["1!7.0.0", "1!7.4.1", "2.0.1"])
def test_a_published_client_can_do_with_our_server_what_the_page_says(
    version: str, peer: Callable[[str], PeerEnvironment]
) -> None:
    client = peer(f"spalloc=={version}")
    package = "spalloc" if version == "2.0.1" else "spalloc_client"
    with EmbeddedSite(3, 3) as site:
        _is_as_the_page_says(f"client {version}, our server", client, package, site.port)


def test_our_client_can_do_with_the_published_server_what_the_page_says(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path
) -> None:
    environment = peer(NAME)
    with (
        processes.boards(3, 3) as machine,
        published_server(environment, machine, tmp_path) as (_, port),
    ):
        _is_as_the_page_says("our client, server 1!7.0.0", OURS, "spalloc_client", port)


def test_a_published_client_is_told_why_a_job_can_never_run(published_client: PeerEnvironment) -> None:
    with EmbeddedSite(2, 2) as site:
        place = ("--hostname", site.hostname, "--port", site.port)
        done = _run(published_client.command("spalloc"), *place, 999, "--owner", OWNER, "-c", "true")
    assert done.returncode != 0
    assert "Cancelled: " in done.stdout + done.stderr
