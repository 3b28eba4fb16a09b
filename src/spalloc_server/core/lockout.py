"""How long somebody must wait before they may try another password, after wrong ones.

An attacker is slowed down by account and address, by address, and by account. Who logs in from where their account has
logged in lately waits only for wrong passwords for this account from there: nobody can lock them out from elsewhere.

Values and times come in; how a password is checked, and which addresses an account knows, is decided elsewhere.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from spalloc_server.core.accounts import LONGEST_NAME

KeyT = TypeVar("KeyT")

FORGOTTEN_SECONDS = 3600.0
"""How long after the last wrong password earlier ones are forgotten."""
MOST_COUNTED = 10_000
"""How many accounts, addresses and pairs of them are counted, each; of more, the earliest are forgotten."""
_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Patience:
    """How wrong passwords slow down."""

    free: int
    """How many there may be before anybody must wait."""
    longest: float
    """The longest wait in seconds: it begins with one second, and doubles with each further wrong password."""

    def wait(self, wrong: int) -> float:
        """Return how many seconds must pass after the last of `wrong` wrong passwords."""
        return 0.0 if wrong < self.free else min(self.longest, 2.0 ** min(wrong - self.free, _MOST_DOUBLINGS))


OF_PAIR = Patience(5, 900.0)
"""For one account from one address."""
OF_ADDRESS = Patience(30, 900.0)
"""For any accounts from one address."""
OF_ACCOUNT = Patience(20, 300.0)
"""For one account, from any addresses from which it has not logged in lately."""


class Lockout:
    """Counts wrong passwords; an address is its neighbours (networks.py)."""

    def __init__(self) -> None:
        """Begin with none."""
        self._of_pair: _Counts[tuple[str, str]] = _Counts(OF_PAIR)
        self._of_address: _Counts[str] = _Counts(OF_ADDRESS)
        self._of_account: _Counts[str] = _Counts(OF_ACCOUNT)

    def wait(self, name: str, address: str, now: float, *, is_known: bool) -> float:
        """Return for how many seconds no password for an account is tried from an address; 0 for not at all.

        Args:
            name: The account's name as it was typed; there need be no such account.
            address: Where the password comes from.
            now: The core's time.
            is_known: Whether the account has logged in from there lately.
        """
        name = name[:LONGEST_NAME]
        wait = self._of_pair.wait((name, address), now)
        if is_known:
            return wait
        return max(wait, self._of_address.wait(address, now), self._of_account.wait(name, now))

    def wrong(self, name: str, address: str, now: float, *, is_known: bool) -> None:
        """Count a wrong password; one that comes from where the account logs in doesn't count for other addresses."""
        name = name[:LONGEST_NAME]
        self._of_pair.count((name, address), now)
        self._of_address.count(address, now)
        if not is_known:
            self._of_account.count(name, now)

    def right(self, name: str, address: str) -> None:
        """Forget wrong passwords for this account from this address, since the right one has come from there."""
        self._of_pair.forget((name[:LONGEST_NAME], address))

    def forgive(self, name: str) -> None:
        """Forget all wrong passwords for an account."""
        self._of_account.forget(name)
        for pair in self._of_pair:
            if pair[0] == name:
                self._of_pair.forget(pair)


class _Counts(Generic[KeyT]):
    """How many wrong passwords there were for each key, and when the last was."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._counts: OrderedDict[KeyT, tuple[int, float]] = OrderedDict()
        """The latest last."""

    def __iter__(self) -> Iterator[KeyT]:
        return iter(list(self._counts))

    def wait(self, key: KeyT, now: float) -> float:
        wrong, last = self._known(key, now)
        return max(0.0, last + self._patience.wait(wrong) - now)

    def count(self, key: KeyT, now: float) -> None:
        wrong, _ = self._known(key, now)
        self._counts[key] = wrong + 1, now
        self._counts.move_to_end(key)
        if len(self._counts) > MOST_COUNTED:
            self._counts.popitem(last=False)

    def forget(self, key: KeyT) -> None:
        self._counts.pop(key, None)

    def _known(self, key: KeyT, now: float) -> tuple[int, float]:
        wrong, last = self._counts.get(key, (0, now))
        return (0, now) if now - last >= FORGOTTEN_SECONDS else (wrong, last)
