"""An administrator takes boards out of service and puts them back while jobs run: real processes, virtual boards."""

import getpass
import json
import signal
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.states import JobState
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Board, Size
from tests.processes import SERVER, ServerProcess, log_until, spalloc_server
from tests.spalloc_server.operation.boards import virtual_machines, without, write

pytestmark = pytest.mark.slow

ME = getpass.getuser()


@pytest.fixture(scope="module")
def machines() -> Iterator[list[Machine]]:
    with virtual_machines(Size(2, 1)) as found:
        yield found


@pytest.fixture
def site(machines: list[Machine], tmp_path: Path) -> Path:
    return write(tmp_path / "site.toml", machines)


def boards(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*SERVER, "boards", *map(str, words)], capture_output=True, text=True)


def listed(site: Path, *words: str) -> list[dict[str, object]]:
    shown = boards(site, "list", "--json", *words)
    assert shown.returncode == 0, shown.stderr
    (answer,) = map(json.loads, shown.stdout.splitlines())
    found = answer["boards"]
    assert isinstance(found, list)
    return found


def client_of(running: ServerProcess) -> ProtocolClient:
    return ProtocolClient(running.host, running.port)


def wait_for(client: ProtocolClient, job: int, state: JobState) -> None:
    client.notify_job(job)
    while client.get_job_state(job)["state"] != state:
        client.wait_for_notification(timeout=30.0)


def test_a_drained_board_finishes_its_job_first_and_stays_drained_through_a_restart_and_a_reload(
    machines: list[Machine], site: Path
) -> None:
    with spalloc_server([str(site)]) as running, client_of(running) as client:
        job = client.create_job(0, 0, 1, owner="jane", keepalive=None)
        wait_for(client, job, JobState.ready)
        drained = boards(site, "drain", "a", "0,0,1", "--reason", "the fan is broken")
        assert drained.returncode == 0, drained.stderr
        said, last = drained.stdout.splitlines()
        assert said.startswith(f"a (0, 0, 1): drained by {ME} since 20")
        assert said.endswith(f": the fan is broken; job {job} of jane has it")
        assert last == "1 board is drained"
        assert client.get_job_state(job)["state"] == JobState.ready
        (machine,) = client.list_machines()
        assert machine["set_aside_boards"] == [[0, 0, 1, "drained: the fan is broken"]]  # type: ignore[typeddict-item]
        _, log = running.end(signal.SIGKILL)
        line = next(line for line in log.splitlines() if "is drained by" in line)
        assert f"by={ME}" in line
        assert 'board="(0, 0, 1)"' in line
    with spalloc_server([str(site)]) as running, client_of(running) as client:
        client.destroy_job(job)
        write(site, [without(machines[0], Board(0, 0, 1))])
        assert subprocess.run([*SERVER, "reload", str(site)]).returncode == 0
        (one,) = listed(site)
        assert one["physical"] is None
        assert (
            boards(site, "list")
            .stdout.splitlines()[1]
            .startswith("a        (0, 0, 1)  drained, no longer configured")
        )
        write(site, machines)
        assert subprocess.run([*SERVER, "reload", str(site)]).returncode == 0
        (one,) = listed(site, "a")
        assert one["machine"] == "a"
        assert one["board"] == [0, 0, 1]
        assert one["drained"] == {"reason": "the fan is broken", "by": ME, "since": one["drained"]["since"]}  # type: ignore[index]
        assert listed(site, "a", "0,0,0") == []
        lines = boards(site, "list").stdout.splitlines()
        assert lines[0].split() == ["Machine", "Board", "Is", "Job", "Since", "Until", "Reports", "By", "Why"]
        assert lines[1].startswith("a        (0, 0, 1)  drained")
        assert lines[1].endswith(f"{ME}  the fan is broken")
        waiting = client.create_job(0, 0, 1, owner="joe", keepalive=None)
        back = boards(site, "back", machines[0].addresses[Board(0, 0, 1)])
        assert back.stdout.splitlines()[-1] == "1 board is put back"
        wait_for(client, waiting, JobState.ready)
        assert (
            boards(site, "list").stdout == "none of these boards is drained, set aside, silent or reported\n"
        )


def test_a_drained_board_that_is_configured_no_more_is_put_back_by_the_name_that_the_list_shows(
    machines: list[Machine], site: Path
) -> None:
    with spalloc_server([str(site)]) as running, client_of(running) as client:
        assert boards(site, "drain", "a", "0,0,1", "--reason", "it is sold").returncode == 0
        write(site, [without(machines[0], Board(0, 0, 1))])
        assert subprocess.run([*SERVER, "reload", str(site)]).returncode == 0
        out = boards(site, "out", "a", "0,0,1", "--reason", "it is gone")
        assert (out.returncode, "configured as dead" in out.stderr) == (1, True)
        back = boards(site, "back", "a", "(0, 0, 1)")
        assert back.stdout == "a (0, 0, 1): no longer configured\n1 board is put back\n"
        assert listed(site) == []
        write(site, machines)
        assert subprocess.run([*SERVER, "reload", str(site)]).returncode == 0
        wait_for(client, client.create_job(0, 0, 1, owner="joe", keepalive=None), JobState.ready)


def test_a_board_that_is_perhaps_on_and_configured_no_more_is_forgotten_by_the_name_that_the_list_shows(
    machines: list[Machine], site: Path
) -> None:
    with spalloc_server([str(site)]) as running, client_of(running) as client:
        wait_for(client, client.create_job(0, 0, 1, owner="joe", keepalive=None), JobState.ready)
    write(site, [without(machines[0], Board(0, 0, 1))])
    with spalloc_server([str(site)]):
        assert [one["board"] for one in listed(site)] == [[0, 0, 1]]
        back = boards(site, "back", "a", "(0, 0, 1)")
        assert back.stdout == "a (0, 0, 1): no longer configured\n1 board is put back\n"
        assert listed(site) == []
    with spalloc_server([str(site)]):
        assert listed(site) == []


def test_boards_with_jobs_are_taken_out_only_if_it_is_said_that_jobs_may_lose_them(
    machines: list[Machine], site: Path
) -> None:
    with spalloc_server([str(site)]) as running, client_of(running) as client:
        job = client.create_job(3, owner="jane", keepalive=None)
        wait_for(client, job, JobState.ready)
        x, y, z = client.get_job_machine_info(job)["boards"][0]
        words = ["out", "a", f"{x},{y},{z}", "--reason", "smoke"]
        refused = boards(site, *words)
        assert refused.returncode == 3
        assert (
            refused.stdout == f"job {job} of jane would lose its 3 boards and get others, or wait for them\n"
        )
        assert refused.stderr.startswith("nothing is changed: 1 job would lose boards; drain the boards")
        assert listed(site) == []
        assert client.get_job_state(job)["state"] == JobState.ready
        taken = boards(site, *words, "--now")
        assert taken.returncode == 0, taken.stderr
        assert f"job {job} of jane has lost its boards and has others now" in taken.stdout
        assert taken.stdout.endswith("1 board is out of service; 1 job is moved\n")
        wait_for(client, job, JobState.ready)
        assert [x, y, z] not in [list(board) for board in client.get_job_machine_info(job)["boards"]]
        frame = boards(site, "drain", "--frame", "a", "0", "0", "--reason", "a new BMP")
        assert frame.stdout.endswith("6 boards are drained\n")
        assert len(listed(site)) == 6
        assert boards(site, "back", "--frame", "a", "0", "0").returncode == 0
        assert listed(site) == []


def test_a_command_that_waits_for_the_disk_is_answered_when_the_server_stops(site: Path) -> None:
    with (
        spalloc_server([str(site)]) as running,
        closing(sqlite3.connect(site.with_suffix(".state"), isolation_level=None)) as records,
    ):
        records.execute("begin immediate")
        with subprocess.Popen(
            [*SERVER, "boards", str(site), "drain", "a", "0,0,0", "--reason", "x"],
            stderr=subprocess.PIPE,
            text=True,
        ) as drain:
            log_until(running, "records can't be written")
            running.process.send_signal(signal.SIGTERM)
            _, said = drain.communicate()
        assert said == "the server stops before this was recorded; type it again when it is back\n"
        assert drain.returncode == 1


def test_metrics_tell_drained_boards_with_their_reason(machines: list[Machine], site: Path) -> None:
    write(site, machines, "[metrics]\nport = 0\n")
    with spalloc_server([str(site)]) as running:
        before = time.time()
        assert boards(site, "drain", "a", "0,0,2", "--reason", 'a "loose" cable').returncode == 0
        with urllib.request.urlopen(f"http://127.0.0.1:{running.before['metrics']}/metrics") as page:
            lines = page.read().decode().splitlines()
        assert 'spalloc_boards{condition="drained",machine="a"} 1.0' in lines
        told = (
            'spalloc_board_drained_since_seconds{board="(0, 0, 2)",machine="a",reason="a \\"loose\\" cable"} '
        )
        (line,) = [line for line in lines if line.startswith(told)]
        assert before - 1 <= float(line.removeprefix(told)) <= time.time()


def test_reports_are_cleared(site: Path) -> None:
    with spalloc_server([str(site)]) as running, client_of(running) as client:
        job = client.create_job(0, 0, 2, owner="jane", keepalive=None)
        wait_for(client, job, JobState.ready)
        ((_, address),) = client.get_job_machine_info(job)["connections"]
        client.call("report_problem", address, description="it smokes")
        (one,) = listed(site)
        assert (one["board"], one["reports"], one["job"]) == ([0, 0, 2], 1, job)
        assert boards(site, "clear-reports", "a").returncode == 0
        assert listed(site) == []


def test_what_can_not_be_done_is_told(site: Path) -> None:
    missing = boards(site, "list")
    assert missing.returncode == 1
    assert "no server listens at" in missing.stderr
    with spalloc_server([str(site)]):
        for words, status, said in [
            (
                ["drain", "a", "9,9,9", "--reason", "x"],
                1,
                "machine a has no board (9, 9, 9): it has 2x1 triads",
            ),
            (["drain", "a", "0,0,0", "--reason", " "], 1, "say why, with --reason"),
            (["drain", "a", "0,0,0"], 2, "required: --reason"),
            (
                ["drain", "a", "0,0,0", "--reason", "\udcff"],
                2,
                r"'\udcff' is not valid text: write it in UTF-8",
            ),
            (["list", "\udcff"], 2, r"'\udcff' is not valid text: write it in UTF-8"),
            (["drain", "a", "0,0,0", "--reason", "y" * 100_000], 2, "write a shorter reason"),
            (["back"], 1, "no board is named; name boards as MACHINE X,Y,Z"),
            (["list", "b"], 1, "'b' is no machine, coordinate or board's address; the site has a"),
            (["back", "--frame", "a", "0", "x"], 2, "'x' is not a whole number"),
            (
                ["paint", "a"],
                2,
                f"say what to do: one of list, drain, out, back, clear-reports; you wrote {site} paint a",
            ),
            ([], 2, "say what to do"),
        ]:
            ended = boards(site, *words)
            assert (ended.returncode, ended.stdout) == (status, "")
            assert said in ended.stderr
    both = boards(site, "--socket", "somewhere", "list")
    assert both.returncode == 2
    assert "give one of them" in both.stderr
