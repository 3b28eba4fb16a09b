"""Where the tunnels of a Job lead: to the websocket of its service, in the session that the Job has there.

Also what a Job's boards are called while a tunnel to them is open.
"""

from __future__ import annotations

from importlib.util import find_spec

from spalloc_client.errors import ConfigError, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol

    from spalloc_client.https.session import Session
    from spalloc_client.job_answers import MachineInfo
    from spalloc_client.tunnel.carrying import Board
    from spalloc_client.tunnel.running import Door

    class AnyTunnel(Protocol):
        """A tunnel, of blocking programs or of others."""

        @property
        def is_open(self) -> bool:
            """Whether it has been entered, and not left."""

        @property
        def connections(self) -> dict[Board, str]:
            """Where the boards are on this computer."""


def check(session: Session | None, server: str) -> Session:
    """Return the session of a Job whose boards a tunnel can lead to.

    Raises:
        ConfigError: The server is none that carries datagrams, or what speaks to its websocket is not installed.
    """
    if session is None:
        raise ConfigError(
            f"there is no tunnel through {server}, which speaks the older protocol: its boards are reached by their "
            "own addresses. A tunnel needs a service, such as https://spalloc.example.org/spalloc/"
        )
    if find_spec("websockets") is None:
        raise ConfigError("a tunnel needs libraries that are not installed: pip install 'spalloc[https]'")
    return session


def door(session: Session, job_id: int) -> Door:
    """Return where the boards of a job are reached, and by whom.

    Raises:
        OSError: A file of certificate authorities can't be read.
    """
    from spalloc_client._keepalive_https import tls_context
    from spalloc_client.tunnel.running import Door

    url = session.url
    is_secure = url.startswith("https:")
    address = f"ws{url.removeprefix('http')}proxy/{job_id}"
    return Door(address, session.headers, tls_context() if is_secure else None)


def boards_of(info: MachineInfo, job_id: int | None) -> Mapping[Board, str]:
    """Return the boards that a tunnel leads to.

    Raises:
        ProtocolError: The job has none.
    """
    if not info.connections:
        raise ProtocolError(
            f"job {job_id} has no boards yet that a tunnel could lead to; wait until it is ready"
        )
    return info.connections


def within_reach(info: MachineInfo, tunnels: Iterable[AnyTunnel]) -> MachineInfo:
    """Return a job's boards by the addresses that an open tunnel gives them."""
    for tunnel in tunnels:
        if tunnel.is_open and tunnel.connections and info.connections is not None:
            return info.reached_at(tunnel.connections)
    return info


def own_name(hostname: str | None, info: MachineInfo, tunnels: Iterable[AnyTunnel]) -> str | None:
    """Return the name that the server has for a board, which may be named by its address in a tunnel."""
    for tunnel in tunnels:
        for board, local in tunnel.connections.items():
            if local == hostname and info.connections is not None:
                return info.connections.get(board, hostname)
    return hostname
