"""Work in steps, which may stop after each step and go on later.

A generator does the work. It yields how many steps it has done since it yielded last, and returns the result. A step
takes as long as looking at one spot, or at all spots of one size, on a machine of 20 x 20 triads: some tens of
microseconds. No clock is read, so the same events lead to the same slices and decisions on every computer.

Anything may have happened whenever such a generator has yielded: its author must think of that.
"""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[int, None, T]
"""Work whose result is a `T`."""


def whole(work: Steps[T]) -> T:
    """Do all that is left of some work, and return the result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


class Allowance:
    """How many steps a slice may still take. It may exceed this by the last turn of one generator."""

    __slots__ = ("left",)

    def __init__(self, steps: int | None) -> None:
        """Allow `steps` steps, 1 or more; None for any number."""
        self.left: float = float("inf") if steps is None else steps

    def do(self, work: Steps[T]) -> tuple[T] | None:
        """Go on with some work as far as allowed; return its result in a tuple, or None if there is more to do."""
        while self.left > 0:
            try:
                self.left -= next(work)
            except StopIteration as end:
                return (end.value,)
        return None
