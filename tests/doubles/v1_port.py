"""The double's v1 port: JSON lines, as the Java service's version 5.0.0 answers them."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from spinnaker.geometry import Board, Chip, Link, Size
from spinnaker.places import Place
from tests.doubles.creation import RefusedError, placed
from tests.doubles.documents import Documents
from tests.doubles.jobs import Job, Jobs, State
from tests.doubles.machines import Machine, Wish
from tests.doubles.serving import Settings

VERSION = "5.0.0"
DEFAULT_KEEPALIVE = 60.0
DEADLOCK = (
    "PreparedStatementCallback; SQL [UPDATE jobs SET keepalive_timestamp = UNIX_TIMESTAMP() WHERE job_id = ?]; "
    "Deadlock found when trying to get lock; try restarting transaction"
)
LINK_NUMBERS = dict(
    zip(
        (Link.NORTH, Link.NORTH_EAST, Link.EAST, Link.SOUTH, Link.SOUTH_WEST, Link.WEST),
        range(6),
        strict=True,
    )
)
"""What its machines' dead links say for each link."""
_USER = "service-user"


class V1Port:
    """One TCP server; each of its connections has its own notifications."""

    def __init__(self, jobs: Jobs, settings: Settings, group: str) -> None:
        self.jobs = jobs
        self.settings = settings
        self.group = group
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str) -> int:
        self._server = await asyncio.start_server(self._serve, host, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        client = Client(self, writer)
        self.jobs.changed.append(client.tell_of)
        try:
            # Whatever is no command ends the connection.
            while (line := await reader.readline()).strip():
                try:
                    asked = json.loads(line)
                    name, given = asked["command"], (asked.get("args", []), asked.get("kwargs", {}))
                except (ValueError, KeyError, TypeError):
                    break
                client.write(client.answer(name, *given))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.jobs.changed.remove(client.tell_of)
            self._tasks.discard(task)
            writer.close()


class ServiceError(Exception):
    """What a client is told as an exception."""


class Client:
    """What one connection asks for, and watches."""

    def __init__(self, port: V1Port, writer: asyncio.StreamWriter) -> None:
        self._port = port
        self._jobs = port.jobs
        self._writer = writer
        self._host: str = writer.get_extra_info("peername")[0]
        self._watched: set[int] = set()
        self._watches_all = False
        self._commands: dict[str, Callable[..., Any]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    def write(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\r\n")

    def tell_of(self, job: Job) -> None:
        """Sent twice: that happens, and no client may mind."""
        if self._watches_all or job.id in self._watched:
            for _ in range(2):
                self.write({"jobs_changed": [job.id]})

    def answer(self, name: str, args: Any, kwargs: Any) -> dict[str, Any]:
        for failure in self._port.settings.failures:
            if failure.times and failure.method == "V1" and failure.path.search(name):
                failure.times -= 1
                return {"exception": failure.words}
        command = self._commands.get(name)
        if command is None:
            return {"exception": f"unknown command: {name}"}
        try:
            return {"return": command(*args, **kwargs)}
        except (ServiceError, RefusedError) as refusal:
            return {"exception": str(refusal)}
        except TypeError as mistake:
            return {"exception": f"bad arguments: {mistake}"}

    def _job(self, number: Any) -> Job:
        if number is None:
            raise ServiceError(
                'Cannot invoke "java.lang.Integer.intValue()" because the return value of "java.util.List.get(int)" '
                "is null"
            )
        if number not in self._jobs.all:
            raise ServiceError("no such job")
        return self._jobs.all[number]

    def _kept(self, number: Any) -> Job:
        job = self._job(number)
        self._jobs.keep_alive(job, self._host)
        return job

    def _machine(self, name: Any) -> Machine:
        if name not in self._jobs.machines:
            raise ServiceError(f"no such machine: {name}")
        return self._jobs.machines[name]

    # The commands

    def do_version(self) -> str:
        return VERSION

    def do_create_job(self, *args: int, **kwargs: Any) -> int:
        owner, interval = kwargs.get("owner"), kwargs.get("keepalive")
        if not owner or not (owner.isascii() and owner.isprintable()):
            raise ServiceError("owner must be printable ASCII")
        if args and args[0] == 0:
            raise ServiceError(
                "PreparedStatementCallback; SQL [INSERT INTO job_request ...]; Check constraint"
            )
        dead = kwargs.get("max_dead_boards") or 0
        if len(args) == 3:
            wish = Wish(board=Board(*args))
        elif len(args) == 2:
            wish = Wish(size=Size(*args), dead=dead)
        else:
            wish = Wish(boards=args[0] if args else 1, dead=dead)
        tags = set(kwargs.get("tags") or ["default"])
        machines = [
            machine
            for name, machine in sorted(self._jobs.machines.items())
            if (name == kwargs["machine"] if kwargs.get("machine") else machine.tags >= tags)
        ]
        job = self._jobs.create(
            _USER,
            self._jobs.groups[self._port.group],
            wish,
            placed(wish, machines),
            interval=DEFAULT_KEEPALIVE if interval is None else float(interval),
            request=None,
            v1={"args": list(args), "kwargs": kwargs, "owner": owner},
        )
        return job.id

    def do_job_keepalive(self, job_id: Any) -> None:
        self._kept(job_id)

    def do_get_job_state(self, job_id: Any) -> dict[str, Any]:
        job = self._kept(job_id)
        return {
            "state": job.state.value,
            "power": job.powered,
            "keepalive": int(job.kept_alive),
            "reason": job.reason or "",
            "start_time": int(job.created),
            "keepalivehost": job.host or "",
        }

    def do_get_job_machine_info(self, job_id: Any) -> dict[str, Any]:
        job = self._kept(job_id)
        got = job.allocation
        if got is None:
            raise ServiceError("boards not allocated")
        boards = () if job.state is State.DESTROYED else got.boards
        return {
            "width": got.chips.x,
            "height": got.chips.y,
            "connections": [[list(got.chip_of(board)), got.machine.address(board)] for board in boards],
            "machine_name": got.machine.name,
            "boards": [list(board) for board in boards],
        }

    def do_power_on_job_boards(self, job_id: Any) -> None:
        self._jobs.power(self._job(job_id), on=True)

    def do_power_off_job_boards(self, job_id: Any) -> None:
        self._jobs.power(self._job(job_id), on=False)

    def do_destroy_job(self, job_id: Any, reason: str | None = None) -> None:
        self._jobs.destroy(self._job(job_id), reason or "")

    def do_notify_job(self, *args: Any) -> None:
        if args:
            self._watched.add(self._kept(*args).id)
        else:
            self._watches_all = True

    def do_no_notify_job(self, *args: Any) -> None:
        if args:
            self._watched.discard(self._job(*args).id)
        else:
            self._watches_all = False
            self._watched.clear()

    def do_notify_machine(self, machine_name: Any = None) -> None:
        if machine_name is not None:
            self._machine(machine_name)

    do_no_notify_machine = do_notify_machine

    def do_list_jobs(self) -> list[dict[str, Any]]:
        return [self._listed(job) for job in self._jobs.all.values() if job.state is not State.DESTROYED]

    def _listed(self, job: Job) -> dict[str, Any]:
        got = job.allocation
        return {
            "job_id": job.id,
            "owner": job.v1.get("owner", job.owner),
            "start_time": int(job.created),
            "keepalive": job.interval,
            "keepalivehost": job.host or "<Hidden>",
            "state": job.state.value,
            "power": job.powered,
            "args": job.v1.get("args", []),
            "kwargs": {"tags": None, "min_ratio": None} | job.v1.get("kwargs", {}),
            "allocated_machine_name": got.machine.name if got is not None else None,
            "boards": [list(board) for board in got.boards] if got is not None else None,
            "reason": "",
        }

    def do_list_machines(self) -> list[dict[str, Any]]:
        return [self._described(machine) for _, machine in sorted(self._jobs.machines.items())]

    def _described(self, machine: Machine) -> dict[str, Any]:
        size = machine.size
        dead = {
            Board(x, y, z) for x in range(size.width) for y in range(size.height) for z in range(3)
        } - machine.places.keys()
        links = sorted(machine.site.machine.dead_links)
        return {
            "name": machine.name,
            "tags": sorted(machine.tags),
            "width": size.width,
            "height": size.height,
            "dead_boards": [list(board) for board in sorted(dead)],
            "dead_links": [[*end.board, LINK_NUMBERS[end.link]] for end in links],
        }

    def do_get_board_position(self, *, machine_name: Any, x: int, y: int, z: int) -> list[int]:
        place = self._machine(machine_name).places.get(Board(x, y, z))
        if place is None:
            raise ServiceError("no such board")
        return list(place)

    def do_get_board_at_position(self, *, machine_name: Any, x: int, y: int, z: int) -> list[int]:
        for board, place in self._machine(machine_name).places.items():
            if place == Place(x, y, z):
                return list(board)
        raise ServiceError("no such board")

    def do_where_is(self, **place: Any) -> dict[str, Any]:
        documents = Documents(self._jobs, "https", "localhost")
        if "job_id" in place:
            told = documents.where_in_job(self._job(place["job_id"]), Chip(place["chip_x"], place["chip_y"]))
            if told is None:
                raise ServiceError("no boards currently allocated")
        else:
            machine = self._machine(place["machine"])
            found = _found(machine, place)
            if found is None:
                raise ServiceError("no such board")
            told = documents.where(machine, *found)
        chip, corner = told["chip"], told["board-chip"]
        return {
            "job_chip": told.get("job-chip"),
            "job_id": told.get("job-id"),
            "chip": chip,
            "logical": told["logical-board-coordinates"],
            "machine": told["machine"],
            "board_chip": [chip[0] - corner[0], chip[1] - corner[1]],
            "physical": told["physical-board-coordinates"],
        }

    def do_report_problem(self, address: str, *_: Any, **__: Any) -> None:
        """Reports are taken note of."""


def _found(machine: Machine, place: dict[str, Any]) -> tuple[Board, Chip] | None:
    if "chip_x" in place:
        chip = Chip(place["chip_x"], place["chip_y"])
        return (min(machine.places), chip) if chip.x < 8 and chip.y < 8 else None
    if "x" in place:
        board = Board(place["x"], place["y"], place["z"])
        return (board, Chip(0, 0)) if machine.works(board) else None
    wanted = Place(place["cabinet"], place["frame"], place["board"])
    return next(((board, Chip(0, 0)) for board, at in machine.places.items() if at == wanted), None)
