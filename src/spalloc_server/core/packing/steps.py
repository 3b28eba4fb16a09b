"""Work that is done in slices: how it says how much it has done, and how much of it is done at a time.

No clock: the same events give the same slices, and so the same decisions, on every machine.

Work in steps, which may stop after each and go on later.

A generator does the work. It yields how many steps it has done since it yielded last, and returns what came
of it. A step is about what looking at one place, or at all places of one size, takes on a machine of 20 x 20
triads: some tens of microseconds.

Whoever writes such a generator must think of everything that may have happened whenever it yields.
"""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[int, None, T]
"""Work that comes to a `T`."""


def whole(work: Steps[T]) -> T:
    """Do all that is left of some work, and return what came of it."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


class Allowance:
    """How many steps may still be taken in a slice; once they are taken, at most one more turn of a generator was."""

    __slots__ = ("left",)

    def __init__(self, steps: int | None) -> None:
        """Allow so many steps, 1 or more; None for any number."""
        self.left: float = float("inf") if steps is None else steps

    def do(self, work: Steps[T]) -> tuple[T] | None:
        """Go on with some work as far as is allowed; return what came of it, or None if there is more to do."""
        while self.left > 0:
            try:
                self.left -= next(work)
            except StopIteration as end:
                return (end.value,)
        return None
