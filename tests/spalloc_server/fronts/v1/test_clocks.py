"""How long clients may take, in simulated time: no clock is set back by doing a little."""

from itertools import cycle

import pytest

from tests.spalloc_server.fronts.v1.simulated import Peer, SimulatedFront, request, simulated_front

VERSION = request("version")


def _drip(front: SimulatedFront, peer: Peer, pieces: list[bytes], seconds: float) -> float:
    """Send the pieces over and over, one each half second; return when the server hung up, or after how long not."""
    began = front.world.now
    for piece in cycle(pieces):
        if peer.gone or front.world.now >= began + seconds:
            return front.world.now - began
        peer.send(piece)
        front.pass_time(0.5)
    raise AssertionError


@pytest.mark.parametrize("first", [b"", VERSION], ids=["first", "later"])
@pytest.mark.parametrize("pieces", [[b"x"], [b" "], [b'"', b" "]], ids=["letters", "blanks", "both"])
def test_a_request_that_comes_byte_by_byte_has_no_more_time_than_any_other(
    first: bytes, pieces: list[bytes]
) -> None:
    with simulated_front(first_request_seconds=4.0) as front:
        peer = front.connect()
        peer.send(first)
        assert _drip(front, peer, pieces, 60.0) <= 4.0 + 1.0 + 0.5


@pytest.mark.parametrize(
    "pieces", [[b"\n"], [b" ", b"\n"], [b"\n "], [b"\r\n"]], ids=["\\n", " , \\n", "\\n ", "\\r\\n"]
)
def test_blank_lines_are_no_first_request(pieces: list[bytes]) -> None:
    with simulated_front(first_request_seconds=4.0) as front:
        peer = front.connect()
        assert _drip(front, peer, pieces, 60.0) <= 4.0 + 1.0 + 0.5


def test_a_request_that_was_ended_in_time_is_not_held_against_the_next() -> None:
    with simulated_front(first_request_seconds=4.0) as front:
        peer = front.connect()
        # Each request begins in the piece that ends the one before.
        pieces = [VERSION[:5], VERSION[5:9], VERSION[9:] + VERSION[:3], VERSION[3:]]
        assert _drip(front, peer, pieces, 60.0) == 60.0
        assert set(map(str, peer.lines)) == {"{'return': '1.0.0'}"}


def test_time_in_which_the_server_does_not_read_is_not_the_clients() -> None:
    with simulated_front(first_request_seconds=4.0, slow_reader_seconds=60.0) as front:
        peer = front.connect()
        # The server stops reading in the middle of a request, since the client does not read what it is answered.
        peer.transport.pause_reading()
        for _ in range(20):
            peer.send(request("list_machines") * 500 + VERSION[:5])
            peer.send(VERSION[5:])
        front.pass_time(20.0)
        peer.transport.resume_reading()
        front.pass_time(20.0)
        assert not peer.gone
        assert len(peer.lines) == 20 * 501


def test_an_idle_client_is_cut_off_unless_it_watches_something() -> None:
    with simulated_front(idle_seconds=100.0) as front:
        idle, watcher = front.connect(), front.connect()
        front.call(watcher, "notify_machine", "m")
        front.call(idle, "version")
        front.pass_time(90.0)
        assert not idle.gone
        front.pass_time(20.0)
        assert idle.gone
        assert not watcher.gone
