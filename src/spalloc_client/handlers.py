"""Tells errors that a signal handler raised from others: a handler may interrupt a call to the server.

What it raises is the program's own affair, and no failure of the connection.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def raised_by_handler(error: BaseException) -> bool:
    """Whether an error that was just caught came out of a signal handler.

    A handler receives the frame it interrupts, which distinguishes its own frame from that of a called function.
    """
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        interrupted, step = step.tb_frame, step.tb_next
        if any(_holds(value, interrupted) for value in step.tb_frame.f_locals.values()):
            return True
    return False


def _holds(value: object, frame: FrameType) -> bool:
    # A tuple is what a handler that takes `*args` has of it.
    return value is frame or (type(value) is tuple and any(item is frame for item in value))
