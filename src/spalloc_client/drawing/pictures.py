"""Pictures straight from what servers answer: for notebooks, and for whoever holds such an answer.

Values in, SVG out; who asks the server is the caller's subject.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from spalloc_client.drawing.scene import Scene, scene, tenant
from spalloc_client.drawing.svg import job_svg, machine_svg, stacked

Answer = Mapping[str, Any]
"""An object of the protocol: a machine of `list_machines`, or a job of `list_jobs`."""


def machines_picture(machines: Sequence[Answer], jobs: Sequence[Answer]) -> str | None:
    """Return a picture of all machines below each other, with the jobs on them; None if there are none.

    Raises:
        LookupError: An answer lacks something that the protocol promises.
    """
    if not machines:
        return None
    return stacked([machine_svg(_scene(machine, jobs)) for machine in machines])


def job_picture(job_id: int, machines: Sequence[Answer], jobs: Sequence[Answer]) -> str | None:
    """Return a picture of a job's boards; None if it has none.

    Raises:
        LookupError: An answer lacks something that the protocol promises.
    """
    for job in jobs:
        if job["job_id"] == job_id and job["boards"] is not None:
            for machine in machines:
                if machine["name"] == job["allocated_machine_name"]:
                    return job_svg(_scene(machine, jobs), job_id)
    return None


def _scene(machine: Answer, jobs: Sequence[Answer]) -> Scene:
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
