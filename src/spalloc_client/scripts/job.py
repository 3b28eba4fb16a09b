"""`spalloc-job`: shows a job, and acts on it.

job_view.py decides what to show.
"""

from __future__ import annotations

from spalloc_client.answers import listed, state_name
from spalloc_client.arguments import Arguments, Parser, add_debug, add_server
from spalloc_client.checks import is_url
from spalloc_client.errors import ProtocolTimeoutError
from spalloc_client.job_answers import MachineInfo, Status
from spalloc_client.scripts.outcome import SERVER_TROUBLE, SUCCESS, USAGE, WHICH_JOB, CommandError
from spalloc_client.scripts.server import Server, job_of_environment, run
from spalloc_client.scripts.showing import WATCH_KEYS, add_json, show
from spalloc_client.states import JobState
from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spalloc_client.job_answers import Connections
    from spalloc_client.options import Config
    from spalloc_client.protocol_client import ProtocolClient

COMMAND = "spalloc-job"
POWER_INTERRUPTED = 7
NOT_POWERED = 8
NO_BOARDS = 9

_MOST_NAMED = 8
"""Number of boards that are listed to a user who named none of them."""

_CHECK_EVERY = 30.0
"""Seconds without news after which the server is asked, which shows whether it is still there."""


def parser(config: Config) -> Parser:
    """Return the command's parser."""
    made = Parser(COMMAND, "Manage running jobs.")
    made.add_argument(
        "job_id",
        type=int,
        nargs="?",
        help="the job ID of interest, optional inside an allocation, or if the current owner only has one job",
    )
    made.add_argument(
        "--owner",
        "-o",
        default=config["owner"],
        help="if no job ID is provided and this owner has only one job, this job is assumed (default: %(default)s)",
    )
    actions = made.add_alternatives()
    actions.add_argument("--info", "-i", action="store_true", help="show basic job information (the default)")
    actions.add_argument(
        "--watch", "-w", action="store_true", help="watch this job for state changes" + WATCH_KEYS
    )
    actions.add_argument(
        "--power-on", "--reset", "-p", "-r", action="store_true", help="power-on or reset the job's boards"
    )
    actions.add_argument("--power-off", action="store_true", help="power-off the job's boards")
    actions.add_argument(
        "--ethernet-ips",
        "-e",
        action="store_true",
        help="output the IPs of all Ethernet connected chips as a CSV",
    )
    actions.add_argument(
        "--destroy", "-D", nargs="?", metavar="REASON", const="", help="destroy a queued or running job"
    )
    actions.add_argument(
        "--extend",
        type=_duration,
        metavar="DURATION",
        help="let the job have its boards for DURATION in all, such as 2h or 1:30:00, counted from when it got them",
    )
    actions.add_argument(
        "--report",
        nargs=2,
        metavar=("BOARD", "TEXT"),
        help="report a sick board of the job, by its host name or by the X,Y of its chip as --ethernet-ips lists them; "
        "when enough users have, it is set aside",
    )
    add_json(made, "; with --watch, one a line at every change")
    add_debug(made)
    add_server(made, config)
    return made


def _duration(word: str) -> float:
    from spalloc_client import durations

    return durations.read(word)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(COMMAND, argv, parser, _act)


def _act(arguments: Arguments, server: Server) -> int:
    job_id = arguments.job_id
    if job_id is None and "owner" not in arguments.given:
        job_id = job_of_environment(server)
    if arguments.job_id is None and arguments.destroy is not None and arguments.destroy.strip().isdecimal():
        number = arguments.destroy.strip()
        raise CommandError(
            USAGE,
            f"--destroy {number}: {number} would be the reason, and no job is named; to destroy job {number}, type: "
            f"{COMMAND} {number} --destroy",
        )
    if job_id is None and not arguments.owner and not is_url(server.hostname):
        raise CommandError(USAGE, "job ID (or --owner) not specified")
    actions = (
        arguments.power_on,
        arguments.power_off,
        arguments.ethernet_ips,
        arguments.destroy is not None,
        arguments.report is not None,
        arguments.extend is not None,
    )
    if arguments.json and any(actions):
        raise CommandError(USAGE, "--json shows a job: it goes with --info or --watch only")
    if job_id is None or any(actions):
        with server.connect() as client:
            if job_id is None:
                job_id = only_job(client, _owner(arguments, server, client), server.timeout)
            if any(actions):
                _do(arguments, client, job_id, server.timeout)
                return SUCCESS
    from spalloc_client.scripts.job_view import JobView

    return show(JobView(job_id), arguments, server)


def _owner(arguments: Arguments, server: Server, client: ProtocolClient) -> str:
    """Return whose job is meant: with a service, that of whoever logs in, unless another is named."""
    if not is_url(server.hostname) or "owner" in arguments.given:
        return str(arguments.owner)
    return str(client.call("who_am_i", timeout=server.timeout)["account"])


def _do(arguments: Arguments, client: ProtocolClient, job_id: int, timeout: float | None) -> None:
    if arguments.ethernet_ips:
        _list_ips(client, job_id, timeout)
    elif arguments.report is not None:
        board, text = arguments.report
        _report(client, job_id, board, text, timeout)
    elif arguments.extend is not None:
        _extend(client, job_id, arguments.extend, timeout)
    elif arguments.destroy is not None:
        reason = arguments.destroy
        if not reason and arguments.owner:
            reason = f"Destroyed by {arguments.owner}"
        _destroy(client, job_id, reason, timeout)
    else:
        set_power(client, job_id, timeout, on=arguments.power_on)


def _destroy(client: ProtocolClient, job_id: int, reason: str, timeout: float | None) -> None:
    """Destroy a job, and say that it is done."""
    from spalloc_client.scripts.wording import sentence

    before = Status(client.get_job_state(job_id, timeout=timeout))
    if before.number == JobState.unknown:
        raise CommandError(WHICH_JOB, f"the server knows no job {job_id}, so nothing was destroyed")
    if before.number != JobState.destroyed:
        client.destroy_job(job_id, reason, timeout=timeout)
        messages().print([sentence(job_id, JobState.destroyed, reason or None)])
    else:
        why = "" if before.reason is None else f": {printable(before.reason)}"
        messages().print([f"Job {job_id}: Had been destroyed before{why}"])


def _extend(client: ProtocolClient, job_id: int, seconds: float, timeout: float | None) -> None:
    """Give a job another time limit, and say how long it may have its boards now."""
    from spalloc_client.scripts.ends import limit_of, shorter, times_of

    machines = client.list_machines(timeout=timeout)
    before = times_of(client, job_id, timeout, machines)
    if before is None:
        raise CommandError(SERVER_TROUBLE, "the server knows no time limits, so there is none to extend")
    client.extend_job(job_id, seconds, timeout=timeout)
    times = times_of(client, job_id, timeout, machines)
    if times is not None:
        messages().print([f"{limit_of(job_id, times)}{shorter(before.time_limit, times.time_limit)}"])


def only_job(client: ProtocolClient, owner: str, timeout: float | None) -> int:
    """Return the ID of the one live job that `owner` has.

    Raises:
        CommandError: There is none, or several.
    """
    found = [job.job_id for job in listed(client.list_jobs(timeout=timeout)) if job.owner == owner]
    if not found:
        raise CommandError(WHICH_JOB, f"owner {owner} has no live jobs")
    if len(found) > 1:
        which = ", ".join(map(str, found))
        raise CommandError(
            WHICH_JOB,
            f"ambiguous: {owner} has {len(found)} live jobs: {which}; name one: {COMMAND} {found[-1]} ...",
        )
    return found[0]


def set_power(client: ProtocolClient, job_id: int, timeout: float | None, *, on: bool) -> None:
    """Power a job's boards on or off, wait until that is done, and say if the job has other boards then.

    Raises:
        CommandError: The job has no boards to power, or the user did not want to wait.
    """
    from spalloc_client.scripts.wording import moved

    # Asked for first, so that no change goes by unseen.
    client.notify_job(job_id, timeout=timeout)
    before = _connections(client, job_id, timeout)
    if on:
        client.power_on_job_boards(job_id, timeout=timeout)
    else:
        client.power_off_job_boards(job_id, timeout=timeout)
    while True:
        state = Status(client.get_job_state(job_id, timeout=timeout)).number
        if state == JobState.ready:
            after = _connections(client, job_id, timeout)
            if before is not None and after != before:
                messages().print([moved(job_id, after).line])
            return
        if state == JobState.queued and before is not None:
            # Some of them would not come up, and it is to get others.
            raise CommandError(NOT_POWERED, moved(job_id, None).line.plain)
        if state != JobState.power:
            word = "on" if on else "off"
            raise CommandError(NOT_POWERED, f"cannot power {word} job {job_id} in state {state_name(state)}")
        try:
            client.wait_for_notification(_CHECK_EVERY)
        except ProtocolTimeoutError:
            continue
        except KeyboardInterrupt:
            raise CommandError(
                POWER_INTERRUPTED,
                f"stopped waiting; the boards of job {job_id} are still being powered {'on' if on else 'off'}",
            ) from None


def _connections(client: ProtocolClient, job_id: int, timeout: float | None) -> Connections | None:
    return MachineInfo(client.get_job_machine_info(job_id, timeout=timeout)).sorted_connections


def _report(client: ProtocolClient, job_id: int, board: str, text: str, timeout: float | None) -> None:
    """Report a board of a job, and say that it is done."""
    connections = _connections(client, job_id, timeout)
    if connections is None:
        raise CommandError(
            NO_BOARDS, f"job {job_id} is queued or does not exist, so it has no boards to report"
        )
    names = {name: name for _, _, name in connections} | {f"{x},{y}": name for x, y, name in connections}
    hostname = names.get(board.replace(" ", "").strip("()"))
    if hostname is None:
        known = "; ".join(f"{x},{y} {printable(name)}" for x, y, name in connections[:_MOST_NAMED])
        raise CommandError(USAGE, f"--report {board}: job {job_id} has no such board; it has: {known}")
    client.report_problem(hostname, description=text, timeout=timeout)
    messages().print([f"Job {job_id}: Reported {printable(hostname)}: {printable(text)}"])


def _list_ips(client: ProtocolClient, job_id: int, timeout: float | None) -> None:
    from spalloc_client.scripts.substitutions import csv

    connections = _connections(client, job_id, timeout)
    if connections is None:
        raise CommandError(NO_BOARDS, f"job {job_id} is queued or does not exist")
    output().print([printable(line) for line in csv(connections).splitlines()])


if __name__ == "__main__":
    import sys

    sys.exit(main())
