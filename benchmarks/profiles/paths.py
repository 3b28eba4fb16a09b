"""The paths that may take longest beside what the machine allows, done over and over again under a profiler.

What was done about each is told in report/profiled.py.
"""

import os
import pstats
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.client import calls
from benchmarks.limits.servers import bare_server
from benchmarks.load.client import Client, fill
from benchmarks.load.users import pairs_a_second
from benchmarks.profiles.ranking import slowest
from benchmarks.profiles.results import Profile, Profiles, summed_up
from benchmarks.programs.address import Address
from benchmarks.programs.clients import clients
from benchmarks.programs.ours import OurServer, site
from benchmarks.server.commands import (
    AT_ONCE,
    CLIENTS,
    FILL_SECONDS,
    JOBS,
    LIST,
    LIST_FIRST,
    PAIRS,
    PIPELINED,
    VERSION,
    VERSION_LINE,
)
from benchmarks.suite.measurement import OURS, CannotDoError
from benchmarks.suite.results import Results

SECONDS = 3.0
NOTIFICATIONS = 1000
ROUND_TRIPS = 10_000
LISTINGS = 10
PATIENCE_SECONDS = 30.0
UNDER_PROFILER = """
import cProfile
profile = cProfile.Profile()
profile.enable()
{}
profile.disable()
profile.dump_stats(sys.argv[-1])
"""


def profiled(say: Callable[[str], None], results: Results) -> Profiles:
    """Profile the paths that took longest beside what the machine allows.

    Raises:
        CannotDoError: Nobody has written down how one of them is profiled.
    """
    names = [name for name, _ in slowest(results)]
    if unknown := [name for name in names if name not in PATHS]:
        raise CannotDoError(f"profiles/paths.py does not say how to profile {', '.join(unknown)}")
    taken = []
    for measurement in names:
        taken.append(PATHS[measurement](measurement))
        say(f"profile of {measurement}: {taken[-1].operations} operations")
    return Profiles(date.today().isoformat(), tuple(taken))


def _pairs(address: Address) -> int:
    began = time.monotonic()
    each_second = pairs_a_second(address, CLIENTS, SECONDS)
    return int(each_second * (time.monotonic() - began))


def _pipelined(address: Address) -> int:
    with Client(address) as client:
        client.lines_a_second(VERSION_LINE, 50, AT_ONCE)
    return 50 * AT_ONCE


def _versions(address: Address) -> int:
    with Client(address) as client:
        client.seconds_each(VERSION_LINE, ROUND_TRIPS)
    return ROUND_TRIPS


def _fill(address: Address) -> None:
    with Client(address) as client:
        fill(client, JOBS, FILL_SECONDS)


def _fill_and_list(address: Address) -> None:
    _fill(address)
    with Client(address) as client:
        client.call("list_jobs")


def _list_once(address: Address) -> int:
    with Client(address) as client:
        client.call("list_jobs")
    return 1


def _list_often(address: Address) -> int:
    with Client(address) as client:
        for _ in range(LISTINGS):
            client.call("create_job", 3, owner="me", keepalive=None)
            client.call("list_jobs")
    return LISTINGS


def _of_server(
    work: Callable[[Address], int], before: Callable[[Address], None] = lambda _: None
) -> Callable[[str], Profile]:
    """A path of the server: what `work` makes it do, and returns the number of, once `before` is done."""

    def profile(measurement: str) -> Profile:
        with site(20, 20) as (machine, folder), tempfile.TemporaryDirectory() as own:
            written = Path(own) / "profile"
            server = ProfiledServer(machine, folder, written)
            with server.running() as address:
                with Client(address) as client:
                    client.call("version")
                before(address)
                os.kill(address.pid, signal.SIGUSR1)
                operations = work(address)
                os.kill(address.pid, signal.SIGUSR2)
                with Client(address) as client:
                    client.call("version")  # wakes the server, which looks at signals then
                until = time.monotonic() + PATIENCE_SECONDS
                while not written.exists():
                    if time.monotonic() > until:
                        raise CannotDoError("the profiled server wrote no profile")
                    time.sleep(0.05)
                return summed_up(measurement, operations, pstats.Stats(str(written)))

    return profile


def _of_client(program: str, *arguments: str) -> Callable[[str], Profile]:
    """A path of the client: a program that is given the port of a bare server, and how often to do its work."""

    def profile(measurement: str) -> Profile:
        setting, work = program.split("with ProtocolClient", 1)
        watched = setting + UNDER_PROFILER.format("with ProtocolClient" + work.strip("\n"))
        with bare_server("answers") as address, tempfile.TemporaryDirectory() as own:
            written = str(Path(own) / "profile")
            clients()[OURS].run(watched, str(address.port), *arguments, written)
            return summed_up(measurement, int(arguments[0]), pstats.Stats(written))

    return profile


class ProfiledServer(OurServer):
    """Our server under a profiler."""

    def __init__(self, machine: dict[str, Any], folder: Path, written: Path) -> None:
        program = [sys.executable, "-m", "benchmarks.profiles.server", str(written)]
        super().__init__(machine, folder, program)
        # The server works in a folder of its own; the benchmarks are found from here.
        self._variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


PATHS: dict[str, Callable[[str], Profile]] = {
    PIPELINED.name: _of_server(_pipelined),
    PAIRS.name: _of_server(_pairs),
    VERSION.name: _of_server(_versions),
    LIST_FIRST.name: _of_server(_list_once, _fill),
    LIST.name: _of_server(_list_often, _fill_and_list),
    calls.NOTIFIED.name: _of_client(calls.NOTIFICATIONS, str(NOTIFICATIONS)),
    calls.CALL.name: _of_client(calls.CALLS, "5000"),
}
"""How each path is profiled, by the measurement that it is the path of; a run's results choose among them."""
