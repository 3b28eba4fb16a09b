# `spalloc-ps`: the table of jobs.
#
# The most often typed command: what it imports is what its user waits for.
"""`spalloc-ps`: list all running and queued jobs."""

from __future__ import annotations

import time

from spalloc_client.scripts.answers import Listed, listed, state_name
from spalloc_client.scripts.arguments import Parser, add_debug, add_server
from spalloc_client.scripts.outcome import SUCCESS
from spalloc_client.scripts.server import Server, run
from spalloc_client.states import JobState
from spalloc_client.terminal.console import output
from spalloc_client.terminal.table import Cell, table
from spalloc_client.terminal.text import Style, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Sequence

    from spalloc_client.config import Config

_TIME_FORMAT = "%d/%m/%Y %H:%M:%S"

_STATES = {
    JobState.queued: Text("queue", Style.BLUE),
    JobState.power: Text("power", Style.YELLOW),
    JobState.ready: Text("ready", Style.GREEN),
}


def parser(config: Config) -> Parser:
    """Return the command's parser."""
    made = Parser("spalloc-ps", "List all active jobs.")
    made.add_argument("--watch", "-w", action="store_true", help="watch the list of live jobs in real time")
    made.add_argument(
        "--json", action="store_true", help="write one JSON object; with --watch, one a line at every change"
    )
    add_debug(made)
    filters = made.add_argument_group("filtering arguments")
    filters.add_argument("--machine", "-m", help="list only jobs on the specified machine")
    filters.add_argument("--owner", "-o", help="list only jobs belonging to a particular owner")
    add_server(made, config)
    return made


def chosen(jobs: Iterable[Listed], machine: str | None, owner: str | None) -> list[Listed]:
    """Return the jobs on `machine` that belong to `owner`; None for any."""
    return [job for job in jobs if machine in (None, job.machine) and owner in (None, job.owner)]


def job_table(jobs: Sequence[Listed]) -> list[Text]:
    """Return the table of `jobs`, one a line under the headings."""
    shows_hosts = any(job.host is not None for job in jobs)
    headings = ["ID", "State", "Power", "Boards", "Machine", "Created at", "Keepalive"]
    headings.append("Owner (Host)" if shows_hosts else "Owner")
    return table(headings, [_row(job) for job in jobs])


def time_of_day(timestamp: float | None) -> str:
    """Return a time in seconds since 1970 as local date and time, empty for None."""
    return "" if timestamp is None else time.strftime(_TIME_FORMAT, time.localtime(timestamp))


def _row(job: Listed) -> list[Cell]:
    return [
        job.job_id,
        _STATES.get(job.state, state_name(job.state)),  # type: ignore[call-overload]
        _power(job),
        "" if job.boards is None else len(job.boards),
        job.machine or "",
        time_of_day(job.start_time),
        str(job.keepalive),
        job.owner if job.host is None else f"{job.owner} ({job.host})",
    ]


def _power(job: Listed) -> Text:
    if job.power is None:
        return Text()
    word = "on" if job.power else "off"
    if job.state == JobState.power:
        return Text(word, Style.YELLOW)
    return Text(word, Style.GREEN if job.power else Style.RED)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run("spalloc-ps", argv, parser, _act)


def _act(arguments: Namespace, server: Server) -> int:
    with server.connect() as client:
        jobs = chosen(listed(client.list_jobs(timeout=server.timeout)), arguments.machine, arguments.owner)
    output().print(job_table(jobs))
    return SUCCESS
