"""A whole machine as SpiNNMachine has it: an independent implementation to compare our geometry with."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from spinn_machine import virtual_machine
from spinn_machine.config_setup import unittest_setup
from spinn_utilities.config_holder import set_config


class OracleChip(NamedTuple):
    """What SpiNNMachine says about a chip."""

    links: dict[int, tuple[int, int]]
    """For each link, the chip that it leads to."""
    ethernet: tuple[int, int]


@cache
def chips(width: int, height: int) -> Mapping[tuple[int, int], OracleChip]:
    """Return all chips of a machine without defects, by coordinate; width and height in chips."""
    unittest_setup()
    set_config("Machine", "version", "5")
    return MappingProxyType(
        {
            (chip.x, chip.y): OracleChip(
                {link.source_link_id: (link.destination_x, link.destination_y) for link in chip.router.links},
                (chip.nearest_ethernet_x, chip.nearest_ethernet_y),
            )
            for chip in virtual_machine(width, height).chips
        }
    )
