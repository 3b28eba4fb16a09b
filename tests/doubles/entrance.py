"""Who is let in at the double's door: form, Basic, bearer tokens, cookies, tokens against forged requests."""

import json
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from tests.doubles.defects import Defect
from tests.doubles.people import Account, People, Session, masked, unmasked

COOKIE = "JSESSIONID"
PREFIX = "/spalloc"

_NOBODY = "log in required, either with BASIC auth or HBP/EBRAINS bearer token (if they are enabled)"
_CHALLENGES = (
    'Basic realm="SpallocService"',
    'Bearer realm="SpallocService", scope="openid, profile, roles, email, team, group"',
)
_PAGE = """<html><body><form action="perform_login" method="POST">
<input type="hidden" name="_csrf" value="{}" />
<input name="username" /><input name="password" type="password" /></form></body></html>
"""


class Caller:
    """Who makes a request, and the session that the answer tells of."""

    def __init__(self, account: Account, session: Session, *, new: bool) -> None:
        self.account = account
        self.session = session
        self.is_new = new


class Entrance:
    """The pages for logging in, and the look at who asks."""

    def __init__(self, people: People, defects: set[Defect]) -> None:
        self.people = people
        self.defects = defects

    async def system(self, request: Request, path: str) -> Response:
        session = self.people.session(request.cookies.get(COOKIE))
        if path == "/system/login.html" and request.method == "GET":
            return self._page(request, session)
        if request.method != "POST" or path not in ("/system/perform_login", "/system/perform_logout"):
            return Response(status_code=404)
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        csrf = form.get("_csrf") or request.headers.get("x-csrf-token", "")
        if session is None or unmasked(csrf) != session.csrf:
            return self._nobody(request)
        if path == "/system/perform_logout":
            self.people.sessions.pop(session.name, None)
            gone = f"{COOKIE}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
            return Response(status_code=204, headers={"Set-Cookie": gone})
        found = self.people.by_password(form.get("username", ""), form.get("password", ""))
        if found is None:
            body = json.dumps({"message": "computer says no", "timestamp": "2026-11-29T23:55:25.415615842Z"})
            return Response(body, 401)
        del self.people.sessions[session.name]
        self.people.logins += 1
        where = f"http://{request.headers['host']}{PREFIX}/system/"
        response = Response(status_code=302, headers={"Location": where})
        self.set_cookie(response, self.people.open(found))
        return response

    def _page(self, request: Request, session: Session | None) -> Response:
        token = self._bearer(request)
        account = self.people.by_token(token) if token else None
        good = account is not None and Defect.BEARER_LOGIN_PAGE not in self.defects
        shown = session or self.people.open(account if good else None)
        page = Response(_PAGE.format(masked(shown.csrf)), media_type="text/html")
        if session is None:
            self.set_cookie(page, shown)
        return page

    @staticmethod
    def set_cookie(response: Response, session: Session) -> None:
        response.headers.append("Set-Cookie", f"{COOKIE}={session.name}; Path=/; HttpOnly")

    @staticmethod
    def _bearer(request: Request) -> str | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return token if kind.lower() == "bearer" else None

    def caller(self, request: Request) -> Caller | Response:
        """Who asks; or the answer to somebody who must not."""
        session = self.people.session(request.cookies.get(COOKIE))
        account = session.account if session is not None else None
        bearer = self._bearer(request)
        if bearer is not None:
            account = self.people.by_token(bearer)
            if account is None:
                return self._nobody(request)
        elif request.method in ("POST", "PUT", "DELETE") and (
            account is not None or Defect.CSRF_BEFORE_BASIC in self.defects
        ):
            given = unmasked(request.headers.get("x-csrf-token", ""))
            if account is None:
                return self._nobody(request)
            if session is None or given != session.csrf:
                body = {"timestamp": "now", "status": 403, "error": "Forbidden", "path": request.url.path}
                return Response(json.dumps(body), 403, media_type="application/json")
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if account is None and kind.lower() == "basic":
            account = self.people.by_basic(secret)
        if account is None:
            return self._nobody(request)
        new = session is None or session.account is None
        if session is None:
            session = self.people.open()
        session.account = account
        return Caller(account, session, new=new)

    def _nobody(self, request: Request) -> Response:
        if Defect.REDIRECTS_HTML in self.defects and "text/html" in request.headers.get("accept", ""):
            where = f"{PREFIX}/system/login.html"
            return Response(status_code=302, headers={"Location": where})
        response = Response(_NOBODY, 401, media_type="text/plain")
        for challenge in _CHALLENGES:
            response.headers.append("WWW-Authenticate", challenge)
        return response
