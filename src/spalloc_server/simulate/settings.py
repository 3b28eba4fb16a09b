"""Under which settings a trace is run: the machines, and how the scheduler decides.

They come from arguments or from a site's own configuration, with some of its values changed. See command.py for the
arguments.
"""

import inspect
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from spalloc_server.config.document import load, parse
from spalloc_server.config.mistakes import ConfigurationError, nearest
from spalloc_server.core.limits import LimitRules
from spalloc_server.core.machine import DEFAULT_TAG, Machine
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.share_rules import ShareRules
from spalloc_server.simulate.variation import Limits
from spinnaker.geometry import Board, Size, boards_of

LARGEST_SIDE = 1000
"""Triads along each side of the largest machine that is simulated."""
NAMELESS = "simulated"
"""The name of a machine that was given none."""

_MACHINE = re.compile(r"(?:(?P<name>[^=:]+)=)?(?P<size>[^=:]+)(?::(?P<tags>[^=:]+))?")
_CHANGE = re.compile(r"(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)=(?P<value>.+)", re.DOTALL)


class SettingsError(ValueError):
    """Settings can't be used; the message says which, and what is allowed."""


def scheduler_parameters() -> Mapping[str, float]:
    """Return the scheduler's parameters that are numbers, and their defaults."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(Scheduler).parameters.items()
        if isinstance(parameter.default, int | float)
    }


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that is not as configured: one of the scheduler's parameters, or a key of a table of the site's."""

    path: tuple[str, ...]
    value: object
    text: str
    """As it was typed."""

    @classmethod
    def parse(cls, text: str) -> "Change":
        """Return what NAME=VALUE says.

        Raises:
            SettingsError: It is not of that form, or the scheduler has no such parameter.
        """
        found = _CHANGE.fullmatch(text)
        if found is None:
            raise SettingsError(f"{text!r} is not NAME=VALUE, such as patience=1800 or jobs.live=100")
        path = tuple(found["name"].split("."))
        try:
            value = tomllib.loads(f"value = {found['value']}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError, ValueError):
            value = found["value"]
        if len(path) == 1:
            known = scheduler_parameters()
            if path[0] not in known:
                hint = nearest(path[0], known)
                raise SettingsError(
                    f"{path[0]!r} is no parameter of the scheduler (a site's settings have the name of their table "
                    f"before them, such as jobs.live); {hint}"
                )
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise SettingsError(
                    f"{path[0]} is {found['value']!r}; it must be a number of seconds, 0 or more, such as "
                    f"{known[path[0]]:g}"
                )
        return cls(path, value, text)


@dataclass(frozen=True, slots=True)
class Settings:
    """Under which settings a trace is run."""

    name: str
    """What to call them."""
    machines: tuple[Machine, ...]
    """Highest priority first."""
    anywhere: bool = False
    """Whether jobs may run on any machine, whatever machine or tags they ask for."""
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    """The scheduler's parameters that are not as by default."""
    limits: Limits = Limits.DECLARED
    """Which time limits the jobs have."""
    time_limits: LimitRules = field(default_factory=LimitRules)
    """Which limits the site gives to jobs that declare none, and how long limits may be."""
    shares: ShareRules = field(default_factory=ShareRules)
    """How the site moves jobs in the order of the queue."""
    reservations: int = 0
    """How many reservations the site has, which are not simulated: they are of other times than the jobs."""

    def telling_limits(self) -> "Settings":
        """Return the same, with a name that says which limits the jobs have."""
        return replace(self, name=f"{self.name}, limits {self.limits.value}")


def settings_of_machines(
    machines: Sequence[Machine], changes: Sequence[Change] = (), limits: Limits = Limits.DECLARED
) -> Settings:
    """Return settings with machines that no configuration describes.

    Raises:
        SettingsError: A change is not possible.
    """
    try:
        configuration = parse("machine = []", "--set", Path(), _of_the_site(changes))
    except ConfigurationError as error:
        raise SettingsError(str(error)) from error
    return Settings(
        _name(", ".join(map(_described, machines)), changes),
        tuple(machines),
        all(_is_nameless(machine) for machine in machines),
        _of_the_scheduler(changes),
        limits,
        configuration.time_limits,
        configuration.shares,
    )


def settings_of_site(
    path: Path, changes: Sequence[Change] = (), limits: Limits = Limits.DECLARED
) -> Settings:
    """Return the settings of a site's configuration.

    Raises:
        SettingsError: The configuration can't be used, has no machine, or a change is not possible.
    """
    try:
        configuration = load(path, _of_the_site(changes))
    except ConfigurationError as error:
        raise SettingsError(str(error)) from error
    if not configuration.machines:
        raise SettingsError(f"{path} has no machine; a simulation needs one")
    return Settings(
        _name(path.name, changes),
        configuration.machines,
        scheduler=_of_the_scheduler(changes),
        limits=limits,
        time_limits=configuration.time_limits,
        shares=configuration.shares,
        reservations=len(configuration.reservations),
    )


def _of_the_site(changes: Sequence[Change]) -> list[tuple[tuple[str, ...], object]]:
    return [(change.path, change.value) for change in changes if len(change.path) > 1]


def _of_the_scheduler(changes: Sequence[Change]) -> dict[str, float]:
    return {
        change.path[0]: change.value
        for change in changes
        if len(change.path) == 1 and isinstance(change.value, int | float)
    }


def _name(of: str, changes: Sequence[Change]) -> str:
    return ", ".join([of, *(change.text for change in changes)])


def _is_nameless(machine: Machine) -> bool:
    return machine.name == NAMELESS or machine.name.startswith(f"{NAMELESS}-")


def _described(machine: Machine) -> str:
    size = f"{machine.size} triads"
    return size if _is_nameless(machine) else f"{machine.name} of {size}"


def with_dead_boards(machine: Machine, dead_boards: int, seed: int) -> Machine:
    """Return a machine with some dead boards, chosen at random.

    Args:
        machine: The machine.
        dead_boards: How many boards are dead; all, if there are no more than that.
        seed: The seed of the random choice.
    """
    boards = boards_of(machine.size)
    dead: list[Board] = Random(seed).sample(boards, min(dead_boards, len(boards)))
    return replace(machine, dead_boards=frozenset(dead))


def with_names(machines: Sequence[Machine]) -> list[Machine]:
    """Return machines, each with a name of its own: those without a name are numbered.

    Raises:
        SettingsError: Two were given the same name.
    """
    found: dict[str, Machine] = {}
    nameless = 0
    for machine in machines:
        name = machine.name
        if _is_nameless(machine):
            nameless += 1
            name = NAMELESS if nameless == 1 else f"{NAMELESS}-{nameless}"
        if name in found:
            raise SettingsError(f"two machines are called {name!r}; give each a name of its own")
        found[name] = replace(machine, name=name)
    return list(found.values())


def machine_of(text: str) -> Machine:
    """Return the machine that WxH, NAME=WxH or NAME=WxH:TAG,TAG describes.

    Raises:
        SettingsError: It is no such description, or the machine is too large.
    """
    found = _MACHINE.fullmatch(text)
    if found is None:
        raise SettingsError(
            f"{text!r} is not a machine: expected WIDTHxHEIGHT in triads, such as 20x20, or with a name and tags: "
            "room=20x20:default,large"
        )
    try:
        size = Size.parse(found["size"])
    except ValueError as error:
        raise SettingsError(str(error)) from None
    if max(size) > LARGEST_SIDE:
        raise SettingsError(f"{found['size']!r} is not a size of 1 to {LARGEST_SIDE} triads along each side")
    tags = frozenset(found["tags"].split(",")) if found["tags"] else frozenset({DEFAULT_TAG})
    return Machine(found["name"] or NAMELESS, size, tags)
