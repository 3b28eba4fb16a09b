"""Requests of one client on the wire: connections that are kept, TLS, and proxies as the environment says.

The one module that knows httpcore.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpcore

from spalloc_client._keepalive_https import AUTHORITIES, proxy_for, tls_context
from spalloc_client.conversation import UNTRUSTED
from spalloc_client.errors import ProtocolError
from spalloc_client.https.session import Reply

if TYPE_CHECKING:
    from spalloc_client.address import ServiceUrl
    from spalloc_client.https.session import Send

_PATIENCE = 60.0
"""Seconds that an answer may take in any case: a connection on which nothing comes is noticed within this time."""

_CONNECTING = 30.0
"""Seconds that connecting may take in any case."""

_IDLE = 30.0
"""Seconds after which a connection that is not used is closed."""

_KEPT = 20
_OPEN = 10_000
"""Connections that are kept, and that may be open: there is one for each request that waits."""

_COOKIE = re.compile(r"""(b'set-cookie', )b(?:'[^']*'|"[^"]*")""", re.IGNORECASE)


def _without_cookies(record: logging.LogRecord) -> bool:
    """Hide what says who asks: at its most talkative, httpcore logs all headers of answers."""
    record.msg = _COOKIE.sub(r"\1(hidden)", str(record.msg))
    return True


logging.getLogger("httpcore.http11").addFilter(_without_cookies)

_NO_CONNECTION = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
_LOST = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)
_ANY = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


class Http:
    """Connections to one service."""

    def __init__(self, url: ServiceUrl) -> None:
        """Be ready to connect.

        Raises:
            OSError: The certificate authorities can't be read, or the proxy that the environment names can't be used.
        """
        self._url = url
        context = (
            _trust(*map(os.environ.get, (*AUTHORITIES, "SSL_CERT_DIR"))) if url.startswith("https") else None
        )
        address = urlsplit(url)
        through = proxy_for(address.scheme, address.netloc)
        if through is None:
            self._pool = httpcore.AsyncConnectionPool(
                context, max_connections=_OPEN, max_keepalive_connections=_KEPT, keepalive_expiry=_IDLE
            )
            return
        proxy = urlsplit(through)
        login = None if proxy.username is None else (unquote(proxy.username), unquote(proxy.password or ""))
        if proxy.scheme not in ("http", "https"):
            raise OSError(f"{url} would go through a proxy of the kind {proxy.scheme}; use one of HTTP")
        self._pool = httpcore.AsyncHTTPProxy(
            f"{proxy.scheme}://{proxy.netloc.rpartition('@')[2]}",
            proxy_auth=login,
            ssl_context=context,
            max_connections=_OPEN,
            max_keepalive_connections=_KEPT,
            keepalive_expiry=_IDLE,
        )

    async def send(self, step: Send, *, opening: bool) -> Reply:
        """Send a request, and return the answer.

        Args:
            step: The request.
            opening: Whether there has been no connection yet.

        Raises:
            OSError: There is no connection, and there was none before.
            ProtocolError: There is no answer.
        """
        try:
            reply = await self._answered(step, again=step.method != "POST")
        except _NO_CONNECTION as error:
            if not opening:
                raise ProtocolError(self._sentence(error)) from error
            kind = TimeoutError if isinstance(error, httpcore.ConnectTimeout) else ConnectionError
            raise kind(f"{self._url} can't be reached: {_words(error)}") from error
        except _ANY as error:
            raise ProtocolError(self._sentence(error)) from error
        headers: dict[str, str] = {}
        cookies: dict[str, str] = {}
        for raw_name, raw_value in reply.headers:
            name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
            if name == "set-cookie":
                cookie, _, content = value.partition(";")[0].partition("=")
                cookies[cookie.strip()] = content.strip()
            else:
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Reply(reply.status, headers, cookies, reply.content)

    async def _answered(self, step: Send, *, again: bool) -> httpcore.Response:
        patience = step.patience or _PATIENCE
        limits = {"connect": _CONNECTING, "read": patience, "write": _PATIENCE, "pool": _PATIENCE}
        try:
            return await self._pool.request(
                step.method,
                f"{self._url}{step.path}",
                headers=list(step.headers.items()),
                content=step.body,
                extensions={"timeout": limits},
            )
        except _LOST:
            # Services close connections that were idle, perhaps at the very moment when one is used again.
            if not again:
                raise
        return await self._answered(step, again=False)

    def _sentence(self, error: Exception) -> str:
        return f"connection to {self._url}: {_words(error)}"

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


@cache
def _trust(*_: str | None) -> ssl.SSLContext:
    """Return whose certificates are believed; once for what the environment says, since that takes a while."""
    return tls_context()


_SILENT = {
    "ReadTimeout": "no answer came",
    "RemoteProtocolError": "the service closed the connection",
    "ReadError": "the connection was lost",
    "ConnectTimeout": "it took too long to connect",
}


def _words(error: Exception) -> str:
    """Say what was wrong, and what to do about certificates."""
    what = str(error) or _SILENT.get(type(error).__name__, type(error).__name__)
    if "CERTIFICATE_VERIFY_FAILED" in what:
        reason = what.rpartition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        return f"{UNTRUSTED}: {reason}; name the file of its authority in SSL_CERT_FILE"
    if "WRONG_VERSION_NUMBER" in what:
        return "what answers there does not speak TLS"
    return what.rstrip(".")
