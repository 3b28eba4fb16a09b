"""Whether a server has this project's extensions of the protocol, without asking it what it may not know.

A published server hangs up on whoever sends a command that it does not know.
"""

from __future__ import annotations

from spalloc_client.errors import SpallocServerException

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from spalloc_client.step_kinds import Steps

SIGN = "set_aside_boards"
"""What a server with extensions adds to each machine of `list_machines`; see docs/reference/protocol-extensions.md."""

NO_JOB = 0
"""An ID that no job has: asked about it, a server shows only whether it knows the command."""


def has_extensions(machines: object) -> bool:
    """Return whether this answer to `list_machines` is that of a server which answers unknown commands, too."""
    return isinstance(machines, list) and any(
        isinstance(machine, dict) and SIGN in machine for machine in machines
    )


def knows_times(ask: Callable[..., Steps[Any]]) -> Steps[bool]:
    """Find out whether a server knows time limits.

    Args:
        ask: Sends a command with its arguments, and gives the answer.
    """
    if not has_extensions((yield from ask("list_machines"))):
        return False
    try:
        yield from ask("job_times", NO_JOB)
    except SpallocServerException:
        return False
    return True
