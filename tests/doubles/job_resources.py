"""The double's resources for jobs: lists, creation, and all that is asked of one job."""

import json
from typing import Any

from starlette.responses import Response

from spinnaker.geometry import Board, Chip
from spinnaker.sdp import SDP_PORT
from tests.doubles.creation import located, understood
from tests.doubles.defects import Defect
from tests.doubles.jobs import Job, State
from tests.doubles.machines import Machine
from tests.doubles.memory import read_memory, write_memory
from tests.doubles.people import Account
from tests.doubles.serving import Asked, Serving, broken, document, or_nothing, words

_KEEPS_ALIVE = {
    ("GET", "machine"),
    ("GET", "machine", "power"),
    ("POST", "machine", "power"),
    ("GET", "chip"),
}


class JobResources:
    """Answers requests for `jobs` and below."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._jobs = serving.jobs

    async def list_jobs(self, asked: Asked) -> Response:
        try:
            limit, start = int(asked.query("limit", "100")), int(asked.query("start", "0"))
        except ValueError:
            return Response(status_code=404)
        deleted = asked.query("deleted").lower() == "true"

        def page() -> list[Job]:
            every = [job for job in self._jobs.all.values() if deleted or job.state is not State.DESTROYED]
            return sorted(every, key=lambda job: -job.id)[start : start + limit]

        numbers = {job.id for job in page()}
        if numbers:
            await self._serving.wait(asked, numbers.__contains__)
        listed = page()
        told: dict[str, Any] = {"jobs": [asked.documents.job_reference(job) for job in listed]}

        def at(start: int) -> str:
            query = f"deleted={str(deleted).lower()}&limit={limit}&start={start}&wait=false"
            return f"{asked.documents.base}/jobs?{query}"

        if start > 0:
            told["prev"] = at(max(0, start - limit))
        if len(listed) == limit:
            told["next"] = at(start + limit)
        response = document(told)
        links = [f'<{told[way]}>; rel="{way}"' for way in ("next", "prev") if way in told]
        if links:
            response.headers["Link"] = ", ".join(links)
        return response

    async def create(self, asked: Asked, account: Account) -> Response:
        if not asked.request.headers.get("content-type", "").startswith("application/json"):
            return Response(status_code=415)
        try:
            body = json.loads(await asked.request.body() or b"null")
        except ValueError:
            return Response(status_code=500 if Defect.EVERYTHING_IS_500 in self._serving.defects else 400)
        async with self._serving.thread():
            wanted = understood(body, account, self._jobs, *self._serving.settings.keepalive)
            job = self._jobs.create(
                wanted.owner,
                wanted.group,
                wanted.wish,
                wanted.machines,
                interval=wanted.interval,
                request=wanted.request,
            )
        reference = asked.documents.job_reference(job)
        response = document({"job-id": job.id, "job-ref": reference}, 201)
        response.headers["Location"] = reference
        return response

    async def answer(self, asked: Asked, job: Job, parts: list[str]) -> Response:
        what = (asked.method, *parts)
        if what in _KEEPS_ALIVE:
            self._jobs.keep_alive(job, asked.host)
        match what:
            case ("GET",):
                await self._serving.wait(asked, job.id.__eq__, job.revision)
                self._serving.tell(asked, job.revision)
                return document(asked.documents.job(job))
            case ("DELETE",):
                self._jobs.destroy(job, asked.query("reason"))
                return Response(status_code=204)
            case ("PUT", "keepalive"):
                if not asked.request.headers.get("content-type", "").startswith("text/plain"):
                    return Response(status_code=415)
                self._jobs.keep_alive(job, asked.host)
                return words("ok", 200)
            case ("POST", "report-issue"):
                return await self._report(asked, job)
            case ("GET" | "POST", "memory") | ("DELETE", "router"):
                return await self._memory(asked, job, parts[0])
        return await self._boards(asked, job, what)

    async def _boards(self, asked: Asked, job: Job, what: tuple[str, ...]) -> Response:
        match what:
            case ("GET", "machine"):
                return or_nothing(asked.documents.machine_of(job))
            case ("GET", "machine", "power"):
                on = job.powered or job.state is State.DESTROYED
                return or_nothing({"power": "ON" if on else "OFF"} if job.allocation else None)
            case ("POST", "machine", "power"):
                return await self._power(asked, job)
            case ("GET", "chip"):
                try:
                    chip = Chip(*asked.numbers("x", "y"))
                except ValueError:
                    return Response(status_code=404)
                return or_nothing(asked.documents.where_in_job(job, chip))
        return Response(status_code=404)

    async def _power(self, asked: Asked, job: Job) -> Response:
        power = (await asked.request.json()).get("power", "OFF")
        if power not in ("ON", "OFF", 0, 1, "0", "1"):
            return Response(status_code=204)
        async with self._serving.thread():
            done = self._jobs.power(job, on=power in ("ON", 1, "1"))
        return Response(status_code=202 if done else 204)

    async def _report(self, asked: Asked, job: Job) -> Response:
        report = await asked.request.json()
        if not isinstance(report.get("boards"), list):
            return words("", 500)
        action = "report noted"
        for named in report["boards"]:
            machine = self._jobs.machines[named["machine"]]
            found = _reported(named, machine, job)
            if found is None or machine.taken.get(found) != job.id:
                return document({"action": f"triad {found} not allocated to job {job.id}"})
            machine.reports[found] = machine.reports.get(found, 0) + 1
            if machine.reports[found] >= 2:
                if Defect.REPORTS_FAIL in self._serving.defects:
                    machine.reports[found] -= 1
                    return broken()
                action = "1 boards taken out of service"
        return document({"action": action})

    async def _memory(self, asked: Asked, job: Job, what: str) -> Response:
        got = job.allocation
        if got is None or job.state is State.DESTROYED:
            return words("unexpected server problem: IllegalState: no boards", 500)
        if what == "router":
            return Response(status_code=202)
        try:
            x, y, address, size = asked.numbers("x", "y", "address", "size")
        except ValueError:
            return Response(status_code=404)
        root = got.machine.socket(got.root, SDP_PORT)
        async with self._serving.thread():
            if asked.method == "GET":
                data = await read_memory(root, Chip(x, y), address, size)
                return Response(data, media_type="application/octet-stream")
            await write_memory(root, Chip(x, y), address, await asked.request.body())
        return Response(status_code=202)


def _reported(named: dict[str, Any], machine: Machine, job: Job) -> Board | None:
    if "chip" in named and job.allocation is not None:
        return machine.board_of(job.allocation.machine_chip(Chip(*named["chip"])))[0]
    return located(named, machine)
