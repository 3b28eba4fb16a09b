"""What a client adds to a round trip, to the round trips of many threads at once, and to a notification.

A bare server answers, so that its own work is small. The bare socket does the least that any client must do.
"""

from collections.abc import Generator

from benchmarks.limits.servers import bare_server
from benchmarks.programs.clients import InstalledClient, clients
from benchmarks.suite.measurement import (
    BARE_SOCKET,
    OURS,
    PUBLISHED_CLIENTS,
    Effort,
    Measurement,
    Scene,
    Take,
    Unit,
)
from benchmarks.suite.statistics import Better

THREADS = 8
BOTH = {"peers": tuple(PUBLISHED_CLIENTS), "limits": (BARE_SOCKET,)}
CALL = Measurement(
    name="client/call",
    work="`version`, one call after the other",
    unit=Unit.SECONDS,
    rounds=15,
    quick_rounds=5,
    reason=(
        "Ours lets threads share a connection, so it sees to whom a reply belongs, and holds the whole call to its "
        "timeout; published clients hold each receive to it, and give every thread a connection."
    ),
    **BOTH,
)
THREADED = Measurement(
    name="client/threads",
    work=f"calls a second, {THREADS} threads on one client",
    unit=Unit.PER_SECOND,
    better=Better.HIGHER,
    rounds=11,
    quick_rounds=3,
    reason="All threads of ours share one connection; published clients open one for each thread.",
    **BOTH,
)
NOTIFIED = Measurement(
    name="client/notification",
    work="from a notification's sending until `wait_for_notification()` returns it",
    unit=Unit.SECONDS,
    rounds=11,
    quick_rounds=3,
    reason=(
        "Most of it is the system waking the process up. Ours then checks a message before it believes it; published "
        "clients hand over whatever came."
    ),
    **BOTH,
)

CALLS = """
import sys, time
from CLIENT import ProtocolClient
with ProtocolClient("127.0.0.1", int(sys.argv[1])) as client:
    calls = int(sys.argv[2])
    for _ in range(50):
        client.version(timeout=10)
    began = time.perf_counter()
    for _ in range(calls):
        client.version(timeout=10)
    print((time.perf_counter() - began) / calls)
"""
BARE_CALLS = """
import socket, sys, time
calls = int(sys.argv[2])
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
request = b'{"command": "version", "args": [], "kwargs": {}}\\n'
began = time.perf_counter()
for _ in range(calls):
    client.sendall(request)
    client.recv(1024)
print((time.perf_counter() - began) / calls)
"""
IN_THREADS = """
import sys, threading, time
from CLIENT import ProtocolClient
threads, calls = int(sys.argv[2]), int(sys.argv[3])
def work():
    for _ in range(calls):
        client.version(timeout=60)
with ProtocolClient("127.0.0.1", int(sys.argv[1])) as client:
    workers = [threading.Thread(target=work) for _ in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(threads * calls / (time.perf_counter() - began))
"""
BARE_IN_THREADS = """
import socket, sys, threading, time
threads, calls = int(sys.argv[2]), int(sys.argv[3])
request = b'{"command": "version", "args": [], "kwargs": {}}\\n'
def work():
    client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for _ in range(calls):
        client.sendall(request)
        client.recv(1024)
workers = [threading.Thread(target=work) for _ in range(threads)]
began = time.perf_counter()
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(threads * calls / (time.perf_counter() - began))
"""
NOTIFICATIONS = """
import statistics, sys, time
from CLIENT import ProtocolClient
count = int(sys.argv[2])
with ProtocolClient("127.0.0.1", int(sys.argv[1])) as client:
    client.notify_job(count, timeout=10)
    late = []
    for _ in range(count):
        (sent,) = client.wait_for_notification(timeout=10)["jobs_changed"]
        late.append(time.monotonic() - sent * 1e-6)
print(statistics.median(late))
"""
BARE_NOTIFICATIONS = """
import json, socket, statistics, sys, time
count = int(sys.argv[2])
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.sendall(b'{"command": "notify_job", "args": [%d], "kwargs": {}}\\n' % count)
lines = client.makefile("rb")
lines.readline()
late = []
for _ in range(count):
    data = lines.readline()
    late.append(time.monotonic() - json.loads(data)["jobs_changed"][0] * 1e-6)
print(statistics.median(late))
"""


def calls(effort: Effort) -> Generator[Scene, None, None]:
    """Measure each client against the same bare server."""
    everyone = clients()
    with bare_server("answers") as address:
        port = str(address.port)
        each = str(int(effort.of(3000, 1000)))
        for measurement, program, bare, arguments in (
            (CALL, CALLS, BARE_CALLS, [port, each]),
            (THREADED, IN_THREADS, BARE_IN_THREADS, [port, str(THREADS), "300"]),
            (NOTIFIED, NOTIFICATIONS, BARE_NOTIFICATIONS, [port, "200"]),
        ):
            takes = {
                subject: Take(
                    lambda client=client, program=program, words=arguments: _number(client, program, words)
                )
                for subject, client in everyone.items()
            }
            takes[BARE_SOCKET] = Take(lambda bare=bare, words=arguments: _number(everyone[OURS], bare, words))
            yield measurement, takes


def _number(client: InstalledClient, program: str, arguments: list[str]) -> float:
    return float(client.run(program, *arguments))
