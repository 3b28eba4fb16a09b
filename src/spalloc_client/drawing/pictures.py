"""Pictures straight from what servers answer: for notebooks, and for whoever holds such an answer.

Values in, SVG out; who asks the server is the caller's subject. What draws them is imported when it is needed: every
list of machines comes from here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeAlias

    from spalloc_client.drawing.scene import Scene
    from spalloc_client.replies import JobDescription, MachineDescription

    Machines = list[MachineDescription]
else:
    Machines = list

Answer: TypeAlias = "Mapping[str, Any]"
"""An object of the protocol: a machine of `list_machines`, or a job of `list_jobs`."""


def machines_picture(machines: Sequence[Answer], jobs: Sequence[Answer]) -> str | None:
    """Return a picture of all machines below each other, with the jobs on them; None if there are none.

    Raises:
        LookupError: An answer lacks something that the protocol promises.
    """
    if not machines:
        return None
    from spalloc_client.drawing.svg import machine_svg, stacked

    return stacked([machine_svg(_scene(machine, jobs)) for machine in machines])


def job_picture(job_id: int, machines: Sequence[Answer], jobs: Sequence[Answer]) -> str | None:
    """Return a picture of a job's boards; None if it has none.

    Raises:
        LookupError: An answer lacks something that the protocol promises.
    """
    from spalloc_client.drawing.svg import job_svg

    for job in jobs:
        if job["job_id"] == job_id and job["boards"] is not None:
            for machine in machines:
                if machine["name"] == job["allocated_machine_name"]:
                    return job_svg(_scene(machine, jobs), job_id)
    return None


def _scene(machine: Answer, jobs: Sequence[Answer]) -> Scene:
    from spalloc_client.drawing.scene import scene, tenant

    tenants = [
        tenant(job["job_id"], str(job["owner"]), job["boards"])
        for job in jobs
        if job["allocated_machine_name"] == machine["name"] and job["boards"] is not None
    ]
    return scene(
        str(machine["name"]),
        (machine["width"], machine["height"]),
        machine["dead_boards"],
        machine["dead_links"],
        tenants,
        machine.get("set_aside_boards", ()),  # servers of others don't tell
    )


class MachineList(Machines):
    """What `list_machines` returned, a list like any other; in a notebook, a picture of the machines and their jobs."""

    def __init__(
        self, machines: Iterable[MachineDescription], list_jobs: Callable[[], list[JobDescription]]
    ) -> None:
        """Take the machines, and what asks for the jobs when the picture is drawn."""
        super().__init__(machines)
        self._list_jobs = list_jobs

    def __reduce__(self) -> tuple[type[list[MachineDescription]], tuple[list[MachineDescription]]]:
        """Copies and pickles are plain lists: what asks for the jobs belongs to this process."""
        return list, (list(self),)

    def _repr_svg_(self) -> str | None:
        from spalloc_client.errors import ProtocolError, ProtocolTimeoutError

        jobs: list[JobDescription] = []
        try:
            jobs = self._list_jobs()
        except (ProtocolError, ProtocolTimeoutError):
            pass  # the connection has gone since: the machines are still worth seeing
        return machines_picture(self, jobs)
