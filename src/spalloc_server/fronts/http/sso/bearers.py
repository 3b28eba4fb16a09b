"""Whose a bearer token of the issuer is: looked at once, and looked at again now and then where it may be revoked.

However many tokens are sent, the issuer has a bounded number of requests at a time, and one about each.
"""

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from spalloc_server.clock import Clock
from spalloc_server.core.identities import Person
from spalloc_server.fronts.http.sso.claims import person
from spalloc_server.fronts.http.sso.issuer import Issuer
from spalloc_server.fronts.http.sso.tokens import TokenError, expiry, is_signed

T = TypeVar("T")

AGAIN_SECONDS = 60.0
"""How long a token of which the issuer was asked counts as good, or as not good, until the issuer is asked again."""
OPAQUE_SECONDS = 3600.0
"""For how long a token is good of which the issuer does not say until when."""
AT_ONCE = 8
"""How many tokens the issuer is asked about at one time."""
MOST_WAITING = 256
MOST_WAITING_FROM_ONE = 32
"""How many tokens from one address or its neighbours are looked at, or wait for it."""
MOST_WRONG = 60
"""How many tokens from there may be found not to be good within a minute, of those that the issuer is asked about."""
MOST_REMEMBERED = 20_000
_RETRY_SECONDS = 5.0


class BusyError(Exception):
    """Too many tokens are looked at; the message is a sentence for the client."""

    def __init__(self, message: str, retry_after: float) -> None:
        """Say so, and in how many seconds it may be tried again."""
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose a token is."""

    person: Person
    expires: float
    """Until when it is good, in seconds of Unix time."""


class Bearers:
    """The bearer tokens of one issuer; lives in one event loop."""

    def __init__(self, issuer: Issuer, clock: Clock) -> None:
        """Begin without having seen any."""
        self._issuer = issuer
        self._clock = clock
        self._good_until: OrderedDict[str, float] = OrderedDict()
        """When each token is to be looked at again, in the clock's time; by its SHA-256."""
        self._wrong_until: OrderedDict[str, float] = OrderedDict()
        self._wrong_from: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """For each address with its neighbours, when the first wrong token within a minute came, and how many did."""
        self._tasks: dict[str, asyncio.Task[Bearer]] = {}
        self._from: Counter[str] = Counter()
        self._turns = asyncio.Semaphore(AT_ONCE)

    def is_due(self, key: str) -> bool:
        """Return whether a token, by its SHA-256, is to be looked at (again)."""
        return self._clock.now() >= self._good_until.get(key, 0.0)

    async def look_at(self, token: str, key: str, neighbours: str) -> Bearer:
        """Return whose a token is.

        Args:
            token: The token.
            key: Its SHA-256.
            neighbours: The addresses from which it comes, as one.

        Raises:
            TokenError: It is not good.
            ClaimsError: It gives no account.
            AwayError: The issuer can't be asked.
            BusyError: Too many are looked at.
        """
        task = self._tasks.get(key)
        if task is None:
            self._check_room(key, neighbours, signed=is_signed(token))
            task = self._tasks[key] = asyncio.get_running_loop().create_task(
                self._look_at(token, key, neighbours)
            )
            self._from[neighbours] += 1
            task.add_done_callback(lambda done: self._looked_at(done, key, neighbours))
        # Whoever waits may leave; others wait for the same.
        return await asyncio.shield(task)

    def stop(self) -> None:
        """Stop to look at tokens."""
        for task in self._tasks.values():
            task.cancel()

    def _check_room(self, key: str, neighbours: str, *, signed: bool) -> None:
        now = self._clock.now()
        if now < self._wrong_until.get(key, 0.0):
            raise TokenError("is over, revoked, or none of the issuer's")
        since, wrong = self._wrong_from.get(neighbours, (now, 0))
        if not signed and wrong >= MOST_WRONG and now - since < AGAIN_SECONDS:
            raise BusyError(
                "too many tokens from there are not good; try again later", since + AGAIN_SECONDS - now
            )
        if len(self._tasks) >= MOST_WAITING or self._from[neighbours] >= MOST_WAITING_FROM_ONE:
            raise BusyError("too many clients log in at this moment; try again soon", _RETRY_SECONDS)

    async def _look_at(self, token: str, key: str, neighbours: str) -> Bearer:
        signed = is_signed(token)
        try:
            if signed:
                claims = await self._issuer.by_signature(token)
            else:
                async with self._turns:
                    claims = await self._issuer.by_introspection(token)
            async with self._turns:
                found = person(self._issuer.openid, await self._issuer.completed(claims, token))
        except TokenError:
            if not signed:
                self._note_wrong(key, neighbours)
            raise
        # Signed ones that say nothing of their end were refused.
        expires = expiry(claims) if "exp" in claims else self._clock.wall() + OPAQUE_SECONDS
        again = expires - self._clock.wall() if signed else AGAIN_SECONDS
        _remember(self._good_until, key, self._clock.now() + again)
        return Bearer(found, expires)

    def _note_wrong(self, key: str, neighbours: str) -> None:
        now = self._clock.now()
        _remember(self._wrong_until, key, now + AGAIN_SECONDS)
        self._good_until.pop(key, None)
        since, wrong = self._wrong_from.get(neighbours, (now, 0))
        if now - since >= AGAIN_SECONDS:
            since, wrong = now, 0
        _remember(self._wrong_from, neighbours, (since, wrong + 1))

    def _looked_at(self, task: "asyncio.Task[Bearer]", key: str, neighbours: str) -> None:
        del self._tasks[key]
        self._from[neighbours] -= 1
        if not self._from[neighbours]:
            del self._from[neighbours]
        if not task.cancelled():
            # Nobody may be there any more to hear of it.
            task.exception()


def _remember(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MOST_REMEMBERED:
        kept.popitem(last=False)
