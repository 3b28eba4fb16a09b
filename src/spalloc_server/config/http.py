"""Where and how HTTP is served: `[http]`.

fronts/http/ does what is said here. Its parts are imported only where a configuration has such a table.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from spalloc_server.config.kinds import (
    a_duration,
    a_file,
    a_host,
    a_network,
    a_path_of_addresses,
    a_port,
    list_of,
    networks,
    whole_number,
)
from spalloc_server.config.openid import read_openid
from spalloc_server.config.reading import Entry, Kind, Table
from spalloc_server.core.networks import Network, Networks
from spalloc_server.fronts.http.origin import Proxies
from spalloc_server.fronts.http.settings import HttpSettings, Limits

_SOCKET = "socket"
"""How whoever connects over the Unix socket is named as a proxy."""
_COUNT = whole_number(1, 1_000_000)
_SECONDS = a_duration("seconds", above=0.0)
_SETTINGS: Mapping[str, Kind[object]] = {
    "port": a_port,
    "base": a_path_of_addresses,
    "allow": networks,
    "session_idle_seconds": _SECONDS,
}
_LIMITS: Mapping[str, Kind[object]] = {
    "connections": _COUNT,
    "connections_from_one_address": _COUNT,
    "request_seconds": _SECONDS,
    "idle_seconds": _SECONDS,
    "slow_reader_seconds": _SECONDS,
    "waiting": _COUNT,
    "waiting_of_one_account": _COUNT,
    "waiting_from_one_address": _COUNT,
    "requests_of_one_account": _COUNT,
    "requests_from_one_address": _COUNT,
    "websockets": _COUNT,
    "websockets_of_one_account": _COUNT,
    "channels": _COUNT,
    "channels_of_one_websocket": _COUNT,
    "transfers": _COUNT,
    "transfers_of_one_account": _COUNT,
    "transfers_asked_for_by_one_account": _COUNT,
}


def read_http(table: Table, folder: Path) -> HttpSettings:
    """Return what the table says, and note what is wrong with it.

    Args:
        table: The table.
        folder: What paths in it are relative to.
    """
    file = a_file(folder)
    before = len(table.mistakes.found)
    socket = table.take("socket", file, None)
    alone = () if socket is not None and not table.has("listen") else HttpSettings().addresses
    addresses = table.take("listen", list_of(a_host, "addresses"), alone)
    if table.has("listen") and table.values["listen"] == [] and socket is None:
        table.entry("listen").wrong('at least one address, such as ["127.0.0.1"], or a socket beside it')
    settings = replace(
        table.fill(HttpSettings(), _SETTINGS),
        addresses=addresses,
        certificate=table.take("certificate", file, None),
        key=table.take("key", file, None),
        socket=socket,
        proxies=table.take("proxies", _proxies, Proxies()),
        openid=read_openid(table.table("openid"), folder) if table.has("openid") else None,
        limits=table.table("limits").whole(Limits(), _LIMITS),
    )
    table.finish()
    if len(table.mistakes.found) == before:
        _check_together(table, settings)
    return settings


def _proxies(entry: Entry) -> Proxies | None:
    """A list of networks, and of the word for the Unix socket."""

    def proxy(one: Entry) -> Network | str | None:
        if one.value == _SOCKET:
            return _SOCKET
        found = a_network(one)
        if found is not None and found.prefixlen == 0:
            one.wrong("the addresses of proxies; everybody would be believed")
            return None
        return found

    read: Kind[tuple[Network | str, ...]] = list_of(proxy, f'networks, or "{_SOCKET}"')
    found = read(entry)
    if found is None:
        return None
    return Proxies(Networks(tuple(one for one in found if not isinstance(one, str))), _SOCKET in found)


def _check_together(table: Table, settings: HttpSettings) -> None:
    """Note what does not fit together."""
    add = table.mistakes.add
    if (settings.certificate is None) != (settings.key is None):
        there, missing = ("certificate", "key") if settings.key is None else ("key", "certificate")
        add(table.path, f"has {there} but no {missing}; expected both, or neither")
        return
    if settings.proxies.socket and settings.socket is None:
        add((*table.path, "proxies"), f'has "{_SOCKET}", but there is none; give http.socket = "FILE"')
    if settings.certificate is not None and settings.key is not None:
        _check_pair(table, settings.certificate, settings.key)
        return
    abroad = [host for host in settings.addresses if not _is_loopback(host)]
    if abroad and not settings.proxies.networks.networks:
        add(
            (*table.path, "listen"),
            f"has {abroad[0]}, and there is no certificate, so passwords would cross the network for others to read; "
            "give certificate and key, or name the proxies that connect there",
        )


def _check_pair(table: Table, certificate: Path, key: Path) -> None:
    from spalloc_server.fronts.http.connections.tls import CertificateError, context_of

    try:
        context_of(certificate, key)
    except CertificateError as error:
        table.mistakes.add((*table.path, "key" if error.of_key else "certificate"), f"can't be used: {error}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return re.fullmatch(r"localhost\.?", host, re.IGNORECASE) is not None
