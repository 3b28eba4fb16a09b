"""What the double says of machines, boards and jobs over HTTP: values of JSON, references right or wrong."""

from typing import Any

from spinnaker.geometry import Board, BoardLink, Chip, Link, boards_of, far_end, first_chip
from tests.doubles.clock import written
from tests.doubles.defects import Defect
from tests.doubles.jobs import Job, Jobs, State
from tests.doubles.machines import Machine

DIRECTIONS = {
    Link.NORTH: "N",
    Link.NORTH_EAST: "E",
    Link.EAST: "SE",
    Link.SOUTH: "S",
    Link.SOUTH_WEST: "W",
    Link.WEST: "NW",
}


class Documents:
    """The documents, for a client that reached the service under one scheme and host."""

    def __init__(self, jobs: Jobs, scheme: str, host: str) -> None:
        self._jobs = jobs
        self._defects = jobs.defects
        named, _, port = host.partition(":")
        elsewhere = "localhost" if named == "127.0.0.1" and Defect.LOCALHOST in self._defects else named
        self._other_host = f"{elsewhere}:{port}" if port else elsewhere
        self.base = f"{scheme}://{host}/spalloc/srv/spalloc"
        short = Defect.SHORT_REFERENCES in self._defects
        self._inside = f"{scheme}://{self._other_host}/spalloc/srv" + ("" if short else "/spalloc")

    def job_reference(self, job: Job) -> str:
        return f"{self.base}/jobs/{job.id}"

    def place(self, machine: Machine, board: Board, *, dead: bool = False) -> dict[str, Any]:
        place = machine.places.get(board)
        return {
            **board._asdict(),
            "cabinet": place.cabinet if place else 0,
            "frame": place.frame if place else 0,
            "board": place.board if place else None,
            "address": None if dead else machine.address(board),
        }

    def dead(self, machine: Machine) -> tuple[list[Any], list[Any]]:
        """The boards and links of a machine that are dead; all links of a dead board are."""
        missing = [board for board in boards_of(machine.size) if not machine.works(board)]
        ends = set(machine.site.machine.dead_links)
        ends |= {BoardLink(board, link) for board in missing for link in Link}
        pairs = {frozenset((end, far_end(machine.size, end))) for end in ends}
        boards = [self.place(machine, board, dead=True) for board in missing]
        links = [
            [
                {
                    "board": self.place(machine, end.board, dead=end.board in missing),
                    "direction": DIRECTIONS[end.link],
                }
                for end in sorted(pair)
            ]
            for pair in sorted(pairs, key=sorted)
        ]
        return boards, links

    def machine(self, machine: Machine, *, listed: bool) -> dict[str, Any]:
        boards, links = self.dead(machine)
        uri = f"{self.base}/machines/{machine.name}"
        common = {
            "name": machine.name,
            "tags": sorted(machine.tags, reverse=True),
            "width": machine.size.width,
            "height": machine.size.height,
        }
        if listed:
            return {**common, "uri": uri, "dead-boards": boards, "dead-links": links}
        looking = {
            f"lookup-by-{way}": f"{uri}/{path}"
            for way, path in (
                ("physical-board", "physical-board"),
                ("logical-board", "logical-board"),
                ("chip", "chip"),
                ("address", "board-ip"),
            )
        }
        return {**common, "down-boards": boards, "down-links": links, **looking}

    def where(self, machine: Machine, board: Board, local: Chip) -> dict[str, Any]:
        """Where a chip of a board is."""
        corner = first_chip(machine.size, board)
        place = machine.places[board]
        told: dict[str, Any] = {
            "chip": [corner.x + local.x, corner.y + local.y],
            "board-chip": list(corner),
            "logical-board-coordinates": list(board),
            "physical-board-coordinates": list(place),
            "machine": machine.name,
            "machine-ref": f"{self._inside}/machines/{machine.name}",
        }
        job = self._jobs.all.get(machine.taken.get(board, 0))
        if job is not None and job.allocation is not None:
            mine = job.allocation.chip_of(board)
            told |= {
                "job-id": job.id,
                "job-ref": f"{self._inside}/jobs/{job.id}",
                "job-chip": [mine.x + local.x, mine.y + local.y],
            }
        return told

    def where_in_job(self, job: Job, chip: Chip) -> dict[str, Any] | None:
        """Where a chip of a job is; None if the job has no such chip."""
        got = job.allocation
        if got is None or job.state is State.DESTROYED:
            return None
        if got.depth > 1 and (chip.x >= got.chips.x or chip.y >= got.chips.y):
            return None
        board, local = got.machine.board_of(got.machine_chip(chip))
        if board not in got.boards:
            return None
        mine, root = got.chip_of(board), first_chip(got.machine.size, got.root)
        width, height = 12 * got.machine.size.width, 12 * got.machine.size.height
        wrong = Defect.WRONG_JOB_CHIP in self._defects
        return {
            **self.where(got.machine, board, local),
            "chip": [mine.x + local.x, mine.y + local.y],
            "board-chip": list(mine),
            "job-chip": [(chip.x - root.x) % width, (chip.y - root.y) % height] if wrong else list(chip),
        }

    def job(self, job: Job) -> dict[str, Any]:
        reference = self.job_reference(job)
        told: dict[str, Any] = {
            "state": job.state.name,
            "owner": job.owner,
            "start-time": written(job.created),
            "keepalive-ref": f"{reference}/keepalive",
            "machine-ref": f"{reference}/machine",
            "power-ref": f"{reference}/machine/power",
            "chip-ref": f"{reference}/chip",
        }
        if job.state is not State.DESTROYED:
            told["keep-alive-time"] = written(job.kept_alive)
            if job.host is not None:
                told["keepalive-host"] = job.host
        if job.ended is not None:
            told |= {"finish-time": written(job.ended), "reason": job.reason or ""}
        if job.state in (State.POWER, State.READY):
            told["proxy-ref"] = f"wss://{self._other_host}/spalloc/proxy/{job.id}"
        if job.request is not None:
            told["original-request"] = job.request
        return told

    def machine_of(self, job: Job) -> dict[str, Any] | None:
        """The boards of a job; None if it never had any."""
        got = job.allocation
        if got is None:
            return None
        boards = () if job.state is State.DESTROYED else got.boards
        return {
            "width": got.size.width,
            "height": got.size.height,
            "depth": got.depth,
            "machine-name": got.machine.name,
            "connections": [[list(got.chip_of(board)), got.machine.address(board)] for board in boards],
            "boards": [list(board) for board in boards],
            "power": f"{self.job_reference(job)}/machine/power",
            "machine-ref": f"{self._inside}/machines/{got.machine.name}",
        }
