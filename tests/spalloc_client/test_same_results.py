"""The published server and ours give the same results to the same calls; the first one stands in front of
virtual BMPs, as ours does.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spalloc_client import JobDestroyedError, JobState, ProtocolClient, ProtocolError, SpallocServerException
from spalloc_server.embedded import EmbeddedSite
from spinnaker.geometry import Size
from tests import processes
from tests.peers.environments import PeerEnvironment
from tests.peers.published_server import NAME, published_server
from tests.spalloc_client.scripted import PATIENCE

SIZE = Size(2, 2)


def refusal(client: Any, *args: Any, **kwargs: Any) -> str:
    """That the server refuses a command; in which words is its own affair, and whether it hangs up as well."""
    with client:
        try:
            client.call(*args, timeout=PATIENCE, **kwargs)
        except (SpallocServerException, ProtocolError):
            return "refused"
    return "done"


def _published(state: dict[str, Any]) -> dict[str, Any]:
    """A job's state without the keys that only our server has; see the page on extensions of the protocol."""
    return {key: value for key, value in state.items() if key not in ("ended_here", "ended_by")}


def results(job_class: Any, client_class: Any, hostname: str, port: int) -> dict[str, Any]:
    """What a server gives to the calls that users make, less what is its own choice."""
    said: dict[str, Any] = {}
    at: dict[str, Any] = {"hostname": hostname, "port": port, "config_filenames": [], "owner": "me"}

    with client_class(hostname, port) as client, job_class(3, **at) as job:
        said["job"] = (job.state, job.power, job.reason, job.width, job.height, job.machine_name)
        said["boards"] = (len(job.boards), sorted(job.connections), job.hostname == job.connections[0, 0])
        said["place"] = job.where_is_machine(0, 0)
        x, y, z = job.boards[0]
        ours = {"job_id": job.id}

        def place(**kwargs: Any) -> Any:
            found = client.where_is(**kwargs)
            return found and {**found, "job_id": found["job_id"] and found["job_id"] - job.id}

        by_board = place(machine="virtual", x=x, y=y, z=z)
        cabinet, frame, board = by_board["physical"]
        said["where is"] = [
            by_board,
            place(machine="virtual", cabinet=cabinet, frame=frame, board=board),
            place(machine="virtual", chip_x=2, chip_y=3),
            place(chip_x=5, chip_y=6, **ours),
            place(machine="virtual", x=3, y=2, z=1),
            place(machine="virtual", cabinet=9, frame=9, board=9),
            place(machine="virtual", chip_x=500, chip_y=501),
            place(chip_x=500, chip_y=6, **ours),
            place(machine="none", x=0, y=0, z=0),
            place(job_id=10**6, chip_x=0, chip_y=0),
        ]
        said["positions"] = [
            client.get_board_position("virtual", 1, 1, 2),
            client.get_board_position("virtual", 5, 5, 0),
            client.get_board_position("none", 0, 0, 0),
            client.get_board_at_position("virtual", 0, 0, 5),
            client.get_board_at_position("virtual", 0, 9, 5),
        ]
        # Ours has two keys more; see the page on extensions of the protocol.
        said["machines"] = [
            {key: value for key, value in machine.items() if key not in ("set_aside_boards", "reservations")}
            for machine in client.list_machines()
        ]
        (listed,) = client.list_jobs()
        said["listed"] = {
            key: listed[key]
            for key in listed
            if key not in ("job_id", "start_time", "boards", "keepalivehost")
        }
        said["keys"] = [sorted(listed), sorted(_published(client.get_job_state(job.id)))]
        said["info"] = sorted(client.get_job_machine_info(job.id))
        said["nothing"] = client.get_job_machine_info(10**6)
        said["unknown"] = _published(client.get_job_state(10**6))
        said["nulls"] = [
            client.job_keepalive(job.id),
            client.job_keepalive(10**6),
            client.notify_job(job.id),
            client.no_notify_job(10**6),
            client.notify_machine("virtual"),
            client.no_notify_machine(),
            client.power_on_job_boards(10**6),
        ]
        said["refused"] = [
            refusal(client_class(hostname, port), *args, **kwargs)
            for args, kwargs in (
                (("no_such_command",), {}),
                (("get_job_state",), {}),
                (("create_job", 1), {"owner": "me", "tags": ["a"], "machine": "virtual"}),
                (("create_job", 1), {"owner": "me", "require_torus": True}),
            )
        ]
        job.set_power(False)
        said["notified"] = client.wait_for_notification(PATIENCE) == {"jobs_changed": [job.id]}
        job.wait_until_ready(PATIENCE)
        said["off"] = (job.state, job.power)
        number = job.id

        waiting = job_class(2, 2, **at)
        said["waiting"] = (waiting.state, waiting.power, waiting.boards, waiting.hostname, waiting.width)
        said["no change"] = waiting.wait_for_state_change(JobState.queued, 0.05)
        waiting.destroy("because")
        said["because"] = client.get_job_state(waiting.id)["reason"].removeprefix("Cancelled: ")

        never = job_class(1000, **at)
        with pytest.raises(JobDestroyedError) as raised:
            never.wait_until_ready(PATIENCE)
        said["never"] = str(raised.value).split(":")[0]
        never.destroy()

        resumed = job_class(resume_job_id=number, **at)
        said["resumed"] = (resumed.state, resumed.boards == job.boards)
        resumed.close()
    with client_class(hostname, port) as client:
        said["ended"] = JobState(client.get_job_state(number)["state"])
        said["after"] = [job for job in client.list_jobs() if job["job_id"] == number]
    return said


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.timeout(600)
def test_the_published_server_and_ours_give_the_same_results_to_the_same_calls(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path, job_class: Any, client_class: Any
) -> None:
    if (job_class.__name__ == "Job") != (client_class is ProtocolClient):
        pytest.skip("blocking with blocking, asyncio with asyncio")
    environment = peer(NAME)
    with (
        processes.boards(SIZE.width, SIZE.height) as machine,
        published_server(environment, machine, tmp_path) as (hostname, port),
    ):
        theirs = results(job_class, client_class, hostname, port)
    with EmbeddedSite(SIZE.width, SIZE.height) as site:
        ours = results(job_class, client_class, site.hostname, site.port)
    for name, value in theirs.items():
        assert ours[name] == value, name
