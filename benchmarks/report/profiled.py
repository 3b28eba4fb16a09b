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


DONE: dict[str, str] = {}
"""What was done about each path, and what was not."""

__all__ = ["page", "read"]
