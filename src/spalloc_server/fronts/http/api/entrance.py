"""Who may come in, and as whom: cookies of sessions, Basic and bearer credentials, the token against forged requests.

Passwords, tokens and sessions themselves are people.py's. The pages on which one logs in are in pages.py.

The rules: a bearer token is looked at with each request that has one. The cookie of a live session is enough otherwise,
whatever else is sent; but each request that changes something must show the session's CSRF token, too, since browsers
send cookies along with other sites' requests. So Basic without a cookie can only read.
"""

import binascii
from base64 import b64decode
from hmac import compare_digest

from spalloc_server.fronts.http.api.answers import Answer, Header, HttpError, later, text
from spalloc_server.fronts.http.api.requests import Request
from spalloc_server.fronts.http.people import LoginRefusedError, People, Session

COOKIE = "JSESSIONID"
"""The cookie's name: the tools that exist look for it."""
CSRF_HEADER = "X-CSRF-TOKEN"
_CSRF_HEADER = CSRF_HEADER.lower().encode()
LONGEST_CREDENTIAL = 12_288
"""How many characters credentials may have: an issuer writes all groups of its people into their tokens."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGES: tuple[Header, ...] = (
    (b"www-authenticate", b'Basic realm="SpallocService", charset="UTF-8"'),
    (b"www-authenticate", b'Bearer realm="SpallocService"'),
)


class Entrance:
    """Lets clients in."""

    def __init__(self, people: People, base: str) -> None:
        """Let in who has an account; `base` is the path under which the service is found."""
        self._people = people
        self._base = base

    async def admit(self, request: Request, *, by_form: bool = False) -> list[Header]:
        """Find out who asks, and set the request's session if they are logged in.

        Args:
            request: The request.
            by_form: Whether it comes from a page's form, whose token is looked at elsewhere.

        Returns:
            The headers with which a new session's cookie is set.

        Raises:
            HttpError: The credentials are wrong, or the token against forged requests is.
        """
        value = cookie_of(request)
        kind, _, credentials = request.header(b"authorization").partition(" ")
        kind, address = kind.lower(), request.origin.address
        if len(credentials) > LONGEST_CREDENTIAL:
            raise HttpError(400, f"the credentials are longer than {LONGEST_CREDENTIAL} characters")
        try:
            if kind == "bearer":
                cookie, request.session = await self._people.bearer(credentials.strip(), address)
                # SpiNNMan sends both, always.
                return [] if cookie == value else [set_cookie(request, cookie, self._base)]
            request.session = None if value is None else self._people.session(value)
            if request.session is not None:
                if not by_form and request.method not in _READING:
                    check_csrf(request.session, request.headers.get(_CSRF_HEADER))
                return []
            if kind == "basic" and request.method in _READING:
                cookie, request.session = await self._people.basic(*_name_and_password(credentials), address)
                return [set_cookie(request, cookie, self._base)]
        except LoginRefusedError as error:
            raise self.refused(error) from error
        return []

    def check_live(self, request: Request) -> None:
        """Refuse a request whose session has ended since it came.

        Raises:
            HttpError: It has.
        """
        if request.session is not None and not self._people.is_live(request.session.key):
            raise HttpError(401, "this session has ended; log in again", *_CHALLENGES)

    def refused(self, error: LoginRefusedError) -> HttpError:
        """Return the answer to wrong credentials."""
        if error.retry_after is not None:
            return later(503 if error.is_away else 429, str(error), error.retry_after)
        return HttpError(401, str(error), *_CHALLENGES)

    def unknown(self, request: Request) -> Answer:
        """Return the answer to somebody who has to log in first."""
        if request.prefers_html():
            return Answer(302, headers=[(b"location", f"{request.base}system/login.html".encode())])
        if request.method not in _READING and request.header(b"authorization")[:6].lower() == "basic ":
            words = (
                f"Basic alone can only read: GET {self._base}srv/spalloc first, and send its cookie {COOKIE} and, as "
                f"{CSRF_HEADER}, its csrf-token with every {request.method}"
            )
        else:
            words = f"log in required: on the page {self._base}system/login.html, with Basic, or with a bearer token"
        return text(words, 401, *_CHALLENGES)


def cookie_of(request: Request) -> str | None:
    """Return the value of the session's cookie, if the request has one that may be one."""
    value = cookie_named(request, COOKIE)
    if value is not None and 16 <= len(value) <= 64 and value.isascii() and value.isalnum():
        return value
    return None


def cookie_named(request: Request, wanted: str) -> str | None:
    """Return the value of the first cookie with a name; None if there is none."""
    for part in request.header(b"cookie").split(";"):
        name, equals, value = part.strip().partition("=")
        if equals and name == wanted:
            return value
    return None


def set_cookie(request: Request, value: str, base: str) -> Header:
    """Return the header that sets the session's cookie."""
    secure = "; Secure" if request.origin.scheme == "https" else ""
    path = base.rstrip("/") or "/"
    return b"set-cookie", f"{COOKIE}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}".encode()


def end_cookie(request: Request, base: str) -> Header:
    """Return the header that has the client forget the session's cookie."""
    name, value = set_cookie(request, "", base)
    return name, value + b"; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"


def check_csrf(session: Session, given: bytes | None) -> None:
    """Refuse a request that another site may have had a browser send.

    Args:
        session: The client's session.
        given: The token that came with the request.

    Raises:
        HttpError: It is not the session's.
    """
    if given is None or not compare_digest(given, session.csrf.encode()):
        wrong = "is not this session's" if given else "is missing"
        raise HttpError(
            403,
            f"the header {CSRF_HEADER} {wrong}; send the csrf-token of the root document, srv/spalloc, of this session",
        )


def check_page(request: Request) -> None:
    """Refuse a websocket that a page of another site opens: browsers may send the credentials of their user along.

    Raises:
        HttpError: It is from such a page.
    """
    # Programs name any origin: SpiNNMan the host alone. That of a page is written in full, or "null".
    page = request.header(b"origin").strip().lower()
    if page == "null" or ("://" in page and page.partition("://")[2] != request.origin.host.lower()):
        raise HttpError(
            403, f"no page of another site may open this websocket, only one of {request.origin.host}"
        )


def _name_and_password(credentials: str) -> tuple[str, str]:
    try:
        name, colon, password = b64decode(credentials.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise HttpError(
            400, "the Basic credentials can't be read; they are name:password in base64"
        ) from error
    if not colon:
        raise HttpError(400, "the Basic credentials have no password; they are name:password in base64")
    return name, password
