"""Markdown tables of results.

Nothing is measured or compared here: the results already hold every figure.
"""

from collections.abc import Iterable, Sequence

from benchmarks.report.figures import figure, spread_out, times
from benchmarks.suite.measurement import Unit
from benchmarks.suite.results import Measured, Result, Results
from benchmarks.suite.statistics import Better

IN_README = (
    "server/ready-1",
    "server/ready-400",
    "scheduling/busy-mean",
    "scheduling/busy-longest",
    "server/start-with-jobs",
    "client/command-ps",
)
"""The measurements in README, by name: at most six."""


def summary(results: Results) -> str:
    """Return the README's table."""
    rows = []
    for result in [found for name in IN_README if (found := results.find(name))]:
        best = strongest(result)
        rows.append(
            [
                _work(result),
                _median(result.ours, result.unit),
                _named(best, result.unit) if best else "",
                times(best.times_better) if best and best.times_better else "",
            ]
        )
    return table(("what", "spalloc", "best published", "times better"), rows)


def room(results: Sequence[Result]) -> str:
    """Return the table of everything that was measured in a room."""
    names = list(dict.fromkeys(subject.name for result in results for subject in result.subjects[1:]))
    rows = []
    for result in results:
        cells = [_work(result), _whole(result.ours, result.unit)]
        for name in names:
            subject = result.subject(name)
            cells.append(_compared(subject, result.unit) if subject else "")
        rows.append([*cells, remarks(result)])
    return table(("what", "spalloc", *names, "remarks"), rows)


def strongest(result: Result) -> Measured | None:
    """Return the published program that comes nearest to ours, or is ahead of it."""
    compared = [peer for peer in result.peers if peer.times_better]
    return min(compared, key=lambda peer: peer.times_better.median, default=None) or next(
        iter(result.peers), None
    )


def is_better(result: Result) -> bool:
    """Whether ours is clearly better than every published program that was measured: in three of four rounds."""
    # Without repeated rounds the quartile is the only value there is.
    return all(peer.times_better.low > 1 for peer in result.peers if peer.times_better)


def remarks(result: Result) -> str:
    """Return the notes that a reader needs: the reason, and whose work was different."""
    said = [result.reason] if result.reason else []
    for subject in result.subjects:
        if subject.note:
            said.append(f"{subject.name}: {subject.note}.")
        if subject.failure and subject.samples:
            part = f"{len(subject.samples)} of {subject.rounds} rounds"
            said.append(f"{subject.name} took part in {part}: {subject.failure}.")
        elif subject.failure:
            said.append(f"{subject.name} cannot: {subject.failure}.")
    return " ".join(said)


def table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; columns that would be empty are left out."""
    heads, rows = list(heads), [list(row) for row in rows]
    kept = [index for index in range(len(heads)) if any(row[index] for row in rows)]
    lines = [[heads[index] for index in kept], ["---"] * len(kept)]
    lines += [[row[index].replace("|", "\\|") for index in kept] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _work(result: Result) -> str:
    return result.work + (" (more is better)" if result.better is Better.HIGHER else "")


def _median(subject: Measured, unit: Unit) -> str:
    return figure(subject.spread.median, unit) if subject.spread else "not measured"


def _named(subject: Measured, unit: Unit) -> str:
    return f"{_median(subject, unit)} ({subject.name})"


def _whole(subject: Measured, unit: Unit) -> str:
    return spread_out(subject.spread, unit) if subject.spread else "not measured"


def _compared(subject: Measured, unit: Unit) -> str:
    if not subject.spread or not subject.times_better:
        return "not measured"
    return f"{spread_out(subject.spread, unit)}; **{times(subject.times_better)}**"
