"""Which paths take longest beside what the machine allows.

Values only, from a run's results; how a path is profiled stands in paths.py.
"""

from benchmarks.suite.measurement import BARE_SERVER, BARE_SOCKET, UDP_ECHO, Unit
from benchmarks.suite.results import Result, Results

SHOWN = 3
SAME_WORK = frozenset(limit.name for limit in (BARE_SERVER, BARE_SOCKET, UDP_ECHO))
"""Limits that do what can be compared; a bare interpreter, say, does none of a command's work."""
SAME_PATH = {"server/pairs-among-jobs": "server/pairs", "server/version-among-jobs": "server/version"}
"""Measurements of a path that another one is a measurement of already, by name."""


def share(result: Result) -> float | None:
    """Return the share that ours reaches of what the machine allows, or None when no limit did the same work."""
    shares = [
        limit.times_better.median
        for limit in result.limits
        if limit.times_better and limit.name in SAME_WORK and result.unit in (Unit.SECONDS, Unit.PER_SECOND)
    ]
    return min(shares, default=None)


def slowest(results: Results) -> list[tuple[str, float]]:
    """Return the measurements of the paths with the lowest shares and these shares, lowest first."""
    found: dict[str, float] = {}
    for result in results.all():
        of = share(result)
        path = SAME_PATH.get(result.name, result.name)
        if of is not None and results.find(path):
            found[path] = min(of, found.get(path, of))
    return sorted(found.items(), key=lambda each: each[1])[:SHOWN]
