"""Runs in SpiNNMan's own environment: hears what a board sends of itself, as an EIEIO listener does.

Arguments: the board's address. Says `ready` once the IP tag is set, then writes the keys that it heard.
"""

import logging
import sys

from spinn_machine.tags import IPTag
from spinn_utilities.config_holder import set_config
from spinnman.config_setup import unittest_setup
from spinnman.connections.udp_packet_connections import EIEIOConnection
from spinnman.transceiver import create_transceiver_from_hostname

logging.disable(logging.WARNING)
unittest_setup()
set_config("Machine", "version", "5")
host = sys.argv[1]
transceiver = create_transceiver_from_hostname(host, extended=True)
transceiver.discover_scamp_connections()
print(*sorted(each.remote_ip_address for each in transceiver._scamp_connections), flush=True)
listener = EIEIOConnection(local_host="127.0.0.1")
for x, y in ((0, 0), (4, 8)):
    where = next(
        each.remote_ip_address
        for each in transceiver._scamp_connections
        if (each.chip_x, each.chip_y) == (x, y)
    )
    transceiver.set_ip_tag(IPTag(where, x, y, 2, "localhost", listener.local_port, strip_sdp=True))
print("ready", flush=True)
heard = []
for _ in range(2):
    message = listener.receive_eieio_message(30)
    while message.is_next_element:
        heard.append(message.next_element.key)
print(*heard, flush=True)
transceiver.close()
listener.close()
