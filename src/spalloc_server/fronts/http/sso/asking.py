"""Asks an issuer over HTTPS: one request, one JSON answer, both bounded in time and bytes. No redirect is followed.

What is asked, and what the answers mean, is issuer.py's.
"""

import asyncio
import json
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx2

from spalloc_server.fronts.http.sso.claims import Claims

ANSWER_SECONDS = 10.0
"""How long an answer may take in all."""
MOST_ANSWER_BYTES = 512 * 1024
MOST_CONNECTIONS = 16
_MAX_AGE = re.compile(r'(?:^|[\s,])max-age\s*=\s*"?([0-9]{1,10})"?', re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])", re.IGNORECASE)

# They tell of each request, and at the level debug of its headers.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)


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
        self._client = httpx2.AsyncClient(
            verify=ssl.create_default_context(cafile=authority),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"accept": "application/json", "accept-encoding": "identity"},
            timeout=ANSWER_SECONDS,
            limits=httpx2.Limits(max_connections=MOST_CONNECTIONS, keepalive_expiry=30.0),
        )

    async def get(self, url: str, bearer: str | None = None) -> Reply:
        """Return the answer to a GET, with a bearer token if one is given.

        Raises:
            AwayError: There is none in time, or it is no JSON object.
        """
        headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
        return await self._ask(self._client.build_request("GET", url, headers=headers))

    async def post(self, url: str, form: Mapping[str, str], basic: tuple[str, str] | None = None) -> Reply:
        """Return the answer to a form, with a name and a password if they are given.

        Raises:
            AwayError: There is none in time, or it is no JSON object.
        """
        request = self._client.build_request("POST", url, data=dict(form))
        if basic is not None:
            request = next(httpx2.BasicAuth(*basic).auth_flow(request))
        return await self._ask(request)

    async def stop(self) -> None:
        """End all connections."""
        await self._client.aclose()

    async def _ask(self, request: httpx2.Request) -> Reply:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._client.send(request, stream=True, follow_redirects=False)
                try:
                    body = await _body(answer)
                finally:
                    await answer.aclose()
        except TimeoutError as error:
            raise AwayError(f"does not answer within {ANSWER_SECONDS:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            # The message of a wrong certificate is long, and helps.
            raise AwayError(f"can't be reached: {str(error)[:200] or type(error).__name__}") from error
        if 300 <= answer.status_code < 400:
            raise AwayError("answers with a redirect, which is not followed")
        document = _document(body)
        if document is None:
            if answer.status_code < 400:
                raise AwayError("answers with something that is no JSON object")
            document = {}
        return Reply(answer.status_code, document, _max_age(answer.headers.get("cache-control", "")))


async def _body(answer: httpx2.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.aiter_raw():
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


def _max_age(control: str) -> float | None:
    if _NOT_KEPT.search(control):
        return 0.0
    found = _MAX_AGE.search(control)
    return None if found is None else float(found[1])
