"""The commands of v1 in terms of a service's HTTP API: the arguments of one, requests, and its answer.

Steps without I/O, which begin and end as those of a v1 server do. What a service can't do is refused in words
(SpallocServerException), as a server refuses; the Java service's faults, and what is done about them, are told where
they are met. docs/guides says what works where.
"""

from __future__ import annotations

from spalloc_client.address import LONGEST_KEEPALIVE
from spalloc_client.conversation import NO_PROTOCOL
from spalloc_client.errors import ProtocolError, SpallocServerException
from spalloc_client.https import documents
from spalloc_client.https.watching import Watching
from spalloc_client.states import JobState
from spalloc_client.step_kinds import Sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    from spalloc_client.https.session import Session
    from spalloc_client.step_kinds import Steps
    from spalloc_client.wire import Json
    from spinnaker.geometry import Size

    Document: TypeAlias = Mapping[str, Any]

V1_KEEPALIVE = 60.0
"""Seconds that the Java service keeps jobs alive whose own keepalive it does not tell: those of its v1 port."""

_ANY_NUMBER = 1_000_000
"""Dead boards that are put up with where any number is."""

_USUAL_RATIO = 0.333
_PAGE = 200
_MOST_PAGES = 50
_NOTHING = (404, 410)

_LOOK_AGAIN = 2.0
"""Seconds after which the Java service is asked whether a job that it was working on has really ended."""
_DESTROYING = 3
"""How often it is told so."""


class Translation:
    """Answers the commands of v1 for one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.watching = Watching(session)
        self._machines: dict[str, dict[str, Any]] = {}
        """Those that have been asked for, for their sizes and dead links, which stay."""
        self._commands: dict[str, Callable[..., Steps[Any]]] = {
            "version": self._version,
            "who_am_i": self._who_am_i,
            "create_job": self._create,
            "job_keepalive": self._keep_alive,
            "get_job_state": self._state,
            "get_job_machine_info": self._boards,
            "power_on_job_boards": lambda job_id: self._set_power(job_id, "ON"),
            "power_off_job_boards": lambda job_id: self._set_power(job_id, "OFF"),
            "destroy_job": self._destroy,
            "list_jobs": self._list_jobs,
            "list_machines": self._list_machines,
            "get_board_position": self._board_position,
            "get_board_at_position": self._board_at_position,
            "where_is": self._where_is,
            "job_queue_position": self._queue_position,
            "job_times": self._times,
            "job_starts": self._starts,
            "extend_job": self._extend,
            "list_ended_jobs": self._ended_jobs,
            "report_problem": self._report,
            "notify_job": lambda job_id=None: self.watching.add("job", job_id),
            "no_notify_job": lambda job_id=None: self.watching.remove("job", job_id),
            "notify_machine": lambda machine_name=None: self.watching.add("machine", machine_name),
            "no_notify_machine": lambda machine_name=None: self.watching.remove("machine", machine_name),
            "notify_job_ending": self._watch_ending,
            "no_notify_job_ending": lambda job_id: self.watching.remove("ending", job_id),
        }

    def answer(self, command: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Steps[Json]:
        """Answer a command.

        Raises:
            SpallocServerException: The service refuses, or has no such command.
            ProtocolError: There is no answer, or none that can be read.
        """
        method = self._commands.get(command)
        if method is None:
            raise SpallocServerException(f"{self._session.url} has nothing for the command {command!r}")
        if not self._session.root:
            yield from self._session.begin()
        try:
            steps = method(*args, **kwargs)
        except TypeError as error:
            raise SpallocServerException(f"{command}: {error}") from None
        try:
            answer: Json = yield from steps
        except (LookupError, TypeError, AttributeError) as error:
            raise ProtocolError(
                f"{NO_PROTOCOL}: what it answered to {command} can't be read: {error!r:.200}"
            ) from error
        return answer

    # Jobs

    def _version(self) -> Steps[str]:
        yield from ()
        parts = self._session.root["version"]
        return ".".join(str(parts[part]) for part in ("major-version", "minor-version", "revision"))

    def _who_am_i(self) -> Steps[Json]:
        root = self._session.root
        groups = default = None
        if self._session.is_ours:
            reply = yield from self._session.ask("GET", "groups")
            found = reply.document()
            groups, default = found["groups"], found.get("default")
        return {
            "account": root.get("account") or self._session.login.username,
            "role": root.get("role"),
            "groups": groups,
            "default-group": default,
        }

    def _create(self, *args: int, **kwargs: Any) -> Steps[int]:
        wanted = _new_job(args, kwargs, self._session.root, is_ours=self._session.is_ours)
        reply = yield from self._session.ask("POST", "jobs", body=wanted)
        created = reply.document()
        number = created.get("job-id")
        if not isinstance(number, int):
            raise ProtocolError(f"{NO_PROTOCOL}: it created a job without telling its ID")
        return number

    def _keep_alive(self, job_id: int) -> Steps[None]:
        yield from self._session.ask("PUT", f"jobs/{job_id}/keepalive", allow=_NOTHING)

    def _job(self, job_id: int) -> Steps[Document | None]:
        """Ask for a job; None for one that the service does not know, or does not show to this user."""
        reply = yield from self._session.ask("GET", f"jobs/{job_id}", allow=_NOTHING)
        self.watching.see(job_id, reply)
        return None if reply.status in _NOTHING else reply.document()

    def _power(self, job_id: int, job: Document) -> Steps[str | None]:
        if self._session.is_ours or documents.state(job) not in (JobState.power, JobState.ready):
            return job.get("power")
        reply = yield from self._session.ask("GET", f"jobs/{job_id}/machine/power", allow=_NOTHING)
        return None if reply.status != 200 else str(reply.document().get("power"))

    def _state(self, job_id: int) -> Steps[Json]:
        job = yield from self._job(job_id)
        if job is None:
            return dict(documents.UNKNOWN_JOB)
        power = yield from self._power(job_id, job)
        return documents.status(job, power, V1_KEEPALIVE)

    def _boards(self, job_id: int) -> Steps[Json]:
        found = yield from self._boards_document(job_id)
        if found is None:
            return dict(documents.NO_BOARDS)
        machine = yield from self._machine(found["machine-name"])
        return documents.boards(found, machine)

    def _boards_document(self, job_id: int) -> Steps[Document | None]:
        reply = yield from self._session.ask("GET", f"jobs/{job_id}/machine", allow=_NOTHING)
        return reply.document() if reply.status == 200 else None

    def _set_power(self, job_id: int, word: str) -> Steps[None]:
        body = {"power": word}
        if not self._session.is_ours:
            # Of a job that has ended, the Java service would switch boards, and bring it back to life.
            job = yield from self._job(job_id)
            if job is None or documents.state(job) == JobState.destroyed:
                return
        yield from self._session.ask("POST", f"jobs/{job_id}/machine/power", body=body, allow=_NOTHING)

    def _destroy(self, job_id: int, reason: str | None = None) -> Steps[None]:
        query = {} if reason is None else {"reason": reason}
        for tried in range(_DESTROYING):
            before = None
            if not self._session.is_ours:
                before = yield from self._job(job_id)
                if tried and (before is None or documents.state(before) == JobState.destroyed):
                    return
            yield from self._session.ask("DELETE", f"jobs/{job_id}", query, allow=_NOTHING)
            # While the Java service works on a job, it takes a deletion back: it must be looked at again.
            if before is None or documents.state(before) in (JobState.ready, JobState.destroyed):
                return
            yield from Sleep(_LOOK_AGAIN)

    def _list_jobs(self) -> Steps[Json]:
        if not self._session.is_ours:
            return (yield from self._list_one_by_one())
        jobs = yield from self._pages()
        return [documents.listed(one) for one in reversed(jobs)]

    def _pages(self) -> Steps[list[Document]]:
        jobs: dict[int, Document] = {}
        for page in range(_MOST_PAGES):
            query = {"details": "true", "limit": _PAGE, "start": page * _PAGE}
            told = (yield from self._session.ask("GET", "jobs", query)).document()
            # A job that comes meanwhile moves the last of a page to the next.
            jobs.update((one["job-id"], one) for one in told["details"])
            if "next" not in told:
                break
        return list(jobs.values())

    def _list_one_by_one(self) -> Steps[Json]:
        """Return the jobs of the Java service: of others', there is the ID alone."""
        numbers: dict[int, None] = {}
        for page in range(_MOST_PAGES):
            query = {"limit": _PAGE, "start": page * _PAGE}
            told = (yield from self._session.ask("GET", "jobs", query)).document()
            numbers.update((int(str(url).rstrip("/").rpartition("/")[2]), None) for url in told["jobs"])
            if "next" not in told:
                break
        jobs = []
        for number in sorted(numbers):
            job = yield from self._job(number)
            boards = power = None
            if job is not None and documents.state(job) in (JobState.power, JobState.ready):
                boards = yield from self._boards_document(number)
                power = yield from self._power(number, job)
            if job is None or documents.state(job) != JobState.destroyed:
                jobs.append(documents.described(number, job or {}, boards, power))
        return jobs

    def _queue_position(self, job_id: int) -> Steps[Json]:
        job = yield from self._job(job_id)
        self._only_ours("tells no places in the queue")
        return None if job is None else documents.place(job)

    def _times(self, job_id: int) -> Steps[Json]:
        job = None if job_id < 1 else (yield from self._job(job_id))
        self._only_ours("knows no time limits")
        return None if job is None else documents.times(job)

    def _starts(self) -> Steps[Json]:
        self._only_ours("does not tell when jobs may start")
        jobs = yield from self._pages()
        starts = {}
        for job in jobs:
            queue = (job.get("details") or {}).get("queue") or {}
            if "earliest-start" in queue and "latest-start" in queue:
                starts[str(job["job-id"])] = [queue["earliest-start"], queue["latest-start"]]
        return starts

    def _extend(self, job_id: int, time_limit: float) -> Steps[Json]:
        self._only_ours("knows no time limits")
        body = {"time-limit": time_limit}
        reply = yield from self._session.ask("PUT", f"jobs/{job_id}/time-limit", body=body)
        limit: Json = reply.document()["time-limit"]
        return limit

    def _ended_jobs(
        self, owner: str | None = None, machine: str | None = None, limit: int = 100
    ) -> Steps[Json]:
        self._only_ours("does not tell of jobs that have ended")
        asked = {"owner": owner, "machine": machine, "limit": min(limit, _PAGE)}
        query = {name: value for name, value in asked.items() if value is not None}
        told = (yield from self._session.ask("GET", "history", query)).document()
        reasons: dict[int, str | None] = {}
        if any(one.get("yours") for one in told["jobs"]):
            # The history shows nobody's reasons; the list shows one's own.
            query = {"deleted": "true", "details": "true", "limit": _PAGE}
            latest = (yield from self._session.ask("GET", "jobs", query)).document()
            reasons = {one["job-id"]: (one.get("details") or {}).get("reason") for one in latest["details"]}
        return [documents.ended(one, reasons.get(one["job-id"]) or None) for one in told["jobs"]]

    def _report(
        self,
        address: str,
        x: int | None = None,
        y: int | None = None,
        p: int | None = None,
        description: str | None = None,
    ) -> Steps[None]:
        chip = "" if x is None or y is None else f" (chip {x}, {y}{'' if p is None else f', core {p}'})"
        found = yield from self._look_up_address(address)
        if found is None:
            raise SpallocServerException(f"no board has the address {address!r}")
        if found.get("job-id") is None:
            raise SpallocServerException(
                f"{self._session.url} takes reports of boards of live jobs only, and {address} is none"
            )
        body = {
            "issue": f"{description or 'a sick board'}{chip}"[:1000],
            "boards": [{"machine": found["machine"], "address": address}],
        }
        reply = yield from self._session.ask("POST", f"jobs/{found['job-id']}/report-issue", body=body)
        done = str(reply.document().get("action", ""))
        if "not allocated" in done:
            raise SpallocServerException(done)

    def _watch_ending(self, job_id: int) -> Steps[None]:
        self._only_ours("does not tell when jobs end")
        yield from self.watching.add("ending", job_id)

    def _only_ours(self, what: str) -> None:
        if not self._session.is_ours:
            raise SpallocServerException(f"{self._session.url} {what}")

    # Machines and places

    def _list_machines(self) -> Steps[list[dict[str, Any]]]:
        told = (yield from self._session.ask("GET", "machines")).document()
        found = [documents.machine(one) for one in told["machines"]]
        self._machines = {one["name"]: one for one in found}
        return found

    def _machine(self, name: str) -> Steps[dict[str, Any]]:
        """Return a machine; a LookupError if there is none."""
        if name not in self._machines:
            yield from self._list_machines()
        return self._machines[name]

    def _size(self, name: str) -> Steps[Size | None]:
        from spinnaker.geometry import Size

        if name not in self._machines:
            yield from self._list_machines()
        known = self._machines.get(name)
        return None if known is None else Size(known["width"], known["height"])

    def _look_up(self, machine: str, how: str, **query: object) -> Steps[Document | None]:
        from urllib.parse import quote

        path = f"machines/{quote(machine, safe='')}/{how}"
        reply = yield from self._session.ask("GET", path, query, allow=(400, *_NOTHING))
        return reply.document() if reply.status == 200 else None

    def _look_up_address(self, address: str) -> Steps[Document | None]:
        yield from self._list_machines()
        for name in self._machines:
            found = yield from self._look_up(name, "board-ip", address=address)
            if found is not None:
                return found
        return None

    def _board_position(self, machine_name: str, x: int, y: int, z: int) -> Steps[Json]:
        found = yield from self._look_up(machine_name, "logical-board", x=x, y=y, z=z)
        return None if found is None else found["physical-board-coordinates"]

    def _board_at_position(self, machine_name: str, x: int, y: int, z: int) -> Steps[Json]:
        found = yield from self._look_up(machine_name, "physical-board", cabinet=x, frame=y, board=z)
        return None if found is None else found["logical-board-coordinates"]

    def _where_is(self, **place: Any) -> Steps[Json]:
        from spinnaker.geometry import Chip, board_of_chip

        if "job_id" in place:
            return (yield from self._where_in_job(**place))
        machine = place.pop("machine")
        size = yield from self._size(machine)
        if size is None:
            return None
        offset = Chip(0, 0)
        if "chip_x" in place:
            # The Java service looks for chips in the wrong place, so the board is asked for.
            board, offset = board_of_chip(size, Chip(place["chip_x"], place["chip_y"]))
            found = yield from self._look_up(machine, "logical-board", **board._asdict())
        else:
            found = yield from self._look_up(
                machine, "physical-board" if "cabinet" in place else "logical-board", **place
            )
        if found is None:
            return None
        return documents.location(found, size, offset, documents.shifted(found.get("job-chip"), offset, size))

    def _where_in_job(self, job_id: int, chip_x: int, chip_y: int) -> Steps[Json]:
        from spinnaker.geometry import Board, Chip, board_of_chip, chip_size, first_chip

        query = {"x": chip_x, "y": chip_y}
        reply = yield from self._session.ask("GET", f"jobs/{job_id}/chip", query, allow=(400, 500, *_NOTHING))
        if reply.status != 200:
            return None
        found = reply.document()
        size = yield from self._size(found["machine"])
        if size is None:
            return None
        # `chip` and `board-chip` are the job's; `job-chip` of the Java service is wrong.
        (width, height), first = chip_size(size), found["board-chip"]
        offset = Chip((chip_x - first[0]) % width, (chip_y - first[1]) % height)
        board = Board(*found["logical-board-coordinates"])
        origin = first_chip(size, board)
        in_machine = Chip((origin.x + offset.x) % width, (origin.y + offset.y) % height)
        inside = 0 <= chip_x < width and 0 <= chip_y < height
        if not inside or board_of_chip(size, in_machine) != (board, offset):
            return None  # the Java service wraps coordinates around, also those of a single board
        return documents.location({"job-id": job_id, **found}, size, offset, (chip_x, chip_y))


def _new_job(
    args: Sequence[int], kwargs: Mapping[str, Any], root: Document, *, is_ours: bool
) -> dict[str, object]:
    """Return the document that asks for a job.

    Raises:
        SpallocServerException: The service can't be asked for it.
    """
    said = {name: value for name, value in kwargs.items() if value is not None}
    keepalive = said.get("keepalive", LONGEST_KEEPALIVE)
    wanted: dict[str, object] = {"keepalive-interval": keepalive}
    shape = list(args)
    if len(shape) == 1:
        wanted["num-boards"] = shape[0]
    elif len(shape) == 2:
        wanted["dimensions"] = {"width": shape[0], "height": shape[1]}
    elif shape:
        wanted["board"] = dict(zip("xyz", shape, strict=True))
    if "machine" in said:
        wanted["machine-name"] = said["machine"]
    else:
        wanted["tags"] = list(said.get("tags") or ["default"])
    dead = kwargs.get("max_dead_boards", 0)
    wanted["max-dead-boards"] = _ANY_NUMBER if dead is None else dead
    for name, key in (("group", "group"), ("collab", "nmpi-collab")):
        if name in said:
            wanted[key] = said[name]
    # Others own what they create; the Java service does not tell who may say otherwise.
    if root.get("role") in ("service", "administrator") and "owner" in said:
        wanted["owner"] = said["owner"]
    if is_ours:
        for name in ("min_ratio", "max_dead_links", "require_torus", "time_limit"):
            if name in said:
                wanted[name.replace("_", "-")] = said[name]
    else:
        _check_possible(shape, said)
    return wanted


def _check_possible(shape: Sequence[int], said: Mapping[str, Any]) -> None:
    """Refuse what the Java service would not heed, since it knows no such requirement."""
    for name in ("require_torus", "max_dead_links", "time_limit"):
        if said.get(name, False) is not False:
            raise SpallocServerException(
                f"this service knows no {name}, and promises nothing about it: leave it out"
            )
    if len(shape) == 1 and shape[0] > 1 and said.get("min_ratio", 0.0) > _USUAL_RATIO:
        raise SpallocServerException(
            f"this service knows no min_ratio, and may give boards that lie less square than {said['min_ratio']}: "
            "ask for width and height"
        )
