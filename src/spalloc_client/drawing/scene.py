"""What a picture shows, apart from how it is drawn: a machine, its faults, and which boards each job has.

layout.py decides positions; text_map.py and svg.py decide colours.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import NamedTuple

from spalloc_client.geometry import Board, BoardLink, Link, Size, boards_of, far_end

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Tenant(NamedTuple):
    """A job with boards."""

    job_id: int
    owner: str
    boards: frozenset[Board]


class Keyed(NamedTuple):
    """A tenant and its letters in a picture."""

    key: str
    tenant: Tenant


class Scene(NamedTuple):
    """A machine with its faults and tenants."""

    name: str
    size: Size
    dead_boards: frozenset[Board]
    dead_links: frozenset[BoardLink]
    tenants: tuple[Tenant, ...]
    set_aside: Mapping[Board, str] = {}
    """Live boards that are set aside, each with the reason."""

    @property
    def live_boards(self) -> tuple[Board, ...]:
        """All boards that are not dead."""
        return tuple(board for board in boards_of(self.size) if board not in self.dead_boards)

    @property
    def boards_in_use(self) -> int:
        """How many boards tenants have."""
        return sum(len(tenant.boards) for tenant in self.tenants)

    @property
    def keyed(self) -> tuple[Keyed, ...]:
        """The tenants, each with its key: A, B and so on, in their order."""
        return tuple(map(Keyed, keys(), self.tenants))

    @property
    def dead_cables(self) -> int:
        """How many cables between boards are dead, whether one or both of their ends are listed."""
        return len({frozenset((end, far_end(self.size, end))) for end in self.dead_links})


def keys() -> Iterator[str]:
    """Yield A to Z, AA, AB and so on, as spreadsheets name columns."""
    for number in count():
        letters = ""
        left = number
        while left >= 0:
            left, letter = divmod(left, len(_LETTERS))
            letters = _LETTERS[letter] + letters
            left -= 1
        yield letters


def scene(
    name: str,
    size: tuple[int, int],
    dead_boards: Iterable[tuple[int, int, int]] = (),
    dead_links: Iterable[tuple[int, int, int, int]] = (),
    tenants: Iterable[Tenant] = (),
    set_aside: Iterable[tuple[int, int, int, str]] = (),
) -> Scene:
    """Return a scene from coordinates as the protocol has them.

    Raises:
        ValueError: A link's number is not 0 to 5.
    """
    dead = frozenset(Board(*board) for board in dead_boards)
    aside = {Board(x, y, z): why for x, y, z, why in set_aside}
    return Scene(
        name,
        Size(*size),
        dead,
        frozenset(BoardLink(Board(x, y, z), Link(link)) for x, y, z, link in dead_links),
        tuple(tenants),
        {board: why for board, why in aside.items() if board not in dead},
    )


def tenant(job_id: int, owner: str, boards: Iterable[tuple[int, int, int]]) -> Tenant:
    """Return a tenant from coordinates as the protocol has them."""
    return Tenant(job_id, owner, frozenset(Board(*board) for board in boards))


def owners_of_boards(keyed: Iterable[Keyed]) -> Mapping[Board, Keyed]:
    """Return the tenant of each board that has one."""
    return {board: who for who in keyed for board in who.tenant.boards}
