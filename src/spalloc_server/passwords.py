"""Hashes passwords with argon2, a few at a time and off the event loop; those that wait are bounded.

argon2 is imported when the first password is hashed. Which account has which password is decided elsewhere.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar
from unicodedata import normalize

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

SHORTEST = 8
"""How many characters a password must have."""
LONGEST = 1000
"""How many characters a password may have."""
AT_ONCE = 2
"""How many passwords are hashed at a time; each takes 64 MiB and about 0.1 s of a processor."""
MOST_WAITING = 100
"""How many wait for that, each of those that go first and of the others."""
MOST_WAITING_OF_ONE = 16
"""How many of these may come from one address."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How much work a hash is."""

    kibibytes: int = 65_536
    passes: int = 1


COST = Cost()


class CrowdedError(Exception):
    """Too many passwords wait to be checked."""


def password_flaw(password: str) -> str | None:
    """Return why a new password can't be one; None if it can."""
    if not SHORTEST <= len(password) <= LONGEST:
        return f"a password has {SHORTEST} to {LONGEST} characters, and this one has {len(password)}"
    return None


def hashed(password: str, cost: Cost = COST) -> str:
    """Return a new hash of a password; this takes about 0.1 s."""
    return _hasher(cost).hash(_bytes(password))


class Passwords:
    """Checks passwords for one server; lives in one event loop."""

    def __init__(self, cost: Cost = COST) -> None:
        """Begin with nothing to do; no thread is started before the first password."""
        self._cost = cost
        self._threads: ThreadPoolExecutor | None = None
        self._nobodys: str | None = None
        """The hash that passwords for no account are compared with."""
        self._running: set[str] = set()
        """The addresses whose turn it is."""
        self._first: list[_Waiting] = []
        self._others: list[_Waiting] = []
        self._waiting_of: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def turn(self, address: str, *, goes_first: bool) -> AsyncIterator[None]:
        """Wait until this address may have passwords checked, and let others wait meanwhile.

        An address has one turn at a time, so that whoever sees in it how often it was wrong before sees all of that.

        Args:
            address: Where the password comes from.
            goes_first: Whether it goes before those for which this is False.

        Raises:
            CrowdedError: Too many wait already.
        """
        waiting = self._first if goes_first else self._others
        if len(waiting) >= MOST_WAITING or self._waiting_of[address] >= MOST_WAITING_OF_ONE:
            raise CrowdedError
        mine = _Waiting(address, asyncio.get_running_loop().create_future())
        waiting.append(mine)
        self._waiting_of[address] += 1
        self._let_in()
        try:
            await mine.turn
        except asyncio.CancelledError:
            if mine in waiting:
                self._leave(waiting, mine)
            else:
                self._end(address)
            raise
        try:
            yield
        finally:
            self._end(address)

    async def is_right(self, password: str, encoded: str | None) -> bool:
        """Return whether a password is the one of a hash; without a hash (None) it takes as long, and is False."""
        return await self._in_thread(self._is_right, password, encoded)

    async def hashed(self, password: str) -> str:
        """Return a new hash of a password."""
        return await self._in_thread(hashed, password, self._cost)

    def is_outdated(self, encoded: str) -> bool:
        """Return whether a hash, of which the password is known to be right, was made with another cost."""
        return _hasher(self._cost).check_needs_rehash(encoded)

    def stop(self) -> None:
        """Let go of the threads; whoever waits for them is cancelled."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AT_ONCE, "spalloc-passwords")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _is_right(self, password: str, encoded: str | None) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        if self._nobodys is None:
            # Also where there is an account, so that the first password tells nobody anything either.
            self._nobodys = hashed("", self._cost)
        try:
            _hasher(self._cost).verify(encoded or self._nobodys, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False
        return encoded is not None

    def _let_in(self) -> None:
        for waiting in (self._first, self._others):
            for one in list(waiting):
                if len(self._running) >= AT_ONCE:
                    return
                if one.address not in self._running:
                    self._leave(waiting, one)
                    self._running.add(one.address)
                    one.turn.set_result(None)

    def _leave(self, waiting: "list[_Waiting]", one: "_Waiting") -> None:
        waiting.remove(one)
        self._waiting_of[one.address] -= 1
        if not self._waiting_of[one.address]:
            del self._waiting_of[one.address]

    def _end(self, address: str) -> None:
        self._running.discard(address)
        self._let_in()


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """Somebody who waits for a turn."""

    address: str
    turn: asyncio.Future[None]


@cache
def _hasher(cost: Cost) -> "PasswordHasher":
    from argon2 import PasswordHasher

    # In one thread: with more, two at a time would be many.
    return PasswordHasher(time_cost=cost.passes, memory_cost=cost.kibibytes, parallelism=1)


def _bytes(password: str) -> bytes:
    # The same letters may come in several forms, by the keyboard; and not all that a request has is valid text.
    return normalize("NFC", password[: LONGEST + 1]).encode("utf-8", "surrogatepass")
