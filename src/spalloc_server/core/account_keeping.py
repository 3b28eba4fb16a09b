"""Which accounts, tokens and sessions there are, and what ends a session.

A session ends when it is logged out, when nobody has used it for a while, when its account is changed, locked or
removed or gets another password, when its token is revoked or over, and when its account has too many of them.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from math import inf

from spalloc_server.core.accounts import (
    IDLE_SECONDS,
    KNOWN_SECONDS,
    MOST_KNOWN,
    MOST_SESSIONS,
    MOST_SESSIONS_OF_ONE,
    NOTED_SECONDS,
    Account,
    AccountNews,
    SessionRecord,
    Token,
    login_of,
)
from spalloc_server.core.askers import Login
from spalloc_server.core.identities import Identity
from spalloc_server.core.lockout import Lockout
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.timekeeping import AT_REST_SECONDS, Delays, Moment, Timers

ENDED_AT_ONCE = 200
"""How many sessions one tick looks at."""
NOTED_LOGIN_SECONDS = 86_400.0
"""How much later a login from a known address is noted than the one that was noted before."""


class AccountsView:
    """The accounts, read-only."""

    def __init__(self, neighbours: Neighbours) -> None:
        """Begin with none."""
        self._neighbours = neighbours
        self._accounts: dict[str, Account] = {}
        self._tokens: dict[str, Token] = {}
        self._tokens_of: dict[str, dict[str, Token]] = {}
        """By account and name."""
        self._sessions: dict[str, SessionRecord] = {}
        self._sessions_of: dict[str, dict[str, None]] = {}
        """The keys of each account's sessions, in the order in which they began."""
        self._of_token: dict[str, str] = {}
        """The latest session of each token, also of an issuer's."""
        self._of_identity: dict[Identity, str] = {}
        """The name of the account of each person that an issuer knows."""
        self._lockout = Lockout()
        self.is_recalled = False
        """Whether the records were read, so that it is known which accounts there are."""

    @property
    def by_name(self) -> Mapping[str, Account]:
        """All accounts, by name."""
        return self._accounts

    def tokens_of(self, account: str) -> Mapping[str, Token]:
        """Return an account's tokens, by name."""
        return self._tokens_of.get(account, {})

    def sessions_of(self, account: str) -> Collection[str]:
        """Return the keys of an account's sessions."""
        return self._sessions_of.get(account, {}).keys()

    def has_token(self, key: str) -> bool:
        """Return whether there is a token with a key, though it may be over."""
        return key in self._tokens

    def token(self, key: str, wall: float) -> Token | None:
        """Return the token with a key; None if there is none, it is over, or its account is locked."""
        token = self._tokens.get(key)
        if token is None or token.expires <= wall or self._accounts[token.account].is_locked:
            return None
        return token

    def of_identity(self, identity: Identity) -> Account | None:
        """Return the account of somebody whom an issuer knows; None if they have none."""
        name = self._of_identity.get(identity)
        return None if name is None else self._accounts[name]

    def session(self, key: str, wall: float) -> SessionRecord | None:
        """Return the session with a key; None if there is none, or it is over, as its token is."""
        session = self._sessions.get(key)
        return None if session is None or self.expiry(session) <= wall else session

    def session_of_token(self, token: str) -> SessionRecord | None:
        """Return the latest session that began with a token; None if there is none now."""
        return self._sessions.get(self._of_token.get(token, ""))

    def login(self, session: SessionRecord) -> Login:
        """Return what a session that has not ended may do."""
        token = None if session.token is None else self._tokens[session.token]
        return login_of(self._accounts[session.account], token)

    def expiry(self, session: SessionRecord) -> float:
        """Return when a session is over however much it is used, in seconds of Unix time."""
        if session.token is not None:
            return self._tokens[session.token].expires
        return inf if session.expires is None else session.expires

    def wait(self, name: str, address: str, at: Moment) -> float:
        """Return for how many seconds no password for an account is tried from an address; 0 for not at all."""
        neighbours = self._neighbours.of(address)
        return self._lockout.wait(name, neighbours, at.now, is_known=self.is_known(name, address, at.wall))

    def is_known(self, name: str, address: str, wall: float) -> bool:
        """Return whether there is an account of this name that has logged in lately from an address."""
        account = self._accounts.get(name)
        return account is not None and account.knows(self._neighbours.of(address), wall)


class Accounts(AccountsView):
    """Keeps accounts, tokens and sessions; whoever changes them checks before whether that is allowed."""

    def __init__(self, neighbours: Neighbours, delays: Delays) -> None:
        """Begin with none.

        Args:
            neighbours: Says which addresses count as one.
            delays: When the server was away, which is not counted as idleness.
        """
        super().__init__(neighbours)
        self._delays = delays
        self._used: dict[str, float] = {}
        """When each session was used last, as far as that is noted, in the core's time."""
        self.timers: Timers[str] = Timers()
        """When each session is to be looked at."""
        self._idle_seconds = IDLE_SECONDS
        self.news: AccountNews | None = None
        """What has changed since this was last taken; None for nothing."""
        self._orphans: dict[str, AccountNews] = {}
        """Tokens and sessions that are on disk and not in force, since their account's or token's record could not be
        read; by account, with None for each."""

    # Accounts

    def put(self, account: Account) -> None:
        """Add an account, or replace it without ending its sessions."""
        if account.name not in self._accounts:
            # They were another's.
            self._drop_orphans(account.name)
        self._accounts[account.name] = account
        if account.identity is not None:
            self._of_identity[account.identity] = account.name
        news = self._changed()
        news.accounts[account.name] = account
        news.is_asked_for = True

    def change(self, account: Account) -> None:
        """Replace an account, and end its sessions."""
        self.put(account)
        self.end_sessions(account.name)

    def remove(self, name: str) -> None:
        """Remove an account, its tokens and its sessions."""
        for token in list(self.tokens_of(name).values()):
            self.revoke(token)
        self.end_sessions(name)
        account = self._accounts.pop(name)
        if account.identity is not None:
            del self._of_identity[account.identity]
        news = self._changed()
        news.accounts[name] = None
        news.is_asked_for = True
        self._lockout.forgive(name)

    # Tokens

    def add_token(self, token: Token) -> None:
        """Add a token of an account."""
        self._hold(token)
        news = self._changed()
        news.tokens[token.key] = token
        news.is_asked_for = True

    def revoke(self, token: Token) -> None:
        """Remove a token, and end its sessions."""
        for key in [key for key in self.sessions_of(token.account) if self._sessions[key].token == token.key]:
            self.end(key)
        del self._tokens[token.key], self._tokens_of[token.account][token.name]
        news = self._changed()
        news.tokens[token.key] = None
        news.is_asked_for = True

    # Sessions

    def begin(self, session: SessionRecord, at: Moment) -> None:
        """Begin a session; another one ends if there are too many."""
        if len(self.sessions_of(session.account)) >= MOST_SESSIONS_OF_ONE:
            self._end_least(session.account)
        elif len(self._sessions) >= MOST_SESSIONS:
            self._end_least(max(self._sessions_of, key=lambda name: len(self._sessions_of[name])))
        self._follow(session, at)
        news = self._changed()
        news.sessions[session.key] = session
        news.is_asked_for = True

    def use(self, key: str, at: Moment) -> None:
        """Note that a session is used; nothing happens if it has ended."""
        session = self._sessions.get(key)
        if session is not None:
            self._used[key] = at.now
            self._sessions[key] = self._changed().sessions[key] = replace(session, used=at.wall)

    def end(self, key: str) -> None:
        """End a session; nothing happens if it has ended."""
        session = self._sessions.pop(key, None)
        if session is None:
            return
        del self._used[key]
        own = self._sessions_of[session.account]
        del own[key]
        if not own:
            del self._sessions_of[session.account]
        token = session.token or session.bearer
        if token is not None and self._of_token.get(token) == key:
            del self._of_token[token]
        news = self._changed()
        news.sessions[key] = None
        news.ended.add(key)
        news.is_asked_for = True
        if len(self.timers) > 2 * len(self._sessions) + ENDED_AT_ONCE:
            self.timers.keep(self._sessions.__contains__)

    def end_sessions(self, account: str) -> None:
        """End all sessions of an account."""
        for key in list(self.sessions_of(account)):
            self.end(key)
        self._drop_orphans(account)

    def end_of_other_issuers(self, issuer: str | None) -> None:
        """End the sessions that began by any other issuer than this."""
        for key, session in list(self._sessions.items()):
            identity = self._accounts[session.account].identity
            # By a token of ours, the account is used without its issuer.
            if session.expires is not None and (identity is None or identity.issuer != issuer):
                self.end(key)

    def tick(self, at: Moment) -> None:
        """End sessions that nobody has used for too long, or whose token is over."""
        for key in self.timers.due(at.now, ENDED_AT_ONCE):
            session = self._sessions.get(key)
            if session is None:
                continue
            when = self._deadline(session, at)
            if when <= at.now:
                self.end(key)
            else:
                self.timers.add(when, key)

    def end_idle_after(self, seconds: float, at: Moment) -> None:
        """End sessions from now on when they have not been used for this long, in seconds."""
        if seconds == self._idle_seconds:
            return
        self._idle_seconds = seconds
        self.timers.keep(lambda _: False)
        for key, session in self._sessions.items():
            self.timers.add(self._deadline(session, at), key)

    def _deadline(self, session: SessionRecord, at: Moment) -> float:
        """Return when a session ends, in the core's time, if it is not used until then."""
        idle = self._delays.deadline(self._used[session.key], self._idle_seconds + NOTED_SECONDS)
        return min(idle, at.now + self.expiry(session) - at.wall)

    def _end_least(self, account: str) -> None:
        """End one session of an account: the oldest that was never used, or else the one not used for the longest."""
        self.end(
            min(
                self._sessions_of[account],
                key=lambda key: (self._sessions[key].used is not None, self._used[key]),
            )
        )

    # Passwords

    def wrong_password(self, name: str, address: str, at: Moment) -> None:
        """Count a wrong password for an account; there need be none of this name."""
        known = self.is_known(name, address, at.wall)
        self._lockout.wrong(name, self._neighbours.of(address), at.now, is_known=known)

    def right_password(self, account: Account, address: str, at: Moment) -> None:
        """Note that an account logs in from an address: that one is known from now on."""
        neighbours = self._neighbours.of(address)
        self._lockout.right(account.name, neighbours)
        noted = dict(account.logged_in_from).get(neighbours)
        if noted is not None and abs(at.wall - noted) < NOTED_LOGIN_SECONDS:
            return
        others = [
            (one, when)
            for one, when in account.logged_in_from
            if one != neighbours and abs(at.wall - when) < KNOWN_SECONDS
        ]
        self.put(replace(account, logged_in_from=(*others[1 - MOST_KNOWN :], (neighbours, at.wall))))

    def forgive(self, name: str) -> None:
        """Forget wrong passwords for an account."""
        self._lockout.forgive(name)

    # The records

    def recall(
        self,
        accounts: Collection[Account],
        tokens: Collection[Token],
        sessions: Collection[SessionRecord],
        at: Moment,
    ) -> None:
        """Take up the records of an earlier process; the time in which no session was used begins again.

        A session that was not used within a day before the start is ended: its record may come from an old backup. What
        belongs to an account or a token that could not be read stays on disk, and is not in force.
        """
        self.is_recalled = True
        self._accounts = {account.name: account for account in accounts}
        self._of_identity = {one.identity: one.name for one in accounts if one.identity is not None}
        for token in tokens:
            if token.account not in self._accounts:
                self._orphans_of(token.account).tokens[token.key] = None
            elif token.name not in self.tokens_of(token.account):
                self._hold(token)
            else:
                self._changed().tokens[token.key] = None
        for session in sorted(sessions, key=lambda one: (one.begun, one.key)):
            used = session.begun if session.used is None else session.used
            is_right = session.account in self._accounts and (
                session.token is None or session.token in self._tokens
            )
            if at.wall - used >= AT_REST_SECONDS:
                self._changed().sessions[session.key] = None
            elif is_right:
                self._follow(session, at)
            else:
                self._orphans_of(session.account).sessions[session.key] = None

    def _orphans_of(self, account: str) -> AccountNews:
        return self._orphans.setdefault(account, AccountNews())

    def _drop_orphans(self, account: str) -> None:
        orphans = self._orphans.pop(account, None)
        if orphans is not None:
            self.news = orphans.after(self.news)

    def _changed(self) -> AccountNews:
        if self.news is None:
            self.news = AccountNews()
        return self.news

    def _hold(self, token: Token) -> None:
        self._tokens[token.key] = token
        self._tokens_of.setdefault(token.account, {})[token.name] = token

    def _follow(self, session: SessionRecord, at: Moment) -> None:
        self._sessions[session.key] = session
        self._sessions_of.setdefault(session.account, {})[session.key] = None
        token = session.token or session.bearer
        if token is not None:
            self._of_token[token] = session.key
        self._used[session.key] = at.now
        self.timers.add(self._deadline(session, at), session.key)
