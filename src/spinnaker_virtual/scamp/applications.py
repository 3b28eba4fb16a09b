"""Loads, starts, signals and counts applications, as the monitor does for a host.

No binary is executed: a core that should run one only has the state of a core that does.
"""

from struct import Struct

from spinnaker.scamp import CoreState, Signal
from spinnaker_virtual.scamp.allocation import AllocationTags
from spinnaker_virtual.scamp.chip import Chip
from spinnaker_virtual.scamp.heap import Heap
from spinnaker_virtual.scamp.router import RouterTable

_CORES = 0x3_FFFF
_FLAGS_SHIFT = 18
_WAIT_FLAG = 1
_APPLICATION_SHIFT = 24
_APPLICATIONS = 256
_RECORD = Struct("<BBBBI")  # cores, clean, semaphore, lead, mask of cores

_FROM_STATES: dict[Signal, tuple[tuple[CoreState, ...], CoreState]] = {
    Signal.START: ((CoreState.WAITING,), CoreState.RUNNING),
    Signal.SYNC_0: ((CoreState.SYNC_0,), CoreState.RUNNING),
    Signal.SYNC_1: ((CoreState.SYNC_1,), CoreState.RUNNING),
    Signal.PAUSE: ((CoreState.RUNNING,), CoreState.PAUSED),
    Signal.CONTINUE: ((CoreState.PAUSED,), CoreState.RUNNING),
    Signal.EXIT: (
        (CoreState.RUNNING, CoreState.PAUSED, CoreState.SYNC_0, CoreState.SYNC_1),
        CoreState.EXITED,
    ),
}


def start(chip: Chip, application_and_cores: int, unix_time: int) -> None:
    """Start an application on cores of a chip.

    Args:
        chip: The chip.
        application_and_cores: The application's number in bits 24 to 31, flags in 18 to 23 (1: wait for the start
            signal), virtual cores in 0 to 17, one bit each.
        unix_time: Seconds since 1970.
    """
    wanted = application_and_cores & _CORES
    application = application_and_cores >> _APPLICATION_SHIFT
    waits = application_and_cores >> _FLAGS_SHIFT & _WAIT_FLAG
    state = CoreState.WAITING if waits else CoreState.RUNNING
    cores = [core for core in range(1, chip.cores) if wanted >> core & 1]
    if not cores:
        return
    record = chip.layout.applications + _RECORD.size * application
    count, _, _, lead, mask = _RECORD.unpack(chip.read(record, _RECORD.size, 0.0))
    lead = lead if count else cores[0]
    for core in cores:
        mask |= 1 << core
        chip.load(core, state, application, unix_time)
    chip.write(record, _RECORD.pack(count + len(cores) & 0xFF, 0, 0, lead, mask))


def signal(chip: Chip, data: int, unix_time: int) -> None:
    """Signal applications on a chip.

    Args:
        chip: The chip.
        data: The signal in bits 16 to 19, a mask and a number in 8 to 15 and 0 to 7: the cores meant are those whose
            application's number, masked, is the number.
        unix_time: Seconds since 1970.
    """
    try:
        what = Signal(data >> 16 & 0xF)
    except ValueError:
        return
    mask, number = data >> 8 & 0xFF, data & 0xFF
    cores = [core for core in range(1, chip.cores) if chip.application(core) & mask == number]
    if what in _FROM_STATES:
        before, after = _FROM_STATES[what]
        for core in cores:
            if chip.state(core) in before:
                chip.set_state(core, after)
    elif what == Signal.POWER_DOWN:
        for core in cores:
            chip.load(core, CoreState.POWERED_DOWN, 0, unix_time)
    elif what in {Signal.INITIALISE, Signal.STOP}:
        if what == Signal.STOP:
            for application in range(number, _APPLICATIONS):
                if application & mask != number:
                    break
                _clean(chip, application)
        for core in cores:
            chip.load(core, CoreState.IDLE, 0, unix_time)


def _clean(chip: Chip, application: int) -> None:
    """Free everything that an application has allocated."""
    for memory, base in (
        (chip.sdram, chip.layout.sdram_heap),
        (chip.system_ram, chip.layout.system_ram_heap),
    ):
        if application or memory is chip.sdram:
            _free_all(chip, Heap(memory, base), application)
    RouterTable(chip).free_application(application, clear=True)
    record = chip.layout.applications + _RECORD.size * application
    chip.write(record, _RECORD.pack(0, 1, 0, 0, 0))


def _free_all(chip: Chip, heap: Heap, application: int) -> None:
    tags = AllocationTags(chip)
    for address, tag in heap.owned_by(application):
        tags.clear(application, tag)
        heap.free(address)


def count(chip: Chip, state: int, number: int, mask: int = 0xFF) -> tuple[int, int]:
    """Return how many cores of a chip run an application, and how many of them are in a state."""
    cores = [core for core in range(1, chip.cores) if chip.application(core) & mask == number]
    return len(cores), sum(chip.state(core) == state for core in cores)
