"""Who a request is from, also where proxies stand in between: the client's address, its scheme, the host it asked for.

Values only. Headers in which proxies name their clients are believed only from proxies that the configuration names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from spalloc_server.core.networks import NOWHERE, Networks, address_of

Scheme = Literal["http", "https"]
Headers = Iterable[tuple[bytes, bytes]]

LOCAL = "unix"
"""The address of clients that come over a Unix socket: they have none."""
KEY = "spalloc.origin"
"""Where a request's scope has its origin."""

_PORT = r"(?::[0-9]{1,5})?"
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?"
_LONGEST_HOST = 261
_HOST = re.compile(rf"({_NAME}|\[[0-9A-Fa-f:.]{{2,45}}\]){_PORT}")
_ADDRESS = re.compile(rf"([0-9.]{{7,15}}){_PORT}|\[([0-9A-Fa-f:.]{{2,45}})\]{_PORT}|([0-9A-Fa-f:.]{{2,45}})")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(rf'({_TOKEN})=(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")')
_SEPARATOR = re.compile(r"[ \t]*([;,])[ \t]*")


class UnknownOriginError(ValueError):
    """A request does not say in a valid way where it is from; the message is a sentence for the client."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request is from."""

    address: str
    """The client's IP address; `LOCAL` over a Unix socket."""
    scheme: Scheme
    """How the client speaks, to the proxy if there is one."""
    host: str
    """The host, and the port if it is not the usual one, as the client has them in its address of this server."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies whose word about their clients is believed."""

    networks: Networks = NOWHERE
    socket: bool = False
    """Whether whoever connects over the Unix socket is one."""

    def __contains__(self, address: str) -> bool:
        """Return whether there is a proxy at an address."""
        return self.socket if address == LOCAL else self._is_named(address)

    def _is_named(self, address: str) -> bool:
        return bool(self.networks.networks) and address in self.networks

    def __str__(self) -> str:
        named = [*map(str, self.networks.networks), *(["socket"] if self.socket else [])]
        return ", ".join(named) or "none"


class _Hop(NamedTuple):
    """What one proxy says of its client; None where it says nothing."""

    address: str | None
    scheme: str | None
    host: str | None


def of(scope: Mapping[str, Any]) -> Origin:
    """Return the origin of an ASGI request; where the server has not set it, as without any proxy.

    Raises:
        UnknownOriginError: The server has not set it, and the request names no host.
    """
    found = scope.get(KEY)
    return found if isinstance(found, Origin) else seen(scope, Proxies())


def seen(scope: Mapping[str, Any], proxies: Proxies) -> Origin:
    """Return the origin of an ASGI request that comes by way of some proxies, or of none.

    Each proxy in the chain adds what it saw at the end of the list, so it is read from there, for as long as the one
    that would have said it is a named proxy.

    Raises:
        UnknownOriginError: A named proxy says something that is not valid, or the request names no host.
    """
    peer = scope.get("client")
    address = canonical(peer[0]) if peer else LOCAL
    scheme: Scheme = "https" if scope.get("scheme") in ("https", "wss") else "http"
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    host = None
    for name, value in headers:
        if name == b"host":
            host = value.decode("latin-1")
    if address in proxies:
        for hop in reversed(_hops(headers)):
            scheme = _scheme(hop.scheme, scheme)
            host = hop.host or host
            if hop.address is None:
                # It does not tell. What its clients do is counted as its own.
                break
            address = hop.address
            if address not in proxies:
                break
    if host is None or not is_host(host):
        raise UnknownOriginError(
            "the request names no valid host: it needs one Host header, such as Host: HOST:PORT"
        )
    return _origin(address, scheme, host)


@lru_cache(1024)
def _origin(address: str, scheme: Scheme, host: str) -> Origin:
    """Return an origin; most requests have the one of another request."""
    return Origin(address, scheme, host)


@lru_cache(4096)
def canonical(address: str) -> str:
    """Return an IP address in its usual form: IPv4 as such, also where a socket shows it as IPv6."""
    found = address_of(address)
    return address if found is None else str(found)


def is_host(text: str) -> bool:
    """Return whether a string is a host, with or without a port, as a Host header may have it."""
    return len(text) <= _LONGEST_HOST and _is_host(text)


@lru_cache(1024)
def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and (not text.startswith("[") or address_of(found[1][1:-1]) is not None)


def _joined(headers: Headers, name: bytes) -> str | None:
    """Return the values of all headers of a name as one list; None if there are none."""
    values = [value.decode("latin-1") for key, value in headers if key == name]
    return ", ".join(values) if values else None


def _hops(headers: Sequence[tuple[bytes, bytes]]) -> list[_Hop]:
    """Return what the proxies say, the one that is nearest to the client first."""
    forwarded = _joined(headers, b"forwarded")
    others = {name: _joined(headers, b"x-forwarded-" + name) for name in (b"for", b"proto", b"host")}
    if forwarded is None:
        return _unofficial(others[b"for"], others[b"proto"], others[b"host"])
    if any(value is not None for value in others.values()):
        # One is the proxy's, and one may be the client's own: a proxy leaves the headers alone that it does not set.
        raise UnknownOriginError(
            "the request has both a Forwarded and an X-Forwarded-... header, so nobody knows which is the proxy's; "
            "send neither, and have the proxy set one and remove the other"
        )
    return [
        _Hop(_address(pairs.get("for")), pairs.get("proto"), _checked_host(pairs.get("host")))
        for pairs in _elements(forwarded)
    ]


def _elements(text: str) -> Iterator[dict[str, str]]:
    """Yield the elements of a Forwarded header (RFC 7239), each with its parameters by their names in lower case."""
    pairs: dict[str, str] = {}
    at, end = 0, len(text)
    while True:
        pair = _PAIR.match(text, at)
        name = pair[1].lower() if pair else ""
        if pair is None or name in pairs:
            raise UnknownOriginError("the Forwarded header is not as RFC 7239 says; mend what the proxy sets")
        pairs[name] = pair[2] if pair[2] is not None else re.sub(r"\\(.)", r"\1", pair[3])
        at = pair.end()
        if at == end:
            yield pairs
            return
        separator = _SEPARATOR.match(text, at)
        if separator is None:
            raise UnknownOriginError("the Forwarded header is not as RFC 7239 says; mend what the proxy sets")
        at = separator.end()
        if separator[1] == ",":
            yield pairs
            pairs = {}


def _unofficial(clients: str | None, schemes: str | None, hosts: str | None) -> list[_Hop]:
    """Return the hops of X-Forwarded-For, -Proto and -Host, of which some proxies set only the first."""
    addresses = _listed(clients) or [""]
    return [
        _Hop(
            _address(address or None),
            _beside(schemes, at, len(addresses)),
            _checked_host(_beside(hosts, at, len(addresses))),
        )
        for at, address in enumerate(addresses)
    ]


def _beside(text: str | None, at: int, count: int) -> str | None:
    """Return the value that goes with address number `at` of `count`; the last one where the lists don't match."""
    values = _listed(text)
    if not values:
        return None
    return values[at] if len(values) == count else values[-1]


def _listed(text: str | None) -> list[str]:
    return [] if text is None else [part.strip() for part in text.split(",")]


def _address(text: str | None) -> str | None:
    """Return the IP address that a proxy names; None for `unknown`, made-up names, and nothing."""
    found = None if text is None else _ADDRESS.fullmatch(text)
    bare = None if found is None else found[1] or found[2] or found[3]
    return None if bare is None or address_of(bare) is None else canonical(bare)


def _scheme(said: str | None, before: Scheme) -> Scheme:
    match said and said.lower():
        case None | "":
            return before
        case "https" | "wss":
            return "https"
        case "http" | "ws":
            return "http"
        case _:
            raise UnknownOriginError(
                "a proxy says that the request came by neither http nor https; mend the proxy"
            )


def _checked_host(said: str | None) -> str | None:
    if said and not is_host(said):
        raise UnknownOriginError("a proxy names no valid host; mend what it sets as the forwarded host")
    return said or None
