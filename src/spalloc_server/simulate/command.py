"""The subcommand `spalloc-server simulate`: arguments in; text, JSON and SVG out.

See simulation.py for the simulation itself.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from time import process_time

from spalloc_client.terminal.console import output
from spalloc_server.core.machine import Machine
from spalloc_server.parsing import Parser
from spalloc_server.simulate.picture import draw, occupancy
from spalloc_server.simulate.simulation import Figures, History, figures, simulate
from spalloc_server.simulate.trace import TraceError, read_trace
from spinnaker.geometry import Board, Size, boards_of

_LARGEST = 1000
"""Triads along each side of the largest machine that is simulated."""


def main(words: Sequence[str]) -> int:
    """Run the command with these arguments.

    Returns:
        the exit status: 0, or 1 if the trace cannot be read or the picture cannot be written.
    """
    parser = Parser(
        prog="spalloc-server simulate",
        description="Run a trace of jobs through the scheduler in simulated time.",
    )
    parser.add_argument("trace", type=Path, metavar="TRACE.csv", help="jobs: columns submit,duration,boards")
    parser.add_argument(
        "--machine",
        type=_size,
        required=True,
        metavar="WxH",
        help="size of the machine in triads, such as 20x20",
    )
    parser.add_argument(
        "--dead-boards",
        type=_count,
        default=0,
        metavar="N",
        help="how many boards, chosen at random, are dead (default 0)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="seed of the random choice, a whole number (default 0)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw occupancy over time into FILE")
    arguments = parser.parse_args(words)
    machine = simulated_machine(arguments.machine, arguments.dead_boards, arguments.seed)
    try:
        history = simulate(machine, read_trace(arguments.trace), process_time)
        if arguments.svg is not None:
            _write(
                arguments.svg, draw([occupancy(history, f"{arguments.trace.name} on {machine.size} triads")])
            )
    except TraceError as error:
        print(f"spalloc-server simulate: {error}", file=sys.stderr)
        return 1
    found = figures(history)
    output().print([json.dumps(asdict(found)) if arguments.json else _text(found, history)])
    return 0


def simulated_machine(size: Size, dead_boards: int, seed: int) -> Machine:
    """Return a torus with some dead boards, chosen at random.

    Args:
        size: In triads.
        dead_boards: How many boards are dead; all, if there are no more than that.
        seed: The seed of the random choice.
    """
    boards = boards_of(size)
    dead: list[Board] = Random(seed).sample(boards, min(dead_boards, len(boards)))
    return Machine("simulated", size, dead_boards=frozenset(dead))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}.") from error


def _size(text: str) -> Size:
    try:
        size = Size.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if max(size) > _LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size of 1 to {_LARGEST} triads along each side")
    return size


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of boards, 0 or more")
    return int(text)


def _text(found: Figures, history: History) -> str:
    lines = [
        f"jobs started      {found.started} of {found.started + found.refused}",
        f"mean wait         {found.mean_wait:,.0f} s",
        f"median wait       {found.median_wait:,.0f} s",
        f"95 % waited up to {found.p95_wait:,.0f} s",
        f"longest wait      {found.max_wait:,.0f} s",
        f"use of boards     {found.requested_use:.1%}",
        f"deciding          {found.us_per_event:,.0f} µs an event",
    ]
    lines += [f"never: {sentence}" for sentence in dict.fromkeys(sentence for _, sentence in history.refused)]
    return "\n".join(lines)
