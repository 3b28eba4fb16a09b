"""A plain client of HTTP and websockets for the double's own tests: it knows nothing of what clients should do."""

import base64
import http.client
import json
import re
import ssl
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

from websockets.sync.client import ClientConnection, connect

from tests.doubles.service import JavaService

CREATION = {"keepalive-interval": "PT60S", "tags": ["default"]}


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """One client: a connection, a cookie, a token against forged requests."""

    def __init__(self, service: JavaService, name: str | None = None, password: str | None = None) -> None:
        self.service = service
        self.cookie: str | None = None
        self.csrf: str | None = None
        self.trust = ssl.create_default_context(cafile=service.bundle)
        self._connection = http.client.HTTPSConnection(service.host, service.port, context=self.trust)
        if name is not None and password is not None:
            assert self.log_in(name, password).status == 302
            self.csrf = self.ask("GET", "srv/spalloc/").json()["csrf-token"]

    @classmethod
    def user(cls, service: JavaService) -> Self:
        return cls(service, service.user, service.password)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, method: str, address: str, body: Any = None, **headers: str) -> Answer:
        """Ask for an address, or for a path below the service's; a body that is no string is sent as JSON."""
        path = urlsplit(address)._replace(scheme="", netloc="").geturl()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie is not None:
            sent.setdefault("Cookie", f"JSESSIONID={self.cookie}")
        if self.csrf is not None:
            sent.setdefault("X-CSRF-TOKEN", self.csrf)
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        at = path if path.startswith("/") else f"/spalloc/{path}"
        self._connection.request(method, at, body, sent)
        with self._connection.getresponse() as response:
            answer = Answer(response.status, response.headers, response.read())
        for header in response.headers.get_all("Set-Cookie", []):
            self.cookie = header.partition(";")[0].partition("=")[2]
        return answer

    def log_in(self, name: str, password: str) -> Answer:
        page = self.ask("GET", "system/login.html")
        found = re.search(r'<input type="hidden" name="_csrf" value="(.*)" />', page.text)
        assert found is not None
        form = urlencode({"_csrf": found[1], "username": name, "password": password})
        kind = "application/x-www-form-urlencoded"
        return self.ask("POST", "system/perform_login", form, Content_Type=kind)

    def create(self, **wish: Any) -> str:
        """Create a job; return its address."""
        asked = {name.replace("_", "-"): value for name, value in wish.items()}
        answer = self.ask("POST", "srv/spalloc/jobs", CREATION | asked)
        assert answer.status == 201, answer
        return answer.headers["Location"]

    def websocket(self, job: int) -> ClientConnection:
        address = f"wss://{self.service.host}:{self.service.port}/spalloc/proxy/{job}"
        headers = {} if self.cookie is None else {"Cookie": f"JSESSIONID={self.cookie}"}
        return connect(address, ssl=self.trust, additional_headers=headers, proxy=None)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def number_of(address: str) -> int:
    return int(address.rpartition("/")[2])
