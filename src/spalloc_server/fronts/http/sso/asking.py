"""Asks an issuer over HTTPS: one request, one JSON answer, both bounded in time and bytes. No redirect is followed.

What is asked, and what the answers mean, is issuer.py's.
"""

import asyncio
import json
import logging
import re
import ssl
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlencode, urlsplit

import httpcore

from spalloc_client._keepalive_https import proxy_for
from spalloc_server.fronts.http.sso.claims import Claims

ANSWER_SECONDS = 10.0
"""How long an answer may take in all."""
MOST_ANSWER_BYTES = 512 * 1024
MOST_CONNECTIONS = 32
_IDLE_SECONDS = 30.0
_ALWAYS = (("Accept", "application/json"), ("Accept-Encoding", "identity"), ("User-Agent", "spalloc-server"))
_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
_MAX_AGE = re.compile(r'(?:^|[\s,])max-age\s*=\s*"?([0-9]{1,10})"?', re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])", re.IGNORECASE)

# At the level debug it tells of the headers of answers.
logging.getLogger("httpcore").setLevel(logging.WARNING)


class AwayError(Exception):
    """The issuer does not answer, or not as it must; the message is the rest of a sentence about it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the issuer answered."""

    status: int
    document: Claims
    """Empty where it is no JSON object, and the status is that of an error."""
    max_age: float | None = None
    """For how many seconds it may be kept; None where the issuer does not say."""


class Asking:
    """Connections to one issuer; lives in one event loop."""

    def __init__(self, authority: Path | None = None) -> None:
        """Begin without a connection.

        Args:
            authority: The file of the authorities that are believed, in PEM; None for those of this computer.

        Raises:
            OSError: The file can't be read, or has no certificates.
        """
        self._context = ssl.create_default_context(cafile=authority)
        self._pools: dict[str | None, httpcore.AsyncConnectionPool] = {}
        """For each proxy that the environment names, and None for no proxy."""

    async def get(self, url: str, bearer: str | None = None) -> Reply:
        """Return the answer to a GET, with a bearer token if one is given.

        Raises:
            AwayError: There is none in time, or it is no JSON object.
        """
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        return await self._ask("GET", url, headers, b"")

    async def post(self, url: str, form: Mapping[str, str], basic: tuple[str, str] | None = None) -> Reply:
        """Return the answer to a form, with a name and a password if they are given.

        Raises:
            AwayError: There is none in time, or it is no JSON object.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if basic is not None:
            headers["Authorization"] = f"Basic {b64encode(':'.join(basic).encode()).decode()}"
        return await self._ask("POST", url, headers, urlencode(form).encode())

    async def stop(self) -> None:
        """End all connections."""
        for pool in self._pools.values():
            await pool.aclose()

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._pool(url).stream(
                    method, url, headers=[*_ALWAYS, *headers.items()], content=body
                ) as answer,
            ):
                found = await _body(answer)
        except TimeoutError as error:
            raise AwayError(f"does not answer within {ANSWER_SECONDS:g} s") from error
        except (*_ERRORS, OSError, ValueError) as error:
            # The message of a wrong certificate is long, and helps.
            raise AwayError(f"can't be reached: {str(error)[:200] or type(error).__name__}") from error
        if 300 <= answer.status < 400:
            raise AwayError("answers with a redirect, which is not followed")
        document = _document(found)
        if document is None:
            if answer.status < 400:
                raise AwayError("answers with something that is no JSON object")
            document = {}
        return Reply(answer.status, document, _max_age(answer.headers))

    def _pool(self, url: str) -> httpcore.AsyncConnectionPool:
        address = urlsplit(url)
        through = proxy_for(address.scheme, address.netloc)
        if through not in self._pools:
            proxy = None if through is None else _proxy(through)
            self._pools[through] = httpcore.AsyncConnectionPool(
                self._context, max_connections=MOST_CONNECTIONS, keepalive_expiry=_IDLE_SECONDS, proxy=proxy
            )
        return self._pools[through]


def _proxy(address: str) -> httpcore.Proxy:
    split = urlsplit(address)
    if split.scheme not in ("http", "https"):
        raise AwayError(
            f"would be asked through a proxy of the kind {split.scheme}; name one of HTTP in the environment"
        )
    login = None if split.username is None else (unquote(split.username), unquote(split.password or ""))
    return httpcore.Proxy(f"{split.scheme}://{split.netloc.rpartition('@')[2]}", auth=login)


async def _body(answer: httpcore.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.aiter_stream():
        size += len(part)
        if size > MOST_ANSWER_BYTES:
            raise AwayError(f"answers with more than {MOST_ANSWER_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _document(body: bytes) -> Claims | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _max_age(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    said = [value for name, value in headers if name.lower() == b"cache-control"]
    control = b", ".join(said).decode("latin-1")
    if _NOT_KEPT.search(control):
        return 0.0
    found = _MAX_AGE.search(control)
    return None if found is None else float(found[1])
