"""What all resources of the double share: its settings, its threads, waits, and how answers are written."""

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tests.doubles.defects import Defect
from tests.doubles.documents import Documents
from tests.doubles.entrance import Caller
from tests.doubles.jobs import Jobs

THREADS = 16


@dataclass
class Failure:
    """Requests that are to fail, as those fail that meet a deadlock of the database."""

    method: str
    path: re.Pattern[str]
    times: int
    status: int = 500
    words: str = "failed"


@dataclass
class Settings:
    """What administrators of the service set, and what a test asks for."""

    wait: float = 30.0
    """The longest wait, in seconds."""
    keepalive: tuple[float, float] = (30.0, 300.0)
    forwarded: bool = True
    """Whether the proxy in front says that it speaks HTTPS; if not, references say http."""
    emergency_code: str = "stop"
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """One request for a resource, of somebody who may ask."""

    request: Request
    caller: Caller
    documents: Documents

    @property
    def method(self) -> str:
        return "GET" if self.request.method == "HEAD" else self.request.method

    @property
    def host(self) -> str:
        client = self.request.client
        return client.host if client is not None else ""

    def query(self, name: str, otherwise: str = "") -> str:
        return self.request.query_params.get(name, otherwise)

    def numbers(self, *names: str) -> list[int]:
        """Values of the query, 0 each if they are not there.

        Raises:
            ValueError: One is no number.
        """
        return [int(self.query(name, "0")) for name in names]


class Serving:
    """The jobs, and how requests wait for them."""

    def __init__(self, jobs: Jobs, settings: Settings) -> None:
        self.jobs = jobs
        self.settings = settings
        self.defects = jobs.defects
        self._threads = asyncio.Semaphore(THREADS)
        self._told: dict[tuple[str, str], int] = {}

    def thread(self) -> AbstractAsyncContextManager[Any]:
        """One of the threads that those who wait and those who change something share."""
        return self._threads if Defect.SIXTEEN_WAITS in self.defects else nullcontext()

    async def wait(
        self, asked: Asked, concerns: Callable[[object], bool], revision: int | None = None
    ) -> None:
        """Wait as `wait=true` asks for; without the defect, a change that the session has not been told ends it."""
        if asked.query("wait").lower() != "true":
            return
        if Defect.LOSES_CHANGES not in self.defects and revision is not None:
            told = self._told.get((asked.caller.session.name, asked.request.url.path))
            if told is not None and told != revision:
                return
        async with self.thread():
            await self.jobs.change(concerns, self.settings.wait)

    def tell(self, asked: Asked, revision: int) -> None:
        """Remember what a session has been told."""
        self._told[asked.caller.session.name, asked.request.url.path] = revision


def words(said: str, status: int) -> Response:
    return Response(said, status, media_type="text/plain")


def document(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")


def or_nothing(value: Any) -> Response:
    return Response(status_code=204) if value is None else document(value)


def broken() -> Response:
    """What the database's faults look like: said to be JSON."""
    return Response("failed", 500, media_type="application/json")
