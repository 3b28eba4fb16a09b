"""The subcommand `spalloc-server simulate`: arguments in; text, JSON and SVG out.

See simulation.py for the simulation itself.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time

from spalloc_client.terminal.console import output
from spalloc_client.terminal.text import Text, printable
from spalloc_server.core.machine import Machine
from spalloc_server.parsing import Parser
from spalloc_server.simulate.comparison import Outcome, run
from spalloc_server.simulate.picture import draw, occupancy
from spalloc_server.simulate.report import as_json, lines
from spalloc_server.simulate.settings import (
    Change,
    Settings,
    SettingsError,
    machine_of,
    settings_of_machines,
    settings_of_site,
    with_dead_boards,
    with_names,
)
from spalloc_server.simulate.swf import read_swf
from spalloc_server.simulate.trace import Trace, TraceError, read_trace
from spalloc_server.simulate.variation import Limits

_MOST_RUNS = 1000
_SWF = (".swf", ".swf.gz")


def main(words: Sequence[str]) -> int:
    """Run the command with these arguments.

    Returns:
        the exit status: 0, or 1 if the trace or a configuration cannot be read or the picture cannot be written.
    """
    parser = _parser()
    arguments = parser.parse_args(words)
    if not arguments.machine and not arguments.site:
        parser.error("say on which machines: --machine WxH, or --site CONFIG.toml")
    if arguments.dead_boards and not arguments.machine:
        parser.error("--dead-boards is for --machine; a site's configuration names its own")
    try:
        settings = _settings(arguments)
        trace = _trace(arguments.trace, arguments.processors_per_board)
        outcomes = [
            run(trace, each, process_time, runs=arguments.runs, seed=arguments.seed) for each in settings
        ]
        if arguments.svg is not None:
            _write(arguments.svg, _picture(outcomes, arguments.trace.name))
    except (TraceError, SettingsError) as error:
        print(f"spalloc-server simulate: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        output().print([as_json(outcomes, trace)])
    else:
        output().print(line if isinstance(line, Text) else printable(line) for line in lines(outcomes, trace))
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="spalloc-server simulate",
        description="Run a trace of jobs through the scheduler in simulated time, under one or more settings.",
        epilog="Several --site, --set and --limits are compared with each other, in one table and one picture.",
    )
    parser.add_argument(
        "trace",
        type=Path,
        metavar="TRACE",
        help="jobs: CSV with the columns submit,duration,boards and, if wanted, owner,limit; or a log in the Standard "
        "Workload Format, .swf or .swf.gz",
    )
    parser.add_argument(
        "--machine",
        type=_machine,
        action="append",
        default=[],
        metavar="[NAME=]WxH[:TAGS]",
        help="a machine, by its size in triads, such as 20x20 or room=20x20:default,large; once for each machine",
    )
    parser.add_argument(
        "--site",
        type=Path,
        action="append",
        default=[],
        metavar="CONFIG.toml",
        help="the machines and settings of this configuration",
    )
    parser.add_argument(
        "--set",
        type=_change,
        nargs="+",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="compare with other settings: parameters of the scheduler, such as patience=1800, or settings of the "
        "site, such as jobs.live=100",
    )
    parser.add_argument(
        "--limits",
        action="append",
        choices=[limits.value for limits in Limits],
        help="time limits of the jobs: those of the trace (declared, the default), none, or made ones for jobs that "
        "have none",
    )
    parser.add_argument(
        "--processors-per-board",
        type=_positive,
        metavar="N",
        help="how many of a log's processors are a board (default: the log's whole machine is the whole machine)",
    )
    parser.add_argument(
        "--runs",
        type=_runs,
        default=1,
        metavar="N",
        help="run each setting so often, with every length changed by up to 1 %%, and tell the mean and the range",
    )
    parser.add_argument(
        "--dead-boards",
        type=_count,
        default=0,
        metavar="N",
        help="how many boards of each --machine, chosen at random, are dead (default 0)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="seed of all random choices, a whole number (default 0)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw occupancy over time into FILE")
    return parser


def _settings(arguments: argparse.Namespace) -> list[Settings]:
    """Return all settings that are asked for: the machines and each site, as they are and with each change."""
    machines = [
        with_dead_boards(machine, arguments.dead_boards, arguments.seed)
        for machine in with_names(arguments.machine)
    ]
    changes: list[list[Change]] = [[], *arguments.set]
    found: list[Settings] = []
    for limits in map(Limits, dict.fromkeys(arguments.limits or [Limits.DECLARED.value])):
        for change in changes:
            if machines:
                found.append(settings_of_machines(machines, change, limits))
            found += [settings_of_site(path, change, limits) for path in arguments.site]
    if len({each.limits for each in found}) > 1:
        found = [each.telling_limits() for each in found]
    return found


def _trace(path: Path, processors_per_board: int | None) -> Trace:
    if path.name.lower().endswith(_SWF):
        return read_swf(path, processors_per_board)
    return Trace(str(path), tuple(read_trace(path)))


def _picture(outcomes: Sequence[Outcome], name: str) -> str:
    return draw([occupancy(outcome.first, f"{name} on {outcome.settings.name}") for outcome in outcomes])


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}.") from error


def _machine(text: str) -> Machine:
    try:
        return machine_of(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _change(text: str) -> Change:
    try:
        return Change.parse(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of boards, 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processors, 1 to 1000000")
    return int(text)


def _runs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_RUNS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs, 1 to {_MOST_RUNS}")
    return int(text)
