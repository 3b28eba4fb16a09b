"""What can stand at the cursor of a command line, told from the command's parser and the words so far.

Values only: which jobs and machines there are is asked by answer.py.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from enum import Enum

_LAST_BRACKETS = re.compile(r" \((?:[^()]|\([^()]*\))*\)$")
"""Brackets at the end of a help, with such as they have in them."""


class Kind(Enum):
    """What sort of word is wanted."""

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
    """What can stand at the cursor."""

    __slots__ = ("command_at", "kinds", "options", "typed", "values")
    kinds: tuple[Kind, ...]
    options: dict[str, str]
    """The options that can stand here, each with its help."""
    values: dict[str, str]
    """Values given so far to options that take one, by name."""
    typed: str
    """What of the cursor's word is to be completed: all of it but the option of `--option=value`."""
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


def wanted(parser: argparse.ArgumentParser, before: Sequence[str], current: str) -> Wanted:
    """Return what can stand at the cursor.

    Args:
        parser: The command's parser.
        before: The words before the cursor's, without the command's name.
        current: The cursor's word, as far as it is typed.
    """
    options = parser._option_string_actions  # argparse offers no other way to see them
    reading: argparse.Action | None = None
    taken = 0
    free = 0
    used: set[argparse.Action] = set()
    values: dict[str, str] = {}
    for index, word in enumerate(before):
        if reading is not None and reading.nargs == argparse.REMAINDER:
            return Wanted([Kind.COMMANDS], {}, values, current, index)
        name, equals, value = word.partition("=")
        if name in options:
            reading, taken = options[name], 0
            used.add(reading)
            if equals and value:
                values[reading.dest] = value
                reading = None
        elif reading is not None and word != "=":  # bash cuts words at "="
            values.setdefault(reading.dest, word)
            taken += 1
        elif reading is None and not word.startswith("-"):
            free += 1
        if reading is not None and taken >= _most(reading):
            reading = None
    if reading is not None and reading.nargs == argparse.REMAINDER:
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
    positional = [action for action in parser._actions if not action.option_strings and free < _most(action)]
    kinds = [_kind(reading, taken)] if reading is not None else [_kind(action, 0) for action in positional]
    return Wanted(kinds or [Kind.OPTIONS], offered, values, current)


def _kind(action: argparse.Action, taken: int) -> Kind:
    kinds = _KINDS.get(action.dest, (Kind.NOTHING,))
    return kinds[min(taken, len(kinds) - 1)]


def _most(action: argparse.Action) -> float:
    if isinstance(action.nargs, int):
        return action.nargs
    return {None: 1, argparse.OPTIONAL: 1}.get(action.nargs, float("inf"))


def _least(action: argparse.Action) -> int:
    if isinstance(action.nargs, int):
        return action.nargs
    return 1 if action.nargs in (None, argparse.ONE_OR_MORE) else 0


def _offered(parser: argparse.ArgumentParser, used: set[argparse.Action]) -> dict[str, str]:
    excluded = set(used)
    for group in parser._mutually_exclusive_groups:
        if used & set(group._group_actions):
            excluded |= set(group._group_actions)
    offered = {}
    for action in parser._actions:
        if action.option_strings and action not in excluded and action.help != argparse.SUPPRESS:
            # What follows the first clause, and what stands in brackets at the end, is for those who read more.
            words = _LAST_BRACKETS.sub("", action.help or "").partition(";")[0]
            name = next(
                (name for name in action.option_strings if name.startswith("--")), action.option_strings[0]
            )
            offered[name] = words
    return offered
