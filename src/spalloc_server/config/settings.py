"""A configuration as values: the same whether it was read from a file or made from a command's options.

See document.py and machines.py for reading and checking, and config/changes.py for comparing.
"""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from spalloc_client.wire import DEFAULT_PORT
from spalloc_server.core.admission import JobLimits, Trust
from spalloc_server.core.groups import GroupRules
from spalloc_server.core.limits import LimitRules
from spalloc_server.core.machine import Machine
from spalloc_server.core.networks import EVERYWHERE, Networks
from spalloc_server.core.reservations import Reservation
from spalloc_server.core.share_rules import ShareRules
from spalloc_server.fronts.v1.limits import Limits

if TYPE_CHECKING:
    from spalloc_server.fronts.http.settings import HttpSettings

LOOPBACK = "127.0.0.1"
DEFAULT_METRICS_PORT = 22245


@dataclass(frozen=True, slots=True)
class History:
    """Which ended jobs stay in the records."""

    days: float = 30.0
    """For how long."""
    jobs: int = 1_000_000
    """How many at most; beyond that, jobs that never had boards are dropped first, then those that ended first."""
    megabytes: int = 1000
    """How much of the disk the records may take, in millions of bytes; beyond that, jobs are dropped likewise."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How long it is known who used what; jobs themselves are forgotten sooner (`History`)."""

    days: float = 1100.0
    """How many days charges stay in the records."""
    charges: int = 1_000_000
    """How many stay there at most; beyond that, the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class Audit:
    """How long it is known who did what."""

    days: float = 400.0
    """How many days entries stay in the records."""
    entries: int = 1_000_000
    """How many stay there at most; beyond that, those about jobs are dropped first."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a front waits for clients, and who may connect."""

    port: int
    """0 for any free port."""
    addresses: tuple[str, ...] = (LOOPBACK,)
    allow: Networks = EVERYWHERE

    def refusal(self, address: str) -> str | None:
        """Return why a client at an IP address may not connect, or None if it may."""
        return None if address in self.allow else f"this server takes no connections from {address}"


class Level(Enum):
    """The least important lines that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Configuration:
    """All settings of a site."""

    state: Path | None
    """The file of the server's records; None keeps them in memory."""
    machines: tuple[Machine, ...] = ()
    """Highest priority first."""
    reservations: tuple[Reservation, ...] = ()
    v1: Listening = field(default_factory=lambda: Listening(DEFAULT_PORT))
    v1_limits: Limits = field(default_factory=Limits)
    metrics: Listening | None = None
    """Where metrics and readiness are served; None for nowhere."""
    http: "HttpSettings | None" = None
    """Where HTTP is served; None for nowhere."""
    history: History = field(default_factory=History)
    usage: Usage = field(default_factory=Usage)
    audit: Audit = field(default_factory=Audit)
    job_limits: JobLimits = field(default_factory=JobLimits)
    time_limits: LimitRules = field(default_factory=LimitRules)
    shares: ShareRules = field(default_factory=ShareRules)
    groups: GroupRules = field(default_factory=GroupRules)
    trust: Trust = field(default_factory=Trust)
    log_level: Level = Level.INFO
    control: Path | None = None
    """The path of the control socket, if it is not beside the records."""

    @property
    def control_socket(self) -> Path | None:
        """The path of the control socket; None for a server that has none, as its records are not in a file."""
        if self.control is not None or self.state is None:
            return self.control
        return self.state.with_name(f"{self.state.name}.socket")
