"""Logins with browsers that have begun at the issuer: each is for one browser, good once, and for a few minutes.

Values and the time only; the secrets are made by the caller.
"""

from base64 import urlsafe_b64encode
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

LOGIN_SECONDS = 600.0
"""How long somebody may take at the issuer."""
MOST_LOGINS = 5_000
"""How many have begun, in all; of more, the oldest of the address with most is forgotten."""
MOST_LOGINS_FROM_ONE = 200
"""How many have begun from one address or its neighbours; of more, the oldest is forgotten."""


class FlowError(Exception):
    """A browser comes back from the issuer with a login that is not its own, or was not begun here."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A login that has begun."""

    state: str
    """What the issuer sends back with the browser."""
    nonce: str
    """What the issuer writes into the ID token."""
    verifier: str
    """What proves that the code was asked for here (RFC 7636)."""
    browser: str
    """The SHA-256 of the cookie that the browser was given."""
    redirect: str
    """The address to which the issuer sends the browser back."""
    neighbours: str
    begun: float

    @property
    def challenge(self) -> str:
        """The hash of the verifier, which the issuer is shown first."""
        return urlsafe_b64encode(sha256(self.verifier.encode()).digest()).decode().rstrip("=")


class Flows:
    """The logins that have begun at one server."""

    def __init__(self) -> None:
        """Begin with none."""
        self._flows: dict[str, Flow] = {}
        """By state, the oldest first."""
        self._from: Counter[str] = Counter()
        """How many there are from each address with its neighbours."""

    def begin(self, flow: Flow) -> None:
        """Remember a login."""
        self._forget_old(flow.begun)
        if self._from[flow.neighbours] >= MOST_LOGINS_FROM_ONE:
            self._forget_oldest(flow.neighbours)
        elif len(self._flows) >= MOST_LOGINS:
            self._forget_oldest(self._from.most_common(1)[0][0])
        self._flows[flow.state] = flow
        self._from[flow.neighbours] += 1

    def finish(self, state: str, browser: str | None, now: float) -> Flow:
        """Return the login that a browser comes back with, and forget it: it is good once.

        Args:
            state: What the browser brought.
            browser: The SHA-256 of its cookie; None if it has none.
            now: The time, in the seconds of `Flow.begun`.

        Raises:
            FlowError: There is none, or another browser began it.
        """
        self._forget_old(now)
        flow = self._flows.get(state)
        if flow is None:
            raise FlowError(
                "this login was not begun here, is too old, or has been used already; begin again"
            )
        if browser is None or not compare_digest(browser, flow.browser):
            # Whoever began it can still finish it.
            raise FlowError("this login was begun in another browser; begin again, in this one")
        self._forget(state)
        return flow

    def _forget(self, state: str) -> None:
        neighbours = self._flows.pop(state).neighbours
        self._from[neighbours] -= 1
        if not self._from[neighbours]:
            del self._from[neighbours]

    def _forget_old(self, now: float) -> None:
        while self._flows:
            oldest = next(iter(self._flows.values()))
            if now - oldest.begun < LOGIN_SECONDS:
                return
            self._forget(oldest.state)

    def _forget_oldest(self, neighbours: str) -> None:
        self._forget(next(state for state, flow in self._flows.items() if flow.neighbours == neighbours))
