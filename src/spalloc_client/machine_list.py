"""The list of machines as `ProtocolClient.list_machines` returns it: a list that notebooks show as a picture."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spalloc_client.replies import JobDescription, MachineDescription

    Machines = list[MachineDescription]
else:
    Machines = list


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
        from spalloc_client.drawing.pictures import machines_picture
        from spalloc_client.errors import ProtocolError, ProtocolTimeoutError

        jobs: list[JobDescription] = []
        try:
            jobs = self._list_jobs()
        except (ProtocolError, ProtocolTimeoutError):
            pass  # the connection has gone since: the machines are still worth seeing
        return machines_picture(self, jobs)
