"""Jobs that have ended, where the server remembers them: `spalloc-ps --all` lists them beside the live ones.

ps.py prints the table of live jobs, and imports this file only when it is needed.
"""

from __future__ import annotations

from spalloc_client.answers import Ended, Listed, entries
from spalloc_client.errors import SpallocServerException
from spalloc_client.scripts.outcome import SERVER_TROUBLE, CommandError
from spalloc_client.scripts.wording import job_json, local_time
from spalloc_client.terminal.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client.protocol_client import ProtocolClient
    from spalloc_client.terminal.table import Cell

MOST_ENDED_JOBS = 1000
"""The number that a server lists at once."""
_COMMAND = "list_ended_jobs"


def with_ended(
    client: ProtocolClient,
    live: list[Listed],
    machine: str | None,
    owner: str | None,
    timeout: float | None,
) -> list[Listed]:
    """Return jobs that are, or were when just asked for, live, and the latest ended ones; the oldest first.

    Args:
        client: A connection.
        live: The live jobs; one that has ended since is described as that.
        machine: Only ended jobs that had boards of this machine; None for any.
        owner: Only ended jobs of this owner; None for any.
        timeout: Seconds to wait for the answer.

    Raises:
        CommandError: The server does not remember ended jobs.
    """
    try:
        answer = client.call(_COMMAND, owner=owner, machine=machine, limit=MOST_ENDED_JOBS, timeout=timeout)
    except SpallocServerException as error:
        why = printable(str(error))
        raise CommandError(
            SERVER_TROUBLE, f"the server does not tell of ended jobs ({why}); try without --all"
        ) from error
    jobs = {job.job_id: job for job in [*live, *map(Ended, entries(_COMMAND, answer))]}
    return sorted(jobs.values(), key=lambda job: job.job_id)


def end_cells(job: Listed) -> list[Cell]:
    """Return when a job ended and why, empty for a live one."""
    if not isinstance(job, Ended):
        return ["", ""]
    return [local_time(job.ended), printable(job.reason or "")]


def any_job_json(job: Listed) -> dict[str, object]:
    """Return a job, live or ended, as a JSON object; its keys are documented and stay."""
    ended, reason = (job.ended, job.reason) if isinstance(job, Ended) else (None, None)
    return {**job_json(job), "ended": ended, "reason": reason}
