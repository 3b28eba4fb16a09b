"""What a simulation is told as: lines and tables for people, JSON for programs.

The figures come from figures.py, the outcomes from comparison.py.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from operator import attrgetter

from spalloc_client.terminal.table import table
from spalloc_client.terminal.text import Text
from spalloc_server.simulate.comparison import Outcome
from spalloc_server.simulate.figures import Figures, spread, worst_owner
from spalloc_server.simulate.trace import Trace
from spalloc_server.words import counted

_MOST_REASONS = 10
"""How many reasons why jobs never run are told."""

_Shown = Callable[[float], str]


def _seconds(value: float) -> str:
    return f"{value:,.0f}"


def _times(value: float) -> str:
    return f"{value:,.1f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def lines(outcomes: Sequence[Outcome], trace: Trace) -> Iterator[str | Text]:
    """Yield what people are told: of one outcome a list, of several a table."""
    if len(outcomes) == 1:
        yield from _list(outcomes[0])
    else:
        yield from _table(outcomes)
    for count, reason in ((count, reason) for reason, count in trace.left_out.items()):
        yield f"left out: {counted(count, 'job')} of the log that {reason}"
    for outcome in outcomes:
        name = "" if len(outcomes) == 1 else f"{outcome.settings.name}, "
        if outcome.settings.reservations:
            yield f"{name}not simulated: {counted(outcome.settings.reservations, 'reservation')}"
        reasons = list(dict.fromkeys(sentence for _, sentence in outcome.first.refused))
        yield from (f"{name}never: {reason}" for reason in reasons[:_MOST_REASONS])
        if len(reasons) > _MOST_REASONS:
            yield f"{name}never: {len(reasons) - _MOST_REASONS} more reasons"


def _list(outcome: Outcome) -> Iterator[str]:
    found = outcome.figures

    def told(name: str, shown: _Shown, unit: str = "") -> str:
        return _spread(found, name, shown, unit)

    started, refused = found[0].started, found[0].refused
    yield f"jobs started      {started} of {started + refused}"
    if len(found) > 1:
        yield f"runs              {len(found)}, told as mean (least to most)"
    yield f"mean wait         {told('mean_wait', _seconds, ' s')}"
    yield f"median wait       {told('median_wait', _seconds, ' s')}"
    yield f"95 % waited up to {told('p95_wait', _seconds, ' s')}"
    yield f"longest wait      {told('max_wait', _seconds, ' s')}"
    yield f"mean slowdown     {told('mean_slowdown', _times)}"
    if owner := worst_owner(found):
        yield f"worst-off owner   {owner}: mean slowdown {told('worst_owner_slowdown', _times)}"
    if any(each.at_limit for each in found):
        yield f"ended at limit    {told('at_limit', _seconds)}"
    yield f"use of boards     {told('requested_use', _percent)}"
    yield f"deciding          {told('us_per_event', _seconds, ' µs an event')}"


def _table(outcomes: Sequence[Outcome]) -> list[Text]:
    headings = (
        "settings",
        "started",
        "mean wait, s",
        "95 % up to",
        "longest",
        "slowdown",
        "use",
        "worst-off owner",
    )
    rows = []
    for outcome in outcomes:
        found = outcome.figures
        owner = worst_owner(found)
        worst = _spread(found, "worst_owner_slowdown", _times)
        rows.append(
            (
                outcome.settings.name,
                f"{found[0].started} of {found[0].started + found[0].refused}",
                _spread(found, "mean_wait", _seconds),
                _spread(found, "p95_wait", _seconds),
                _spread(found, "max_wait", _seconds),
                _spread(found, "mean_slowdown", _times),
                _spread(found, "requested_use", _percent),
                f"{owner}: {worst}" if owner else "",
            )
        )
    return table(headings, rows)


def _spread(found: Sequence[Figures], name: str, shown: _Shown, unit: str = "") -> str:
    over = spread(found, attrgetter(name))
    least, mean, most = shown(over.least), shown(over.mean), shown(over.most)
    return f"{mean}{unit}" if least == most else f"{mean}{unit} ({least} to {most})"


def as_json(outcomes: Sequence[Outcome], trace: Trace) -> str:
    """Return the figures as JSON: of one outcome an object, of several an array of such objects.

    Each figure is its mean over the runs; of more than one run, `ranges` has the least and the most.
    """
    found = [_object(outcome, trace) for outcome in outcomes]
    return json.dumps(found[0] if len(found) == 1 else found)


def _object(outcome: Outcome, trace: Trace) -> dict[str, object]:
    found = outcome.figures
    value: dict[str, object] = {"settings": outcome.settings.name, "runs": len(found)}
    ranges = {}
    for name, first in asdict(found[0]).items():
        if isinstance(first, str):
            value[name] = worst_owner(found)
            continue
        over = spread(found, attrgetter(name))
        value[name] = over.mean if len(found) > 1 else first
        ranges[name] = [over.least, over.most]
    if len(found) > 1:
        value["ranges"] = ranges
    value["left_out"] = dict(trace.left_out)
    value["reservations_left_out"] = outcome.settings.reservations
    return value
