"""How a browser logs in by an issuer: it is sent there, and comes back with a code, whose worth sso/ finds out.

The browser has a cookie of its own for the time between, so that what somebody else began is not finished in it.
"""

import re

from spalloc_server.fronts.http.api.answers import Answer, Header, HttpError
from spalloc_server.fronts.http.api.entrance import cookie_named
from spalloc_server.fronts.http.api.pages import Pages
from spalloc_server.fronts.http.api.requests import Request
from spalloc_server.fronts.http.api.table import Operation
from spalloc_server.fronts.http.people import LoginRefusedError, People, SignOn

_BEGIN = "system/openid/login"
_CODE = "system/openid/code"
_COOKIE = "spalloc-login"
_SECONDS = 600
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class SignOnPages:
    """The two addresses by which browsers log in by an issuer."""

    def __init__(self, people: People, pages: Pages) -> None:
        """Log people in, and show the pages for it."""
        self._people = people
        self._pages = pages

    async def begin(self, request: Request) -> Answer:
        """Send a browser to the issuer."""
        sign_on = self._sign_on()
        if request.header(b"sec-fetch-site") in ("cross-site", "same-site"):
            # Another site's page sends somebody here who may not want to log in, or not again.
            return self._pages.to_login(request)
        try:
            address, browser = await sign_on.begin(f"{request.base}{_CODE}", request.origin.address)
        except LoginRefusedError as error:
            return self._pages.refused(request, error)
        cookie = _cookie(request, f"{browser}; Max-Age={_SECONDS}")
        return Answer(302, headers=((b"location", address.encode()), cookie))

    async def finish(self, request: Request) -> Answer:
        """Log somebody in who comes back from the issuer, and end the session that they had."""
        sign_on = self._sign_on()
        browser = cookie_named(request, _name(request))
        forget = _cookie(request, "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        try:
            cookie, _ = await sign_on.finish(
                request.query(),
                browser if browser is not None and _VALUE.fullmatch(browser) else None,
                request.origin.address,
            )
        except LoginRefusedError as error:
            return self._pages.refused(request, error)
        answer = await self._pages.logged_in(request, cookie)
        return answer.with_headers(forget)

    def _sign_on(self) -> SignOn:
        found = self._people.single_sign_on
        if found is None:
            raise HttpError(404, "nobody logs in by an issuer here: this server knows none")
        return found


def sign_on_operations(pages: SignOnPages) -> list[Operation]:
    """Return the rows of the table of resources for it."""
    # fmt: off
    return [
        Operation("GET", _BEGIN, "beginSignOn", "Send a browser to the issuer, if there is one.",
            pages.begin, None, answers={302: None}),
        Operation("GET", _CODE, "finishSignOn", "Log in a browser that comes back from the issuer.",
            pages.finish, None, answers={302: None}),
    ]
    # fmt: on


def _name(request: Request) -> str:
    """Return the cookie's name: with the prefix, no other host of the domain can set it (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{_COOKIE}" if request.origin.scheme == "https" else _COOKIE


def _cookie(request: Request, value: str) -> Header:
    secure = "; Secure" if request.origin.scheme == "https" else ""
    # The browser comes back by a link of another site, so it must not be Strict.
    return b"set-cookie", f"{_name(request)}={value}; Path=/; HttpOnly; SameSite=Lax{secure}".encode()
