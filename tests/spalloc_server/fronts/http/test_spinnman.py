"""SpiNNMan as it is published, in its own environment, over TLS against the service and virtual boards."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Awaitable, Callable, Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from spinnaker.geometry import Board, Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.docs.pages import File, read
from tests.peers.environments import PeerEnvironment
from tests.processes import SERVER
from tests.spalloc_server.fronts.http.whole import Whole, whole_server

GUIDE = Path(__file__).parents[4] / "docs/guides/spinnman-and-spynnaker.md"
SCRIPT = Path(__file__).parent / "with_spinnman" / "session.py"
QUICK = Timings(power_on=0.1, power_off=0.02, boot_ready=0.0, boot=0.1)

Peer = Callable[[str], PeerEnvironment]

pytestmark = [pytest.mark.uncounted, pytest.mark.timeout(300)]


def run(task: Callable[[Whole], Awaitable[None]], folder: Path) -> None:
    async def on_a_server() -> None:
        machine = VirtualMachine(size=Size(2, 2), timings=QUICK, dead_boards=frozenset({Board(1, 1, 2)}))
        async with whole_server(machine, folder) as whole:
            await task(whole)

    asyncio.run(on_a_server())


async def spinnman(peer: Peer, whole: Whole, task: str, **arguments: object) -> Any:
    """Do a task of the script with SpiNNMan; return what it tells."""
    process = await asyncio.create_subprocess_exec(
        peer("SpiNNMan==1!7.4.1").python,
        SCRIPT,
        task,
        json.dumps(arguments),
        env=whole.variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output.splitlines()[-1])


def test_spinnman_logs_in_by_password_and_by_token_and_looks_at_machines_and_jobs(
    peer: Peer, tmp_path: Path
) -> None:
    async def task(whole: Whole) -> None:
        for who in (whole.by_password, whole.by_token):
            told = await spinnman(peer, whole, "look", **who)
            assert told["machines"] == {"virtual": [2, 2, ["default"], 1, 6]}
            assert (told["jobs"], told["deleted"]) == (0, 0)

    run(task, tmp_path)


def test_spinnman_creates_jobs_in_every_form(peer: Peer, tmp_path: Path) -> None:
    async def task(whole: Whole) -> None:
        address = whole.boards.addresses[Board(1, 0, 1)]
        place = whole.engine.site.machines["virtual"].places[Board(0, 1, 2)]
        forms: list[tuple[dict[str, str], int, list[list[int]], Board | None]] = [
            ({}, 1, [[0, 0]], None),
            ({}, 3, [[0, 0], [4, 8], [8, 4]], None),
            ({"triad": "1,0,2"}, 1, [[0, 0]], Board(1, 0, 2)),
            ({"physical": "{},{},{}".format(*place)}, 1, [[0, 0]], Board(0, 1, 2)),
            ({"ip_address": address}, 1, [[0, 0]], Board(1, 0, 1)),
            ({"width": "1", "height": "1"}, 1, [[0, 0], [4, 8], [8, 4]], None),
            ({"triad": "0,1,0", "width": "1", "height": "1"}, 1, [[0, 0], [4, 8], [8, 4]], Board(0, 1, 0)),
            ({"machine": "virtual", "width": "1", "height": "1", "max_dead_boards": "0"}, 1,
             [[0, 0], [4, 8], [8, 4]], None),
        ]  # fmt: skip
        told = await spinnman(
            peer,
            whole,
            "create",
            forms=[form for form, _, _, _ in forms],
            n_boards=[boards for _, boards, _, _ in forms],
            **whole.by_token,
        )
        places = whole.engine.site.machines["virtual"].places
        for (form, _, connections, board), (state, got, there, root) in zip(forms, told, strict=True):
            assert (state, got) == ("READY", connections), form
            if board is not None:
                assert there == list(places[board]), form
                assert root == whole.boards.addresses[board], form

    run(task, tmp_path)


def pasted(lines: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """What the command prints for users to paste: how SpiNNMan logs in, and the variables of its shell."""
    said = list(lines)
    (url,) = re.findall(r"HTTPS is served at (\S+)", "".join(said))
    ((user, password),) = re.findall(r"log in as (\S+) with password (\S+)", "".join(said))
    exports = [line.removeprefix("export ").strip() for line in said if line.startswith("export ")]
    return {"url": url, "user": user, "password": password}, dict(line.split("=", 1) for line in exports)


def test_spinnman_boots_discovers_reads_writes_and_destroys_through_a_server_of_virtual_boards(
    peer: Peer,
) -> None:
    command = [*SERVER, "--virtual", "2x2", "--port", "0", "--https", "0"]
    with subprocess.Popen(
        [*command, "--port", "0", "--https", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            login, variables = pasted(takewhile(lambda line: not line.startswith("[Machine]"), server.stdout))
            done = subprocess.run(
                [peer("SpiNNMan==1!7.4.1").python, SCRIPT, "use", json.dumps({"n_boards": 3, **login})],
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
            )
        finally:
            server.terminate()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["where"][0] != told["where"][1]
    assert told["where"][2] is None
    assert (told["chips"], told["ethernets"]) == (144, [[0, 0], [4, 8], [8, 4]])
    assert told["read"]
    assert told["word"] == 0x01020304
    assert told["counters"] == 0
    assert told["connected"]
    assert told["answer"] == "RC_OK"
    assert told["listener"]
    assert told["udp"]
    assert told["again"] == ["READY", "04030201"]
    assert told["jobs"] == 1
    assert told["after"] == ["DESTROYED", {}]


def test_the_guides_program_gets_three_boards_and_says_what_the_guide_shows(
    peer: Peer, tmp_path: Path
) -> None:
    script = next(step for step in read(GUIDE) if isinstance(step, File) and step.name == "three_boards.py")

    async def task(whole: Whole) -> None:
        variables = {**whole.variables, "SPALLOC_URL": whole.url, "SPALLOC_TOKEN": whole.token}
        process = await asyncio.create_subprocess_exec(
            peer("SpiNNMan==1!7.4.1").python,
            "-c",
            script.text,
            env=variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        assert output.decode().splitlines()[-2:] == ["144 chips", "b'hello'"]

    run(task, tmp_path)
