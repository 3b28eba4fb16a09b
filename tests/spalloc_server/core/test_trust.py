"""Who may end a job, and which addresses are whose."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.admission import Control, Trust
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.networks import EVERYWHERE, Networks, address_of, same_host
from spalloc_server.core.requests import AnyBoard, JobRequest


def _job(host: str) -> JobRecord:
    return JobRecord(7, "me", 0.0, None, JobRequest(AnyBoard()), Asked((), {}), "10.9.9.9", owner_host=host)


ADMINISTRATORS = Networks((ip_network("10.1.0.0/16"), ip_network("fd00::/8")))
OWNERS = Trust(Control.OWNER, ADMINISTRATORS)


@pytest.mark.parametrize("host", ["10.2.0.1", "::ffff:10.2.0.1", "10.1.77.3", "fd00::17"])
def test_the_owners_host_and_administrators_may_end_a_job(host: str) -> None:
    assert OWNERS.refusal(_job("10.2.0.1"), host) is None


@pytest.mark.parametrize("host", ["10.2.0.2", "10.9.9.9", "::1", "", "fe80::1%eth0"])
def test_others_may_not_and_are_told_why(host: str) -> None:
    refusal = OWNERS.refusal(_job("10.2.0.1"), host)
    assert refusal is not None
    assert refusal.startswith("job 7 was created from 10.2.0.1, and this server lets only that host")
    assert refusal.endswith(f"this is {host or 'unknown'}")


def test_anyone_may_where_the_site_does_not_mind() -> None:
    assert Trust().refusal(_job("10.2.0.1"), "192.0.2.1") is None


def test_all_addresses_of_this_computer_are_one_host() -> None:
    assert same_host("127.0.0.1", "::1")
    assert same_host("127.0.0.1", "127.3.2.1")
    assert not same_host("127.0.0.1", "10.0.0.1")
    assert not same_host("", "127.0.0.1")


@given(st.ip_addresses())
def test_every_address_is_in_everywhere(address: object) -> None:
    assert str(address) in EVERYWHERE
    assert str(address) not in Networks(())


def test_what_is_no_address_is_nowhere() -> None:
    assert "somewhere" not in EVERYWHERE
    assert address_of("") is None
