"""The double's resources for machines, and for what is where on them."""

from collections.abc import Mapping

from starlette.responses import Response

from spinnaker.geometry import Board, Chip
from spinnaker.places import Place
from tests.doubles.defects import Defect
from tests.doubles.machines import Machine
from tests.doubles.serving import Asked, Serving, document, words


class MachineResources:
    """Answers requests below `machines`."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def answer(self, asked: Asked, parts: list[str]) -> Response:
        machines = self._serving.jobs.machines
        if not parts:
            listed = [asked.documents.machine(each, listed=True) for _, each in sorted(machines.items())]
            return document({"machines": listed})
        machine = machines.get(parts[0])
        if machine is None:
            return words("no such machine", 404)
        if len(parts) == 1:
            await self._serving.wait(asked, machine.name.__eq__)
            return document(asked.documents.machine(machine, listed=False))
        if parts[1] not in ("chip", "logical-board", "physical-board", "board-ip"):
            return Response(status_code=404)
        try:
            found = self._look(asked, machine, parts[1])
        except ValueError:
            return Response(status_code=404)
        if found is None:
            return words("failed to locate board", 404)
        return document(asked.documents.where(machine, *found))

    def _look(self, asked: Asked, machine: Machine, way: str) -> tuple[Board, Chip] | None:
        if way == "chip":
            chip = Chip(*asked.numbers("x", "y"))
            if Defect.FIRST_BOARD_ONLY in self._serving.defects:
                return (min(machine.places), chip) if chip.x < 8 and chip.y < 8 else None
            board, local = machine.board_of(chip)
            return (board, local) if machine.works(board) else None
        wanted: object
        by: Mapping[Board, object]
        if way == "logical-board":
            wanted, by = Board(*asked.numbers("x", "y", "z")), {board: board for board in machine.places}
        elif way == "physical-board":
            wanted, by = Place(*asked.numbers("cabinet", "frame", "board")), machine.places
        else:
            wanted = asked.query("address")
            by = {board: machine.address(board) for board in machine.places}
        return next(((board, Chip(0, 0)) for board, is_at in by.items() if is_at == wanted), None)
