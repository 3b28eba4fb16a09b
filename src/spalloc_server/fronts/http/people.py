"""Logs clients in and out: by name and password, by token or by an issuer, and then by the cookie of a session.

Which accounts and sessions there are is decided in core/; passwords.py compares passwords. Here are the secrets that
clients have: they are made here, and only their hashes go further.
"""

import base64
import hmac
import logging
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import ceil, inf
from typing import Protocol

from spalloc_server.clock import moment
from spalloc_server.core.account_commands import (
    WRONG,
    BeginSession,
    EndSession,
    RenewHash,
    UseSession,
    WrongPassword,
)
from spalloc_server.core.accounts import NOTED_SECONDS, SessionRecord
from spalloc_server.core.askers import SERVER, Asker, Login
from spalloc_server.core.audit import LOG_IN, Deed, Note
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.core.identities import Person
from spalloc_server.core.identity_commands import BeginByIssuer
from spalloc_server.engine import Engine
from spalloc_server.passwords import LONGEST, CrowdedError, Passwords
from spalloc_server.ration import Ration, Warnings
from spalloc_server.recorded import recorded_if_possible
from spalloc_server.tokens import PREFIX, hash_of
from spalloc_server.words import counted

_log = logging.getLogger(__name__)

LOGIN_LINES = 20
"""Lines about logins from one address within a minute; the others are counted."""
COOKIE_CHARACTERS = 52
"""How long the value of a cookie is."""
CROWDED_SECONDS = 5.0
"""When somebody is to try again who came while too many passwords waited to be checked."""
NO_TOKEN = "this token is not valid: it is over or revoked, or its account is locked; ask an administrator for another"


@dataclass(frozen=True, slots=True)
class Session:
    """A client's session, while it has not ended."""

    key: str
    """The SHA-256 of its cookie's value."""
    login: Login
    csrf: str
    """The secret that requests which change something must repeat."""
    expires: float | None = None
    """When it ends however much it is used, in seconds of Unix time."""


class LoginRefusedError(Exception):
    """Somebody is not logged in; the message is a sentence for the client."""

    def __init__(self, message: str, retry_after: float | None = None, *, is_away: bool = False) -> None:
        """Say why, and in how many seconds it may be tried again; None if the name, password or token is wrong.

        Args:
            message: Why.
            retry_after: In how many seconds.
            is_away: Whether it is not the client's fault: an issuer can't be asked.
        """
        super().__init__(message)
        self.retry_after = retry_after
        self.is_away = is_away


class SignOn(Protocol):
    """Logs in whom an issuer knows; sso/ does it, and is imported only where an issuer is configured."""

    @property
    def title(self) -> str:
        """What the login page calls it."""

    async def bearer(self, token: str, address: str) -> tuple[str, Session]:
        """Return the session of a bearer token of the issuer, as `People.bearer` does."""

    async def begin(self, redirect: str, address: str) -> tuple[str, str]:
        """Begin a login with a browser.

        Args:
            redirect: The address to which the issuer is to send the browser back.
            address: Where the browser is.

        Returns:
            The issuer's address, to which to send the browser, and the value of a cookie for it.

        Raises:
            LoginRefusedError: The issuer can't be asked.
        """

    async def finish(
        self, answer: Mapping[str, str], browser: str | None, address: str
    ) -> tuple[str, Session]:
        """Log in somebody who comes back from the issuer.

        Args:
            answer: What the browser brought.
            browser: The value of its cookie; None if it has none.
            address: Where it is.

        Returns:
            The value of the session's cookie, and the session.

        Raises:
            LoginRefusedError: They are not logged in.
        """


class People:
    """The clients of one server's HTTP front; lives in one event loop."""

    def __init__(self, engine: Engine, passwords: Passwords | None = None) -> None:
        """Begin to hear of sessions that end.

        Args:
            engine: Knows the accounts and their sessions.
            passwords: Compares passwords; None for new ones with the usual cost.
        """
        self._engine = engine
        self._accounts = engine.site.accounts
        self._passwords = passwords or Passwords()
        self._secret = secrets.token_bytes(32)
        self._warnings = Warnings(_log, "not logged in")
        self._logins = Ration(LOGIN_LINES)
        self._noted: dict[str, float] = {}
        """When the use of each session was noted last, in the core's time."""
        self._beginning: set[str] = set()
        """The keys of sessions that are not on disk yet."""
        self.single_sign_on: SignOn | None = None
        """Logs in whom an issuer knows, if one is configured."""
        self.ended: set[Callable[[str], None]] = set()
        """Called with the key of each session that has ended, for whatever reason."""
        engine.session_listeners.add(self._tell)

    @property
    def refused(self) -> int:
        """How many logins were refused."""
        return self._warnings.count

    async def log_in(self, name: str, password: str, address: str) -> tuple[str, Session]:
        """Begin a session by name and password.

        Args:
            name: The account's name.
            password: Its password.
            address: Where the client is.

        Returns:
            The value of the session's cookie, and the session.

        Raises:
            LoginRefusedError: The name or the password is wrong, or it is not tried now.
        """
        name = name.strip()
        is_known = self._accounts.is_known(name, address, moment(self._engine.clock).wall)
        group = self._engine.site.neighbours.of(address)
        self._check_wait(name, address)
        try:
            async with self._passwords.turn(group, goes_first=is_known):
                # Those that came before from there may have been wrong.
                self._check_wait(name, address)
                account = self._accounts.by_name.get(name)
                encoded = None if account is None or len(password) > LONGEST else account.password
                if not await self._passwords.is_right(password, encoded):
                    self._engine.do(WrongPassword(name), Asker(address))
                    raise self._refused(address, WRONG)
                assert encoded is not None
                if self._passwords.is_outdated(encoded):
                    renewed = await self._passwords.hashed(password)
                    self._engine.do(RenewHash(name, encoded, renewed), SERVER)
                    encoded = renewed
        except CrowdedError:
            raise self.refusal(
                address, "too many clients log in at this moment; try again soon", CROWDED_SECONDS
            ) from None
        cookie = _new_cookie()
        command = BeginSession(name, hash_of(cookie), _new_secret(), password=encoded)
        return cookie, await self._begin(command, address)

    async def basic(self, name: str, password: str, address: str) -> tuple[str, Session]:
        """Begin a session for a request that has name and password itself; as `log_in`."""
        return await self.log_in(name, password, address)

    async def bearer(self, token: str, address: str) -> tuple[str, Session]:
        """Return the session of a bearer token, one of ours or the issuer's, and begin it if it has none.

        All clients with this token share one session, so that those which don't keep cookies leave no others behind.

        Returns:
            The value of the session's cookie, and the session.

        Raises:
            LoginRefusedError: The token is not valid, or can't be looked at now.
        """
        key = hash_of(token)
        is_ours = token.startswith(PREFIX) or self._accounts.has_token(key)
        if self.single_sign_on is not None and not is_ours:
            return await self.single_sign_on.bearer(token, address)
        found = self._accounts.token(key, self._engine.clock.wall())
        if found is None:
            raise self.refusal(address, NO_TOKEN)
        there = await self.of_token(token)
        if there is not None:
            return there
        csrf = _new_secret()
        cookie = _cookie_of_token(token, csrf)
        return cookie, await self._begin(
            BeginSession(found.account, hash_of(cookie), csrf, token=key), address
        )

    async def of_token(self, token: str) -> tuple[str, Session] | None:
        """Return the session that a token has begun, and count it as used; None if it has none."""
        there = self._accounts.session_of_token(hash_of(token))
        if there is None:
            return None
        cookie = _cookie_of_token(token, there.csrf)
        session = self.session(cookie)
        if session is None:
            return None
        if session.key in self._beginning:
            await self.recorded()
        return cookie, session

    async def by_issuer(
        self, person: Person, expires: float, address: str, token: str | None = None
    ) -> tuple[str, Session]:
        """Begin a session for somebody whom an issuer knows.

        Args:
            person: What the issuer says of them.
            expires: When it ends at the latest, in seconds of Unix time.
            address: Where they are.
            token: The issuer's token that they sent; None if they came with a browser.

        Returns:
            The value of the session's cookie, and the session.

        Raises:
            LoginRefusedError: They are not let in.
        """
        csrf = _new_secret()
        cookie = _new_cookie() if token is None else _cookie_of_token(token, csrf)
        bearer = None if token is None else hash_of(token)
        command = BeginByIssuer(person, hash_of(cookie), csrf, expires, bearer)
        return cookie, await self._begin(command, address)

    def session(self, cookie: str) -> Session | None:
        """Return the session with a cookie of this value, and count it as used; None if there is none."""
        if len(cookie) != COOKIE_CHARACTERS or not cookie.isascii():
            return None
        key = hash_of(cookie)
        record = self._accounts.session(key, self._engine.clock.wall())
        if record is None:
            return None
        now = self._engine.clock.now()
        noted = self._noted.get(key)
        if noted is None or now - noted >= NOTED_SECONDS:
            self._noted[key] = now
            self._engine.do(UseSession(key), Asker(record.address))
        return self._session(record)

    def log_out(self, session: Session, address: str = "") -> None:
        """End a session, for a client at an address or for the server itself; see `recorded`."""
        self._engine.do(EndSession(session.key), Asker(address, session.login))

    async def recorded(self) -> None:
        """Wait until all that was done is on disk, so that it outlives the server; not while the disk is in trouble."""
        await recorded_if_possible(self._engine)

    def login_csrf(self, cookie: str) -> str:
        """Return the secret for a login form that was sent with a cookie of this value; nothing is kept."""
        return hmac.new(self._secret, cookie.encode("utf-8", "surrogateescape"), "sha256").hexdigest()

    def is_live(self, key: str) -> bool:
        """Return whether the session with a key has not ended."""
        return self._accounts.session(key, self._engine.clock.wall()) is not None

    def stop(self) -> None:
        """Stop to check passwords and to tell of sessions."""
        self._engine.session_listeners.discard(self._tell)
        self._passwords.stop()

    def _check_wait(self, name: str, address: str) -> None:
        wait = self._accounts.wait(name, address, moment(self._engine.clock))
        if wait > 0:
            seconds = ceil(wait)
            raise self.refusal(
                address, f"too many wrong passwords; try again in {seconds} s", retry_after=float(seconds)
            )

    def refusal(
        self, address: str, why: str, retry_after: float | None = None, *, is_away: bool = False
    ) -> LoginRefusedError:
        """Return the refusal of a login that no command tells of; the arguments are those of `LoginRefusedError`."""
        self._engine.do(Note(Deed(LOG_IN, always=True, outcome=why)), Asker(address))
        return self._refused(address, why, retry_after, is_away=is_away)

    def _refused(
        self, address: str, why: str, retry_after: float | None = None, *, is_away: bool = False
    ) -> LoginRefusedError:
        """Return the refusal of a login, and count and log it."""
        group = self._engine.site.neighbours.of(address)
        self._warnings.warn(address, group, self._engine.clock.now(), why)
        return LoginRefusedError(why, retry_after, is_away=is_away)

    async def _begin(self, command: Command[SessionRecord], address: str) -> Session:
        """Begin a session, and wait until it is on disk: SpiNNMan keeps its cookie alone."""
        try:
            session = self._session(self._engine.do(command, Asker(address)).value)
        except RefusedError as error:
            raise self._refused(address, str(error)) from error
        self._log_login(session.login, address)
        self._beginning.add(session.key)
        try:
            await self.recorded()
        finally:
            self._beginning.discard(session.key)
        return session

    def _log_login(self, login: Login, address: str) -> None:
        """Log that a session has begun; programs that keep no cookies begin one with each request."""
        now = self._engine.clock.now()
        for other, count in self._logins.summary(now):
            _log.info("%s at %s were kept back", counted(count, "more login"), other or "other addresses")
        if self._logins.admits(self._engine.site.neighbours.of(address), now):
            about = {"account": login.account, "client": address}
            _log.info("account %s logs in", login.account, extra=about)

    def _session(self, record: SessionRecord) -> Session:
        expiry = self._accounts.expiry(record)
        return Session(
            record.key, self._accounts.login(record), record.csrf, None if expiry == inf else expiry
        )

    def _tell(self, keys: Collection[str]) -> None:
        for key in keys:
            self._noted.pop(key, None)
            for listener in list(self.ended):
                try:
                    listener(key)
                except Exception:  # noqa: BLE001 — others must hear of it
                    _log.exception("the end of a session could not be told")


def _new_cookie() -> str:
    return _as_cookie(secrets.token_bytes(32))


def _cookie_of_token(token: str, csrf: str) -> str:
    """Return the cookie of a token's session: whoever has only one of the two can't make it."""
    return _as_cookie(hmac.new(token.encode("utf-8", "surrogateescape"), csrf.encode(), "sha256").digest())


def _as_cookie(value: bytes) -> str:
    return base64.b32encode(value).decode().rstrip("=")


def _new_secret() -> str:
    return secrets.token_hex(32)
