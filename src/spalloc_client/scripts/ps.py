"""`spalloc-ps`: the table of jobs.

This is the command that users type most often, and its user waits for every import.
"""

from __future__ import annotations

from spalloc_client.answers import Listed, listed, state_name
from spalloc_client.arguments import Arguments, Parser, add_debug, add_server
from spalloc_client.scripts.outcome import SUCCESS
from spalloc_client.scripts.server import Server, run
from spalloc_client.scripts.showing import add_showing, show
from spalloc_client.scripts.wording import job_json, local_time, owner_and_host
from spalloc_client.states import JobState
from spalloc_client.terminal.table import Cell, table
from spalloc_client.terminal.text import Style, Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from spalloc_client.options import Config
    from spalloc_client.protocol_client import ProtocolClient
    from spalloc_client.scripts.queue import QueuePosition
    from spalloc_client.scripts.starts import Start

COMMAND = "spalloc-ps"

_LONG = (
    "id", "state", "power", "boards", "asks", "machine", "created", "keepalive", "limit", "left", "owner", "queue",
)  # fmt: skip
_USUAL = tuple(name for name in _LONG if name not in ("asks", "queue"))
_EVERY = (*_LONG, "start")
_OF_LIMITS = ("limit", "left")
"""Columns that are shown only where a job has a time limit, unless a user asks for them."""
_SPARE = ("keepalive", "created", "limit", "power", "machine", "left")
"""Columns that a narrow window does without, the first of them first."""

_STATES: dict[int, Text] = {
    JobState.queued: Text("queue", Style.BLUE),
    JobState.power: Text("power", Style.YELLOW),
    JobState.ready: Text("ready", Style.GREEN),
}


def parser(config: Config) -> Parser:
    """Return the command's parser."""
    made = Parser(COMMAND, "List all active jobs.")
    add_showing(made, "watch the list of live jobs in real time")
    add_debug(made)
    columns = made.add_group("columns")
    columns.add_argument(
        "--long", "-l", action="store_true", help="show also how much jobs ask for, and why they wait"
    )
    columns.add_argument(
        "--start", action="store_true", help="show also when jobs that wait are expected to get boards"
    )
    columns.add_argument(
        "--columns",
        "-c",
        type=column_names,
        metavar="NAMES",
        help=f"show these columns, with commas between: {', '.join(_EVERY)}",
    )
    filters = made.add_group("filtering arguments")
    filters.add_argument("--machine", "-m", help="list only jobs on the specified machine")
    filters.add_argument("--owner", "-o", help="list only jobs belonging to a particular owner")
    filters.add_argument(
        "--all",
        "-a",
        action="store_true",
        help="list also jobs that have ended, as far as the server remembers them: the latest 1000, each with when "
        "and why",
    )
    add_server(made, config)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(COMMAND, argv, parser, _act)


def _act(arguments: Arguments, server: Server) -> int:
    names = arguments.columns or (_LONG if arguments.long else _USUAL)
    if arguments.start and "start" not in names:
        names = (*names, "start")
    kind = AllJobsView if arguments.all else JobsView
    return show(kind(arguments.machine, arguments.owner, names), arguments, server)


class Jobs:
    """Jobs, and of those that wait, the places in the queue and when they may start, if these are wanted."""

    __slots__ = ("jobs", "places", "starts")

    def __init__(
        self,
        jobs: list[Listed],
        places: Mapping[int, QueuePosition] | None = None,
        starts: Mapping[int, Start] | None = None,
    ) -> None:
        self.jobs = jobs
        self.places = places
        self.starts = starts


class JobsView:
    """The live jobs, oldest first, of one machine or owner or all."""

    def __init__(self, machine: str | None, owner: str | None, columns: Sequence[str] | None = None) -> None:
        self._machine = machine
        self._owner = owner
        self._columns = _USUAL if columns is None else columns

    def subscribe(self, client: ProtocolClient, timeout: float | None) -> None:
        """Ask to be told of any job's changes."""
        client.notify_job(timeout=timeout)

    def ask(self, client: ProtocolClient, timeout: float | None) -> Jobs:
        """Return the jobs."""
        everybody = listed(client.list_jobs(timeout=timeout))
        jobs = chosen(everybody, self._machine, self._owner)
        places = starts = None
        if "queue" in self._columns:
            from spalloc_client.scripts.queue import places_in_queue

            places = places_in_queue(client, everybody, jobs, timeout)
        if "start" in self._columns:
            from spalloc_client.scripts.starts import starts_of

            starts = starts_of(client, timeout)
        return Jobs(jobs, places, starts)

    def draw(self, shown: Jobs, columns: int | None, lines: int | None) -> list[Text]:  # noqa: ARG002
        """Return their table."""
        return job_table(shown, self._columns, columns)

    def status(self, shown: Jobs) -> int:  # noqa: ARG002
        """Return 0: there is always something to show."""
        return SUCCESS

    def is_final(self, shown: Jobs) -> bool:  # noqa: ARG002
        """Return false: jobs may always change."""
        return False

    def json(self, shown: Jobs) -> object:
        """Return them as a JSON object."""
        return {
            "jobs": [
                {**self._job_json(job), **_json_place(job, shown), **_json_start(job, shown)}
                for job in shown.jobs
            ]
        }

    def _job_json(self, job: Listed) -> dict[str, object]:
        return job_json(job)


class AllJobsView(JobsView):
    """Live and ended jobs, oldest first, of one machine or owner or all."""

    def ask(self, client: ProtocolClient, timeout: float | None) -> Jobs:
        """Return the jobs."""
        from spalloc_client.scripts.history import with_ended

        # Live ones first: a job that ends meanwhile is then in both lists, and not in none.
        live = super().ask(client, timeout)
        return Jobs(
            with_ended(client, live.jobs, self._machine, self._owner, timeout), live.places, live.starts
        )

    def draw(self, shown: Jobs, columns: int | None, lines: int | None) -> list[Text]:  # noqa: ARG002
        """Return their table."""
        from spalloc_client.scripts.history import end_cells

        return job_table(shown, self._columns, columns, ("Ended at", "Reason"), end_cells)

    def _job_json(self, job: Listed) -> dict[str, object]:
        from spalloc_client.scripts.history import any_job_json

        return any_job_json(job)


def _json_place(job: Listed, shown: Jobs) -> dict[str, object]:
    if shown.places is None:
        return {}
    from spalloc_client.scripts.wording import place_json

    return {"queue": place_json(shown.places.get(job.job_id))}


def _json_start(job: Listed, shown: Jobs) -> dict[str, object]:
    return {} if shown.starts is None else {"expected_start": shown.starts.get(job.job_id)}


def chosen(jobs: Iterable[Listed], machine: str | None, owner: str | None) -> list[Listed]:
    """Return the jobs on `machine` that belong to `owner`; None for any."""
    return [job for job in jobs if machine in (None, job.machine) and owner in (None, job.owner)]


def job_table(
    shown: Jobs,
    names: Sequence[str] = _USUAL,
    width: int | None = None,
    more_headings: Sequence[str] = (),
    more: Callable[[Listed], list[Cell]] = lambda _job: [],
) -> list[Text]:
    """Return the table of jobs, one a line under the headings.

    Args:
        shown: The jobs.
        names: The columns.
        width: The window's width; where the usual table is wider, it does without columns, but never the owner's.
        more_headings: Headings of columns at the end.
        more: The cells of those columns.
    """
    kept = list(names)
    if tuple(names) in (_USUAL, _LONG) and all(job.time_limit is None for job in shown.jobs):
        kept = [name for name in names if name not in _OF_LIMITS]
    if width is not None and tuple(names) == _USUAL:
        for spare in filter(kept.__contains__, _SPARE):
            if max(line.width for line in _table(shown, kept)) <= width:
                break
            kept.remove(spare)
    return _table(shown, kept, more_headings, more)


def _table(
    shown: Jobs,
    names: Sequence[str],
    more_headings: Sequence[str] = (),
    more: Callable[[Listed], list[Cell]] = lambda _job: [],
) -> list[Text]:
    return table(
        [*(_heading(name, shown) for name in names), *more_headings],
        [[*(_COLUMNS[name][1](job, shown) for name in names), *more(job)] for job in shown.jobs],
    )


def column_names(text: str) -> list[str]:
    """Read the names of columns, with commas between.

    Raises:
        ValueError: There is no such column.
    """
    names = [name.strip() for name in text.lower().split(",")]
    unknown = next((name for name in names if name not in _COLUMNS), None)
    if unknown is None:
        return names
    raise ValueError(f"there is no column {unknown!r}; there are: {', '.join(_COLUMNS)}")


def _heading(name: str, shown: Jobs) -> str:
    if name == "owner" and any(job.host is not None for job in shown.jobs):
        return "Owner (Host)"
    return _COLUMNS[name][0]


def _asks(job: Listed, _: Jobs) -> str:
    from spalloc_client.scripts.wording import asked_for

    return asked_for(job.arguments)


def _queue(job: Listed, shown: Jobs) -> str:
    place = (shown.places or {}).get(job.job_id)
    if place is None:
        return ""
    return f"{place}: {place.cause}" if place.cause else str(place)


def _limit(job: Listed) -> str:
    if job.time_limit is None:
        return ""
    from spalloc_client.durations import written

    return written(job.time_limit)


def _left(job: Listed) -> str:
    """Return how much of a live job's time limit is left."""
    if job.time_limit is None or job.allocated is None or job.state == JobState.destroyed:
        return ""
    import time

    from spalloc_client.durations import written

    return written(job.allocated + job.time_limit - time.time())


def _start(job: Listed, shown: Jobs) -> str:
    start = (shown.starts or {}).get(job.job_id)
    if start is None:
        return ""
    from spalloc_client.scripts.starts import in_words

    return in_words(start)


def _power(job: Listed) -> Text:
    if job.power is None:
        return Text()
    word = "on" if job.power else "off"
    if job.state == JobState.power:
        return Text(word, Style.YELLOW)
    return Text(word, Style.GREEN if job.power else Style.RED)


_COLUMNS: dict[str, tuple[str, Callable[[Listed, Jobs], Cell]]] = {
    "id": ("ID", lambda job, _: job.job_id),
    "state": ("State", lambda job, _: _STATES.get(job.state) or state_name(job.state)),
    "power": ("Power", lambda job, _: _power(job)),
    "boards": ("Boards", lambda job, _: "" if job.boards is None else len(job.boards)),
    "asks": ("Asks for", _asks),
    "machine": ("Machine", lambda job, _: printable(job.machine or "")),
    "created": ("Created at", lambda job, _: local_time(job.start_time)),
    "keepalive": ("Keepalive", lambda job, _: str(job.keepalive)),
    "limit": ("Time limit", lambda job, _: _limit(job)),
    "left": ("Time left", lambda job, _: _left(job)),
    "owner": ("Owner", lambda job, _: owner_and_host(job)),
    "queue": ("Queue", _queue),
    "start": ("Expected to start", _start),
}
"""Columns by the names with which users choose them: the heading, and the cell's content."""


if __name__ == "__main__":
    import sys

    sys.exit(main())
