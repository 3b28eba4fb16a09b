"""Thousands of connections: the time to tell all of them of one change, and the memory of each idle one."""

from collections.abc import Generator
from contextlib import ExitStack

from benchmarks.limits.servers import bare_server
from benchmarks.load.client import Client, fill, line
from benchmarks.load.crowd import WATCH, Crowd, crowd
from benchmarks.programs.address import Address
from benchmarks.programs.ours import our_server, site
from benchmarks.programs.process import resident_bytes, wait_until_idle
from benchmarks.programs.published import published_server
from benchmarks.suite.measurement import (
    BARE_SERVER,
    OURS,
    SERVER_7_0_0,
    Effort,
    Measurement,
    Scene,
    Subject,
    Take,
    Unit,
)

IDLE = 10_000
OPENING_SECONDS = 150.0
QUICK_OPENING_SECONDS = 4.0
CHANGE = line("create_job", 3, owner="me", keepalive=None)
VERSION_LINE = line("version")
LOOP = (
    "The bare server's part is the event loop's for a connection; it serves thousands without looking at each whenever "
    "one of them speaks. The published server has a plain socket for each, and looks at all of them every time."
)
BOTH = {"peers": (SERVER_7_0_0,), "limits": (BARE_SERVER,)}


def _told(watchers: int, rounds: int, quick_rounds: int) -> Measurement:
    return Measurement(
        name=f"server/told-{watchers}",
        work=f"one change of a job told to {watchers:,} watchers, until the last has heard",
        unit=Unit.SECONDS,
        rounds=rounds,
        quick_rounds=quick_rounds,
        reason=(
            "Nearly all of it is the system taking a line for each connection, the same for all. The published server "
            "sends while nothing else may happen, and hangs up on whoever does not read; ours sends from an event loop."
        ),
        **BOTH,
    )


TOLD_THOUSAND = _told(1_000, 15, 5)
TOLD_ALL = _told(IDLE, 9, 3)
CONNECTION_MEMORY = Measurement(
    name="server/connection-memory",
    work=f"memory of a connection, {IDLE:,} of them idle",
    unit=Unit.BYTES,
    rounds=1,
    quick_rounds=1,
    reason=LOOP,
    **BOTH,
)
WATCHER_MEMORY = Measurement(
    name="server/watcher-memory",
    work=f"memory of a connection, {IDLE:,} of them watching all jobs, after all were told",
    unit=Unit.BYTES,
    rounds=1,
    quick_rounds=1,
    reason=LOOP,
    **BOTH,
)
VERSION_AMONG_IDLE = Measurement(
    name="server/version-among-idle",
    work=f"`version`, round trip, {IDLE:,} idle connections beside it",
    unit=Unit.SECONDS,
    rounds=11,
    quick_rounds=3,
    **BOTH,
)


def crowds(effort: Effort) -> Generator[Scene, None, None]:
    """Measure each server with 1,000 connections that watch, then with 10,000 that are idle, and then watch."""
    with ExitStack() as stack:
        machine, folder = stack.enter_context(site(20, 20))
        addresses: dict[Subject, Address] = {
            OURS: stack.enter_context(our_server(machine, folder)),
            SERVER_7_0_0: stack.enter_context(published_server(machine, folder)),
            BARE_SERVER: stack.enter_context(bare_server("broadcast")),
        }
        servers = [subject for subject in addresses if subject is not BARE_SERVER]
        clients = {subject: stack.enter_context(Client(addresses[subject])) for subject in servers}
        for subject in servers:
            fill(clients[subject], 1, 10.0)  # later jobs wait for boards, so that each of them is one change
        before = {subject: resident_bytes(address.pid) for subject, address in addresses.items()}

        watching = ExitStack()
        with watching:
            yield TOLD_THOUSAND, _tellings(addresses, _watchers(watching, addresses, 1_000), {})

        quiet = {**addresses, BARE_SERVER: stack.enter_context(bare_server("echo"))}
        bare_before = resident_bytes(quiet[BARE_SERVER].pid)
        held, notes = _held(stack, quiet, effort)
        yield CONNECTION_MEMORY, _memory(quiet, before | {BARE_SERVER: bare_before}, held, notes)
        clients[BARE_SERVER] = stack.enter_context(Client(quiet[BARE_SERVER]))
        yield (
            VERSION_AMONG_IDLE,
            {
                subject: Take(lambda client=client: client.seconds_each(VERSION_LINE, 300), notes[subject])
                for subject, client in clients.items()
            },
        )
        watched = {BARE_SERVER: addresses[BARE_SERVER]}
        held |= _held(stack, watched, effort)[0]
        for subject in servers:
            held[subject].each_says(WATCH)
        yield TOLD_ALL, _tellings(addresses, held, notes)
        yield WATCHER_MEMORY, _memory(addresses, before, held, notes)


def _watchers(stack: ExitStack, addresses: dict[Subject, Address], count: int) -> dict[Subject, Crowd]:
    held = {}
    for subject, address in addresses.items():
        held[subject] = stack.enter_context(crowd(address))
        held[subject].open(count)
        if subject is not BARE_SERVER:
            held[subject].each_says(WATCH)
    return held


def _held(
    stack: ExitStack, addresses: dict[Subject, Address], effort: Effort
) -> tuple[dict[Subject, Crowd], dict[Subject, str]]:
    """Open as many connections as there is time for; say which servers have fewer than requested."""
    held, notes = {}, {}
    for subject, address in addresses.items():
        held[subject] = stack.enter_context(crowd(address))
        made = held[subject].open(IDLE, effort.of(OPENING_SECONDS, QUICK_OPENING_SECONDS))
        notes[subject] = "" if made == IDLE else f"with {made:,} connections"
    return held, notes


def _tellings(
    addresses: dict[Subject, Address], held: dict[Subject, Crowd], notes: dict[Subject, str]
) -> dict[Subject, Take]:
    def told(subject: Subject) -> float:
        seconds = held[subject].one_says(CHANGE)
        # The sender has the reply beside the notification; what is on its way must not be taken for the next change.
        wait_until_idle(addresses[subject].pid)
        return seconds

    return {
        subject: Take(lambda subject=subject: told(subject), notes.get(subject, "")) for subject in addresses
    }


def _memory(
    addresses: dict[Subject, Address],
    before: dict[Subject, int],
    held: dict[Subject, Crowd],
    notes: dict[Subject, str],
) -> dict[Subject, Take]:
    def each(subject: Subject) -> float:
        return (resident_bytes(addresses[subject].pid) - before[subject]) / held[subject].size

    return {subject: Take(lambda subject=subject: each(subject), notes[subject]) for subject in addresses}
