"""The few pages for people, and the forms by which one logs in and out.

The login form's hidden field is on one line of its own: SpiNNMan looks for it there.
"""

import secrets
from hmac import compare_digest
from html import escape
from pathlib import Path
from string import ascii_uppercase, digits

from spalloc_server.fronts.http.api.answers import HTML, Answer, document, retry_after
from spalloc_server.fronts.http.api.documents import LoginRefused
from spalloc_server.fronts.http.api.entrance import check_csrf, cookie_of, end_cookie, set_cookie
from spalloc_server.fronts.http.api.requests import Request, fields
from spalloc_server.fronts.http.people import COOKIE_CHARACTERS, LoginRefusedError, People

_LETTERS = ascii_uppercase + digits
"""How long the value of a cookie is, in letters and digits: more than 256 random bits."""

_FILES = Path(__file__).with_name("static")
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width" />
<title>{title}</title>
<link rel="stylesheet" href="{base}system/style.css" />
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
_LOGIN = """{said}
<form action="{base}system/perform_login" method="post">
<input type="hidden" name="_csrf" value="{csrf}" />
<label>Name <input name="username" autocomplete="username" required="required" /></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required="required" /></label>
<button name="submit" value="submit">Log in</button>
</form>{otherwise}"""
_SIGN_ON = """
<p>Or without a password of this server:</p>
<p><a class="button" href="{base}system/openid/login">Log in with {title}</a></p>"""
_START = """<p>You are logged in to the account <b>{account}</b>, a {role}.</p>
<ul>
<li><a href="{base}system/api.html">Try the API</a></li>
<li><a href="{base}srv/openapi.json">Its description</a>, in OpenAPI 3.1</li>
<li>In JSON: <a href="{base}srv/spalloc/jobs?details=true">jobs</a>,
<a href="{base}srv/spalloc/machines">machines</a></li>
</ul>
<form action="{base}system/perform_logout" method="post">
<input type="hidden" name="_csrf" value="{csrf}" />
<button>Log out</button>
</form>"""
_API = """<p id="said">Loading …</p>
<p>What is sent here is done. The whole description: <a href="{base}srv/openapi.json">openapi.json</a>.</p>
<div id="operations"></div>
<script src="{base}system/api.js" data-base="{base}" defer="defer"></script>"""
_POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)


def page(title: str, body: str, base: str, status: int = 200) -> Answer:
    """Return a page; `body` is HTML, and `base` the service's path."""
    html = _PAGE.format(title=escape(title), body=body, base=base)
    return Answer(status, html.encode(), HTML, ((b"content-security-policy", _POLICY),))


class Pages:
    """The pages of one server."""

    def __init__(self, people: People, base: str) -> None:
        """Log people in and out; `base` is the service's path."""
        self._people = people
        self._base = base
        self._files: dict[str, Answer] = {}

    def style(self, request: Request) -> Answer:  # noqa: ARG002
        """Return how pages look."""
        return self._file("style.css", b"text/css; charset=utf-8")

    def script(self, request: Request) -> Answer:  # noqa: ARG002
        """Return the script of the page on which the API is tried."""
        return self._file("api.js", b"text/javascript; charset=utf-8")

    def _file(self, name: str, kind: bytes) -> Answer:
        found = self._files.get(name)
        if found is None:
            found = self._files[name] = Answer(200, (_FILES / name).read_bytes(), kind)
        return found

    def api(self, request: Request) -> Answer:  # noqa: ARG002
        """Show the page on which the API is tried."""
        return page("Try the API", _API.format(base=self._base), self._base)

    def login(self, request: Request) -> Answer:
        """Show the login form."""
        return self._form(request, "")

    def _form(self, request: Request, said: str, status: int = 200) -> Answer:
        value = cookie_of(request)
        fresh = value is None
        if value is None:
            value = "".join(secrets.choice(_LETTERS) for _ in range(COOKIE_CHARACTERS))
        csrf = self._people.login_csrf(value)
        said = f"<p><strong>{escape(said)}</strong></p>" if said else ""
        sign_on = self._people.single_sign_on
        otherwise = "" if sign_on is None else _SIGN_ON.format(base=self._base, title=escape(sign_on.title))
        form = _LOGIN.format(said=said, csrf=csrf, base=self._base, otherwise=otherwise)
        shown = page("Log in", form, self._base, status)
        # Somebody whose session is new has its cookie already.
        is_new = fresh and request.session is None
        return shown.with_headers(set_cookie(request, value, self._base)) if is_new else shown

    async def perform_login(self, request: Request, body: dict[str, str]) -> Answer:
        """Log somebody in by name and password, and end the session that they had."""
        value = cookie_of(request)
        if value is None or not compare_digest(
            body.get("_csrf", "").encode(), self._people.login_csrf(value).encode()
        ):
            said = f"this form is too old, or was not sent by the page {self._base}system/login.html; load it again"
            return self._refused(request, said, 401)
        try:
            name, password = body.get("username", "").strip(), body.get("password", "")
            cookie, _ = await self._people.log_in(name, password, request.origin.address)
        except LoginRefusedError as error:
            return self.refused(request, error)
        return await self.logged_in(request, cookie)

    async def logged_in(self, request: Request, cookie: str) -> Answer:
        """Give a browser the cookie of its new session, and end the session that it had."""
        if request.session is not None:
            self._people.log_out(request.session, request.origin.address)
            await self._people.recorded()
        return Answer(
            302,
            headers=(
                (b"location", f"{request.base}system/".encode()),
                set_cookie(request, cookie, self._base),
            ),
        )

    def refused(self, request: Request, error: LoginRefusedError) -> Answer:
        """Say why somebody is not logged in, on the login page to people."""
        if error.retry_after is None:
            return self._refused(request, str(error), 401)
        answer = self._refused(request, str(error), 503 if error.is_away else 429)
        return answer.with_headers(retry_after(error.retry_after))

    def to_login(self, request: Request) -> Answer:
        """Send a browser to the login page."""
        return Answer(302, headers=((b"location", f"{request.base}system/login.html".encode()),))

    def _refused(self, request: Request, said: str, status: int) -> Answer:
        if request.prefers_html():
            return self._form(request, said, status)
        return document(LoginRefused(said), status)

    async def perform_logout(self, request: Request, body: bytes) -> Answer:
        """End the session."""
        given = request.headers.get(b"x-csrf-token")
        if given is None and request.header(b"content-type").startswith("application/x-www-form-urlencoded"):
            given = fields(body, "the form").get("_csrf", "").encode()
        check_csrf(request.logged_in, given)
        self._people.log_out(request.logged_in, request.origin.address)
        await self._people.recorded()
        forget = end_cookie(request, self._base)
        if request.prefers_html():
            return self.to_login(request).with_headers(forget)
        return Answer(204, headers=(forget,))

    def base(self, request: Request) -> Answer:
        """Send people who type the service's address alone to its page."""
        return Answer(302, headers=((b"location", f"{request.base}system/".encode()),))

    def start(self, request: Request) -> Answer:
        """Show what there is, to somebody who is logged in."""
        session = request.logged_in
        body = _START.format(
            account=escape(session.login.account), role=session.login.role, csrf=session.csrf, base=self._base
        )
        return page("Spalloc", body, self._base)
