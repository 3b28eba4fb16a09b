"""Whether a job can keep its boards when the configuration changes.

Compares values; ending the job is reconfiguration.py's subject.
"""

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Size


def objection(allocation: Allocation, before: Machine | None, after: Machine | None) -> str | None:
    """Return why a job can't keep its boards, or None if it can.

    Args:
        allocation: What the job has.
        before: Its machine when the job got the boards; None if that is unknown, after a restart.
        after: Its machine as it is configured now; None if it is not.
    """
    name = allocation.machine
    if after is None:
        return f"Machine {name} is no longer in the server's configuration."
    if not _fits(allocation, after.size) or (before is not None and before.size != after.size):
        return f"Machine {name} is configured with another size now, {after.size} triads."
    for board in sorted(allocation.boards):
        if board not in after.places:
            return f"Board {board} of machine {name} was taken out of service."
        if before is not None and (
            before.places[board] != after.places[board] or before.addresses[board] != after.addresses[board]
        ):
            return f"Board {board} of machine {name} is configured with another place or address now."
    return None


def _fits(allocation: Allocation, size: Size) -> bool:
    region = allocation.size
    if region is None:
        return True
    return (
        region.width <= size.width
        and region.height <= size.height
        and (not allocation.wraps_x or region.width == size.width)
        and (not allocation.wraps_y or region.height == size.height)
    )
