"""Logs in whom an issuer knows: by a bearer token, or with a browser that comes back from the issuer.

Sessions are people.py's. What the client is told says what it may do; what the issuer said is in the log.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Mapping

from spalloc_server.core.identities import Person
from spalloc_server.engine import Engine
from spalloc_server.fronts.http.openid import OpenId
from spalloc_server.fronts.http.people import LoginRefusedError, People, Session
from spalloc_server.fronts.http.sso.asking import AwayError
from spalloc_server.fronts.http.sso.bearers import Bearers, BusyError
from spalloc_server.fronts.http.sso.claims import Claims, ClaimsError, person
from spalloc_server.fronts.http.sso.flows import Flow, FlowError, Flows
from spalloc_server.fronts.http.sso.issuer import CodeError, Issuer
from spalloc_server.fronts.http.sso.tokens import TokenError
from spalloc_server.fronts.http.sso.wrong import Wrong
from spalloc_server.ration import Ration
from spalloc_server.tokens import hash_of

_log = logging.getLogger(__name__)

AWAY_SECONDS = 10.0
"""When somebody is to try again who came while the issuer could not be asked."""
LONGEST_CODE = 4096
CODES_AT_ONCE = 8
"""How many codes the issuer is asked about at one time."""
MOST_CODES_FROM_ONE = 16
"""How many codes from one address or its neighbours are looked at, or wait for it."""
MOST_WRONG_CODES = 60
"""How many logins with a browser may fail at the issuer within a minute, from there."""
_RETRY_SECONDS = 5.0
_MOST_SHOWN = 200
_HOUR_SECONDS = 3600.0


class SingleSignOn:
    """The logins of one server by one issuer; lives in one event loop."""

    def __init__(self, engine: Engine, people: People, openid: OpenId) -> None:
        """Log people in.

        Args:
            engine: Drives the site.
            people: Begins and ends sessions.
            openid: The issuer, and what its word gives.

        Raises:
            OSError: The file of the authorities can't be used.
        """
        self._people = people
        self._engine = engine
        self._openid = openid
        self._issuer = Issuer(openid, engine.clock)
        self._bearers = Bearers(self._issuer, engine.clock)
        self._flows = Flows()
        self._codes = asyncio.Semaphore(CODES_AT_ONCE)
        self._codes_from: Counter[str] = Counter()
        """How many codes from each address with its neighbours are looked at, or wait for it."""
        self._wrong_codes = Wrong(MOST_WRONG_CODES)
        self._away = Ration()

    @property
    def title(self) -> str:
        """What the login page calls it."""
        return self._openid.title

    async def bearer(self, token: str, address: str) -> tuple[str, Session]:
        """Return the session of a bearer token of the issuer; one session for all clients that have it.

        Returns:
            The value of the session's cookie, and the session.

        Raises:
            LoginRefusedError: The token is not good, or can't be looked at now.
        """
        key, neighbours = hash_of(token), self._engine.site.neighbours.of(address)
        there = await self._people.of_token(token)
        try:
            if there is not None:
                return await self._still(there, token, key, neighbours)
            found = await self._bearers.look_at(token, key, neighbours)
        except (AwayError, BusyError, TokenError, ClaimsError) as error:
            raise self._refusal(error, address) from error
        # Another request with it may have come first.
        there = await self._people.of_token(token)
        return there or await self._begin(found.person, found.expires, address, token)

    async def _still(
        self, there: tuple[str, Session], token: str, key: str, neighbours: str
    ) -> tuple[str, Session]:
        """Return the session that a token has, or end it if the token is not good any more."""
        if self._bearers.is_due(key):
            try:
                await self._bearers.look_again_at(token, key, neighbours)
            except AwayError:
                # It was good a while ago, and nobody says that it is not any more.
                if not self._people.is_live(there[1].key):
                    raise
            except (TokenError, ClaimsError):
                self._people.log_out(there[1])
                raise
        return there

    async def begin(self, redirect: str, address: str) -> tuple[str, str]:
        """Begin a login with a browser; see `people.SignOn`."""
        try:
            found = await self._issuer.metadata()
        except AwayError as error:
            raise self._refusal(error, address) from error
        browser = secrets.token_urlsafe(32)
        flow = Flow(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            browser=hash_of(browser),
            redirect=redirect,
            neighbours=self._engine.site.neighbours.of(address),
            begun=self._engine.clock.now(),
        )
        self._flows.begin(flow)
        return self._issuer.login_address(found, flow.state, flow.nonce, flow.challenge, redirect), browser

    async def finish(
        self, answer: Mapping[str, str], browser: str | None, address: str
    ) -> tuple[str, Session]:
        """Log in somebody who comes back from the issuer; see `people.SignOn`."""
        neighbours = self._engine.site.neighbours.of(address)
        try:
            self._check_room(neighbours)
            flow = self._flows.finish(
                answer.get("state", ""),
                None if browser is None else hash_of(browser),
                self._engine.clock.now(),
            )
            code = self._code(answer, must_name=(await self._issuer.metadata()).names_itself)
            found = person(self._openid, await self._by_code(code, flow, neighbours))
        except (AwayError, BusyError, TokenError, ClaimsError, CodeError, FlowError) as error:
            raise self._refusal(error, address) from error
        expires = self._engine.clock.wall() + self._openid.session_hours * _HOUR_SECONDS
        return await self._begin(found, expires, address)

    def _check_room(self, neighbours: str) -> None:
        wait = self._wrong_codes.wait(neighbours, self._engine.clock.now())
        if wait > 0:
            raise BusyError("too many logins from there have failed; try again later", wait)
        if self._codes_from[neighbours] >= MOST_CODES_FROM_ONE:
            raise BusyError("too many clients log in at this moment; try again soon", _RETRY_SECONDS)

    async def _by_code(self, code: str, flow: Flow, neighbours: str) -> Claims:
        """Have the issuer asked what a code is worth: anybody can send codes, so only a bounded number of times."""
        self._codes_from[neighbours] += 1
        try:
            async with self._codes:
                return await self._issuer.by_code(code, flow.verifier, flow.redirect, flow.nonce)
        except (AwayError, TokenError, ClaimsError, CodeError):
            self._wrong_codes.note(neighbours, self._engine.clock.now())
            raise
        finally:
            self._codes_from[neighbours] -= 1
            if not self._codes_from[neighbours]:
                del self._codes_from[neighbours]

    def _code(self, answer: Mapping[str, str], *, must_name: bool) -> str:
        """Return the code that a browser has brought from the issuer; `must_name` says that it names the issuer."""
        issuer = self._openid.issuer
        if answer.get("iss", None if must_name else issuer) != issuer:
            raise FlowError("this login is another issuer's; begin again")
        if "error" in answer:
            raise CodeError(
                f"did not log you in: {_shown(answer.get('error_description') or answer['error'])}"
            )
        code = answer.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE:
            raise CodeError("sent you back without a code")
        return code

    async def stop(self) -> None:
        """Stop to ask the issuer."""
        self._bearers.stop()
        await self._issuer.stop()

    async def _begin(
        self, found: Person, expires: float, address: str, token: str | None = None
    ) -> tuple[str, Session]:
        if found.left_out:
            shown = ", ".join(map(_shown, found.left_out[:5]))
            _log.warning(
                "%s of %s can't be names of groups, and are left out: %s",
                len(found.left_out),
                found.name,
                shown,
            )
        return await self._people.by_issuer(found, expires, address, token)

    def _refusal(self, error: Exception, address: str) -> LoginRefusedError:
        match error:
            case AwayError():
                now = self._engine.clock.now()
                self._away.summary(now)
                if self._away.admits("issuer", now):
                    _log.warning("nobody can be logged in by %s: it %s", self._openid.issuer, error)
                why = f"{self.title} can't be asked at this moment; try again soon"
                return self._people.refusal(address, why, AWAY_SECONDS, is_away=True)
            case BusyError():
                return self._people.refusal(address, str(error), error.retry_after)
            case TokenError():
                return self._people.refusal(address, f"this token {error}; get another from {self.title}")
            case CodeError():
                return self._people.refusal(address, f"{self.title} {error}; begin again")
            case _:
                return self._people.refusal(address, str(error))


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_MOST_SHOWN])
