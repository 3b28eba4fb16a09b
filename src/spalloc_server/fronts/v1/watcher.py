"""What watchers.py and endings.py know of a client: that it can be notified."""

from typing import Protocol, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Watcher(Protocol):
    """A client that can be notified of changes."""

    __slots__ = ()

    def tell(self, line: bytes) -> bool:
        """Send a notification to the client; return False if it has not read what was sent before."""

    def keep(self, size: int) -> None:
        """Note how many bytes are kept for what the client watches."""


def leave(sets: dict[K, set[V]], key: K, value: V) -> None:
    """Take a value out of the set of a key, and the key away with its last value."""
    members = sets.get(key)
    if members is not None:
        members.discard(value)
        if not members:
            del sets[key]
