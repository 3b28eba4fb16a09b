"""What an issuer is asked: where its addresses are, its keys, whose a token is, what it knows of somebody.

Requests are asking.py's, what tokens say tokens.py's. The issuer's own words about itself are believed only where they
lead to the issuer: to its host, or one that the configuration names, over TLS.
"""

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from spalloc_server.clock import Clock
from spalloc_server.fronts.http.openid import OpenId, is_address
from spalloc_server.fronts.http.sso.asking import Asking, AwayError, Reply
from spalloc_server.fronts.http.sso.claims import Claims, lacks, subject_of
from spalloc_server.fronts.http.sso.kept import Kept
from spalloc_server.fronts.http.sso.tokens import (
    Keys,
    TokenError,
    UnknownKeyError,
    access_claims,
    id_claims,
    introspected_claims,
)

_REFUSED = frozenset({400, 401, 403})


class CodeError(Exception):
    """A code that the issuer does not take; the message is the rest of a sentence about it."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The addresses of an issuer."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None = None
    introspection: str | None = None
    by_form: bool = False
    """Whether the secret is sent in the form, since the issuer does not take it as a password."""
    names_itself: bool = False
    """Whether its answers to browsers name it (RFC 9207)."""


def metadata(openid: OpenId, document: Claims) -> Metadata:
    """Return what an issuer says of itself (OpenID Connect Discovery 1.0).

    Raises:
        AwayError: It does not say what is needed, or leads elsewhere.
    """
    if document.get("issuer") != openid.issuer:
        raise AwayError(
            f"calls itself {str(document.get('issuer'))[:200]!r}; if that is right, http.openid.issuer must be it"
        )
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Metadata(
        authorization=_needed(openid, document, "authorization_endpoint"),
        token=_needed(openid, document, "token_endpoint"),
        keys=_needed(openid, document, "jwks_uri"),
        userinfo=_address(openid, document, "userinfo_endpoint"),
        introspection=_address(openid, document, "introspection_endpoint"),
        by_form=isinstance(methods, list)
        and "client_secret_basic" not in methods
        and "client_secret_post" in methods,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _needed(openid: OpenId, document: Claims, name: str) -> str:
    found = _address(openid, document, name)
    if found is None:
        raise AwayError(f"does not say its {name}")
    return found


def _address(openid: OpenId, document: Claims, name: str) -> str | None:
    found = document.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or not is_address(found):
        raise AwayError(f"has a {name} that is no address with https")
    own, there = urlsplit(openid.issuer), urlsplit(found)
    if there.scheme != own.scheme or (there.netloc != own.netloc and there.netloc not in openid.hosts):
        raise AwayError(
            f'has its {name} on {there.netloc}; if that is right, name it: http.openid.hosts = ["{there.netloc}"]'
        )
    return found


class Issuer:
    """One issuer, as one client of it; lives in one event loop."""

    def __init__(self, openid: OpenId, clock: Clock) -> None:
        """Begin without having asked for anything.

        Raises:
            OSError: The file of the authorities can't be used.
        """
        self.openid = openid
        self._clock = clock
        self._asking = Asking(openid.authority)
        self._metadata = Kept(openid.issuer, self._ask_metadata, clock.now)
        self._keys = Kept(f"{openid.issuer}, its keys", self._ask_keys, clock.now)

    async def metadata(self) -> Metadata:
        """Return its addresses.

        Raises:
            AwayError: It can't be asked.
        """
        return await self._metadata.get()

    async def by_signature(self, token: str) -> Claims:
        """Return the claims of a signed bearer token.

        Raises:
            TokenError: It is not good.
            AwayError: The issuer can't be asked for its keys.
        """
        try:
            return access_claims(token, await self._keys.get(), self.openid, self._clock.wall())
        except UnknownKeyError:
            return access_claims(token, await self._keys.newer(), self.openid, self._clock.wall())

    async def by_introspection(self, token: str) -> Claims:
        """Return the claims of another bearer token, of which the issuer is asked.

        Raises:
            TokenError: It is not good.
            AwayError: The issuer can't be asked.
        """
        address = (await self._metadata.get()).introspection
        if address is None or self.openid.secret is None:
            raise TokenError("is not signed, and the issuer can't be asked about it")
        reply = await self._as_client(address, {"token": token, "token_type_hint": "access_token"})
        if reply.status != 200:
            raise AwayError(f"answers a question about a token with the status {reply.status}{_error(reply)}")
        return introspected_claims(reply.document, self.openid, self._clock.wall())

    async def completed(self, claims: Claims, token: str) -> Claims:
        """Return claims of a token with those that only the resource `userinfo` tells.

        Raises:
            TokenError: The issuer takes the token for somebody else's, or not at all.
            AwayError: The issuer can't be asked.
        """
        subject = subject_of(claims)
        address = (await self._metadata.get()).userinfo
        if address is None or not lacks(self.openid, claims):
            return claims
        reply = await self._asking.get(address, token)
        if reply.status in _REFUSED:
            raise TokenError("is not taken by the issuer itself, or lacks the scope openid")
        if reply.status != 200:
            raise AwayError(f"answers userinfo with the status {reply.status}")
        if reply.document.get("sub") != subject:
            raise TokenError("is somebody else's by the issuer's userinfo")
        return {**reply.document, **claims}

    async def by_code(self, code: str, verifier: str, redirect: str, nonce: str) -> Claims:
        """Return the claims about somebody who has logged in with a browser.

        Args:
            code: What the browser brought.
            verifier: The secret of which the login began with the hash (RFC 7636).
            redirect: The address to which the browser brought it.
            nonce: What the login began with.

        Raises:
            CodeError: The issuer does not take the code.
            TokenError: It answers with a token that is not good.
            AwayError: It can't be asked.
        """
        found = await self._metadata.get()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": verifier,
        }
        reply = await self._as_client(found.token, form)
        if reply.status == 400:
            raise CodeError(f"does not take the login{_error(reply)}")
        access, token = reply.document.get("access_token"), reply.document.get("id_token")
        if reply.status != 200 or not isinstance(access, str) or not isinstance(token, str):
            raise AwayError(f"answers a code with the status {reply.status} and no tokens{_error(reply)}")
        try:
            claims = id_claims(token, await self._keys.get(), self.openid, self._clock.wall(), nonce, access)
        except UnknownKeyError:
            claims = id_claims(
                token, await self._keys.newer(), self.openid, self._clock.wall(), nonce, access
            )
        return await self.completed(claims, access)

    def login_address(self, found: Metadata, state: str, nonce: str, challenge: str, redirect: str) -> str:
        """Return the address at which somebody logs in with a browser."""
        asked = {
            "response_type": "code",
            "client_id": self.openid.client,
            "redirect_uri": redirect,
            "scope": " ".join(self.openid.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{found.authorization}{'&' if '?' in found.authorization else '?'}{urlencode(asked)}"

    async def stop(self) -> None:
        """Stop to ask."""
        self._metadata.stop()
        self._keys.stop()
        await self._asking.stop()

    async def _as_client(self, address: str, form: dict[str, str]) -> Reply:
        """Ask as the client that the issuer knows."""
        openid = self.openid
        if openid.secret is None:
            return await self._asking.post(address, {**form, "client_id": openid.client})
        if (await self._metadata.get()).by_form:
            named = {"client_id": openid.client, "client_secret": openid.secret}
            return await self._asking.post(address, {**form, **named})
        return await self._asking.post(address, form, (_quoted(openid.client), _quoted(openid.secret)))

    async def _ask_metadata(self) -> tuple[Metadata, float | None]:
        address = f"{self.openid.issuer.rstrip('/')}/.well-known/openid-configuration"
        reply = await self._asking.get(address)
        if reply.status != 200:
            raise AwayError(f"answers {address} with the status {reply.status}")
        return metadata(self.openid, reply.document), reply.max_age

    async def _ask_keys(self) -> tuple[Keys, float | None]:
        reply = await self._asking.get((await self._metadata.get()).keys)
        if reply.status != 200:
            raise AwayError(f"answers with the status {reply.status}")
        try:
            return Keys.read(reply.document), reply.max_age
        except TokenError as error:
            raise AwayError(f"can't be believed: {error}") from error


def _quoted(word: str) -> str:
    """Return a name or a password as it stands in the credentials of a client (RFC 6749, section 2.3.1)."""
    return urlencode({"": word})[1:]


def _error(reply: Reply) -> str:
    found = reply.document.get("error")
    return f" ({found[:100]})" if isinstance(found, str) and found.isprintable() else ""
