"""The time limits of jobs: of the site and its tags in `[jobs]`, of machines in their own tables.

core/limits.py says which of them a job gets.
"""

from spalloc_server.config.kinds import a_time_limit
from spalloc_server.config.reading import Table
from spalloc_server.core.limits import DEFAULT_WARNING_SECONDS, LimitRules, TimeLimits


def read_limits(jobs: Table, machines: list[Table]) -> LimitRules:
    """Return the time limits that `[jobs]` and the machines' tables say, and note what is wrong with them."""
    default = jobs.take("default_time_limit", a_time_limit, None)
    longest = jobs.take("longest_time_limit", a_time_limit, None)
    _check(jobs, TimeLimits(default, longest))
    of_tags = {}
    tags = jobs.table("tags")
    for tag in tags.values:
        inner = tags.table(tag)
        of_tags[tag] = _limits(inner)
        inner.finish()
    of_machines = {}
    for machine in machines:
        name = machine.values.get("name")
        if isinstance(name, str):
            machine.mistakes.call(machine.path, name)
        limits = _limits(machine)
        if isinstance(name, str) and limits != TimeLimits():
            of_machines[name] = limits
    return LimitRules(
        default,
        longest,
        jobs.take("time_limit_warning", a_time_limit, DEFAULT_WARNING_SECONDS),
        of_tags,
        of_machines,
    )


def _limits(table: Table) -> TimeLimits:
    limits = TimeLimits(
        table.take("default_time_limit", a_time_limit, None),
        table.take("longest_time_limit", a_time_limit, None),
    )
    _check(table, limits)
    return limits


def _check(table: Table, limits: TimeLimits) -> None:
    if limits.default is not None and limits.longest is not None and limits.default > limits.longest:
        table.entry("default_time_limit").wrong("at most longest_time_limit")
