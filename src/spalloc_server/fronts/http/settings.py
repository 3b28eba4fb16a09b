"""Where and how the HTTP front serves, and how much its clients may use: values only, set by the configuration.

strict.py and server.py do what they say. Limits on what a request may ask for are with the resources.
"""

from dataclasses import dataclass, field
from pathlib import Path

from spalloc_server.core.networks import EVERYWHERE, Networks
from spalloc_server.fronts.http.openid import OpenId
from spalloc_server.fronts.http.origin import Proxies

LONGEST_HEAD_BYTES = 16 * 1024
"""The most bytes of a request's address and headers together."""
MOST_HEADERS = 100
CUT = "spalloc.cut"
"""Where a request's scope has what ends its connection, for an application that can't complete its answer."""
DEFAULT_PORT = 22246
DEFAULT_BASE = "/spalloc/"
_COUNTS = (
    "connections",
    "connections_from_one_address",
    "waiting",
    "waiting_of_one_account",
    "waiting_from_one_address",
    "requests_of_one_account",
    "requests_from_one_address",
    "websockets",
    "websockets_of_one_account",
    "channels",
    "channels_of_one_websocket",
    "transfers",
    "transfers_of_one_account",
    "transfers_asked_for_by_one_account",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much clients may use before they are refused or cut off."""

    connections: int = 16_384
    """Connections in all, 1 or more."""
    connections_from_one_address: int = 4_096
    """Connections from one address that is no proxy, 1 or more."""
    request_seconds: float = 10.0
    """How long a client may take for a handshake, for the head of a request, and for its body if that comes slowly."""
    idle_seconds: float = 75.0
    """How long a connection is kept after an answer without another request. SpiNNMan keeps jobs alive every 60 s."""
    slow_reader_seconds: float = 30.0
    """How long a client may leave sent data unread."""
    waiting: int = 16_384
    """Requests in all that wait for a change, 1 or more; so are the numbers that follow."""
    waiting_of_one_account: int = 4_096
    waiting_from_one_address: int = 4_096
    requests_of_one_account: int = 512
    """Other requests that are under way at one time."""
    requests_from_one_address: int = 1_024
    websockets: int = 2_000
    """Websockets to boards in all."""
    websockets_of_one_account: int = 200
    channels: int = 8_000
    """UDP channels of all websockets."""
    channels_of_one_websocket: int = 1_300
    """A large job has one for each of its boards."""
    transfers: int = 32
    """Transfers of boards' memory in all; further ones wait."""
    transfers_of_one_account: int = 8
    """Its further ones wait."""
    transfers_asked_for_by_one_account: int = 64
    """Its transfers, those that wait among them."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("request_seconds", "idle_seconds", "slow_reader_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be more than 0 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Where the front serves, and whom."""

    addresses: tuple[str, ...] = ("127.0.0.1",)
    """Addresses of this computer; none for the Unix socket alone."""
    port: int = DEFAULT_PORT
    """0 for any free port."""
    certificate: Path | None = None
    """The file of the certificate and those that it stands on, in PEM; None for no TLS."""
    key: Path | None = None
    """The file of the private key."""
    socket: Path | None = None
    """The path of a Unix socket, on which there is no TLS; None for none."""
    base: str = DEFAULT_BASE
    """The path that the service's addresses begin with."""
    proxies: Proxies = field(default_factory=Proxies)
    allow: Networks = EVERYWHERE
    """Where clients may be."""
    session_idle_seconds: float = 1800.0
    """How long a session lasts without a request."""
    openid: OpenId | None = None
    """By which issuer people log in; None for none."""
    limits: Limits = field(default_factory=Limits)
