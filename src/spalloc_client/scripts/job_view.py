"""One job as `spalloc-job` shows it.

job.py acts on jobs.
"""

from __future__ import annotations

import time
from textwrap import wrap

from spalloc_client.answers import Listed, listed, machines, state_name
from spalloc_client.durations import in_words
from spalloc_client.job_answers import NO_BOARDS, MachineInfo, Status
from spalloc_client.scripts.ends import times_json, times_of
from spalloc_client.scripts.outcome import SUCCESS, WHICH_JOB
from spalloc_client.scripts.queue import QueuePosition, place_in_queue
from spalloc_client.scripts.starts import in_words as start_in_words
from spalloc_client.scripts.wording import asked_for, job_json, local_time, place_json
from spalloc_client.states import JobState
from spalloc_client.terminal.table import definitions
from spalloc_client.terminal.text import Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spalloc_client.job_answers import Times
    from spalloc_client.protocol_client import ProtocolClient

    Pairs = dict[str, Text | str | int | float | Sequence[Text] | None]


_SENTENCE_WIDTH = 60
"""Columns of a sentence beside its label."""


class ShownJob:
    """A job that is alive, with its place in the queue or its boards; or the state of one that is not."""

    __slots__ = ("asked_at", "job_id", "listed", "machine_size", "network", "place", "status", "times")

    def __init__(
        self,
        job_id: int,
        *,
        listed: Listed | None = None,
        status: Status | None = None,
        network: MachineInfo = NO_BOARDS,
        place: QueuePosition | None = None,
        machine_size: tuple[int, int] | None = None,
        times: Times | None = None,
    ) -> None:
        self.job_id = job_id
        self.listed = listed
        """The job, if it is alive."""
        self.status = status
        """Its state, if it is not."""
        self.network = network
        """Its part of a machine."""
        self.place = place
        """Its place in the queue, if it is there."""
        self.machine_size = machine_size
        """Width and height in triads of the machine it is on."""
        self.times = times
        """How long it may have its boards; None if the server knows no time limits."""
        self.asked_at = time.time()
        """When the server told all this, seconds since 1970."""


class JobView:
    """One job."""

    def __init__(self, job_id: int) -> None:
        self._job_id = job_id

    def subscribe(self, client: ProtocolClient, timeout: float | None) -> None:
        """Ask to be told of the job's changes."""
        client.notify_job(self._job_id, timeout=timeout)

    def ask(self, client: ProtocolClient, timeout: float | None) -> ShownJob:
        """Return the job's current state."""
        jobs = listed(client.list_jobs(timeout=timeout))
        job = next((job for job in jobs if job.job_id == self._job_id), None)
        if job is None:
            return ShownJob(self._job_id, status=Status(client.get_job_state(self._job_id, timeout=timeout)))
        machines_told = client.call("list_machines", timeout=timeout)
        times = times_of(client, self._job_id, timeout, machines_told)
        if job.boards is None:
            place = place_in_queue(client, self._job_id, timeout, jobs, machines_told)
            return ShownJob(self._job_id, listed=job, place=place, times=times)
        # Asking for this is a sign of life to the server, so it is left out where there is nothing to learn.
        network = MachineInfo(client.get_job_machine_info(self._job_id, timeout=timeout))
        sizes = {machine.name: (machine.width, machine.height) for machine in machines(machines_told)}
        size = sizes.get(job.machine or "")
        return ShownJob(self._job_id, listed=job, network=network, machine_size=size, times=times)

    def draw(self, shown: ShownJob, columns: int | None, lines: int | None) -> list[Text]:  # noqa: ARG002
        """Return it as definitions."""
        if shown.listed is None:
            assert shown.status is not None
            pairs: Pairs = {"Job ID": shown.job_id, "State": state_name(shown.status.number)}
            if shown.status.reason is not None:
                pairs["Reason"] = printable(shown.status.reason)
            return definitions(pairs)
        return definitions({**_request(shown.listed, shown.place), **_limit(shown), **_allocation(shown)})

    def status(self, shown: ShownJob) -> int:
        """Return 0, or the status for a job that the server does not know."""
        return WHICH_JOB if shown.status is not None and shown.status.number == JobState.unknown else SUCCESS

    def is_final(self, shown: ShownJob) -> bool:
        """Return whether the job no longer exists."""
        return shown.status is not None and shown.status.number in (JobState.destroyed, JobState.unknown)

    def json(self, shown: ShownJob) -> object:
        """Return it as a JSON object; its keys are documented and stay."""
        return {
            **_json_state(shown),
            **_json_network(shown.network),
            "queue": place_json(shown.place),
            "times": None if shown.times is None else times_json(shown.times),
        }


def _request(job: Listed, place: QueuePosition | None) -> Pairs:
    pairs: Pairs = {"Job ID": job.job_id, "Owner": printable(job.owner), "State": state_name(job.state)}
    if place is not None:
        pairs["Asks for"] = asked_for(job.arguments)
        pairs["Queue"] = "\n".join(wrap(place.reason, _SENTENCE_WIDTH)) if place.reason else str(place)
    if job.start_time is not None:
        pairs["Start time"] = local_time(job.start_time)
    pairs["Keepalive"] = job.keepalive
    if job.host is not None:
        pairs["Owner host"] = printable(job.host)
    options = [f"{name}={value!r}" for name, value in sorted(job.options.items())]
    words = ", ".join(map(str, job.arguments))
    separator = ",\n    "
    gap = separator if words and options else ""
    pairs["Request"] = [
        Text(printable(line)) for line in f"Job({words}{gap}{separator.join(options)})".split("\n")
    ]
    return pairs


def _limit(shown: ShownJob) -> Pairs:
    """Return when the job is expected to start, and what limits its time, as far as that is known."""
    times = shown.times
    pairs: Pairs = {}
    if times is not None and times.time_limit is not None:
        pairs["Time limit"] = in_words(times.time_limit)
    if times is not None and times.expected_start is not None:
        pairs["Starts"] = f"expected {start_in_words(times.expected_start)}"
    if times is not None and times.ends_in is not None:
        end = shown.asked_at + times.ends_in
        pairs["Time left"] = f"{in_words(end - time.time())}, until {local_time(end)}"
        if times.why is not None:
            pairs["Ends with"] = "\n".join(wrap(printable(times.why), _SENTENCE_WIDTH))
    return pairs


def _allocation(shown: ShownJob) -> Pairs:
    job, network = shown.listed, shown.network
    if job is None or job.boards is None:
        return {}
    pairs: Pairs = {"Allocation": _map(job.boards, shown.machine_size)}
    if network.connections:
        pairs["Hostname"] = printable(str(network.hostname))
        pairs["Width"] = network.width
        pairs["Height"] = network.height
    pairs["Num boards"] = len(job.boards)
    if job.power is not None:
        pairs["Board power"] = "on" if job.power else "off"
    if job.machine is not None:
        pairs["Running on"] = printable(job.machine)
    return pairs


def _map(boards: Sequence[tuple[int, int, int]], size: tuple[int, int] | None) -> list[Text]:
    from spalloc_client.drawing.text_map import job_map
    from spalloc_client.geometry import Board, Size

    return job_map(frozenset(Board(*board) for board in boards), None if size is None else Size(*size))


def _json_state(shown: ShownJob) -> dict[str, object]:
    if shown.listed is not None:
        return {**job_json(shown.listed), "reason": None}
    status = shown.status
    assert status is not None
    return {
        "job_id": shown.job_id,
        "owner": None,
        "host": status.host,
        "state": state_name(status.number),
        "power": status.power,
        "start_time": status.start_time,
        "keepalive": status.keepalive,
        "machine": None,
        "boards": None,
        "args": None,
        "kwargs": None,
        "time_limit": None,
        "allocated": None,
        "reason": status.reason,
    }


def _json_network(network: MachineInfo) -> dict[str, object]:
    found = network.sorted_connections
    return {
        "hostname": found[0][2] if found else None,
        "width": network.width,
        "height": network.height,
        "connections": found and [{"x": x, "y": y, "hostname": hostname} for x, y, hostname in found],
    }
