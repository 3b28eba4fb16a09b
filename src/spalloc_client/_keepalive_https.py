"""Keeps a job of a service alive over HTTP: what the keepalive helper runs for a URL, in place of v1's messages.

The helper is an isolated interpreter, so this imports only the standard library. service.py takes from here whose
certificates are believed.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from base64 import b64encode
from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse
    from typing import Any, Protocol

    class Application(Protocol):
        """As _keepalive_process.py has it."""

        over: bool

        def attend(self, seconds: float, *also: int) -> bool:
            """Wait, and hear what it says."""

    class Orders(Protocol):
        """The same."""

        hostname: str
        job_id: int
        start_time: float | None
        login: dict[str, Any]

        @property
        def patience(self) -> float:
            """Seconds an answer may take."""

        @property
        def period(self) -> float:
            """Seconds between keepalives."""


AUTHORITIES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
"""Variables that name a file, or a folder, of certificate authorities to believe: all that are set count."""

_GONE = (404, 410)


def tls_context() -> ssl.SSLContext:
    """Return what says whose certificates are believed: those of the variables, or else of the system.

    Raises:
        OSError: A file can't be read.
    """
    named = [value for name in AUTHORITIES if (value := os.environ.get(name))]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for path in dict.fromkeys(named):
        try:
            folder = os.path.isdir(path)  # noqa: PTH112
            context.load_verify_locations(None if folder else path, path if folder else None)
        except OSError as error:
            raise OSError(f"the certificate authorities in {path} can't be read: {error}") from error
    if not named:
        context.load_default_certs()
        if not context.cert_store_stats()["x509_ca"] and not os.environ.get("SSL_CERT_DIR"):
            # Some builds of Python come without authorities.
            try:
                import certifi
            except ImportError:
                return context
            context.load_verify_locations(certifi.where())
    return context


class RefusedError(OSError):
    """The service lets nobody in."""


class Service:
    """One connection to a service, and the session over it."""

    def __init__(self, orders: Orders) -> None:
        """Be ready to connect.

        Raises:
            OSError: The certificate authorities can't be read.
        """
        self._orders = orders
        address = urlsplit(orders.hostname)
        self._base = f"{address.path.rstrip('/')}/srv/spalloc"
        self._session: dict[str, str] = orders.login.get("session") or {}
        self._http = _connection(orders.hostname, orders.patience)

    def _log_in(self) -> None:
        login = self._orders.login
        if login.get("token"):
            said = f"Bearer {login['token']}"
        else:
            pair = f"{login.get('username')}:{login.get('password')}".encode()
            said = f"Basic {b64encode(pair).decode()}"
        self._session = self._orders.login["session"] = {}
        status, reply, body = self._send("GET", "", {"Authorization": said})
        if status == 401:
            raise RefusedError("the service lets nobody in")
        if status != 200:
            raise ConnectionResetError
        cookies = reply.headers.get_all("Set-Cookie") or []
        root = json.loads(body)
        self._session = {
            "Cookie": "; ".join(cookie.partition(";")[0] for cookie in cookies),
            str(root.get("csrf-header", "X-CSRF-TOKEN")): str(root.get("csrf-token", "")),
        }
        # For the next connection.
        self._orders.login["session"] = self._session

    def _send(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> tuple[int, HTTPResponse, bytes]:
        from http.client import HTTPException

        headers = {"Accept": "application/json", "User-Agent": "spalloc-keepalive", **headers}
        try:
            self._http.request(method, self._base + path, body, headers)
            reply = self._http.getresponse()
            return reply.status, reply, reply.read()
        except HTTPException as error:
            raise ConnectionResetError(str(error)) from error

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send a request, in a new session if the last has ended; return the status and the body.

        Raises:
            RefusedError: Nobody is let in.
            OSError: There is no answer.
        """
        kind = {} if body is None else {"Content-Type": "text/plain; charset=utf-8"}
        if not self._session:
            self._log_in()
        status, _, answer = self._send(method, path, {**self._session, **kind}, body)
        if status in (401, 403):
            self._log_in()
            status, _, answer = self._send(method, path, {**self._session, **kind}, body)
        return status, answer

    def start_time(self) -> str | None:
        """Return when the job was created, in the service's words; None if it does not tell."""
        status, body = self.ask("GET", f"/jobs/{self._orders.job_id}")
        told: Any = json.loads(body) if status == 200 else {}
        return told.get("start-time") if isinstance(told, dict) else None

    def keep_alive(self) -> None:
        """Keep the job alive; OSError if that was not done."""
        status, _ = self.ask("PUT", f"/jobs/{self._orders.job_id}/keepalive", b"alive")
        if status >= 400 and status not in _GONE:
            raise ConnectionResetError

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


def keep(application: Application, orders: Orders, not_ours: type[Exception], *, doubtful: bool) -> None:
    """Keep the job alive over one connection, until that fails (OSError) or is no longer wanted.

    Args:
        application: For whom.
        orders: Which job.
        not_ours: What to raise if the job is another than it was.
        doubtful: Whether that must be looked at.
    """
    service = Service(orders)
    try:
        if doubtful and orders.start_time is not None:
            begun = service.start_time()
            if begun is not None and _seconds(begun) != orders.start_time:
                raise not_ours
        while not application.over:
            service.keep_alive()
            due = time.monotonic() + orders.period
            while (left := due - time.monotonic()) > 0 and not application.over:
                application.attend(left)
    except RefusedError:
        # Services take many wrong passwords for an attack.
        application.attend(orders.period)
        raise
    except ValueError as error:
        raise ConnectionResetError(str(error)) from error
    finally:
        service.close()


def _seconds(written: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(written).timestamp()


def _connection(url: str, patience: float) -> HTTPConnection:
    """Return a connection to a service, through a proxy if the environment says so."""
    from http.client import HTTPConnection, HTTPSConnection

    address = urlsplit(url)
    host, port = address.hostname or "", address.port
    through = proxy_for(address.scheme, address.netloc)
    if address.scheme != "https":
        return HTTPConnection(host, port, timeout=patience)
    context = tls_context()
    if through is None:
        return HTTPSConnection(host, port, timeout=patience, context=context)
    proxy = urlsplit(through)
    connection = HTTPSConnection(proxy.hostname or "", proxy.port or 8080, timeout=patience, context=context)
    headers = {}
    if proxy.username is not None:
        from urllib.parse import unquote

        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        headers["Proxy-Authorization"] = f"Basic {b64encode(pair).decode()}"
    connection.set_tunnel(host, port or 443, headers)
    return connection


def proxy_for(scheme: str, host: str) -> str | None:
    """Return the URL of the proxy through which a host is reached, as the environment says; None for none.

    Args:
        scheme: `https` or `http`.
        host: The host, with its port if it has one.
    """
    names = [f"{scheme}_proxy", "all_proxy"]
    if not any(os.environ.get(spelled) for name in names for spelled in (name, name.upper())):
        return None
    from urllib.request import getproxies_environment, proxy_bypass

    if proxy_bypass(host):
        return None
    proxies = getproxies_environment()
    found = proxies.get(scheme) or proxies.get("all")
    return found if found is None or "://" in found else f"http://{found}"
