# The page of profiles, and what was done about what they show.
"""Profiles as a page."""

from benchmarks.profiles.results import Profile, Profiles, read
from benchmarks.report.tables import table
from benchmarks.suite.results import Results

SHOWN = 3
HEAD = """<!-- generated: by `make bench`; change benchmarks/report/ instead -->

# Where the time goes

The three paths that take longest beside the least that the machine allows, each done over and over again under
Python's profiler on {taken}. *Own* is a function's share of all time without what it called, *whole* the share with it.
A profiler makes calls of Python functions slower than they are, so shares are a hint; figures are taken without it.
"""


def page(profiles: Profiles, results: Results) -> str:
    """Return the page: the profiled paths with the largest distance from what the machine allows, largest first."""
    ranked = sorted(profiles.profiles, key=lambda profile: _share(profile, results))[:SHOWN]
    parts = [HEAD.format(taken=profiles.taken)]
    for profile in ranked:
        result = results.find(profile.measurement)
        title = result.work if result else profile.measurement
        share = _share(profile, results)
        rows = [
            [f"`{each.name}`", f"{each.calls:g}", f"{100 * each.own:.1f} %", f"{100 * each.whole:.1f} %"]
            for each in profile.functions
        ]
        parts.append(
            f"## {title}\n\nOurs reaches {100 * share:.0f} % of what the machine allows. Profiled over "
            f"{profile.operations:,} operations.\n\n"
            f"{table(('function', 'calls an operation', 'own', 'whole'), rows)}\n{DONE.get(profile.measurement, '')}"
        )
    return "\n".join(part.strip() + "\n" for part in parts)


def _share(profile: Profile, results: Results) -> float:
    result = results.find(profile.measurement)
    shares = [limit.times_better.median for limit in result.limits if limit.times_better] if result else []
    return min(shares, default=1.0)


DONE: dict[str, str] = {
    "server/pipelined": """\
**Done.** Replies of one turn, 16 commands at the most, are written together. Before, each was a write of its own,
which is a call of the system: 12 µs of processor time a command became 7.

**Left.** Reading and writing JSON is most of what remains. msgspec, which the server has anyway, does it in a tenth of
the time of the standard library. The wire format and its refusals are shared with the client, though, which keeps to
the standard library; they would have to be written twice, and agree to the letter.""",
    "server/pairs": """\
**Done before.** Commands that arrive together share one commit, and the packets of all jobs of a frame share one
conversation with its BMP.

**Left.** Most of it is not the protocol and not the disk, but the hardware: each pair powers a board on and off and
cuts its six links, which is nine packets to a BMP and nine answers, every one of them needed. With the machine full
(`create_job` that only waits for boards), the same loop does several times as many pairs, as the line with 10,000
live jobs shows.""",
    "client/notification": """\
**Left.** All but a twentieth is waiting for the packet: the system puts the process to sleep and wakes it up again.
What ours does itself is 30 µs under the profiler: one `poll`, one `recv`, lines, JSON, and a check that it is a
notification and not something else. The bare socket does `recv` and JSON.""",
    "client/call": """\
**Left.** Two thirds are `send` and the wake-up behind it, the system's work. The rest is JSON in both directions
and the bookkeeping by which threads share a connection: who is sending, who reads for all, and to whom a reply
belongs.""",
}
"""What was done about each path, and what was not."""

__all__ = ["page", "read"]
