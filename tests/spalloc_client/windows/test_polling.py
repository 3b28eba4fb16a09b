"""What stands in for poll finds the same as poll does."""

import select
import socket
import threading
import time
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.polling import POLLIN, POLLOUT
from spalloc_client.windows import polling

ASKED = st.sampled_from([0, POLLIN, POLLOUT, POLLIN | POLLOUT])
STATES = st.sampled_from(["quiet", "spoken to", "left", "full"])


def in_state(state: str, stack: ExitStack) -> socket.socket:
    """A socket whose other end has said something, gone, or reads no more."""
    ours, other = socket.socketpair()
    stack.enter_context(ours)
    if state == "left":
        other.close()
        return ours
    stack.enter_context(other)
    if state == "spoken to":
        other.send(b"x")
    if state == "full":
        ours.setblocking(False)
        try:
            while True:
                ours.send(bytes(65536))
        except BlockingIOError:
            pass
    return ours


@given(st.lists(st.tuples(ASKED, STATES), max_size=4))
def test_sockets_are_as_ready_as_poll_finds_them(wanted: list[tuple[int, str]]) -> None:
    with ExitStack() as stack:
        system, ours = select.poll(), polling.poll()
        for events, state in wanted:
            there = in_state(state, stack)
            system.register(there, events)
            ours.register(there, events)
        # That the other end has gone is readable there, and a mark of its own here.
        expected = {number: events & (POLLIN | POLLOUT) for number, events in system.poll(0)}
        assert dict(ours.poll(0)) == {number: events for number, events in expected.items() if events}


def test_what_is_no_longer_asked_for_is_not_waited_for() -> None:
    with ExitStack() as stack:
        there = in_state("spoken to", stack)
        poll = polling.poll()
        poll.register(there, POLLIN)
        poll.unregister(there)
        assert poll.poll(1) == []
        with pytest.raises(KeyError):
            poll.unregister(there)


def test_a_wait_without_a_limit_ends_with_what_it_waits_for() -> None:
    ours, other = socket.socketpair()
    with ours, other:
        poll = polling.poll()
        poll.register(ours, POLLIN)
        # Longer than one of the slices in which Windows waits.
        threading.Timer(0.6, other.send, (b"x",)).start()
        assert poll.poll() == [(ours.fileno(), POLLIN)]


@pytest.mark.parametrize("asked", [0, POLLIN])
def test_a_wait_ends_when_its_time_has_passed(asked: int) -> None:
    ours, other = socket.socketpair()
    with ours, other:
        poll = polling.poll()
        poll.register(ours, asked)
        began = time.monotonic()
        assert poll.poll(300) == []
        assert 0.3 <= time.monotonic() - began < 10.0
