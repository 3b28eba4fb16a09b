"""Signal handlers run in the middle of whatever their thread does, a call to the server included.

What they raise is for the program, which has its reasons, and no trouble of the connection.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def raised_by_handler(error: BaseException) -> bool:
    """Whether an error that was just caught came out of a signal handler.

    A handler is told of the frame it interrupts: that tells its own frame from one that was called.
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
