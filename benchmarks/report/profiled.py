"""The page of profiles, and what was done about what they show."""

from benchmarks.profiles.ranking import slowest
from benchmarks.profiles.results import Profiles, read
from benchmarks.report.tables import table
from benchmarks.suite.results import Results

HEAD = """<!-- generated: by `make bench`; change benchmarks/report/ instead -->

# Where the time goes

The three paths that took longest beside the least that the machine allows, done under Python's profiler
on {taken}. *Own* is a function's share of all time without what it called, *whole* the share with it.
A profiler makes calls of Python functions slower than they are, so shares are a hint; figures are taken without it.
"""


def page(profiles: Profiles, results: Results) -> str:
    """Return the page: the profiled paths with the largest distance from what the machine allows, largest first."""
    shares = dict(slowest(results))
    ranked = sorted(profiles.profiles, key=lambda profile: shares.get(profile.measurement, 1.0))
    parts = [HEAD.format(taken=profiles.taken)]
    for profile in ranked:
        result = results.find(profile.measurement)
        title = result.work if result else profile.measurement
        rows = [
            [f"`{each.name}`", f"{each.calls:g}", f"{100 * each.own:.1f} %", f"{100 * each.whole:.1f} %"]
            for each in profile.functions
        ]
        parts.append(
            f"## {title}\n\n{_reached(shares.get(profile.measurement))}Profiled over {profile.operations:,} "
            f"{'operation' if profile.operations == 1 else 'operations'}.\n\n"
            f"{table(('function', 'calls an operation', 'own', 'whole'), rows)}\n{DONE.get(profile.measurement, '')}"
        )
    return "\n".join(part.strip() + "\n" for part in parts)


def _reached(share: float | None) -> str:
    return f"Ours reaches {100 * share:.0f} % of what the machine allows. " if share is not None else ""


DONE: dict[str, str] = {
    "server/pipelined": """\
**Done.** Replies of one turn, 32 commands at the most, are written together; before, each was a write of its own,
which is a call of the system. JSON is read and written by msgspec; by the standard library, as in the client, it was
half of a command's time.

**Left.** What stands between: which command it is, whether its arguments are right, and its reply.""",
    "server/pairs": """\
**Done before.** Commands that arrive together share one commit, and the packets of all jobs of a frame share one
conversation with its BMP.

**Left.** Each pair powers a board on and off and cuts its six links, which is nine packets to a BMP and nine answers,
every one of them needed: the functions of `hardware/` and `spinnaker/` in this table.""",
    "server/version": """\
**Left.** A line read, a command found, a reply written; the rest is the event loop's and the system's.""",
    "server/list-first": """\
**Done.** What is said of a job is put into bytes once and kept until the job changes, and the server does so ahead of
time in idle moments.

**Left.** The jobs that no moment was left for, and the bytes themselves on their way: several megabytes.""",
    "server/list": """\
**Done.** What is said of a job is put into bytes once and kept until the job changes; a listing joins these parts.

**Left.** The joining, and the bytes themselves on their way: several megabytes.""",
    "client/notification": """\
**Left.** Waiting for the packet: the system puts the process to sleep and wakes it up again. What ours does itself is
one `poll`, one `recv`, lines, JSON, and a check that it is a notification and not something else. The bare socket does
`recv` and JSON.""",
    "client/call": """\
**Left.** `send`, and the wake-up behind it, are the system's work. The rest is JSON in both directions and the
bookkeeping by which threads share a connection: who is sending, who reads for all, and to whom a reply
belongs.""",
}
"""What was done about each path, and what was not."""

__all__ = ["page", "read"]
