"""What the table of v1 commands says of each, held to what the command does."""

import re
from inspect import get_annotations
from typing import Any, cast

import pytest

from spalloc_server.core import commands
from spalloc_server.fronts.v1.commands import Commands
from tests.spalloc_server.fronts import fuzz

TABLE = Commands(cast("Any", None), cast("Any", None))._commands


@pytest.mark.parametrize("name", TABLE)
def test_a_row_says_that_a_command_changes_something_if_it_only_counts_once_it_is_recorded(name: str) -> None:
    returned = str(get_annotations(TABLE[name].run)["return"])
    command = re.search(r"\w+(?='>$)|^\w+$", returned)
    does = getattr(commands, command[0], None) if command else None
    assert TABLE[name].changes is bool(does and issubclass(does, commands.Command) and does.is_lasting)


def test_every_command_is_tried_with_nonsense() -> None:
    assert set(fuzz.COMMANDS) == set(TABLE)
