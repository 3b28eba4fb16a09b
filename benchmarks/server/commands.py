"""What commands cost a server: with no jobs and with 10,000; one at a time, many at once, and from many clients."""

from collections.abc import Generator
from contextlib import ExitStack

from benchmarks.limits.servers import bare_server
from benchmarks.load.client import Client, fill, line
from benchmarks.load.users import pairs_a_second
from benchmarks.programs.address import Address
from benchmarks.programs.ours import our_server, site
from benchmarks.programs.process import resident_bytes
from benchmarks.programs.published import published_server
from benchmarks.suite.measurement import (
    BARE_SERVER,
    OURS,
    SERVER_7_0_0,
    WITHOUT_JOBS,
    Effort,
    Measurement,
    Scene,
    Subject,
    Take,
    Unit,
)
from benchmarks.suite.statistics import Better

JOBS = 10_000
CLIENTS = 50
FILL_SECONDS = 60.0
QUICK_FILL_SECONDS = 4.0
AT_ONCE = 500
VERSION_LINE = line("version")
LIST_LINE = line("list_jobs")
ON_DISK = "Ours is on disk before the reply; the published server keeps jobs in memory only."

BOTH = {"peers": (SERVER_7_0_0,), "limits": (BARE_SERVER,)}
VERSION = Measurement(
    name="server/version",
    work="`version`, round trip, no jobs",
    unit=Unit.SECONDS,
    rounds=15,
    quick_rounds=5,
    reason="Most of a round trip is the system's work, which is the same for all.",
    **BOTH,
)
PIPELINED = Measurement(
    name="server/pipelined",
    work=f"commands a second on one connection, {AT_ONCE} on their way",
    unit=Unit.PER_SECOND,
    better=Better.HIGHER,
    rounds=9,
    quick_rounds=3,
    reason=(
        "With no waiting in between, all of it is reading commands and writing replies, in Python on both sides; ours "
        "lets others have a turn after every 32."
    ),
    **BOTH,
)
PAIRS = Measurement(
    name="server/pairs",
    work=f"`create_job` and `destroy_job` pairs a second, {CLIENTS} clients",
    unit=Unit.PER_SECOND,
    better=Better.HIGHER,
    rounds=7,
    quick_rounds=3,
    reason=ON_DISK,
    **BOTH,
)
MEMORY = Measurement(
    name="server/memory",
    work="memory of a server with 1,200 boards, no jobs",
    unit=Unit.BYTES,
    peers=(SERVER_7_0_0,),
    limits=(BARE_SERVER,),
    rounds=1,
    quick_rounds=1,
)
VERSION_AMONG_JOBS = Measurement(
    name="server/version-among-jobs",
    work=f"`version`, round trip, {JOBS:,} live jobs",
    unit=Unit.SECONDS,
    rounds=15,
    quick_rounds=5,
    peers=(SERVER_7_0_0,),
    limits=(BARE_SERVER, WITHOUT_JOBS),
)
LIST_FIRST = Measurement(
    name="server/list-first",
    work=f"`list_jobs`, {JOBS:,} live jobs, the first time",
    unit=Unit.SECONDS,
    rounds=1,
    quick_rounds=1,
    **BOTH,
)
LIST = Measurement(
    name="server/list",
    work=f"`list_jobs`, {JOBS:,} live jobs, one of them new",
    unit=Unit.SECONDS,
    rounds=7,
    quick_rounds=3,
    **BOTH,
)
PAIRS_AMONG_JOBS = Measurement(
    name="server/pairs-among-jobs",
    work=f"`create_job` and `destroy_job` pairs a second, {CLIENTS} clients, {JOBS:,} live jobs",
    unit=Unit.PER_SECOND,
    better=Better.HIGHER,
    rounds=5,
    quick_rounds=1,
    reason=ON_DISK,
    **BOTH,
)
MEMORY_WITH_JOBS = Measurement(
    name="server/memory-with-jobs",
    work=f"memory of a server with 1,200 boards, {JOBS:,} live jobs",
    unit=Unit.BYTES,
    reason="Of both, a good part is there before the first job: the interpreter, its modules, and the machine.",
    peers=(SERVER_7_0_0,),
    rounds=1,
    quick_rounds=1,
)


def commands(effort: Effort) -> Generator[Scene, None, None]:
    """Measure both servers with nothing to do, then with as many jobs as they take."""
    with ExitStack() as stack:
        machine, folder = stack.enter_context(site(20, 20))
        addresses: dict[Subject, Address] = {
            OURS: stack.enter_context(our_server(machine, folder)),
            SERVER_7_0_0: stack.enter_context(published_server(machine, folder)),
            BARE_SERVER: stack.enter_context(bare_server("echo")),
        }
        clients = {subject: stack.enter_context(Client(address)) for subject, address in addresses.items()}
        notes = dict.fromkeys(clients, "")
        seconds = effort.of(2.0, 0.5)

        def versions() -> dict[Subject, Take]:
            return {
                subject: Take(lambda client=client: client.seconds_each(VERSION_LINE, 1000), notes[subject])
                for subject, client in clients.items()
            }

        def pairs() -> dict[Subject, Take]:
            return {
                subject: Take(
                    lambda address=address, subject=subject: pairs_a_second(
                        address, CLIENTS, seconds, echoed=subject is BARE_SERVER
                    ),
                    notes[subject],
                )
                for subject, address in addresses.items()
            }

        def memory(*subjects: Subject) -> dict[Subject, Take]:
            return {
                subject: Take(lambda pid=addresses[subject].pid: float(resident_bytes(pid)), notes[subject])
                for subject in subjects
            }

        yield MEMORY, memory(*addresses)
        yield VERSION, versions()
        by_line = stack.enter_context(Client(stack.enter_context(bare_server("lines"))))
        yield (
            PIPELINED,
            {
                subject: Take(lambda client=client: client.lines_a_second(VERSION_LINE, 20, AT_ONCE))
                for subject, client in (clients | {BARE_SERVER: by_line}).items()
            },
        )
        yield PAIRS, pairs()

        for subject in (OURS, SERVER_7_0_0):
            within = effort.of(FILL_SECONDS, QUICK_FILL_SECONDS) if subject is SERVER_7_0_0 else FILL_SECONDS
            made = fill(clients[subject], JOBS, within)
            notes[subject] = "" if made == JOBS else f"with {made:,} jobs"
        clients[BARE_SERVER] = stack.enter_context(Client(stack.enter_context(bare_server("prepared"))))
        lists = {subject: clients[subject] for subject in (OURS, SERVER_7_0_0)}
        ready_made = Take(
            lambda: _seconds_of_prepared(clients[BARE_SERVER], _list_bytes(clients[OURS])),
            "as many bytes, made before",
        )
        yield (
            LIST_FIRST,
            {
                subject: Take(lambda client=client: client.seconds_each(LIST_LINE, 1), notes[subject])
                for subject, client in lists.items()
            }
            | {BARE_SERVER: ready_made},
        )
        yield (
            LIST,
            {
                subject: Take(lambda client=client: _seconds_of_list(client), notes[subject])
                for subject, client in lists.items()
            }
            | {BARE_SERVER: ready_made},
        )
        clients[BARE_SERVER] = stack.enter_context(Client(addresses[BARE_SERVER]))
        idle_site = stack.enter_context(site(20, 20))
        clients[WITHOUT_JOBS] = stack.enter_context(Client(stack.enter_context(our_server(*idle_site))))
        notes[WITHOUT_JOBS] = ""
        yield VERSION_AMONG_JOBS, versions()
        yield PAIRS_AMONG_JOBS, pairs()
        yield MEMORY_WITH_JOBS, memory(OURS, SERVER_7_0_0)


def _list_bytes(client: Client) -> int:
    client.send(LIST_LINE)
    return len(client.read())


def _seconds_of_prepared(client: Client, size: int) -> float:
    request = b"%d\n" % size
    client.seconds_each(request, 1)  # makes the answer
    return client.seconds_each(request, 5)


def _seconds_of_list(client: Client) -> float:
    client.call("create_job", 3, owner="me", keepalive=None)
    return client.seconds_each(LIST_LINE, 1)
