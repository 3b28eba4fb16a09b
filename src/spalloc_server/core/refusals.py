"""Why something is refused: a sentence for whoever asked, and what sort of reason it is, for the protocol's answer."""

from enum import Enum
from typing import Self


class Sort(Enum):
    """What sort of reason there is to refuse something."""

    WRONG = "what is asked for makes no sense, or can never be"
    FORBIDDEN = "whoever asks may not"
    CROWDED = "there is too much of it now"
    CLASHING = "it would take from others what they were promised"
    OVER = "what it is about has ended"
    CLOSED = "nobody's are done now"


class Refusal(str):
    """The sentence that refuses something, and its sort; a plain `str` in its place is of the sort `WRONG`."""

    __slots__ = ("sort",)

    sort: Sort

    def __new__(cls, sentence: str, sort: Sort) -> Self:
        """Make the refusal."""
        made = super().__new__(cls, sentence)
        made.sort = sort
        return made
