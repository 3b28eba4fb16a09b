"""What concerns the whole server: fronts, records, trust, the log.

Machines are machines.py's subject. Every key that a section knows is described in docs/reference/configuration.md.
"""

from pathlib import Path

from spalloc_client.wire import DEFAULT_PORT
from spalloc_server.config.reading import (
    InFolder,
    Table,
    a_duration,
    a_host,
    a_port,
    list_of,
    networks,
    one_of,
    whole_number,
)
from spalloc_server.config.settings import (
    DEFAULT_METRICS_PORT,
    LOOPBACK,
    History,
    Level,
    Listening,
)
from spalloc_server.core.networks import EVERYWHERE, NOWHERE
from spalloc_server.core.quotas import JobLimits
from spalloc_server.core.trust import Control, Trust
from spalloc_server.fronts.v1.limits import Limits

MOST_CONNECTIONS = 1_000_000
MOST_JOBS = 1_000_000
MOST_ENDED_JOBS = 1_000_000_000
MOST_MEGABYTES = 1_000_000
LEAST_REQUEST_BYTES = 1024
MOST_REQUEST_BYTES = 16 * 1024 * 1024
LEAST_MEMORY_BYTES = 1024 * 1024
MOST_MEMORY_BYTES = 1024**4


def read_listening(table: Table, port: int) -> Listening:
    """Return where a front listens; `port` is the one it has when the table gives none."""
    addresses = table.take("listen", list_of(a_host, "addresses"), (LOOPBACK,))
    if table.has("listen") and not addresses and table.values["listen"] == []:
        table.entry("listen").wrong(f'at least one address, such as ["{LOOPBACK}"]')
    port = table.take("port", a_port, port)
    return Listening(port, addresses, table.take("allow", networks, EVERYWHERE))


def read_v1(table: Table) -> tuple[Listening, Limits]:
    """Return where the v1 front listens, and how much clients may take of it."""
    listening = read_listening(table, DEFAULT_PORT)
    limits = read_limits(table.table("limits"))
    table.finish()
    return listening, limits


def read_limits(table: Table) -> Limits:
    """Return how much clients may take of the server."""
    default = Limits()
    count, seconds = whole_number(1, MOST_CONNECTIONS), a_duration("seconds", above=0.0)
    limits = Limits(
        connections=table.take("connections", count, default.connections),
        connections_from_one_address=table.take(
            "connections_from_one_address", count, default.connections_from_one_address
        ),
        ipv6_prefix=table.take("ipv6_prefix", whole_number(1, 128), default.ipv6_prefix),
        memory_bytes=table.take(
            "memory_bytes", whole_number(LEAST_MEMORY_BYTES, MOST_MEMORY_BYTES), default.memory_bytes
        ),
        request_bytes=table.take(
            "request_bytes", whole_number(LEAST_REQUEST_BYTES, MOST_REQUEST_BYTES), default.request_bytes
        ),
        first_request_seconds=table.take("first_request_seconds", seconds, default.first_request_seconds),
        idle_seconds=table.take("idle_seconds", seconds, default.idle_seconds),
        slow_reader_seconds=table.take("slow_reader_seconds", seconds, default.slow_reader_seconds),
    )
    table.finish()
    return limits


def read_metrics(table: Table) -> Listening:
    """Return where metrics can be asked for."""
    listening = read_listening(table, DEFAULT_METRICS_PORT)
    table.finish()
    return listening


def read_state(table: Table, folder: Path, default: Path) -> Path:
    """Return the file of the server's records."""
    path = table.take("file", InFolder(folder), default)
    table.finish()
    return path


def read_control(table: Table, folder: Path) -> Path | None:
    """Return the place of the control socket; None for the usual one."""
    path = table.take("socket", InFolder(folder), None)
    table.finish()
    return path


def read_history(table: Table) -> History:
    """Return which ended jobs are remembered."""
    default = History()
    history = History(
        days=table.take("days", a_duration("days"), default.days),
        jobs=table.take("jobs", whole_number(1, MOST_ENDED_JOBS), default.jobs),
        megabytes=table.take("megabytes", whole_number(1, MOST_MEGABYTES), default.megabytes),
    )
    table.finish()
    return history


def read_jobs(table: Table) -> JobLimits:
    """Return how many jobs there may be."""
    default = JobLimits()
    count = whole_number(1, MOST_JOBS)
    limits = JobLimits(
        live=table.take("live", count, default.live),
        queued=table.take("queued", count, default.queued),
        of_one_owner=table.take("of_one_owner", count, default.of_one_owner),
        from_one_host=table.take("from_one_host", count, default.from_one_host),
        queued_from_one_host=table.take("queued_from_one_host", count, default.queued_from_one_host),
    )
    table.finish()
    return limits


def read_trust(table: Table) -> Trust:
    """Return whose word counts."""
    trust = Trust(
        control=table.take("control", one_of(Control), Control.ANYONE),
        administrators=table.take("administrators", networks, NOWHERE),
    )
    table.finish()
    return trust


def read_log(table: Table) -> Level:
    """Return the least important lines that are logged."""
    level = table.take("level", one_of(Level), Level.INFO)
    table.finish()
    return level
