"""Where a virtual machine answers, without opening a socket."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinnaker.geometry import Board, BoardLink, Link, Size
from spinnaker.places import Frame, Place
from spinnaker_virtual import Timings, VirtualMachine
from spinnaker_virtual.network import Network

SIZES = st.builds(Size, st.integers(1, 20), st.integers(1, 20))


@given(SIZES)
def test_no_two_sockets_share_an_address_and_port(size: Size) -> None:
    machine = VirtualMachine(size=size)
    for network in (
        Network.standard(machine, IPv4Address("127.1.0.0")),
        Network.one_host(machine, "127.0.0.1", 4096),
    ):
        sockets = [*network.bmps.values(), *(socket for board in network.boards.values() for socket in board)]
        assert len(set(sockets)) == len(sockets) == len(machine.frames) + 2 * size.boards


def test_one_address_serves_as_many_boards_as_it_has_ports() -> None:
    with pytest.raises(ValueError, match="50 frames from port 65000"):
        Network.one_host(VirtualMachine(size=Size(20, 20)), "127.0.0.1", 65000)


def test_dead_boards_have_no_place_and_no_address() -> None:
    machine = VirtualMachine(size=Size(1, 1), dead_boards=frozenset({Board(0, 0, 1)}))
    assert set(machine.places) == {Board(0, 0, 0), Board(0, 0, 2)}
    assert set(Network.standard(machine, IPv4Address("127.1.0.0")).boards) == set(machine.places)


def test_places_may_be_given_and_name_the_frames() -> None:
    place = Place(2, 3, 7)
    machine = VirtualMachine(size=Size(1, 1), places={Board(0, 0, 0): place})
    assert machine.frames == (Frame(2, 3),)
    network = Network.standard(machine, IPv4Address("127.1.0.0"))
    assert network.boards[Board(0, 0, 0)].sdp.host == "127.1.13.57"


def test_what_no_machine_can_be_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="0x3 triads has no boards"):
        VirtualMachine(size=Size(0, 3))
    with pytest.raises(ValueError, match=r"board \(5, 0, 0\) is outside"):
        VirtualMachine(size=Size(1, 1), dead_links=frozenset({BoardLink(Board(5, 0, 0), Link.EAST)}))
    with pytest.raises(ValueError, match="same place"):
        VirtualMachine(
            size=Size(1, 1), places=dict.fromkeys([Board(0, 0, 0), Board(0, 0, 1)], Place(0, 0, 0))
        )
    with pytest.raises(ValueError, match="power_on can't take -1"):
        Timings(power_on=-1)
