# What a job asks for, checked: only requests that make sense can be built.
#
# Whether a machine can meet a request is packing's subject; how a request travels is the front's.
"""Requests for boards."""

from dataclasses import dataclass

from spalloc_server.core.machine import DEFAULT_TAG
from spinnaker.geometry import Board, Size

DEFAULT_MIN_RATIO = 0.333
DEFAULT_MAX_DEAD_BOARDS = 0


class RequestError(ValueError):
    """A request that makes no sense on any machine; the message names the argument and what is allowed."""


@dataclass(frozen=True, slots=True)
class AnyBoard:
    """One board, wherever it is."""


@dataclass(frozen=True, slots=True)
class BoardAt:
    """The board at one logical coordinate."""

    board: Board


@dataclass(frozen=True, slots=True)
class Boards:
    """At least `count` boards (2 or more), as whole triads in a rectangle."""

    count: int


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Exactly this rectangle of triads."""

    size: Size


Shape = AnyBoard | BoardAt | Boards | Rectangle


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a job asks for; see the protocol's `create_job`."""

    shape: Shape
    machine: str | None = None
    """The only machine that will do, or None for any with the tags."""
    tags: frozenset[str] = frozenset({DEFAULT_TAG})
    """What a machine must be tagged with; not looked at when `machine` is given."""
    min_ratio: float = DEFAULT_MIN_RATIO
    """Short side over long side, 0.0 to 1.0, in triads; for `Boards` only."""
    max_dead_boards: int | None = DEFAULT_MAX_DEAD_BOARDS
    """Missing or unreachable boards that are put up with; None for any number."""
    max_dead_links: int | None = None
    """Dead links that are put up with between allocated boards; None for any number."""
    require_torus: bool = False
    """Whether the region must be a whole machine, its edges joined up."""
