"""One client's session with a service: logs in, sends requests with what a session needs, and reads refusals.

Steps without I/O: they yield what to send (`Send`) and get the answer. Cookie and CSRF token go with each request.
When a session ends, the request is sent once more in a new one: nothing was done for the first (401).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from urllib.parse import urlencode

from spalloc_client._version import __version__
from spalloc_client.conversation import NO_PROTOCOL
from spalloc_client.errors import LoginError, ProtocolError, SpallocServerException
from spalloc_client.https.documents import seconds
from spalloc_client.https.login import end_of
from spalloc_client.step_kinds import Gives, Sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from spalloc_client.address import Login, ServiceUrl
    from spalloc_client.step_kinds import Steps

ROOT = "srv/spalloc"
_LOGIN_PAGE = "system/login.html"
_FORM = "system/perform_login"
_CSRF_FIELD = re.compile(r'name="_csrf"\s+value="([^"]*)"')

_TRIES = 4
_GLANCE = 0.02
"""Seconds between looks at whether somebody has logged in."""
_PAUSE = 0.5
"""Seconds until a request is sent again for which the service had a deadlock; each pause is twice the last."""
_LONGEST_PAUSE = 10.0
_TOO_MANY, _UNAVAILABLE = 429, 503
_GATEWAYS = (502, 504)
_REDIRECTS = (301, 302, 303, 307, 308)


class Reply:
    """What a service answered."""

    __slots__ = ("body", "cookies", "headers", "status")

    def __init__(
        self, status: int, headers: Mapping[str, str], cookies: Mapping[str, str], body: bytes
    ) -> None:
        self.status = status
        self.headers = headers
        """By names in lower case."""
        self.cookies = cookies
        """Those that it sets."""
        self.body = body

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace").strip()

    @property
    def is_page(self) -> bool:
        """Whether it is for a browser."""
        return self.headers.get("content-type", "").startswith("text/html")

    def document(self) -> Any:
        """Read the body as a JSON object.

        Raises:
            ProtocolError: It is none.
        """
        try:
            read = json.loads(self.body)
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise ProtocolError(f"{NO_PROTOCOL}: it answered {self.text!r:.100} where a document belongs")
        return read


class Send(Gives[Reply]):
    """Send a request, and wait for the answer; ProtocolError if there is none."""

    __slots__ = ("body", "headers", "method", "path", "patience")

    def __init__(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        patience: float | None = None,
    ) -> None:
        self.method = method
        self.path = path
        """Under the service's address."""
        self.headers = headers
        self.body = body
        self.patience = patience
        """Seconds that the answer may take, for one that is waited for; None for as many as any other."""


class Session:
    """A session, from the first request on; it may be used again over another connection."""

    def __init__(self, url: ServiceUrl, login: Callable[[], Login]) -> None:
        """Describe it; nothing is sent.

        Args:
            url: The service's address.
            login: Finds who logs in, when that is needed.
        """
        self.url = url
        self._find_login = login
        self._login: Login | None = None
        self._cookies: dict[str, str] = {}
        self._csrf: dict[str, str] = {}
        self._logging_in = False
        self._logins = 0
        """How often somebody has logged in."""
        self.told_end: float | None = None
        """The end of the login that users were warned of."""
        self.root: Mapping[str, Any] = {}
        """The service's root document, as it was when last logged in; empty before."""

    @property
    def is_ours(self) -> bool:
        """Whether the service is this project's, which knows more than the Java service."""
        return "history-ref" in self.root

    @property
    def headers(self) -> dict[str, str]:
        """What shows a service that a request belongs to this session; nothing before it has begun."""
        if not self._cookies:
            return {}
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return {"cookie": cookies, **self._csrf}

    @property
    def login(self) -> Login:
        """Who logs in.

        Raises:
            LoginError: It is not known.
        """
        if self._login is None:
            self._login = self._find_login()
        if not self._login.is_whole:
            raise LoginError(
                f"{self.url} wants a login: give username and password, or token, in SPALLOC_USER and "
                "SPALLOC_PASSWORD, or SPALLOC_TOKEN, in a configuration file, or in ~/.netrc"
            )
        return self._login

    @property
    def login_ends(self) -> float | None:
        """When the token ends by which one has logged in, in seconds since 1970; None if that is not known."""
        if self._login is None or self._login.token is None:
            return None
        told = self.root.get("login-ends")
        return end_of(self._login.token) if told is None else seconds(told)

    def begin(self) -> Steps[None]:
        """Make sure that there is a session, and that a spalloc service is there.

        Raises:
            LoginError: Name and password, or the token, are refused.
            ProtocolError: There is no answer, or none of a spalloc service.
        """
        if self._cookies:
            reply = yield from self._send("GET", ROOT)
            if reply.status == 200:
                self._read_root(reply)
                return
        yield from self._log_in()

    def _log_in(self) -> Steps[None]:
        """Log in, unless somebody else who shares the session is about to."""
        before = self._logins
        while self._logging_in:
            yield from Sleep(_GLANCE)
        if self._logins != before:
            return
        self._logging_in = True
        try:
            yield from self._begin_another()
            self._logins += 1
        finally:
            self._logging_in = False

    def _begin_another(self) -> Steps[None]:
        login = self.login
        self._cookies, self._csrf = {}, {}
        if login.token is not None:
            authorization = f"Bearer {login.token}"
        else:
            authorization = f"Basic {b64encode(f'{login.username}:{login.password}'.encode()).decode()}"
        tried = 0
        while True:
            reply = yield from self._send("GET", ROOT, {"authorization": authorization})
            if not _may_repeat(reply) or tried == _TRIES:
                break
            yield from Sleep(_pause(reply, tried))
            tried += 1
        if reply.status == 401 and login.token is None and not _takes_basic(reply):
            yield from self._log_in_by_form(login)
            reply = yield from self._send("GET", ROOT)
        if reply.status in (401, _TOO_MANY):
            what = "the token" if login.token is not None else f"the password of {login.username}"
            raise LoginError(f"{self.url} does not take {what}: {_reason(reply)}")
        if reply.status != 200:
            raise self._unexpected(reply)
        self._read_root(reply)

    def _log_in_by_form(self, login: Login) -> Steps[None]:
        page = yield from self._send("GET", _LOGIN_PAGE)
        field = _CSRF_FIELD.search(page.text)
        form = {
            "_csrf": field[1] if field else "",
            "username": login.username,
            "password": login.password,
            "submit": "submit",
        }
        kind = {"content-type": "application/x-www-form-urlencoded"}
        reply = yield from self._send("POST", _FORM, kind, urlencode(form).encode())
        if reply.status not in _REDIRECTS:
            raise LoginError(f"{self.url} does not take the password of {login.username}: {_reason(reply)}")

    def _read_root(self, reply: Reply) -> None:
        root = reply.document()
        if "jobs-ref" not in root and "machines-ref" not in root:
            if "csrf-token" in root:
                raise LoginError(f"{self.url} lets this account look at no jobs and machines")
            raise ProtocolError(f"{NO_PROTOCOL}: its root document has no jobs-ref")
        self.root = root
        self._csrf = {str(root.get("csrf-header", "X-CSRF-TOKEN")): str(root.get("csrf-token", ""))}

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
        *,
        allow: Collection[int] = (),
        known: str | None = None,
        patience: float | None = None,
    ) -> Steps[Reply]:
        """Send a request under `srv/spalloc/`, logging in first if need be.

        Args:
            method: `GET`, `POST`, `PUT` or `DELETE`.
            path: What it is about.
            query: Fields of the query.
            body: A document to send; None for none.
            allow: Statuses other than success that the caller understands.
            known: The tag of an answer that need not be sent again.
            patience: Seconds that the answer may take, for a request that waits.

        Raises:
            LoginError: Nobody can log in.
            SpallocServerException: The service refuses.
            ProtocolError: There is no answer, or none of a spalloc service.
        """
        where = f"{ROOT}/{path}{'?' + urlencode(query) if query else ''}"
        headers = {} if known is None else {"if-none-match": known}
        content = None
        if body is not None:
            headers["content-type"], content = "application/json", json.dumps(body).encode()
        elif method == "PUT":
            headers["content-type"], content = "text/plain; charset=utf-8", b"alive"
        reply = yield from self._sent(method, where, headers, content, patience)
        if 200 <= reply.status < 300 or reply.status in allow:
            return reply
        if reply.status in (*_GATEWAYS, _UNAVAILABLE) and (method != "POST" or reply.status in _GATEWAYS):
            # The service is away, or about to be: what is done about lost connections is right here, too.
            raise ProtocolError(f"{self.url} answered {reply.status}: {_reason(reply)}")
        raise self._unexpected(reply)

    def _sent(
        self,
        method: str,
        where: str,
        headers: Mapping[str, str],
        content: bytes | None,
        patience: float | None,
    ) -> Steps[Reply]:
        """Send a request in a session that is logged in, and again where that helps."""
        tried = 0
        logged_in = False
        while True:
            if not self._cookies:
                yield from self._log_in()
                logged_in = True
            reply = yield from self._send(method, where, headers, content, patience)
            if (reply.status == 401 or _leads_to_login(reply)) and not logged_in:
                self._cookies = {}
            elif _may_repeat(reply) and tried < _TRIES:
                yield from Sleep(_pause(reply, tried))
                tried += 1
            else:
                return reply

    def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        patience: float | None = None,
    ) -> Steps[Reply]:
        said = {
            "accept": "application/json",
            "user-agent": f"spalloc/{__version__}",
            **self.headers,
            **(headers or {}),
        }
        reply = yield from Send(method, path, said, body, patience)
        self._cookies.update(reply.cookies)
        return reply

    def _unexpected(self, reply: Reply) -> Exception:
        if reply.is_page or reply.status in _REDIRECTS:
            return ProtocolError(f"{NO_PROTOCOL}: {self.url} answered {reply.status} with a page")
        return SpallocServerException(_reason(reply))


def _takes_basic(reply: Reply) -> bool:
    return "basic" in reply.headers.get("www-authenticate", "").lower()


def _leads_to_login(reply: Reply) -> bool:
    return reply.status in _REDIRECTS and "login" in reply.headers.get("location", "")


def _may_repeat(reply: Reply) -> bool:
    """Whether nothing was done, and soon may be: the Java service passes its database's deadlocks on."""
    if reply.status == _TOO_MANY:
        return _pause(reply, 0) <= _LONGEST_PAUSE
    return reply.status == 500 and (reply.text == "failed" or "deadlock" in reply.text.lower())


def _pause(reply: Reply, tried: int) -> float:
    said = reply.headers.get("retry-after", "")
    return float(said) if said.isdecimal() else _PAUSE * 2.0**tried


_INTERNAL = re.compile(r"^unexpected server problem: \w+: ")


def _reason(reply: Reply) -> str:
    """Return why a service refuses, in its own words if it has some."""
    said = "" if reply.is_page else reply.text
    if said.startswith("{"):
        try:
            said = str(json.loads(said).get("message") or json.loads(said).get("error") or said)
        except ValueError:
            pass
    said = _INTERNAL.sub("", said)
    if "must be selected in the request" in said:
        said = f"{said}; name the one that pays: --group, or group in a configuration file"
    return said[:500] or f"it answered {reply.status}, without words"
