"""Sets of network addresses: who may connect, who is an administrator.

Values only: where an address comes from, and what follows from its being in a set, is others' subject.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Networks:
    """Addresses that are in any of some networks."""

    networks: tuple[Network, ...]

    def __contains__(self, host: str) -> bool:
        """Return whether the address `host` is in one of the networks; what is no address is in none."""
        address = address_of(host)
        return address is not None and any(address in network for network in self.networks)

    def __str__(self) -> str:
        return ", ".join(map(str, self.networks)) or "none"


NOWHERE = Networks(())
EVERYWHERE = Networks((IPv4Network("0.0.0.0/0"), IPv6Network("::/0")))


def same_host(one: str, other: str) -> bool:
    """Return whether two addresses are one host's: equal, or both this computer's own."""
    if one == other:
        return True
    first, second = address_of(one), address_of(other)
    if first is None or second is None:
        return False
    return first == second or (first.is_loopback and second.is_loopback)


@lru_cache(4096)
def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a text names, or None if it names none.

    An IPv4 address in IPv6's clothing, as a socket for both gives it, is returned as the IPv4 address it is.
    """
    address: IPv4Address | IPv6Address
    try:
        text = host.partition("%")[0]
        address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


IPV6_PREFIX = 64
"""Leading bits that the IPv6 addresses of one network share: whoever has one of them has all, and counts as one."""


class Groups:
    """Which addresses count as one: asked by all who limit or count by address, so that they agree."""

    __slots__ = ("ipv6_prefix",)

    def __init__(self, ipv6_prefix: int = IPV6_PREFIX) -> None:
        """Begin with a prefix, from 0 to 128."""
        self.ipv6_prefix = ipv6_prefix

    def of(self, host: str) -> str:
        """Return the group that the address `host` counts in."""
        return group_of(host, self.ipv6_prefix)


@lru_cache(4096)
def group_of(host: str, ipv6_prefix: int) -> str:
    """Return the group that the address `host` counts in where IPv6 networks have a prefix of that length.

    An IPv4 address is a group of its own, whether it is written as IPv4 or as IPv6 (`::ffff:10.0.0.1`). The IPv6
    addresses of one network are one group, written as that network (`2001:db8::/64`): one computer can use all of
    them. What is no address is a group of its own.

    Args:
        host: The address, as sockets and records write it.
        ipv6_prefix: How many leading bits make a network, 0 to 128.
    """
    address = address_of(host)
    if address is None:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    # By hand: as an IPv6Network it takes ten times as long, and there may be tens of thousands at once.
    host_bits = 128 - ipv6_prefix
    return f"{IPv6Address(int(address) >> host_bits << host_bits)}/{ipv6_prefix}"
