"""Neighbours: which addresses count as one."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.networks import Neighbours, neighbours_of
from tests.examples import examples

DEFAULT = Neighbours()


@examples(100)
@given(network=st.integers(0, 2**64 - 1), one=st.integers(0, 2**64 - 1), other=st.integers(0, 2**64 - 1))
def test_all_ipv6_addresses_of_a_64_network_are_one_group(network: int, one: int, other: int) -> None:
    first, second = (IPv6Address(network << 64 | host) for host in (one, other))
    if first.ipv4_mapped is None and second.ipv4_mapped is None:
        assert DEFAULT.of(str(first)) == DEFAULT.of(str(second))


def test_neighbouring_networks_are_two_groups_unless_the_prefix_is_shorter() -> None:
    assert DEFAULT.of("2001:db8:0:1::5") != DEFAULT.of("2001:db8:0:2::5")
    assert neighbours_of("2001:db8:0:1::5", 48) == neighbours_of("2001:db8:0:2::5", 48)
    assert neighbours_of("2001:db8:0:1::5", 128) != neighbours_of("2001:db8:0:1::6", 128)


@examples(100)
@given(one=st.integers(0, 2**32 - 1), other=st.integers(0, 2**32 - 1))
def test_each_ipv4_address_is_a_group_of_its_own_however_it_is_written(one: int, other: int) -> None:
    first, second = IPv4Address(one), IPv4Address(other)
    assert (DEFAULT.of(str(first)) == DEFAULT.of(str(second))) == (first == second)
    assert DEFAULT.of(f"::ffff:{first}") == DEFAULT.of(str(first)) == str(first)


@pytest.mark.parametrize("host", ["", "somewhere", "10.0.0", "10.0.0.0/8"])
def test_a_string_that_is_no_address_is_a_group_of_its_own(host: str) -> None:
    assert DEFAULT.of(host) == host


def test_a_group_is_written_as_its_network() -> None:
    assert DEFAULT.of("2001:db8::1") == "2001:db8::/64"
    assert DEFAULT.of("fe80::1%eth0") == "fe80::/64"
