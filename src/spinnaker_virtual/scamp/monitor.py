"""What a chip's monitor does with a packet: it finds the destination chip, carries the command out and answers.

One function for each command; tables and heaps are in other modules of this package. No sockets and no clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from spinnaker.geometry import Link
from spinnaker.memory_map import ROUTER_ENTRIES, ROUTER_ENTRY, SystemVariable
from spinnaker.scamp import (
    SARK_NAME,
    SCAMP_NAME,
    Allocation,
    RouterOperation,
    ScampCommand,
    SignalRoute,
    encode_information,
)
from spinnaker.scp import Result, SoftwareVersion, switched_leds
from spinnaker.sdp import MAX_DATA_BYTES
from spinnaker_virtual.board import VirtualBoard
from spinnaker_virtual.network import Address
from spinnaker_virtual.scamp import applications
from spinnaker_virtual.scamp.allocation import SdramHeap
from spinnaker_virtual.scamp.chip import BusError, Chip
from spinnaker_virtual.scamp.flood import in_area
from spinnaker_virtual.scamp.heap import Heap
from spinnaker_virtual.scamp.machine import BootedMachine
from spinnaker_virtual.scamp.router import RouterTable

_PACKET = Struct("<2x8B2H3I")
_REPLY = Struct("<2x8B2H")
_WORD = Struct("<I")
_TWO_WORDS = Struct("<II")
_SHORTEST = _REPLY.size  # a command and a sequence number are enough for a reply, if only a refusal
_LONGEST = _PACKET.size + MAX_DATA_BYTES  # SCAMP has no room for more, and drops longer packets

_REPLY_WANTED = 0x80
_NO_REPLY_WANTED = 0x7F
_NOT_ROUTED = 0x20
_NEAREST = 0xFFFF
_CORE_MASK = 0x1F
_PORT_SHIFT = 5
_BUILD = 1_604_188_800
_HIGHEST_TYPE = 2
_LINKS = len(Link)
_TOP_BIT = 1 << 31


Outcome = tuple[Result, bytes]
_DONE: Outcome = (Result.OK, b"")
_WRONG: Outcome = (Result.ARGUMENT, b"")


@dataclass(slots=True)
class Task:
    """A command to carry out."""

    machine: BootedMachine
    chip: Chip
    core: int
    arguments: tuple[int, int, int]
    data: bytes
    sender: Address
    now: float


Command = Callable[[Task], Outcome]


def answer(
    machine: BootedMachine, board: VirtualBoard, datagram: bytes, sender: Address, now: float
) -> bytes | None:
    """Return what a board of a booted machine answers to a datagram at its SDP port; None if it stays silent."""
    # A host reads memory packet by packet and waits for each answer, so a large read spends its time here. A packet's
    # fields are plain variables, as objects for packet and reply took a third of the time.
    if not _SHORTEST <= len(datagram) <= _LONGEST:
        return None
    receiver = machine.ethernet_chip(board)
    if receiver is None:
        return None
    short = len(datagram) < _PACKET.size
    flags, tag, to, origin, y, x, _, _, number, sequence, first, second, third = _PACKET.unpack_from(
        datagram.ljust(_PACKET.size, b"\0") if short else datagram
    )
    here = receiver.address
    target = x << 8 | y
    if target == _NEAREST or flags & _NOT_ROUTED:
        target = here
    outcome: Outcome | None
    if now < machine.answers_from:
        target = here
        outcome = _tell_version_early(machine, receiver) if number == ScampCommand.VERSION else None
    elif isinstance(chip := receiver if target == here else _routed(machine, receiver, target), Chip):
        core = to & _CORE_MASK
        known = _CORE_COMMANDS if core else _COMMANDS
        command = _refuse_short if short else known.get(number, _refuse_unknown)
        task = Task(machine, chip, core, (first, second, third), datagram[_PACKET.size :], sender, now)
        outcome = _carry_out(command, to >> _PORT_SHIFT, task)
    else:
        outcome = chip, b""
    if outcome is None or not flags & _REPLY_WANTED:
        return None
    result, data = outcome
    flags &= _NO_REPLY_WANTED
    there_x, there_y = target >> 8, target & 0xFF
    head = _REPLY.pack(flags, tag, origin, to, here & 0xFF, here >> 8, there_y, there_x, result, sequence)
    return head + data


def _routed(machine: BootedMachine, receiver: Chip, target: int) -> Chip | Result:
    """Return the chip at 256x + y if packets from the receiving chip reach it, else the result for the host."""
    number = machine.region.chips.get(target)
    if number is None:
        return Result.NO_ROUTE
    chip = machine.chip(number)
    return chip if machine.reaches(receiver, chip) else Result.P2P_NO_REPLY


def _carry_out(command: Command, port: int, task: Task) -> Outcome | None:
    if task.core >= task.chip.cores:
        return Result.CORE, b""
    if port:
        # Other ports belong to applications: the monitor has none, and none runs on other cores.
        return None if task.core else (Result.PORT, b"")
    try:
        return command(task)
    except BusError:
        return None  # a data abort stops the core, so there is no answer


def _refuse_short(_: Task) -> Outcome:
    return Result.LENGTH, b""


def _refuse_unknown(_: Task) -> Outcome:
    return Result.UNKNOWN_COMMAND, b""


# Commands of every core.


def _version(machine: BootedMachine, address: int, physical: int, core: int) -> bytes:
    name = SARK_NAME if core else SCAMP_NAME
    place = address << 16 | physical << 8 | core
    return SoftwareVersion(place, MAX_DATA_BYTES, _BUILD, name, machine.shared.software).encode()


def _tell_version_early(machine: BootedMachine, receiver: Chip) -> Outcome:
    """Until SCAMP has found its coordinates, it answers version commands only, with (255, 255)."""
    return Result.OK, _version(machine, _NEAREST, receiver.physical[0], 0)


def _tell_version(task: Task) -> Outcome:
    chip = task.chip
    return Result.OK, _version(task.machine, chip.address, chip.physical[task.core], task.core)


def _read(task: Task) -> Outcome:
    address, length, kind = task.arguments
    if length > MAX_DATA_BYTES or kind > _HIGHEST_TYPE:
        return _WRONG
    return Result.OK, task.chip.read(address, length, task.now, task.core)


def _write(task: Task) -> Outcome:
    address, length, kind = task.arguments
    if length > MAX_DATA_BYTES or kind > _HIGHEST_TYPE:
        return _WRONG
    if length > len(task.data):
        return Result.LENGTH, b""
    task.chip.write(address, task.data[:length], task.core)
    return _DONE


def _fill(task: Task) -> Outcome:
    address, word, length = task.arguments
    task.chip.fill(address, word, length, task.core)
    return _DONE


# Neighbours.


def _neighbour(task: Task, link: int) -> Chip | None:
    return task.machine.across(task.chip.number, link)


def _read_link(task: Task) -> Outcome:
    address, length, link = task.arguments
    if length > MAX_DATA_BYTES or link >= _LINKS:
        return _WRONG
    other = _neighbour(task, link)
    if other is None:
        return Result.TIMEOUT, b""
    try:
        return Result.OK, other.read(address, length & ~3, task.now)
    except BusError:
        return Result.TIMEOUT, b""


def _write_link(task: Task) -> Outcome:
    address, length, link = task.arguments
    if length > MAX_DATA_BYTES or link >= _LINKS:
        return _WRONG
    if length > len(task.data):
        return Result.LENGTH, b""
    other = _neighbour(task, link)
    if other is None:
        return Result.TIMEOUT, b""
    try:
        other.write(address, task.data[: length & ~3])
    except BusError:
        return Result.TIMEOUT, b""
    return _DONE


# Applications.


def _start(task: Task) -> Outcome:
    if task.arguments[0] & 1:
        return _WRONG  # the monitor can't be reset
    applications.start(task.chip, task.arguments[0], task.machine.shared.unix_time(task.now))
    return _DONE


def _start_at(task: Task) -> Outcome:
    applications.start(task.chip, task.arguments[1] & ~1, task.machine.shared.unix_time(task.now))
    return _DONE


def _copy_and_run(task: Task) -> Outcome:
    first, length, cores = task.arguments
    link, checksum = first & 7, first >> 3
    if cores & 1 or link >= _LINKS or length % 4:
        return _WRONG
    other = _neighbour(task, link)
    if other is None:
        return Result.TIMEOUT, b""
    start = task.chip.layout.sdram_system
    task.chip.copy(other, start, length)
    if checksum:
        total = _sum_words(task.chip.read(start, length, task.now))
        if total & 0x1FFF_FFFF != checksum:
            return Result.CHECKSUM, _WORD.pack(total)
    applications.start(task.chip, cores, task.machine.shared.unix_time(task.now))
    return _DONE


def _sum_words(data: bytes) -> int:
    total: int = sum(word for (word,) in _WORD.iter_unpack(data))
    return total & 0xFFFF_FFFF


def _signal(task: Task) -> Outcome:
    route, data, area = task.arguments
    if route == SignalRoute.MULTICAST:
        if task.chip.address != task.machine.region.root:
            return _WRONG
        return _signal_all(task, data)
    if route == SignalRoute.POINT_TO_POINT:
        return _count_in_area(task, data, area)
    if route == SignalRoute.NEAREST_NEIGHBOUR:
        return _signal_all(task, data)
    return _WRONG


def _signal_all(task: Task, data: int) -> Outcome:
    unix_time = task.machine.shared.unix_time(task.now)
    for chip in task.machine.reachable_from(task.chip):
        applications.signal(chip, data, unix_time)
    return _DONE


_STATISTICS, _SIGNALS = 1, 2
_ANY, _ALL, _SUM = 0, 1, 2
_VERDICT = 1 << 16


def _count_in_area(task: Task, data: int, sixteenths: int) -> Outcome:
    """Signal, or count cores in a state, in the sixteenths of this chip's square of some level."""
    if not sixteenths:
        return _WRONG
    level, operation, mode = data >> 26 & 3, data >> 22 & 3, data >> 20 & 3
    outside = ~((4 << 6 - 2 * level) - 1)
    x, y = task.chip.address >> 8 & outside, task.chip.address & 0xFF & outside
    area = (x << 8 | y + level) << 16 | sixteenths & 0xFFFF
    chips = [chip for chip in task.machine.reachable_from(task.chip) if in_area(chip.address, area)]
    if not chips:
        return Result.NO_ROUTE, b""
    if operation == _SIGNALS:
        for chip in chips:
            applications.signal(chip, data, task.machine.shared.unix_time(task.now))
        return Result.OK, _WORD.pack(len(chips))
    if operation != _STATISTICS:
        return Result.OK, _WORD.pack(len(chips))
    state, mask, number = data >> 16 & 0xF, data >> 8 & 0xFF, data & 0xFF
    counts = [applications.count(chip, state, number, mask) for chip in chips]
    if mode == _SUM:
        return Result.OK, _WORD.pack(sum(found for _, found in counts))
    verdict = (
        any(found for _, found in counts) if mode == _ANY else all(cores == found for cores, found in counts)
    )
    return Result.OK, _WORD.pack(verdict * _VERDICT + len(chips))


def _count(task: Task) -> Outcome:
    number, state, _ = task.arguments
    chips = map(task.machine.chip, task.machine.region.on_board(task.chip.slot))
    return Result.OK, _WORD.pack(sum(applications.count(chip, state, number)[1] for chip in chips))


# Flood fill and other packets that go from neighbour to neighbour.

_SIGNAL_0, _FLOOD_START, _FLOOD_SELECT, _FLOOD_END = 0, 6, 7, 15
_SET_LEDS, _SIGNAL_APPLICATION = 1, 5


def _nearest_neighbour(task: Task) -> Outcome:
    key, data, _ = task.arguments
    command = key >> 24 & 0xF
    flood = task.machine.flood
    if command == _SIGNAL_0:
        operation = data >> 28
        if operation == _SIGNAL_APPLICATION:
            return _signal_all(task, data)
        if operation == _SET_LEDS:
            for chip in task.machine.reachable_from(task.chip):
                _switch(chip, data & 0x0FFF_FFFF, task.machine)
    elif command == _FLOOD_START:
        flood.begin(key >> 17 & 0x7F, key >> 8 & 0xFF, data)
    elif command == _FLOOD_SELECT:
        flood.select(data, key & 0x3_FFFF)
    elif command == _FLOOD_END:
        unix_time = task.machine.shared.unix_time(task.now)
        for chip, cores in flood.end(key >> 1 & 0x7F, task.machine.reachable_from(task.chip), data):
            applications.start(chip, cores, unix_time)
    return _DONE


def _flood_data(task: Task) -> Outcome:
    first, second, address = task.arguments
    length = 4 * ((second >> 8 & 0xFF) + 1)
    if length > len(task.data):
        return Result.LENGTH, b""
    task.machine.flood.block(first >> 1 & 0x7F, second >> 16 & 0xFF, address, task.data[:length])
    return _DONE


# LEDs, tags, allocation, router.


def _switch(chip: Chip, actions: int, machine: BootedMachine) -> None:
    variable = SystemVariable.LED_0
    defined: int = variable.format.unpack_from(machine.shared.layout.variables, variable.offset)[0]
    chip.leds = switched_leds(chip.leds, actions, defined & 0xF)


def _set_leds(task: Task) -> Outcome:
    _switch(task.chip, task.arguments[0], task.machine)
    return _DONE


def _ip_tag(task: Task) -> Outcome:
    return task.chip.tags.command(task.arguments, task.sender)


def _allocate(task: Task) -> Outcome:
    first, second, third = task.arguments
    application, flags = first >> 8 & 0xFF, first >> 16 & 0xFF
    sdram, router = SdramHeap(task.chip), RouterTable(task.chip)
    match first & 0xFF:
        case Allocation.ALLOCATE_SDRAM:
            value = sdram.allocate(second, third, application, flags)
        case Allocation.FREE_SDRAM:
            sdram.free(second)
            return _DONE
        case Allocation.FREE_SDRAM_OF_APPLICATION:
            value = sdram.free_application(application)
        case Allocation.ALLOCATE_ROUTER:
            value = router.allocate(second, application)
        case Allocation.FREE_ROUTER:
            router.free(second, bool(third))
            return _DONE
        case Allocation.FREE_ROUTER_OF_APPLICATION:
            value = router.free_application(application, bool(second))
        case Allocation.SDRAM_SPACE:
            return Result.OK, _TWO_WORDS.pack(sdram.heap.free_bytes, sdram.heap.largest)
        case Allocation.SDRAM_BLOCK_OF_TAG:
            value = sdram.find(second, application)
        case _:
            return _WRONG
    return Result.OK, _WORD.pack(value)


def _route(task: Task) -> Outcome:
    first, second, third = task.arguments
    application, count = first >> 8 & 0xFF, first >> 16
    router = RouterTable(task.chip)
    match first & 0xFF:
        case RouterOperation.INITIALISE:
            router.initialise()
            done = True
        case RouterOperation.CLEAR:
            done = router.clear(second, count)
        case RouterOperation.LOAD:
            if not count:
                count = task.chip.read(second + 2, 1, task.now)[0]
            if count > ROUTER_ENTRIES:
                return _WRONG
            table = task.chip.read(second, count * ROUTER_ENTRY.size, task.now)
            done = router.load(table, count, third, application)
        case RouterOperation.FIXED_ROUTE:
            if second & _TOP_BIT:
                return Result.OK, _WORD.pack(task.chip.get(SystemVariable.FIXED_ROUTE))
            task.chip.set_fixed_route(second & 0x00FF_FFFF)
            done = True
        case _:
            done = False
    return _DONE if done else _WRONG


def _remap(task: Task) -> Outcome:
    core, flags, _ = task.arguments
    physical = task.chip.physical
    if flags & 1:
        wanted = core
    elif core < task.chip.cores:
        wanted = physical[core]
    else:
        return _WRONG
    if wanted not in physical[1:]:
        return _WRONG
    task.chip.disable(wanted)
    return _DONE


def _inform(task: Task) -> Outcome:
    chip, machine = task.chip, task.machine
    region = machine.region
    heap = Heap(chip.sdram, chip.layout.sdram_heap)
    shared = Heap(chip.system_ram, chip.layout.system_ram_heap)
    flags = (
        chip.cores
        | machine.links(chip.number) << 8
        | RouterTable(chip).largest << 14
        | chip.has_ethernet << 25
    )
    data = encode_information(
        flags,
        heap.largest,
        shared.largest,
        chip.states(),
        region.ethernet(chip.number),
        machine.shared.ip_address(chip.number),
        region.parents[chip.number],
    )
    return Result.OK, data


def _synchronise(_: Task) -> Outcome:
    return _DONE  # beacons go between chips only; hosts don't see them


_CORE_COMMANDS: dict[int, Command] = {
    ScampCommand.VERSION: _tell_version,
    ScampCommand.READ: _read,
    ScampCommand.WRITE: _write,
    ScampCommand.FILL: _fill,
}

_COMMANDS: dict[int, Command] = {
    **_CORE_COMMANDS,
    ScampCommand.COUNT: _count,
    ScampCommand.REMAP: _remap,
    ScampCommand.LINK_READ: _read_link,
    ScampCommand.LINK_WRITE: _write_link,
    ScampCommand.RESET_APPLICATION: _start,
    ScampCommand.NEAREST_NEIGHBOUR: _nearest_neighbour,
    ScampCommand.COPY_AND_RUN: _copy_and_run,
    ScampCommand.SIGNAL: _signal,
    ScampCommand.FLOOD_DATA: _flood_data,
    ScampCommand.START_APPLICATION: _start_at,
    ScampCommand.LED: _set_leds,
    ScampCommand.IP_TAG: _ip_tag,
    ScampCommand.ALLOCATE: _allocate,
    ScampCommand.ROUTER: _route,
    ScampCommand.INFORMATION: _inform,
    ScampCommand.SYNCHRONISE: _synchronise,
}
