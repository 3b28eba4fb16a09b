"""Virtual SpiNNaker boards and BMPs that answer real packets on this computer's loopback addresses.

async with VirtualSite(VirtualMachine(size=Size(1, 1), timings=Timings.instant())) as site:
    print(site.bmps, site.addresses)
"""

from spinnaker_virtual.faults import Faults
from spinnaker_virtual.log import Traffic
from spinnaker_virtual.loopback import AddressError
from spinnaker_virtual.machine import DeadChipLink, DeadCore, Timings, VirtualMachine
from spinnaker_virtual.site import VirtualSite

__all__ = [
    "AddressError",
    "DeadChipLink",
    "DeadCore",
    "Faults",
    "Timings",
    "Traffic",
    "VirtualMachine",
    "VirtualSite",
]
