"""Draws pictures directly from a server's answers, for notebooks and other programs.

Values in, SVG out; the caller asks the server. The drawing modules are imported only when they are needed, since every
list of machines comes from here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spalloc_client.answers import Listed, MachineAnswer
    from spalloc_client.drawing.scene import Scene
    from spalloc_client.replies import JobDescription, MachineDescription

    Machines = list[MachineDescription]
else:
    Machines = list


def machines_picture(machines: object, jobs: object) -> str | None:
    """Return a picture of all machines below each other, with the jobs on them; None if there are none.

    Args:
        machines: What `list_machines` returned.
        jobs: What `list_jobs` returned.

    Raises:
        AnswerError: They lack something that the protocol requires.
    """
    from spalloc_client import answers
    from spalloc_client.drawing.svg import machine_svg, stacked

    with_boards = answers.listed(jobs)
    pictures = [machine_svg(scene_of(machine, with_boards)) for machine in answers.machines(machines)]
    return stacked(pictures) if pictures else None


def job_picture(job_id: int, machines: object, jobs: object) -> str | None:
    """Return a picture of a job's boards, from the same; None if it has none."""
    from spalloc_client import answers
    from spalloc_client.drawing.svg import job_svg

    with_boards = answers.listed(jobs)
    (name,) = [job.machine for job in with_boards if job.job_id == job_id] or [None]
    for machine in answers.machines(machines):
        if machine.name == name:
            return job_svg(scene_of(machine, with_boards), job_id)
    return None


def scene_of(machine: MachineAnswer, jobs: Iterable[Listed]) -> Scene:
    """Return the scene of a machine and of the jobs that have boards of it."""
    from spalloc_client.drawing.scene import scene, tenant
    from spalloc_client.terminal.text import printable

    return scene(
        printable(machine.name),
        (machine.width, machine.height),
        machine.dead_boards,
        machine.dead_links,
        [
            tenant(job.job_id, printable(job.owner), job.boards or ())
            for job in jobs
            if job.machine == machine.name
        ],
        [(*board, printable(why)) for board, why in machine.set_aside_boards.items()],
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
