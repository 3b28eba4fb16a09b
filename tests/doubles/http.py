"""The double's HTTP: which resource a request is for, and what holds for every answer."""

import re
from collections import Counter
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.doubles.creation import RefusedError
from tests.doubles.defects import Defect
from tests.doubles.documents import Documents
from tests.doubles.entrance import PREFIX, Caller, Entrance
from tests.doubles.job_resources import JobResources
from tests.doubles.jobs import Jobs
from tests.doubles.machine_resources import MachineResources
from tests.doubles.memory import NotBootedError
from tests.doubles.people import People, Role, masked
from tests.doubles.serving import Asked, Serving, Settings, document, words

REQUESTS_OF_A_CONNECTION = 100
_ALWAYS = {"Cache-Control": "no-cache, no-store, max-age=0, must-revalidate", "X-Frame-Options": "DENY"}
_REST = "/srv/spalloc"


class App:
    """The service over HTTP."""

    def __init__(self, jobs: Jobs, people: People, settings: Settings) -> None:
        self.jobs = jobs
        self.people = people
        self.defects = jobs.defects
        self.asked: Counter[str] = Counter()
        """How often each method and path was asked for."""
        self._settings = settings
        self._entrance = Entrance(people, jobs.defects)
        serving = Serving(jobs, settings)
        self._machines = MachineResources(serving)
        self._job_resources = JobResources(serving)
        self._connections: Counter[tuple[str, int]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        for name, value in _ALWAYS.items():
            response.headers[name] = value
        connection = scope["client"]
        self._connections[connection] += 1
        if self._connections[connection] >= REQUESTS_OF_A_CONNECTION:
            response.headers["Connection"] = "close"
            del self._connections[connection]
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        self.asked[f"{request.method} {path}"] += 1
        if "//" in path or not path.startswith(PREFIX):
            return Response(status_code=400 if "//" in path else 404)
        for failure in self._settings.failures:
            if failure.times and failure.method == request.method and failure.path.search(path):
                failure.times -= 1
                return Response(failure.words, failure.status, media_type="application/json")
        path = path.removeprefix(PREFIX).rstrip("/")
        if path.startswith("/system"):
            return await self._entrance.system(request, path)
        caller = self._entrance.caller(request)
        if isinstance(caller, Response):
            return caller
        try:
            response = await self._resource(request, path, caller)
        except RefusedError as refusal:
            response = words(str(refusal), refusal.status)
        except NotBootedError as why:
            response = words(f"unexpected server problem: Process: when sending to {why}", 500)
        if caller.is_new:
            self._entrance.set_cookie(response, caller.session)
        return response

    async def _resource(self, request: Request, path: str, caller: Caller) -> Response:
        if request.method == "OPTIONS":
            return Response(headers={"Allow": "DELETE, POST, GET, PUT, OPTIONS, HEAD"})
        if not path.startswith(_REST):
            return Response(status_code=404)
        scheme = request.url.scheme if self._settings.forwarded else "http"
        asked = Asked(request, caller, Documents(self.jobs, scheme, request.headers["host"]))
        first, *rest = path.removeprefix(_REST).strip("/").split("/")
        if (asked.method, first) == ("GET", ""):
            return self._root(asked)
        if (asked.method, first) == ("GET", "emergencyStop"):
            return self._emergency(asked)
        needed = Role.USER if (asked.method, first, rest) == ("POST", "jobs", []) else Role.READER
        if caller.account.role < needed:
            lie = "application/json" if Defect.TYPES_LIE in self.defects else "text/plain"
            return Response("computer says no", 403, media_type=lie)
        match asked.method, first, rest:
            case "GET", "machines", _:
                return await self._machines.answer(asked, rest)
            case "GET", "jobs", []:
                return await self._job_resources.list_jobs(asked)
            case "POST", "jobs", []:
                return await self._job_resources.create(asked, caller.account)
            case _, "jobs", [number, *parts]:
                return await self._job(asked, number, parts)
        return Response(status_code=405 if first in ("", "machines", "jobs") else 404)

    async def _job(self, asked: Asked, number: str, parts: list[str]) -> Response:
        if not re.fullmatch(r"-?\d+", number):
            return Response(status_code=404)
        if int(number) < 1:
            return words("a job's number is positive", 400)
        account = asked.caller.account
        job = self.jobs.all.get(int(number))
        if job is None or not (account.sees_all or job.owner == account.name):
            return words("no such job", 404)
        return await self._job_resources.answer(asked, job, parts)

    def _emergency(self, asked: Asked) -> Response:
        if asked.query("commandCode") != self._settings.emergency_code:
            return words("unexpected server problem: BadCommand: ", 500)
        self.jobs.emergency()
        return Response()

    def _root(self, asked: Asked) -> Response:
        told: dict[str, Any] = {"version": {"major-version": 7, "minor-version": 4, "revision": 2}}
        if asked.caller.account.role >= Role.READER:
            told["jobs-ref"] = f"{asked.documents.base}/jobs"
            told["machines-ref"] = f"{asked.documents.base}/machines"
        csrf = masked(asked.caller.session.csrf)
        return document(told | {"csrf-header": "X-CSRF-TOKEN", "csrf-token": csrf})
