"""The conversion of a 2023 server's file: runner.py runs it in another process, and its values become a configuration.

Anyone may have written such a file, so the values that come from the other process are checked.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from spalloc_client.wire import DEFAULT_PORT
from spalloc_server.config.mistakes import ConfigurationError, Mistake
from spalloc_server.config.settings import LOOPBACK, Configuration, Listening
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Board, BoardLink, Link, Size
from spinnaker.places import Frame, Place

RUN_SECONDS = 60.0
"""How long a file may take."""

_Xyz = tuple[int, int, int]


class _OldMachine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    tags: list[str]
    width: int
    height: int
    dead_boards: list[_Xyz]
    dead_links: list[tuple[int, int, int, int]]
    board_locations: list[tuple[_Xyz, _Xyz]]
    bmp_ips: list[tuple[tuple[int, int], str]]
    spinnaker_ips: list[tuple[_Xyz, str]]


class _Old(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ip: str
    port: int
    seconds_before_free: float
    max_retired_jobs: int
    machines: list[_OldMachine]


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    configuration: _Old | None = None
    error: str | None = None
    line: int = 1


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted file."""

    configuration: Configuration
    notes: tuple[str, ...]
    """What the administrator should know about settings that mean something else now."""


def convert(path: Path) -> Converted:
    """Return what a configuration file of the 2023 server means to this one.

    The file is run, in a process of its own: it can do anything that a program of this user can do.

    Raises:
        ConfigurationError: The file fails, takes too long, or defines no configuration.
    """
    name = str(path)
    if not path.is_file():
        raise _failure(name, 1, "there is no such file")
    command = [sys.executable, "-P", "-W", "ignore", "-m", "spalloc_server.config.migration.runner", name]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=RUN_SECONDS, check=False
        )
        if not done.stdout:
            raise _failure(name, 1, f"the file ended the process that ran it, with status {done.returncode}")
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except subprocess.TimeoutExpired as error:
        raise _failure(name, 1, f"the file took longer than {RUN_SECONDS:g} s") from error
    except msgspec.DecodeError as error:
        raise _failure(name, 1, f"the file's values are not those of a configuration: {error}") from error
    if answer.configuration is None:
        raise _failure(name, answer.line, answer.error or "the file defines no configuration")
    old = answer.configuration
    try:
        machines = tuple(_machine(machine, old.seconds_before_free) for machine in old.machines)
    except ValueError as error:
        raise _failure(name, 1, str(error)) from error
    configuration = Configuration(
        state=None,
        machines=machines,
        v1=Listening(DEFAULT_PORT, (old.ip or "0.0.0.0",)),
    )
    return Converted(configuration, tuple(_notes(old)))


def _failure(name: str, line: int, sentence: str) -> ConfigurationError:
    return ConfigurationError(name, [Mistake(name, line, sentence)])


def _machine(old: _OldMachine, seconds_before_free: float) -> Machine:
    size = Size(old.width, old.height)
    return Machine(
        name=old.name,
        size=size,
        tags=frozenset(old.tags),
        dead_boards=frozenset(Board(*board) for board in old.dead_boards),
        dead_links=frozenset(BoardLink(Board(x, y, z), Link(link)) for x, y, z, link in old.dead_links),
        places={Board(*board): Place(*place) for board, place in old.board_locations},
        addresses={Board(*board): address for board, address in old.spinnaker_ips},
        bmps={Frame(*frame): address for frame, address in old.bmp_ips},
        cool_down_seconds=seconds_before_free,
    )


def _notes(old: _Old) -> Iterator[str]:
    if not old.ip:
        yield f"the 2023 server listened on all addresses, and so does this one; for this computer alone: {LOOPBACK}"
    if old.port != DEFAULT_PORT:
        yield (
            f"port = {old.port} was left out: the 2023 server did not use it, but only its --port; "
            "add it under [v1] if clients are to use it"
        )
    yield (
        f"max_retired_jobs = {old.max_retired_jobs} was left out: ended jobs are kept for a time; see history.days"
    )
