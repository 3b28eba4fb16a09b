"""Who a request is from, behind whichever proxies: only named ones are believed, and never what lies before them."""

from typing import Any

import pytest

from spalloc_server.config.kinds import networks
from spalloc_server.config.mistakes import Mistakes
from spalloc_server.config.reading import Entry
from spalloc_server.core.networks import NOWHERE, Networks
from spalloc_server.fronts.http.origin import (
    KEY,
    LOCAL,
    Origin,
    Proxies,
    UnknownOriginError,
    is_host,
    of,
    seen,
)


def named(*names: str, socket: bool = False) -> Proxies:
    found = networks(Entry(list(names), (), Mistakes("", dict)))
    assert isinstance(found, Networks)
    return Proxies(found, socket=socket)


def scope(*headers: tuple[str, str], peer: str | None = "10.0.0.1", scheme: str = "http") -> dict[str, Any]:
    listed = [("host", "inner:8080"), *headers]
    return {
        "type": "http",
        "client": None if peer is None else (peer, 1234),
        "scheme": scheme,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in listed],
    }


PROXY = named("10.0.0.1", "10.0.1.0/24", "fd00::/8")


def test_without_a_proxy_it_is_who_is_connected() -> None:
    assert seen(scope(), Proxies()) == Origin("10.0.0.1", "http", "inner:8080")
    assert seen(scope(scheme="wss", peer="::ffff:10.0.0.9"), Proxies()) == Origin(
        "10.0.0.9", "https", "inner:8080"
    )


@pytest.mark.parametrize(
    "header",
    [
        ("Forwarded", "for=9.9.9.9;proto=https;host=evil"),
        ("X-Forwarded-For", "9.9.9.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil"),
    ],
)
@pytest.mark.parametrize("peer", ["10.0.0.2", None])
def test_whoever_is_no_named_proxy_is_not_believed(header: tuple[str, str], peer: str | None) -> None:
    assert seen(scope(header, peer=peer), PROXY) == Origin(peer or LOCAL, "http", "inner:8080")


BELIEVED: list[tuple[str, str, str, str]] = [
    # header's value as in Forwarded, and the address, scheme and host that follow from it
    ("for=1.2.3.4", "1.2.3.4", "http", "inner:8080"),
    ("for=1.2.3.4;proto=https;host=spalloc.example", "1.2.3.4", "https", "spalloc.example"),
    (
        'For="1.2.3.4:5678";Proto=HTTPS;Host="spalloc.example:8443"',
        "1.2.3.4",
        "https",
        "spalloc.example:8443",
    ),
    ('for="[2001:DB8::1]:443";proto=https', "2001:db8::1", "https", "inner:8080"),
    ('for="[::ffff:1.2.3.4]"', "1.2.3.4", "http", "inner:8080"),
    # The client says something itself, and the proxy adds what it sees.
    ("for=9.9.9.9;host=evil, for=1.2.3.4;proto=https;host=right", "1.2.3.4", "https", "right"),
    ("for=10.0.0.1, for=1.2.3.4", "1.2.3.4", "http", "inner:8080"),
    # Two named proxies, one behind the other: what the outer one saw counts.
    (
        "for=9.9.9.9, for=1.2.3.4;proto=https;host=right, for=10.0.1.7;proto=http;host=inner",
        "1.2.3.4",
        "https",
        "right",
    ),
    # It does not tell: it is counted as the proxy's own.
    ("for=unknown;proto=https", "10.0.0.1", "https", "inner:8080"),
    ("for=_hidden", "10.0.0.1", "http", "inner:8080"),
    ("for=1.2.3.4, for=unknown", "10.0.0.1", "http", "inner:8080"),
    ("proto=https", "10.0.0.1", "https", "inner:8080"),
    # All of the chain are proxies: the first of them asked itself.
    ("for=10.0.1.8, for=10.0.1.7", "10.0.1.8", "http", "inner:8080"),
    ('for=1.2.3.4;by="[fd00::1]";secret="a\\"b,c;d"', "1.2.3.4", "http", "inner:8080"),
]


@pytest.mark.parametrize(("value", "address", "scheme", "host"), BELIEVED)
def test_a_named_proxy_is_believed_in_forwarded(value: str, address: str, scheme: str, host: str) -> None:
    assert seen(scope(("Forwarded", value)), PROXY) == Origin(address, scheme, host)  # type: ignore[arg-type]
    # Several headers are one list (RFC 9110, 5.3).
    several = [("Forwarded", part) for part in value.split(", ")]
    assert seen(scope(*several), PROXY) == Origin(address, scheme, host)  # type: ignore[arg-type]


UNOFFICIAL: list[tuple[dict[str, str], str, str, str]] = [
    ({"For": "1.2.3.4"}, "1.2.3.4", "http", "inner:8080"),
    ({"For": "1.2.3.4", "Proto": "https", "Host": "right"}, "1.2.3.4", "https", "right"),
    ({"For": "1.2.3.4:5678"}, "1.2.3.4", "http", "inner:8080"),
    ({"For": "2001:db8::1"}, "2001:db8::1", "http", "inner:8080"),
    ({"For": "[2001:db8::1]:80"}, "2001:db8::1", "http", "inner:8080"),
    ({"For": "9.9.9.9, 1.2.3.4"}, "1.2.3.4", "http", "inner:8080"),
    ({"For": "9.9.9.9,8.8.8.8,10.0.1.7", "Proto": "https"}, "8.8.8.8", "https", "inner:8080"),
    (
        {"For": "9.9.9.9, 1.2.3.4, 10.0.1.7", "Proto": "https, https, http", "Host": "evil, right, inner"},
        "1.2.3.4",
        "https",
        "right",
    ),
    ({"For": "1.2.3.4, nonsense"}, "10.0.0.1", "http", "inner:8080"),
    ({"Proto": "https"}, "10.0.0.1", "https", "inner:8080"),
    ({"For": ""}, "10.0.0.1", "http", "inner:8080"),
]


@pytest.mark.parametrize(("values", "address", "scheme", "host"), UNOFFICIAL)
def test_a_named_proxy_is_believed_in_x_forwarded(
    values: dict[str, str], address: str, scheme: str, host: str
) -> None:
    headers = [(f"X-Forwarded-{name}", value) for name, value in values.items()]
    assert seen(scope(*headers), PROXY) == Origin(address, scheme, host)  # type: ignore[arg-type]


def test_over_a_unix_socket_a_proxy_is_believed_only_if_the_socket_is_named() -> None:
    header = ("X-Forwarded-For", "1.2.3.4")
    assert seen(scope(header, peer=None), named(socket=True)).address == "1.2.3.4"
    assert seen(scope(header, peer=None), named("0.0.0.0/0", "::/0")).address == LOCAL
    assert seen(scope(header), named(socket=True)).address == "10.0.0.1"


@pytest.mark.parametrize("other", ["For", "Proto", "Host"])
def test_both_kinds_of_header_are_refused_since_the_client_may_have_sent_one(other: str) -> None:
    with pytest.raises(UnknownOriginError, match="nobody knows which is the proxy's"):
        seen(scope(("Forwarded", "for=1.2.3.4"), (f"X-Forwarded-{other}", "9.9.9.9")), PROXY)


@pytest.mark.parametrize(
    "value",
    ["", "for", "for=", "for=1.2.3.4;", "for=a b", 'for="1.2.3.4', "for=1.2.3.4;for=9.9.9.9", "=x", "for=1.2.3.4,,",
     "for=1.2.3.4;proto=ftp", "for=1.2.3.4;host=a/b", 'for=1.2.3.4;host="a@b"'],
)  # fmt: skip
def test_what_a_named_proxy_says_must_be_valid(value: str) -> None:
    with pytest.raises(UnknownOriginError):
        seen(scope(("Forwarded", value)), PROXY)


def test_an_application_without_the_server_learns_who_is_connected_and_with_it_what_the_server_says() -> None:
    assert of(scope()) == Origin("10.0.0.1", "http", "inner:8080")
    told = Origin("1.2.3.4", "https", "right")
    assert of({**scope(), KEY: told}) == told
    with pytest.raises(UnknownOriginError, match="needs one Host header"):
        of({**scope(), "headers": []})


@pytest.mark.parametrize(("host", "valid"), [
    ("here", True), ("here.example:443", True), ("a_b.example.", True), ("1.2.3.4:1", True), ("[::1]", True),
    ("[::1]:80", True), ("", False), ("a b", False), ("a@b", False), ("a/b", False), ("a:b", False), ("a:", False),
    ("[1]", False), ("[::1", False), ("a,b", False), ("-a", False), ("x" * 300, False), ("a\nb", False), ("é", False),
])  # fmt: skip
def test_a_host_is_a_name_or_address_with_or_without_a_port(host: str, valid: bool) -> None:
    assert is_host(host) == valid


def test_nobody_is_a_proxy_unless_named() -> None:
    assert "127.0.0.1" not in Proxies()
    assert LOCAL not in Proxies()
    assert Proxies().networks == NOWHERE
