"""Finds the completions of a command line from the command's description and the words so far.

Values only: answer.py asks the server for jobs and machines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from spalloc_client.arguments import REST, Argument, Parser

_LAST_BRACKETS = re.compile(r" \((?:[^()]|\([^()]*\))*\)$")
"""Brackets at the end of a help, and brackets inside these."""


class Kind(Enum):
    """The kind of word that is wanted."""

    NOTHING = "nothing"
    """Something that can't be guessed."""
    OPTIONS = "options"
    JOBS = "jobs"
    MACHINES = "machines"
    OWNERS = "owners"
    TAGS = "tags"
    FILES = "files"
    COMMANDS = "commands"
    """A program, or what its own completion offers."""


_KINDS: dict[str, tuple[Kind, ...]] = {
    "job_id": (Kind.JOBS,),
    "resume": (Kind.JOBS,),
    "job_chip": (Kind.JOBS, Kind.NOTHING, Kind.NOTHING),
    "machine": (Kind.MACHINES,),
    "board": (Kind.MACHINES, Kind.NOTHING, Kind.NOTHING, Kind.NOTHING),
    "physical": (Kind.MACHINES, Kind.NOTHING, Kind.NOTHING, Kind.NOTHING),
    "chip": (Kind.MACHINES, Kind.NOTHING, Kind.NOTHING),
    "owner": (Kind.OWNERS,),
    "tags": (Kind.TAGS,),
    "svg": (Kind.FILES,),
    "command": (Kind.COMMANDS,),
}
"""By the name of an argument's value: what each of its words is; any that isn't here can't be guessed."""


class Wanted:
    """The completions at the cursor."""

    __slots__ = ("command_at", "kinds", "options", "typed", "values")
    kinds: tuple[Kind, ...]
    options: dict[str, str]
    """The options that are possible here, each with its help."""
    values: dict[str, str]
    """Values given so far to options that take one, by name."""
    typed: str
    """The part of the cursor's word to complete: all of it, or the value of `--option=value`."""
    command_at: int
    """Where, among the words, the wrapped command begins, if the cursor is in it."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        options: dict[str, str],
        values: dict[str, str],
        typed: str,
        command_at: int = 0,
    ) -> None:
        self.kinds = tuple(kinds)
        self.options = options
        self.values = values
        self.typed = typed
        self.command_at = command_at


def wanted(parser: Parser, before: Sequence[str], current: str) -> Wanted:
    """Return the completions at the cursor.

    Args:
        parser: The command's parser.
        before: The words before the cursor's, without the command's name.
        current: The cursor's word, as far as it is typed.
    """
    arguments = [argument for group in parser.groups for argument in group.arguments]
    options = {name: argument for argument in arguments if argument.is_option for name in argument.names}
    reading: Argument | None = None
    taken = 0
    free = 0
    used: set[Argument] = set()
    values: dict[str, str] = {}
    for index, word in enumerate(before):
        if reading is not None and reading.nargs == REST:
            return Wanted([Kind.COMMANDS], {}, values, current, index)
        name, equals, value = word.partition("=")
        if name in options:
            reading, taken = options[name], 0
            used.add(reading)
            if equals and value:
                values[reading.target] = value
                reading = None
        elif reading is not None and word != "=":  # bash cuts words at "="
            values.setdefault(reading.target, word)
            taken += 1
        elif reading is None and not word.startswith("-"):
            free += 1
        if reading is not None and taken >= _most(reading):
            reading = None
    if reading is not None and reading.nargs == REST:
        return Wanted([Kind.COMMANDS], {}, values, current, len(before))
    offered = _offered(parser, used)
    if reading is not None and taken < _least(reading):
        return Wanted([_kind(reading, taken)], {}, values, current)
    name, equals, typed = current.partition("=")
    if equals and name in options:
        return Wanted([_kind(options[name], 0)], {}, values, typed)
    if current.startswith("-"):
        return Wanted([Kind.OPTIONS], offered, values, current)
    # An option that may have one more word would take one that is meant for the command itself.
    positional = [argument for argument in arguments if not argument.is_option and free < _most(argument)]
    kinds = (
        [_kind(reading, taken)] if reading is not None else [_kind(argument, 0) for argument in positional]
    )
    return Wanted(kinds or [Kind.OPTIONS], offered, values, current)


def _kind(argument: Argument, taken: int) -> Kind:
    kinds = _KINDS.get(argument.target, (Kind.NOTHING,))
    return kinds[min(taken, len(kinds) - 1)]


def _most(argument: Argument) -> float:
    if isinstance(argument.nargs, int):
        return argument.nargs
    return {None: 1, "?": 1}.get(argument.nargs, float("inf"))


def _least(argument: Argument) -> int:
    if isinstance(argument.nargs, int):
        return argument.nargs
    return 1 if argument.nargs in (None, "+") else 0


def _offered(parser: Parser, used: set[Argument]) -> dict[str, str]:
    excluded = set(used)
    for group in parser.groups:
        if group.exclusive and used & set(group.arguments):
            excluded |= set(group.arguments)
    offered = {}
    for group in parser.groups:
        for argument in group.arguments:
            if argument.is_option and argument not in excluded:
                # The rest, and brackets at the end, are for the full help.
                words = _LAST_BRACKETS.sub("", argument.help).partition(";")[0]
                name = next((name for name in argument.names if name.startswith("--")), argument.names[0])
                offered[name] = words
    return offered
