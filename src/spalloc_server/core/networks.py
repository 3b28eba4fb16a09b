"""Network addresses: sets of them, and which of them count as one.

Values only: who may connect or is an administrator is decided elsewhere.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Networks:
    """The addresses of some networks."""

    networks: tuple[Network, ...]

    def __contains__(self, host: str) -> bool:
        """Return whether `host` is an address in one of the networks."""
        address = address_of(host)
        return address is not None and any(address in network for network in self.networks)

    def __str__(self) -> str:
        return ", ".join(map(str, self.networks)) or "none"


NOWHERE = Networks(())
EVERYWHERE = Networks((IPv4Network("0.0.0.0/0"), IPv6Network("::/0")))


@dataclass(frozen=True, slots=True)
class NetworkNames:
    """A name for each of some networks; of networks within each other, the smallest counts."""

    names: tuple[tuple[Network, str], ...] = ()

    def of(self, host: str) -> str | None:
        """Return the name for an address; None if it is in none of the networks."""
        address = address_of(host) if self.names else None
        found = [
            (network.prefixlen, name)
            for network, name in self.names
            if address is not None and address in network
        ]
        return max(found)[1] if found else None

    def __str__(self) -> str:
        return ", ".join(f"{network}: {name}" for network, name in self.names) or "none"


NO_NAMES = NetworkNames()


def same_host(one: str, other: str) -> bool:
    """Return whether two addresses belong to one host: they are equal, or both are this computer's own."""
    if one == other:
        return True
    first, second = address_of(one), address_of(other)
    if first is None or second is None:
        return False
    return first == second or (first.is_loopback and second.is_loopback)


def is_loopback(host: str) -> bool:
    """Return whether an address is one of this computer's own."""
    address = address_of(host)
    return address is not None and address.is_loopback


@lru_cache(4096)
def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a string names, or None if it names none.

    An IPv4-mapped IPv6 address, as a dual-stack socket reports it, is returned as an IPv4 address.
    """
    address: IPv4Address | IPv6Address
    try:
        bare = host.partition("%")[0]
        address = IPv6Address(bare) if ":" in bare else IPv4Address(bare)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


IPV6_PREFIX = 64
"""Leading bits that IPv6 addresses of one network share; one computer can use them all, so they count as one."""


class Neighbours:
    """Which addresses count as one; everything that limits or counts by address asks here, so that all agree."""

    __slots__ = ("ipv6_prefix",)

    def __init__(self, ipv6_prefix: int = IPV6_PREFIX) -> None:
        """Begin with a prefix of 0 to 128 bits."""
        self.ipv6_prefix = ipv6_prefix

    def of(self, host: str) -> str:
        """Return the neighbours of the address `host`."""
        return neighbours_of(host, self.ipv6_prefix)


@lru_cache(4096)
def neighbours_of(host: str, ipv6_prefix: int) -> str:
    """Return the address `host`, or the network of its neighbours: the addresses that count as one with it.

    An IPv4 address has none, whether it is written as IPv4 or as IPv6 (`::ffff:10.0.0.1`). The IPv6 addresses of one
    network are neighbours, written as that network (`2001:db8::/64`), since one computer can use them all. A string
    that is no address has none.

    Args:
        host: The address, as sockets and records write it.
        ipv6_prefix: How many leading bits make a network, 0 to 128.
    """
    address = address_of(host)
    if address is None:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    # `IPv6Network` takes ten times as long, and there may be tens of thousands at once.
    host_bits = 128 - ipv6_prefix
    return f"{IPv6Address(int(address) >> host_bits << host_bits)}/{ipv6_prefix}"
