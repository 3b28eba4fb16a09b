# `spalloc-ps`: the table of jobs.
#
# The most often typed command: what it imports is what its user waits for.
"""`spalloc-ps`: list all running and queued jobs."""

from __future__ import annotations

from spalloc_client.scripts.answers import Listed, listed, state_name
from spalloc_client.scripts.arguments import Arguments, Parser, add_debug, add_server
from spalloc_client.scripts.server import Server, run
from spalloc_client.scripts.showing import add_showing, show
from spalloc_client.scripts.wording import job_json, local_time, owner_and_host
from spalloc_client.states import JobState
from spalloc_client.terminal.table import Cell, table
from spalloc_client.terminal.text import Style, Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from spalloc_client.config import Config
    from spalloc_client.protocol_client import ProtocolClient

COMMAND = "spalloc-ps"

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
    if arguments.all:
        return show(AllJobsView(arguments.machine, arguments.owner), arguments, server)
    return show(JobsView(arguments.machine, arguments.owner), arguments, server)


class JobsView:
    """The live jobs, oldest first, of one machine or owner or all."""

    def __init__(self, machine: str | None, owner: str | None) -> None:
        self._machine = machine
        self._owner = owner

    def subscribe(self, client: ProtocolClient, timeout: float | None) -> None:
        """Ask to be told of any job's changes."""
        client.notify_job(timeout=timeout)

    def ask(self, client: ProtocolClient, timeout: float | None) -> list[Listed]:
        """Return the jobs."""
        return chosen(listed(client.list_jobs(timeout=timeout)), self._machine, self._owner)

    def draw(self, shown: list[Listed], columns: int | None, lines: int | None) -> list[Text]:  # noqa: ARG002
        """Return their table."""
        return job_table(shown)

    def json(self, shown: list[Listed]) -> object:
        """Return them as a JSON object."""
        return {"jobs": [job_json(job) for job in shown]}


class AllJobsView(JobsView):
    """Live and ended jobs, oldest first, of one machine or owner or all."""

    def ask(self, client: ProtocolClient, timeout: float | None) -> list[Listed]:
        """Return the jobs."""
        from spalloc_client.scripts.history import with_ended

        # Live ones first: a job that ends meanwhile is then in both lists, and not in none.
        live = super().ask(client, timeout)
        return with_ended(client, live, self._machine, self._owner, timeout)

    def draw(self, shown: list[Listed], columns: int | None, lines: int | None) -> list[Text]:  # noqa: ARG002
        """Return their table."""
        from spalloc_client.scripts.history import end_cells

        return job_table(shown, ("Ended at", "Reason"), end_cells)

    def json(self, shown: list[Listed]) -> object:
        """Return them as a JSON object."""
        from spalloc_client.scripts.history import any_job_json

        return {"jobs": [any_job_json(job) for job in shown]}


def chosen(jobs: Iterable[Listed], machine: str | None, owner: str | None) -> list[Listed]:
    """Return the jobs on `machine` that belong to `owner`; None for any."""
    return [job for job in jobs if machine in (None, job.machine) and owner in (None, job.owner)]


def job_table(
    jobs: Sequence[Listed],
    more_headings: Sequence[str] = (),
    more: Callable[[Listed], list[Cell]] = lambda _job: [],
) -> list[Text]:
    """Return the table of `jobs`, one a line under the headings, with `more` cells at the end."""
    shows_hosts = any(job.host is not None for job in jobs)
    headings = ["ID", "State", "Power", "Boards", "Machine", "Created at", "Keepalive"]
    headings.append("Owner (Host)" if shows_hosts else "Owner")
    return table([*headings, *more_headings], [_row(job) + more(job) for job in jobs])


def _row(job: Listed) -> list[Cell]:
    return [
        job.job_id,
        _STATES.get(job.state) or state_name(job.state),
        _power(job),
        "" if job.boards is None else len(job.boards),
        printable(job.machine or ""),
        local_time(job.start_time),
        str(job.keepalive),
        owner_and_host(job),
    ]


def _power(job: Listed) -> Text:
    if job.power is None:
        return Text()
    word = "on" if job.power else "off"
    if job.state == JobState.power:
        return Text(word, Style.YELLOW)
    return Text(word, Style.GREEN if job.power else Style.RED)


if __name__ == "__main__":
    import sys

    sys.exit(main())
