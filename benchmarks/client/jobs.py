"""The time from `Job(...)` until it has boards, and the client's own share of that time."""

from collections.abc import Generator
from contextlib import ExitStack
from statistics import median

from benchmarks.limits.servers import bare_server
from benchmarks.programs.clients import InstalledClient, clients
from benchmarks.programs.ours import our_server, site
from benchmarks.suite.measurement import PUBLISHED_CLIENTS, Effort, Measurement, Scene, Take, Unit

PEERS = tuple(PUBLISHED_CLIENTS)
CREATE = """
import sys, time
from CLIENT import Job, ProtocolClient
with ProtocolClient("127.0.0.1", int(sys.argv[1])) as client:
    client.list_jobs(timeout=10)
    returned = []
    for _ in range(int(sys.argv[2])):
        job = Job(3, hostname="127.0.0.1", port=int(sys.argv[1]), owner="me")
        returned.append(time.monotonic())
        job.close()
    for after, reply in zip(returned, client.list_jobs(timeout=10)):
        print(after - reply)
"""
READY = """
import sys, time
from CLIENT import Job
for _ in range(int(sys.argv[2])):
    began = time.monotonic()
    job = Job(3, hostname="127.0.0.1", port=int(sys.argv[1]), owner="me")
    job.wait_until_ready(timeout=60)
    print(time.monotonic() - began)
    job.destroy()
"""
CREATED = Measurement(
    name="client/job-created",
    work="`Job(3)` returns after the server's reply to `create_job`",
    unit=Unit.SECONDS,
    peers=PEERS,
    rounds=11,
    quick_rounds=3,
)
TO_READY = Measurement(
    name="client/job-ready",
    work="`Job(3)` and `wait_until_ready()`, our server, BMPs that answer at once",
    unit=Unit.SECONDS,
    peers=PEERS,
    rounds=11,
    quick_rounds=3,
)
AGAIN = 3


def jobs(_: Effort) -> Generator[Scene, None, None]:
    """Measure with a bare server, then with ours."""
    everyone = clients()
    with bare_server("answers") as address:
        yield (
            CREATED,
            {
                subject: Take(lambda client=client: _seconds(client, CREATE, address.port))
                for subject, client in everyone.items()
            },
        )
    with ExitStack() as stack:
        address = stack.enter_context(our_server(*stack.enter_context(site(4, 4))))
        yield (
            TO_READY,
            {
                subject: Take(lambda client=client: _seconds(client, READY, address.port))
                for subject, client in everyone.items()
            },
        )


def _seconds(client: InstalledClient, program: str, port: int) -> float:
    return median(map(float, client.run(program, str(port), str(AGAIN)).split()))
