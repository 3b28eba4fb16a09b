"""How each job's boards are filled in a picture, so that jobs can be told apart with and without colours."""

from collections.abc import Iterable
from typing import NamedTuple

COLOURS = ("#90b9fb", "#9bba59", "#fecdff", "#94ff99", "#e8bf44", "#c6f8c5", "#46c7bf", "#c2b088")
"""Light enough for black letters, and apart from each other also for those who lack one of the three kinds of cones;
most so are neighbours here, since jobs that were created one after the other often lie side by side."""

FREE, DEAD = "#f6f6f6", "#3c3c3c"
"""What fills boards that have no job."""

DARK_FREE, DARK_DEAD, DARK_WORDS, DARK_PAGE = "#1b2127", "#59636d", "#e6eaee", "#14181d"
"""The same in a dark surrounding, and what fills words and the page there; jobs keep their colours."""

DARK_THEME = (
    # On a screen: paper is white.
    "<style>@media screen and (prefers-color-scheme:dark){"
    f".spalloc-page{{fill:{DARK_PAGE}}}.spalloc-words{{fill:{DARK_WORDS}}}.spalloc-free{{fill:{DARK_FREE}}}"
    f".spalloc-dead{{fill:{DARK_DEAD};stroke:#9aa5b1}}.spalloc-outlines{{stroke:#6b7681}}"
    ".spalloc-set-aside{stroke:#f0b849}}</style>"
)
"""What a picture must define to be dark where its reader prefers that."""


class Hatching(NamedTuple):
    """What is drawn over boards that are set aside, whatever fills them."""

    name: str
    themed: str
    """An attribute that has its colour follow the theme, or nothing."""

    @property
    def fill(self) -> str:
        """What an element hatched so has as its `fill`."""
        return f"url(#{self.name})"

    def definition(self) -> str:
        """Return what a picture must define for it."""
        return (
            f'<pattern id="{self.name}" width="5" height="5" patternUnits="userSpaceOnUse">'
            f'<path {self.themed}d="M0 5L5 0M-1 1L1 -1M4 6L6 4" stroke="#a04000" stroke-width="1.3"/></pattern>'
        )


SET_ASIDE = Hatching("spalloc-set-aside", 'class="spalloc-set-aside" ')
SET_ASIDE_OF_JOB = Hatching("spalloc-set-aside-of-job", "")

_PATTERNS = (
    "",
    "M0 0L6 6M-1 5L1 7M5 -1L7 1",
    "M0 6L6 0M-1 1L1 -1M5 7L7 5",
    "M0 3H6",
    "M3 0V6",
    "M0 0L6 6M0 6L6 0",
)
"""What is hatched over a colour; the first leaves it plain."""


class Look(NamedTuple):
    """How a job's boards are filled."""

    colour: str
    pattern: int
    """Which of the patterns lies over the colour."""

    @property
    def name(self) -> str:
        """The ID of its definition: the same wherever it looks the same, for pages with several pictures."""
        return f"spalloc-{self.colour[1:]}-{self.pattern}"

    @property
    def fill(self) -> str:
        """What an element filled so has as its `fill`."""
        return f"url(#{self.name})"

    def definition(self) -> str:
        """Return what a picture must define for it."""
        hatching = _PATTERNS[self.pattern]
        lines = (
            f'<path d="{hatching}" stroke="#000" stroke-opacity="0.35" stroke-width="1.1"/>'
            if hatching
            else ""
        )
        return (
            f'<pattern id="{self.name}" width="6" height="6" patternUnits="userSpaceOnUse">'
            f'<rect width="6" height="6" fill="{self.colour}"/>{lines}</pattern>'
        )


LOOKS = tuple(Look(colour, pattern) for pattern in range(len(_PATTERNS)) for colour in COLOURS)
"""All that jobs can look like, in the order in which jobs get them."""


def looks_of(jobs: Iterable[int]) -> dict[int, Look]:
    """Return each job's look, which does not depend on the other jobs unless one of them already has it."""
    looks: dict[int, Look] = {}
    for job in sorted(jobs):
        taken = set(looks.values())
        own = job % len(LOOKS)
        inorder = LOOKS[own:] + LOOKS[:own]
        looks[job] = next((look for look in inorder if look not in taken), inorder[0])
    return looks
