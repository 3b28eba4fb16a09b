"""Tries every client with every server: each command of the protocol, Job, and the five programs with their options.

Each pair has a server and virtual boards of its own.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.interoperation.cells import Cell, Matrix
from benchmarks.load.client import READY, Client
from benchmarks.programs.address import Address
from benchmarks.programs.clients import InstalledClient, clients
from benchmarks.programs.ours import our_server, site
from benchmarks.programs.process import ENVIRONMENT
from benchmarks.programs.published import published_server
from benchmarks.suite.measurement import OURS, SERVER_7_0_0, CannotDoError, Subject

ServerOf = Callable[[dict[str, Any], Path], AbstractContextManager[Address]]
SERVERS: dict[Subject, ServerOf] = {OURS: our_server, SERVER_7_0_0: published_server}
LIBRARY = Path(__file__).with_name("library.py")
PATIENCE_SECONDS = 120.0
PROGRAMS = "programs"
WRONG_USAGE = 2
OWNER = "owner-of-trials"
KEEPER = "keeper-of-jobs"
"""Owners that no other word of a program's output could be taken for."""
DESTROYED = 4
CHANGE_SECONDS = 20.0
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


def _library(client: str, installed: InstalledClient, server: str, address: Address) -> Iterator[Cell]:
    words = [str(installed.python), "-W", "ignore", str(LIBRARY), installed.package, str(address.port)]
    done = _run(words)
    for line in done.stdout.splitlines():
        room, what, problem, note, tried = json.loads(line)
        works = tried and not problem
        yield Cell(client, server, room, what, works=works, problem=problem, note=note, tried=tried)


def _programs(client: str, installed: InstalledClient, server: str, address: Address) -> Iterator[Cell]:
    place = ["--hostname", "127.0.0.1", "--port", str(address.port)]

    def tries(
        what: str, expected: str, name: str, *arguments: str, then: Callable[[], str] = lambda: ""
    ) -> Cell:
        words = [str(installed.command(name)), *place]

        def problem_of(done: "subprocess.CompletedProcess[str]") -> str:
            if done.returncode != 0:
                return _last_words(done)
            return "" if expected in done.stdout + done.stderr else f"no {expected!r} in: {_last_words(done)}"

        done = _run([*words, *arguments])
        problem = problem_of(done) or then()
        if not problem:
            return Cell(client, server, PROGRAMS, what, works=True)
        if name != "spalloc" and "version" in done.stdout + done.stderr:
            done = _run([*words, "--ignore_version", "True", *arguments])
            again = problem_of(done) or then()
            if not again:
                return Cell(client, server, PROGRAMS, what, works=True, ignoring_version=True)
            if done.returncode != WRONG_USAGE:  # not every client has that option
                problem = again
        return Cell(client, server, PROGRAMS, what, works=False, problem=problem)

    said = ("-c", "echo", "is {w} by {h}")
    yield tries("`spalloc 3 -c COMMAND`", "is 16 by 16", "spalloc", "3", "--owner", OWNER, *said)
    with Client(address) as own:
        yield tries(
            "`spalloc 3 --no-destroy -c COMMAND`",
            "is 16 by 16",
            "spalloc",
            "3",
            "--no-destroy",
            "--owner",
            KEEPER,
            *said,
            then=lambda: _not_kept(own),
        )
        resumed, job = (_ready_job(own) for _ in range(2))
        yield tries(
            "`spalloc --resume JOB -c COMMAND`", "is 16 by 16", "spalloc", "--resume", str(resumed), *said
        )
        own.call("destroy_job", resumed)
        number = str(job)
        yield tries("`spalloc-ps`", OWNER, "spalloc-ps")
        yield tries("`spalloc-ps --machine --owner`", OWNER, "spalloc-ps", "-m", "virtual", "-o", OWNER)
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
        for form, expected in (("--info", OWNER), ("--ethernet-ips", "127.")):
            yield tries(f"`spalloc-job {form}`", expected, "spalloc-job", number, form)
        for form, power in (("--power-off", False), ("--power-on", True), ("--reset", True)):
            if form == "--reset":  # boards that are on already would not show that it did anything
                own.call("power_off_job_boards", job)
                _not_like(own, job, state=READY, power=False)
            yield tries(
                f"`spalloc-job {form}`",
                "",
                "spalloc-job",
                number,
                form,
                then=lambda power=power: _not_like(own, job, state=READY, power=power),
            )
        yield tries(
            "`spalloc-job --destroy`",
            "",
            "spalloc-job",
            number,
            "--destroy",
            "enough",
            then=lambda: _not_like(own, job, state=DESTROYED, reason="enough"),
        )


def _ready_job(own: Client) -> int:
    job: int = own.call("create_job", 3, owner=OWNER, keepalive=None)
    if problem := _not_like(own, job, state=READY):
        raise CannotDoError(problem)
    return job


def _not_like(own: Client, job: int, **wanted: object) -> str:
    """Ask the server until a job is as wanted; return an empty text then, and what it is when it takes too long."""
    until = time.monotonic() + CHANGE_SECONDS
    while True:
        said = own.call("get_job_state", job)
        if all(said[name] == value for name, value in wanted.items()):
            return ""
        if time.monotonic() > until:
            asked = ", ".join(f"{name} {said[name]}, not {value}" for name, value in wanted.items())
            return f"the program ends well, but then the server says of the job: {asked}"
        time.sleep(0.05)


def _not_kept(own: Client) -> str:
    """Return an empty text when the keeper's job is still there, and destroy it; else what is wrong."""
    kept = [each["job_id"] for each in own.call("list_jobs") if each["owner"] == KEEPER]
    for job in kept:
        own.call("destroy_job", job)
    return "" if kept else "the program ends well, but then the server has no such job"


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
