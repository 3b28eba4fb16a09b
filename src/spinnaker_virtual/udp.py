"""Moves datagrams between sockets and the virtual hardware, in an asyncio event loop.

What a datagram means, and when replies are sent, is decided in hardware.py.
"""

import asyncio
from socket import socket

from spinnaker_virtual.agenda import Agenda
from spinnaker_virtual.hardware import Receiver
from spinnaker_virtual.log import PacketLog
from spinnaker_virtual.loopback import BoundSockets, close_all
from spinnaker_virtual.network import Address, Socket

_MAX_DATAGRAM = 2048
_DATAGRAMS_A_TURN = 32
"""How many datagrams of one socket are delivered in a row before those of others."""
_LOOK_EVERY = 8


class UdpPump:
    """Moves datagrams between bound sockets and their receivers, and runs the agenda on time.

    It uses plain readiness callbacks: asyncio's datagram transports take ten times as long to open, and a machine of
    1,200 boards has 2,450 sockets.
    """

    def __init__(self, sockets: BoundSockets, log: PacketLog | None = None) -> None:
        self._sockets = sockets
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._agenda = Agenda()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._turns = 0
        self._crowded: set[Socket] = set()

    def start(self, receivers: dict[Socket, Receiver], agenda: Agenda) -> None:
        """Start delivering datagrams, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._agenda = agenda
        for address, opened in self._sockets.items():
            receive = receivers.get(address)
            if receive is not None:
                self._loop.add_reader(opened, self._drain, address, opened, receive)

    def stop(self) -> None:
        """Stop delivering and close all sockets."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None:
            for opened in self._sockets.values():
                self._loop.remove_reader(opened)
        close_all(self._sockets)

    def transmit(self, source: Socket, destination: Address, datagram: bytes) -> None:
        """Send a datagram; as in a network, it may be lost."""
        opened = self._sockets.get(source)
        if opened is None or self._loop is None:
            return
        if self._log is not None:
            self._log.sent(source, destination, datagram, self._loop.time())
        try:
            opened.sendto(datagram, destination)
        except OSError:
            # The receiver is gone, or its buffer is full: the datagram is lost, as in a network.
            pass

    def _drain(self, address: Socket, opened: socket, receive: Receiver) -> None:
        """Deliver the datagrams that have arrived at a socket.

        Looking for a second datagram that is not there takes a fifth of the time of an answer. So that is done only
        for sockets that had several datagrams at once the last time, and in one turn of eight.
        """
        self._turns += 1
        crowded = address in self._crowded
        if not self._take(address, opened, receive) or not (crowded or self._turns % _LOOK_EVERY == 0):
            self.run_due()
            return
        for taken in range(1, _DATAGRAMS_A_TURN):
            if not self._take(address, opened, receive):
                if taken == 1:
                    self._crowded.discard(address)
                break
            self._crowded.add(address)
        self.run_due()

    def _take(self, address: Socket, opened: socket, receive: Receiver) -> bool:
        """Deliver one datagram; return whether there was one."""
        loop = self._loop
        assert loop is not None
        try:
            datagram, host = opened.recvfrom(_MAX_DATAGRAM)
        except BlockingIOError:
            return False
        except OSError:
            return True  # an earlier reply could not be delivered; the next datagram may be fine
        now = loop.time()
        if self._log is not None:
            self._log.received(address, host, datagram, now)
        self._catch_up(now)
        receive(datagram, host, now)
        return True

    def run_due(self) -> None:
        """Run all actions that are due and set the timer for the next; call it after adding actions from outside."""
        loop, agenda = self._loop, self._agenda
        if loop is None or agenda.next is None:
            return
        self._catch_up(loop.time())
        self._wait_until(agenda.next, loop)

    def _catch_up(self, now: float) -> None:
        """Run all actions that are due before a datagram is delivered: the loop may read the socket first."""
        due = self._agenda.next
        if due is not None and due <= now:
            self._agenda.run(now)

    def _wake(self) -> None:
        self._timer = None
        self._timer_at = None
        self.run_due()

    def _wait_until(self, time: float | None, loop: asyncio.AbstractEventLoop) -> None:
        if time == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = time
        self._timer = None if time is None else loop.call_at(time, self._wake)
