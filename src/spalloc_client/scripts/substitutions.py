"""What a wrapped command is told about its machine, in its arguments and in its environment.

Values only; wrapped.py starts the command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client.job_answers import Connections


class Facts:
    """The facts about an allocated job."""

    __slots__ = (
        "connections",
        "ethernet_ips",
        "height",
        "hostname",
        "job_id",
        "login",
        "machine",
        "server",
        "width",
    )
    job_id: int
    hostname: str
    """The host name of chip (0, 0)."""
    width: int
    """Chips."""
    height: int
    """Chips."""
    ethernet_ips: str
    """The name of the file with all host names."""
    machine: str
    connections: Connections
    server: tuple[str, int]
    """The server's host name and port."""

    def __init__(
        self,
        *,
        job_id: int,
        hostname: str,
        width: int,
        height: int,
        ethernet_ips: str,
        machine: str,
        connections: Connections,
        server: tuple[str, int],
        login: Mapping[str, str] | None = None,
    ) -> None:
        self.job_id = job_id
        self.hostname = hostname
        self.width = width
        self.height = height
        self.ethernet_ips = ethernet_ips
        self.machine = machine
        self.connections = connections
        self.server = server
        self.login = login or {}
        """The variables by which the command may log in, if it is to."""

    def tokens(self) -> dict[str, object]:
        """Return the value of each token; the empty token is `{}`."""
        return {
            "": self.hostname,
            "hostname": self.hostname,
            "w": self.width,
            "width": self.width,
            "h": self.height,
            "height": self.height,
            "ethernet_ips": self.ethernet_ips,
            "id": self.job_id,
        }

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a wrapped command."""
        hostname, port = self.server
        return {
            **self.login,
            "SPALLOC_ID": str(self.job_id),
            "SPALLOC_HOSTNAME": self.hostname,
            "SPALLOC_WIDTH": str(self.width),
            "SPALLOC_HEIGHT": str(self.height),
            "SPALLOC_ETHERNET_IPS": self.ethernet_ips,
            "SPALLOC_MACHINE": self.machine,
            "SPALLOC_BOARDS": str(len(self.connections)),
            "SPALLOC_SERVER_HOSTNAME": hostname,
            "SPALLOC_SERVER_PORT": str(port),
        }


def substituted(argument: str, tokens: Mapping[str, object]) -> str:
    """Return `argument` with each `{token}` replaced.

    Text that is a format string of these tokens alone is treated as one: `{{` and `}}` are single braces there. In
    any other text, such as an awk program, only the tokens are replaced and every other brace stays.
    """
    named = {name: value for name, value in tokens.items() if name}
    try:
        return argument.format(tokens[""], **named)
    except (LookupError, ValueError, AttributeError, TypeError):
        pass
    return _TOKEN.sub(lambda match: str(tokens.get(match[1], match[0])), argument)


_TOKEN = re.compile(r"\{([a-z_]*)\}")


def csv(connections: Iterable[tuple[int, int, str]]) -> str:
    """Return the CSV of Ethernet-connected chips: x, y and host name, sorted, under a heading."""
    return "".join(["x,y,hostname\n", *(f"{x},{y},{hostname}\n" for x, y, hostname in sorted(connections))])
