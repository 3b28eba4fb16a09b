"""Runs benchmarks: `python -m benchmarks [ROOM ...] [--quick]`.

Without rooms, it runs all of them. It keeps the results and writes the pages from them. README.md in this folder
lists the rooms, which say what is measured; suite/ says how.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from benchmarks.boards.virtual import virtual_boards
from benchmarks.client.calls import calls
from benchmarks.client.installed import installed
from benchmarks.client.jobs import jobs
from benchmarks.client.start import start
from benchmarks.http.carried import carried
from benchmarks.http.hanging import hanging
from benchmarks.http.memory import board_memory
from benchmarks.http.relay import relays
from benchmarks.http.start import starts
from benchmarks.programs.ours import made_environments
from benchmarks.report import tables
from benchmarks.report.__main__ import FOLDER, write
from benchmarks.report.pages import PAGES, Page
from benchmarks.scheduling.growth import growth
from benchmarks.scheduling.waits import trace_waits
from benchmarks.server.commands import commands
from benchmarks.server.crowds import crowds
from benchmarks.server.ready import ready
from benchmarks.server.restart import restart
from benchmarks.suite import results as results_file
from benchmarks.suite.machine import this_machine
from benchmarks.suite.measurement import Effort, Failed
from benchmarks.suite.results import Result, Results, RoomResults, result_of
from benchmarks.suite.run import Room, run
from spalloc_server.runtime import allow_descriptors

ROOMS: Mapping[str, tuple[Room, ...]] = {
    "client": (installed, start, jobs, calls),
    "server": (commands, ready, restart, crowds),
    "scheduling": (trace_waits, growth),
    "boards": (virtual_boards,),
    "http": (carried, hanging, relays, board_memory, starts),
}
DESCRIPTORS = 19_000


def say(text: str) -> None:
    """Print progress."""
    print(text, file=sys.stderr, flush=True)


def measured(name: str, effort: Effort, of_run: str) -> tuple[RoomResults, list[Failed]]:
    """Run a room."""
    began = time.monotonic()
    results: list[Result] = []
    failed: list[Failed] = []
    for outcome in [outcome for scenes in ROOMS[name] for outcome in run(name, scenes, effort, say)]:
        if isinstance(outcome, Failed):
            failed.append(outcome)
        else:
            failed += attempt(
                outcome.measurement.name, lambda outcome=outcome: results.append(result_of(outcome))
            )
    seconds = round(time.monotonic() - began, 1)
    return RoomResults(date.today().isoformat(), of_run, seconds, tuple(results)), failed


def kept(page: Page, names: list[str]) -> dict[str, RoomResults]:
    """Return the results of a page's other rooms that an earlier run took on this machine.

    Raises:
        SystemExit: They were taken on another machine.
    """
    file = FOLDER / page.results
    if set(names) >= set(page.rooms) or not set(names) & set(page.rooms) or not file.exists():
        return {}
    earlier = results_file.read(file)
    if earlier.machine != this_machine():
        raise SystemExit(
            f"{file.name} holds results of another machine ({earlier.machine}), and one file holds those of one: "
            f"run all its rooms ({', '.join(page.rooms)}), or look at some with --quick, which keeps nothing"
        )
    return {name: room for name, room in earlier.rooms.items() if name not in names}


def keep(page: Page, found: Mapping[str, RoomResults], earlier: Mapping[str, RoomResults]) -> None:
    """Write the results of a page's rooms into its file, if any were measured."""
    rooms = {**earlier, **{name: room for name, room in found.items() if name in page.rooms}}
    if set(rooms) & set(found):
        of_page = {name: rooms[name] for name in page.rooms if name in rooms}
        results_file.write(FOLDER / page.results, Results(this_machine(), of_page))


def attempt(name: str, work: Callable[[], None]) -> list[Failed]:
    """Do something whose failure must not end the run."""
    try:
        work()
    except Exception as problem:  # noqa: BLE001 - what was measured before is kept
        return [Failed(name, f"{type(problem).__name__}: {problem}")]
    return []


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return what to run: `rooms`, and whether `quick`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure side by side with published programs."
    )
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"one of {', '.join(ROOMS)} (default: all)")
    parser.add_argument(
        "--quick", action="store_true", help="measure less, sooner, and print it instead of keeping it"
    )
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.rooms) - set(ROOMS)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(ROOMS)}")
    options.rooms = options.rooms or [*ROOMS]
    return options


def prepare() -> None:
    """Allow this process, and those it starts, many connections, and let Ctrl-C stop them."""
    allow_descriptors(DESCRIPTORS)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Whatever starts this in the background has Ctrl-C ignored; servers that are stopped by it would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main(arguments: list[str]) -> int:
    """Run what is named, and return 1 if any of it went wrong."""
    options = parsed(arguments)
    prepare()
    failed: list[Failed] = []
    began, of_run = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    with made_environments():
        earlier = {} if options.quick else {page: kept(page, options.rooms) for page in PAGES}
        found: dict[str, RoomResults] = {}
        for name in [name for name in ROOMS if name in options.rooms]:
            found[name], problems = measured(name, Effort(options.quick), of_run)
            failed += problems
        for page, rooms in earlier.items():
            keep(page, found, rooms)
    if options.quick:
        for name, room in found.items():
            print(f"## {name}\n\n{tables.room(room.results)}")
    else:
        failed += attempt("pages", write)
    for result in [result for room in found.values() for result in room.results]:
        if not result.reason and not tables.is_better(result):
            say(f"{result.name} is not clearly better than a published program, and no reason is given")
    for failure in failed:
        say(f"FAILED: {failure.name}: {failure.message}")
    say(f"{time.monotonic() - began:.0f} s in all")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
