# Datagrams between sockets and the virtual hardware, in an asyncio event loop.
#
# Thin: what a datagram means, and when an answer goes out, is decided in hardware.py and below.
"""The UDP side of a virtual site."""

import asyncio
from socket import socket

from spinnaker_virtual.agenda import Agenda
from spinnaker_virtual.hardware import Receiver
from spinnaker_virtual.log import PacketLog
from spinnaker_virtual.loopback import BoundSockets, close_all
from spinnaker_virtual.network import Socket

_MAX_DATAGRAM = 2048
_DATAGRAMS_A_TURN = 32
"""How many datagrams one socket may have in a row before others get their turn."""


class UdpPump:
    """Moves datagrams between bound sockets and their receivers, and runs the agenda when its time comes.

    Plain readiness callbacks rather than asyncio's datagram transports: those cost ten times as much to
    open, and a machine of 1,200 boards has 2,450 sockets.
    """

    def __init__(self, sockets: BoundSockets, log: PacketLog | None = None) -> None:
        self._sockets = sockets
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._agenda = Agenda()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, receivers: dict[Socket, Receiver], agenda: Agenda) -> None:
        """Begin to deliver datagrams, in the running event loop."""
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

    def transmit(self, source: Socket, destination: Socket, datagram: bytes) -> None:
        """Send a datagram; like the network, it may be lost."""
        opened = self._sockets.get(source)
        if opened is None or self._loop is None:
            return
        if self._log is not None:
            self._log.sent(source, destination, datagram, self._loop.time())
        try:
            opened.sendto(datagram, destination)
        except OSError:
            # The receiver has gone, or its buffer is full: the datagram is lost, as UDP's are.
            pass

    def _drain(self, address: Socket, opened: socket, receive: Receiver) -> None:
        loop, log = self._loop, self._log
        assert loop is not None
        for _ in range(_DATAGRAMS_A_TURN):
            try:
                datagram, (host, port) = opened.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                break
            except OSError:
                continue  # an earlier reply could not be delivered; the next datagram may be fine
            now = loop.time()
            if log is not None:
                log.received(address, Socket(host, port), datagram, now)
            receive(datagram, Socket(host, port), now)
        self.run_agenda()

    def run_agenda(self) -> None:
        """Run what is due, and wait for what comes next."""
        if self._loop is None or self._agenda.next is None:
            return
        self._agenda.run(self._loop.time())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._agenda.next is not None:
            self._timer = self._loop.call_at(self._agenda.next, self.run_agenda)
