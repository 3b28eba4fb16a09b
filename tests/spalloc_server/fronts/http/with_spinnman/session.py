"""Runs in SpiNNMan's own environment, where nothing of this project is installed: one task against an HTTP service.

Reads a task as JSON from its arguments and writes what SpiNNMan says as one line of JSON, the last one.
"""

import json
import logging
import sys
import time

from spinn_utilities.config_holder import set_config
from spinnman.config_setup import unittest_setup
from spinnman.data.spinnman_data_writer import SpiNNManDataWriter
from spinnman.messages.scp.impl import GetVersion
from spinnman.spalloc import SpallocClient, SpallocState

SDRAM = 0x60000000


def set_up():
    logging.disable(logging.WARNING)
    unittest_setup()
    set_config("Machine", "version", "5")


def client_of(url, user=None, password=None, token=None):
    return SpallocClient(url, user, password, bearer_token=token)


def until_ready(job):
    """Wait by long polls: `wait_until_ready` sleeps for 5 s between two looks."""
    state = job.get_state()
    while state not in (SpallocState.READY, SpallocState.DESTROYED):
        state = job.wait_for_state_change(state)
    return state.name


def look(**who):
    """Log in, and look at what there is."""
    with client_of(**who) as client:
        return {
            "version": str(client.version),
            "machines": {
                name: [
                    machine.width,
                    machine.height,
                    sorted(machine.tags),
                    len(machine.dead_boards),
                    len(machine.dead_links),
                ]
                for name, machine in client.list_machines().items()
            },
            "jobs": sum(1 for _ in client.list_jobs()),
            "deleted": sum(1 for _ in client.list_jobs(deleted=True)),
        }


def create(forms, n_boards, **who):
    """Create a job in each form, as the configuration asks for; tell which boards it got."""
    told = []
    with client_of(**who) as client:
        for form, boards in zip(forms, n_boards, strict=True):
            for name, value in form.items():
                set_config("Machine", f"spalloc_{name}", value)
            SpiNNManDataWriter.mock().set_n_required(boards, None)
            job = client.create_job()
            state = until_ready(job)
            connections = job.get_connections()
            there = job.where_is_machine(0, 0)
            told.append([state, sorted(map(list, connections)), list(there), job.get_root_host()])
            job.destroy()
            assert job.get_state() == SpallocState.DESTROYED
            for name in form:
                set_config("Machine", f"spalloc_{name}", "None")
    return told


def use(n_boards, **who):
    """Use a job's boards through the service in every way."""
    SpiNNManDataWriter.mock().set_n_required(n_boards, None)
    told = {}
    with client_of(**who) as client:
        job = client.create_job()
        job.wait_until_ready()
        told["where"] = [job.where_is_machine(x, y) for x, y in ((0, 0), (9, 5), (200, 200))]

        transceiver = job.create_transceiver()
        machine = transceiver.get_machine_details()
        writer = SpiNNManDataWriter.mock()
        writer.set_machine(machine)
        told["chips"] = machine.n_chips
        told["ethernets"] = sorted([chip.x, chip.y] for chip in machine.ethernet_connected_chips)
        data = bytes(range(256)) * 1200
        began = time.perf_counter()
        transceiver.write_memory(9, 5, SDRAM + 64, data)
        told["read"] = transceiver.read_memory(9, 5, SDRAM + 64, len(data)) == data
        told["seconds"] = time.perf_counter() - began
        transceiver.write_memory(1, 1, SDRAM, 0x01020304)
        told["word"] = transceiver.read_word(1, 1, SDRAM)
        transceiver.reset_routing()
        told["counters"] = transceiver.get_router_diagnostics(9, 5).n_local_multicast_packets

        connection = job.connect_to_board(8, 4)
        told["connected"] = connection.is_connected()
        request = GetVersion(255, 255, 0)
        connection.send(connection.get_scp_data(request))
        result, _, _, _ = connection.receive_scp_response(2.0)
        told["answer"] = result.name
        connection.close()
        listener = job.open_eieio_listener_connection()
        told["listener"] = listener.is_connected()
        listener.close()
        udp = job.open_udp_listener_connection()
        told["udp"] = udp.is_connected()
        udp.close()

        other = reopened(job)
        told["again"] = [other.get_state().name, other.read_data(1, 1, SDRAM, 4).hex()]
        told["jobs"] = sum(1 for _ in client.list_jobs())
        job.destroy("that was it")
        told["after"] = [job.get_state().name, job.get_connections()]
    return told


def reopened(job):
    """Open a job as a visualiser does, by what is written into the database."""
    service = job_url = None
    cookies, headers = {}, {}
    for (kind, name), value in job.get_session_credentials_for_db().items():
        if kind == "COOKIE":
            cookies[name] = value
        elif kind == "HEADER":
            headers[name] = value
        elif name == "service uri":
            service = value
        else:
            job_url = value
    return SpallocClient.open_job_from_database(service, job_url, cookies, headers)


def compare(n_boards, size, **who):
    """Read and write through the service and directly, with the same boards; tell bytes a second."""
    from spinnman.transceiver import create_transceiver_from_hostname

    SpiNNManDataWriter.mock().set_n_required(n_boards, None)
    with client_of(**who) as client:
        job = client.create_job()
        job.wait_until_ready()
        through = job.create_transceiver()
        SpiNNManDataWriter.mock().set_machine(through.get_machine_details())
        direct = create_transceiver_from_hostname(job.get_root_host(), extended=True)
        direct.discover_scamp_connections()
        data = bytes(range(256)) * (size // 256)
        told = {"through": [], "direct": []}
        for name, transceiver in (("direct", direct), ("through", through)) * 3:
            began = time.perf_counter()
            transceiver.write_memory(1, 1, SDRAM, data)
            written = time.perf_counter()
            assert transceiver.read_memory(1, 1, SDRAM, size) == data
            told[name].append([size / (written - began), size / (time.perf_counter() - written)])
        job.destroy()
    return told


def main(task, arguments):
    set_up()
    answer = {"look": look, "create": create, "use": use, "compare": compare}[task](**json.loads(arguments))
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
