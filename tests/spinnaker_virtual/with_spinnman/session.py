"""Runs in SpiNNMan's own environment, where nothing of this project is installed: one task against a board or a BMP.

Reads a task as JSON from its arguments and writes what SpiNNMan says as one line of JSON, the last one.
"""

import json
import logging
import sys
import tempfile

from spinn_machine import CoreSubsets, MulticastRoutingEntry, RoutingEntry
from spinn_machine.tags import IPTag, ReverseIPTag
from spinn_utilities.config_holder import set_config
from spinnman.config_setup import unittest_setup
from spinnman.data.spinnman_data_writer import SpiNNManDataWriter
from spinnman.exceptions import SpinnmanGenericProcessException
from spinnman.messages.scp.abstract_messages.bmp_response import BMPOKResponse
from spinnman.messages.scp.enums import PowerCommand, Signal
from spinnman.messages.scp.impl import SetPower
from spinnman.model import BMPConnectionData
from spinnman.model.enums import CPUState
from spinnman.transceiver import create_transceiver_from_hostname


def set_up():
    logging.disable(logging.WARNING)
    unittest_setup()
    set_config("Machine", "version", "5")


def connect(host):
    transceiver = create_transceiver_from_hostname(host, extended=True)
    transceiver.discover_scamp_connections()
    return transceiver


def described(machine):
    return {
        "width": machine.width,
        "height": machine.height,
        "chips": [
            {
                "at": [chip.x, chip.y],
                "cores": chip.n_processors,
                "links": sorted(link.source_link_id for link in chip.router.links),
                "address": chip.ip_address,
                "ethernet": [chip.nearest_ethernet_x, chip.nearest_ethernet_y],
                "sdram": chip.sdram,
                "routes": chip.router.n_available_multicast_entries,
            }
            for chip in machine.chips
        ],
    }


def discover(host):
    transceiver = connect(host)
    answer = described(transceiver.get_machine_details())
    transceiver.close()
    return answer


def memory(host, chips, size):
    """Write to every chip that is asked for and read it back; return what differs."""
    transceiver = connect(host)
    SpiNNManDataWriter.mock().set_machine(transceiver.get_machine_details())
    different = []
    data = {}
    for x, y in chips:
        data[x, y] = (bytes([x, y, 1, 2]) * (size // 4 + 1))[:size]
        transceiver.write_memory(x, y, 0x60000000 + 0x1234 * x + 64, data[x, y])
    for x, y in chips:
        if transceiver.read_memory(x, y, 0x60000000 + 0x1234 * x + 64, size) != data[x, y]:
            different.append([x, y])
    for address in (0x60000000, 0x63FFFFFE, 0x677FFF03, 0x67FFFF00):
        for length in (1, 2, 3, 255, 256):
            piece = bytes(range(length)) if length < 256 else bytes(range(255, -1, -1))
            transceiver.write_memory(0, 0, address, piece)
            if transceiver.read_memory(0, 0, address, length) != piece:
                different.append([address, length])
    transceiver.close()
    return {"different": different, "bytes": len(chips) * size}


def exercise(host, remote):
    """Use tags, routes, allocation, applications and the rest, as tools do."""
    transceiver = connect(host)
    writer = SpiNNManDataWriter.mock()
    machine = transceiver.get_machine_details()
    writer.set_machine(machine)
    told = {}

    transceiver.set_ip_tag(IPTag(host, 0, 0, 3, "10.1.2.3", 4567, strip_sdp=True))
    transceiver.set_reverse_ip_tag(ReverseIPTag(host, 5, 12345, 1, 2, 3, 4))
    # SpiNNMan asks the first board twice: by the connection it was given, and by the one it discovered.
    tags = {
        (type(tag).__name__, tag.tag, tag.port, getattr(tag, "ip_address", None))
        for tag in transceiver.get_tags()
    }
    told["tags"] = sorted(tags)
    transceiver.clear_ip_tag(3)
    transceiver.clear_ip_tag(5)
    told["tags after"] = len(list(transceiver.get_tags()))

    routes = [
        MulticastRoutingEntry(16 * n, 0xFFFFFFF0, RoutingEntry(processor_ids=[n % 17 + 1], link_ids=[n % 6]))
        for n in range(1, 200)
    ]
    transceiver.load_multicast_routes(1, 1, routes, 30)
    found = transceiver.get_multicast_routes(1, 1, 30)
    told["routes"] = sorted(map(repr, found)) == sorted(map(repr, routes))
    transceiver.clear_multicast_routes((1, 1))
    told["routes after"] = len(transceiver.get_multicast_routes(1, 1, 30))
    fixed = RoutingEntry(processor_ids=[3], link_ids=[1, 4])
    transceiver.load_fixed_route(1, 1, fixed, 30)
    told["fixed route"] = transceiver.read_fixed_route(1, 1, 30) == fixed

    address = transceiver.malloc_sdram(2, 2, 4096, 30, 9)
    told["allocated"] = 0x60000000 < address < 0x67800000
    blocks = transceiver.get_heap(2, 2)
    told["heap"] = [[block.is_free, block.tag, block.app_id] for block in blocks]

    told["diagnostics"] = transceiver.get_router_diagnostics(3, 3).n_local_multicast_packets
    transceiver.reset_routing()

    cores = CoreSubsets()
    for chip in machine.chips:
        for core in (1, 2):
            cores.add_processor(chip.x, chip.y, core)
    binary = bytes(range(256)) * 37
    with tempfile.NamedTemporaryFile(suffix=".aplx") as file:
        file.write(binary)
        file.flush()
        transceiver.execute_flood(cores, file.name, 30, wait=True)
    told["waiting"] = transceiver.get_core_state_count(30, CPUState.READY)
    transceiver.send_signal(30, Signal.START)
    transceiver.wait_for_cores_to_be_in_state(cores, 30, [CPUState.RUNNING], timeout=5)
    told["running"] = transceiver.get_core_state_count(30, CPUState.RUNNING)
    infos = transceiver.get_cpu_infos(cores, CPUState.RUNNING)
    told["infos"] = len(infos)
    x, y = remote
    told["copied"] = transceiver.read_memory(x, y, 0x67800000, len(binary)) == binary
    transceiver.stop_application(30)
    told["stopped"] = transceiver.get_core_state_count(30, CPUState.RUNNING)
    told["freed"] = [block.is_free for block in transceiver.get_heap(2, 2)]
    transceiver.write_memory_flood(0x60001000, b"flood" * 100)
    told["flooded"] = bytes(transceiver.read_memory(x, y, 0x60001000, 500)) == b"flood" * 100
    transceiver.write_user(1, 0, 3, 1, 0x1234)
    told["user"] = transceiver.read_user(1, 0, 3, 1)
    told["neighbour"] = bytes(transceiver.read_neighbour_memory(0, 0, 0, 0xF5007F00, 4)).hex()
    told["iobuf"] = [str(text) for text in transceiver.get_iobuf(cores)][:1]
    transceiver.control_sync(True)
    transceiver.close()
    return told


def bmp(host, boards):
    """Talk to a frame's BMP; tell where SpiNNMan itself stumbles over a reply."""
    transceiver = create_transceiver_from_hostname(
        None,
        bmp_connection_data=BMPConnectionData(host, boards, None),
        ensure_board_is_ready=False,
        extended=True,
    )
    told = {"stumbles": []}

    def calling(name, call):
        # SpiNNMan 1!7.4.1 has no way to read an answer without data from a BMP: its class for that is abstract.
        try:
            call()
        except SpinnmanGenericProcessException as error:
            if "BMPOKResponse" not in str(error):
                raise
            told["stumbles"].append(name)

    version = transceiver.read_bmp_version(boards[0])
    told["version"] = [version.name, list(version.version_number)]
    calling("power on", lambda: transceiver._bmp_call(SetPower(PowerCommand.POWER_ON, boards), timeout=10.0))
    told["identities"] = [transceiver.read_fpga_register(n, 0x40004, boards[-1]) & 3 for n in range(3)]
    calling("write", lambda: transceiver.write_fpga_register(2, 0x5C, 1, boards[0]))
    told["stopped"] = transceiver.read_fpga_register(2, 0x5C, boards[0])
    adc = transceiver.read_adc_data(boards[0])
    told["adc"] = [
        adc.voltage_1_2a,
        adc.voltage_1_8,
        adc.voltage_3_3,
        adc.voltage_supply,
        adc.temp_top,
        adc.fan_0,
    ]
    # With the mark taken off, the calls succeed as they are meant to.
    BMPOKResponse.__abstractmethods__ = frozenset()
    transceiver._bmp_call(SetPower(PowerCommand.POWER_OFF, boards[:1]))
    transceiver.write_fpga_register(1, 0x5C, 1, boards[-1])
    transceiver.close()
    return told


if __name__ == "__main__":
    set_up()
    task = {"discover": discover, "memory": memory, "exercise": exercise, "bmp": bmp}[sys.argv[1]]
    sys.stdout, output = sys.stderr, sys.stdout
    with tempfile.TemporaryDirectory() as folder:
        set_config("Reports", "path_ignores_report", folder + "/ignores")
        print(json.dumps(task(**json.loads(sys.argv[2]))), file=output)
