"""Whose a bearer token of the issuer is: looked at once, and looked at again now and then where it may be revoked.

However many tokens are sent, the issuer has a bounded number of requests at a time, and one about each. Tokens with a
session have turns of their own: whoever sends others can't put off that the issuer says of one that it is revoked.
"""

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass
from math import inf
from typing import TypeVar

from spalloc_server.clock import Clock
from spalloc_server.core.identities import Person
from spalloc_server.fronts.http.sso.asking import AwayError
from spalloc_server.fronts.http.sso.claims import ClaimsError, person
from spalloc_server.fronts.http.sso.issuer import Issuer
from spalloc_server.fronts.http.sso.tokens import TokenError, expiry, is_signed
from spalloc_server.fronts.http.sso.wrong import Wrong

T = TypeVar("T")

AGAIN_SECONDS = 60.0
"""How long a token of which the issuer was asked counts as good, or as not good, until the issuer is asked again."""
OPAQUE_SECONDS = 3600.0
"""For how long a token is good of which the issuer does not say until when."""
AWAY_SECONDS = 10.0
"""How long no token with a session is looked at again after the issuer could not be asked about one of them."""
AT_ONCE = 8
"""How many tokens the issuer is asked about at one time, and how many of those with a session."""
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
        self._wrong: OrderedDict[str, tuple[float, TokenError | ClaimsError]] = OrderedDict()
        """Until when, in the clock's time, each token counts as not good, and why; by its SHA-256."""
        self._wrong_from = Wrong(MOST_WRONG)
        self._tasks: dict[str, asyncio.Task[Bearer]] = {}
        self._from: Counter[str] = Counter()
        """How many tokens without a session are looked at, or wait for it, by the addresses from which they come."""
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._turns_again = asyncio.Semaphore(AT_ONCE)
        self._away_until = -inf

    def is_due(self, key: str) -> bool:
        """Return whether a token, by its SHA-256, is to be looked at (again)."""
        now = self._clock.now()
        return now >= self._good_until.get(key, 0.0) and now >= self._away_until

    async def look_at(self, token: str, key: str, neighbours: str) -> Bearer:
        """Return whose a token is that has no session.

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
        if key not in self._tasks:
            self._check_room(key, neighbours, signed=is_signed(token))
            self._from[neighbours] += 1
            self._begin(token, key, neighbours, self._turns).add_done_callback(
                lambda _: self._leave(neighbours)
            )
        # Whoever waits may leave; others wait for the same.
        return await asyncio.shield(self._tasks[key])

    async def look_again_at(self, token: str, key: str, neighbours: str) -> None:
        """Find out whether a token that has a session is still good; arguments and errors are those of `look_at`."""
        if key not in self._tasks:
            self._begin(token, key, neighbours, self._turns_again)
        try:
            await asyncio.shield(self._tasks[key])
        except AwayError:
            now = self._clock.now()
            if now >= self._away_until:
                self._away_until = now + AWAY_SECONDS
            raise

    def stop(self) -> None:
        """Stop to look at tokens."""
        for task in self._tasks.values():
            task.cancel()

    def _check_room(self, key: str, neighbours: str, *, signed: bool) -> None:
        now = self._clock.now()
        until, why = self._wrong.get(key, (-inf, None))
        if why is not None and now < until:
            raise type(why)(str(why))
        wait = 0.0 if signed else self._wrong_from.wait(neighbours, now)
        if wait > 0:
            raise BusyError("too many tokens from there are not good; try again later", wait)
        if self._from.total() >= MOST_WAITING or self._from[neighbours] >= MOST_WAITING_FROM_ONE:
            raise BusyError("too many clients log in at this moment; try again soon", _RETRY_SECONDS)

    def _begin(
        self, token: str, key: str, neighbours: str, turns: asyncio.Semaphore
    ) -> "asyncio.Task[Bearer]":
        task = self._tasks[key] = asyncio.get_running_loop().create_task(
            self._look_at(token, key, neighbours, turns)
        )
        task.add_done_callback(lambda done: self._looked_at(done, key))
        return task

    async def _look_at(self, token: str, key: str, neighbours: str, turns: asyncio.Semaphore) -> Bearer:
        signed = is_signed(token)
        claims = await self._issuer.by_signature(token) if signed else None
        try:
            async with turns:
                if turns is self._turns_again and self._clock.now() < self._away_until:
                    raise AwayError("could not be asked a moment ago")
                if claims is None:
                    claims = await self._issuer.by_introspection(token)
                found = person(self._issuer.openid, await self._issuer.completed(claims, token))
        except (TokenError, ClaimsError) as error:
            # The issuer was asked, and is not asked the same again at once.
            self._note_wrong(key, neighbours, error)
            raise
        # Signed ones that say nothing of their end were refused.
        expires = expiry(claims) if "exp" in claims else self._clock.wall() + OPAQUE_SECONDS
        again = expires - self._clock.wall() if signed else AGAIN_SECONDS
        _remember(self._good_until, key, self._clock.now() + again)
        return Bearer(found, expires)

    def _note_wrong(self, key: str, neighbours: str, why: TokenError | ClaimsError) -> None:
        now = self._clock.now()
        _remember(self._wrong, key, (now + AGAIN_SECONDS, why))
        self._good_until.pop(key, None)
        self._wrong_from.note(neighbours, now)

    def _leave(self, neighbours: str) -> None:
        self._from[neighbours] -= 1
        if not self._from[neighbours]:
            del self._from[neighbours]

    def _looked_at(self, task: "asyncio.Task[Bearer]", key: str) -> None:
        del self._tasks[key]
        if not task.cancelled():
            # Nobody may be there any more to hear of it.
            task.exception()


def _remember(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MOST_REMEMBERED:
        kept.popitem(last=False)
