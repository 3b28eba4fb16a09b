"""What an older service's configuration says, whichever form it has, and what it means to this one.

Anyone may have written the file, so its values are checked, here and by `Machine`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from spalloc_client.wire import DEFAULT_PORT
from spalloc_server.config.settings import LOOPBACK, Configuration, Listening
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Board, BoardLink, Link, Size
from spinnaker.places import Frame, Place

Xyz = tuple[int, int, int]


class OldMachine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A machine; its links have the numbers of `spinnaker.geometry.Link`."""

    name: str
    tags: list[str]
    width: int
    height: int
    dead_boards: list[Xyz]
    dead_links: list[tuple[int, int, int, int]]
    board_locations: list[tuple[Xyz, Xyz]]
    bmp_ips: list[tuple[tuple[int, int], str]]
    spinnaker_ips: list[tuple[Xyz, str]]


class Old(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A configuration."""

    ip: str
    port: int
    seconds_before_free: float
    max_retired_jobs: int
    machines: list[OldMachine]


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted file."""

    configuration: Configuration
    notes: tuple[str, ...]
    """What the administrator should know about settings that mean something else now."""


def configuration_of(old: Old) -> Configuration:
    """Return what an older service's configuration means here.

    Raises:
        ValueError: A machine makes no sense.
    """
    machines = tuple(_machine(machine, old.seconds_before_free) for machine in old.machines)
    return Configuration(state=None, machines=machines, v1=Listening(DEFAULT_PORT, (old.ip or "0.0.0.0",)))


def notes_of(old: Old, service: str) -> Iterator[str]:
    """Yield what should be known of settings that mean something else now; `service` names the older one."""
    if not old.ip:
        yield f"{service} listened on all addresses, and so does this one; for this computer alone: {LOOPBACK}"
    if old.port != DEFAULT_PORT:
        yield (
            f"port = {old.port} was left out: {service} did not use it; "
            "add it under [v1] if clients are to use it"
        )
    yield (
        f"max_retired_jobs = {old.max_retired_jobs} was left out: ended jobs are kept for a time; see history.days"
    )


def _machine(old: OldMachine, seconds_before_free: float) -> Machine:
    return Machine(
        name=old.name,
        size=Size(old.width, old.height),
        tags=frozenset(old.tags),
        dead_boards=frozenset(Board(*board) for board in old.dead_boards),
        dead_links=frozenset(BoardLink(Board(x, y, z), Link(link)) for x, y, z, link in old.dead_links),
        places={Board(*board): Place(*place) for board, place in old.board_locations},
        addresses={Board(*board): address for board, address in old.spinnaker_ips},
        bmps={Frame(*frame): address for frame, address in old.bmp_ips},
        cool_down_seconds=seconds_before_free,
    )
