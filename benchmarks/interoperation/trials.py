# Tries every client with every server: each command of the protocol, Job, and the five programs with their options.
#
# Each pair has a server and virtual boards of its own.
"""Trials of clients with servers."""

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.interoperation.cells import Cell, Matrix
from benchmarks.load.client import READY, Client
from benchmarks.programs.clients import ENVIRONMENT, InstalledClient, clients
from benchmarks.programs.ours import our_server, site
from benchmarks.programs.published import published_server
from benchmarks.suite.measurement import OURS, SERVER_7_0_0, Subject

ServerOf = Callable[[dict[str, Any], Path], AbstractContextManager[dict[str, Any]]]
SERVERS: dict[Subject, ServerOf] = {OURS: our_server, SERVER_7_0_0: published_server}
LIBRARY = Path(__file__).with_name("library.py")
PATIENCE_SECONDS = 120.0
PROGRAMS = "programs"
WRONG_USAGE = 2
AT_ONCE = 4
"""Pairs that are tried at the same time: the published server spends most of its time asleep."""


def tried(say: Callable[[str], None]) -> Matrix:
    """Try every pair."""
    pairs = [(client, server) for server in SERVERS for client in clients().items()]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        cells = [cell for found in threads.map(lambda pair: _pair(*pair, say), pairs) for cell in found]
    return Matrix(date.today().isoformat(), tuple(cells))


def _pair(client: tuple[Subject, InstalledClient], server: Subject, say: Callable[[str], None]) -> list[Cell]:
    subject, installed = client
    with site(3, 3) as (machine, folder), SERVERS[server](machine, folder) as address:
        cells = [
            *_library(subject.name, installed, server.name, address),
            *_programs(subject.name, installed, server.name, address),
        ]
    working = sum(cell.works for cell in cells)
    say(
        f"interoperation: {subject.name} with {server.name} ({server.kind.value}): {working} of {len(cells)} work"
    )
    return cells


def _library(client: str, installed: InstalledClient, server: str, address: dict[str, Any]) -> Iterator[Cell]:
    words = [str(installed.python), "-W", "ignore", str(LIBRARY), installed.package, str(address["port"])]
    done = _run(words)
    for line in done.stdout.splitlines():
        room, what, problem = json.loads(line)
        yield Cell(client, server, room, what, works=not problem, problem=problem)


def _programs(
    client: str, installed: InstalledClient, server: str, address: dict[str, Any]
) -> Iterator[Cell]:
    place = ["--hostname", "127.0.0.1", "--port", str(address["port"])]

    def tries(what: str, expected: str, name: str, *arguments: str) -> Cell:
        words = [str(installed.command(name)), *place]
        done = _run([*words, *arguments])
        if done.returncode == 0 and expected in done.stdout + done.stderr:
            return Cell(client, server, PROGRAMS, what, works=True)
        problem = _last_words(done)
        if name != "spalloc" and "version" in done.stdout + done.stderr:
            done = _run([*words, "--ignore_version", "True", *arguments])
            if done.returncode == 0 and expected in done.stdout + done.stderr:
                return Cell(client, server, PROGRAMS, what, works=True, ignoring_version=True)
            if done.returncode != WRONG_USAGE:  # not every client has that option
                problem = _last_words(done)
        return Cell(client, server, PROGRAMS, what, works=False, problem=problem)

    yield tries(
        "`spalloc 3 -c COMMAND`",
        "is 16 by 16",
        "spalloc",
        "3",
        "--owner",
        "me",
        "-c",
        "echo",
        "is {w} by {h}",
    )
    with Client(address) as own:
        job = own.call("create_job", 3, owner="me", keepalive=None)
        own.call("notify_job", job)
        while own.call("get_job_state", job)["state"] != READY:
            own.wait_for_change()
        number = str(job)
        yield tries("`spalloc-ps`", "me", "spalloc-ps")
        yield tries("`spalloc-ps --machine --owner`", "me", "spalloc-ps", "-m", "virtual", "-o", "me")
        yield tries("`spalloc-machine`", "virtual", "spalloc-machine")
        yield tries("`spalloc-machine NAME`", "3 of 27", "spalloc-machine", "virtual")
        yield tries(
            "`spalloc-machine NAME --detailed`", "3 of 27", "spalloc-machine", "virtual", "--detailed"
        )
        for form, arguments in (
            ("--board", ["virtual", "0", "0", "0"]),
            ("--physical", ["virtual", "0", "0", "0"]),
            ("--chip", ["virtual", "0", "0"]),
            ("--job-chip", [number, "0", "0"]),
        ):
            yield tries(f"`spalloc-where-is {form}`", "virtual", "spalloc-where-is", form, *arguments)
        for form, expected in (
            ("--info", "me"),
            ("--ethernet-ips", "127."),
            ("--power-off", ""),
            ("--power-on", ""),
        ):
            yield tries(f"`spalloc-job {form}`", expected, "spalloc-job", number, form)
        yield tries("`spalloc-job --destroy`", "", "spalloc-job", number, "--destroy", "enough")


def _run(words: list[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=dict(ENVIRONMENT),
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        said = late.stdout or ""
        said = said.decode() if isinstance(said, bytes) else said
        return subprocess.CompletedProcess(words, 1, said, f"no end within {PATIENCE_SECONDS:.0f} s")


def _last_words(done: "subprocess.CompletedProcess[str]") -> str:
    said = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"status {done.returncode}"]
    return said[-1][:200]
