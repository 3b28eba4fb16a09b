"""The table of all resources: routes and the OpenAPI document are made from it.

What a row means is in table.py, what is done in the modules that are called.
"""

from collections.abc import Callable, Sequence

from spalloc_client._version import __version__
from spalloc_server.core.rights import Right
from spalloc_server.fronts.http.api import documents as docs
from spalloc_server.fronts.http.api import jobs as on_jobs
from spalloc_server.fronts.http.api import lists as on_lists
from spalloc_server.fronts.http.api import machines as on_machines
from spalloc_server.fronts.http.api.answers import JSON, Answer, HttpError, document
from spalloc_server.fronts.http.api.conventions import written_time_or_none
from spalloc_server.fronts.http.api.entrance import CSRF_HEADER
from spalloc_server.fronts.http.api.groups import Groups
from spalloc_server.fronts.http.api.jobs import Jobs
from spalloc_server.fronts.http.api.lists import Lists
from spalloc_server.fronts.http.api.machines import Machines
from spalloc_server.fronts.http.api.openapi import description
from spalloc_server.fronts.http.api.pages import Pages
from spalloc_server.fronts.http.api.requests import Request
from spalloc_server.fronts.http.api.table import Operation, Raw
from spalloc_server.fronts.http.api.usage import UsageQuery, UsageResource

_FAST_DATA = (
    "this server does not serve the fast data protocol, which needs an application on the boards; use memory, or the "
    "boards themselves through the proxy"
)
_ADMIN = (
    "this server is not administered over HTTP: its configuration says which machines there are, spalloc-server boards "
    "which are in service, and spalloc-server account who may log in"
)


def table(
    jobs: Jobs,
    lists: Lists,
    machines: Machines,
    usage: UsageResource,
    groups: Groups,
    pages: Pages,
    base: str,
) -> list[Operation]:
    """Return the rows, those that are asked for most first; `base` is the path under which the service is found."""
    service = "srv/spalloc"
    job = f"{service}/jobs/{{job}}"
    machine = f"{service}/machines/{{name}}"
    rows: list[Operation] = []
    # fmt: off
    rows += [
        Operation("GET", job, "describeJob", "Describe a job, at its next change if asked to wait.",
            jobs.describe, query=on_jobs.WaitQuery, answers={200: docs.JobState}),
        Operation("DELETE", job, "destroyJob", "End a job.",
            jobs.destroy, Right.USE, query=on_jobs.DestroyQuery, answers={204: None}),
        Operation("PUT", f"{job}/keepalive", "keepJobAlive", "Say that a job is still wanted.",
            jobs.keep_alive, Right.USE, body=Raw.TEXT, answers={200: Raw.TEXT}),
        Operation("GET", f"{service}/jobs", "listJobs", "List jobs, newest first.",
            lists.jobs, query=on_lists.ListQuery, answers={200: docs.Jobs}),
        Operation("POST", f"{service}/jobs", "createJob", "Create a job.",
            jobs.create, Right.USE, body=docs.NewJob, answers={201: docs.CreatedJob}),
        Operation("GET", f"{service}/machines", "listMachines", "Describe all machines.",
            machines.all, answers={200: docs.Machines}),
        Operation("GET", f"{job}/machine", "describeBoards", "Describe a job's boards, and keep it alive.",
            jobs.machine, answers={200: docs.MachineOfJob, 204: None}),
        Operation("GET", f"{job}/machine/power", "getPower", "Say whether a job's boards are on, and keep it alive.",
            jobs.power, answers={200: docs.Power, 204: None}),
        Operation("POST", f"{job}/machine/power", "setPower", "Switch a job's boards on, or reset them, or off.",
            jobs.set_power, Right.USE, body=docs.PowerWanted, answers={202: None, 204: None}),
        Operation("GET", f"{job}/chip", "whereIsChipOfJob", "Say where a chip of a job is, and keep the job alive.",
            jobs.chip, query=on_machines.ChipQuery, answers={200: docs.WhereIs, 204: None}),
        Operation("PUT", f"{job}/time-limit", "extendJob", "Change how long a job may have its boards.",
            jobs.extend, Right.USE, body=docs.TimeLimit, answers={200: docs.TimeLimit}),
        Operation("POST", f"{job}/report-issue", "reportBoards", "Report boards of a job that are faulty.",
            jobs.report, Right.USE, body=docs.IssueReport, answers={200: docs.ReportedIssue}),
        Operation("GET", machine, "describeMachine", "Describe a machine, at its next change if asked to wait.",
            machines.one, query=on_machines.Wait, answers={200: docs.OneMachine}),
        Operation("GET", f"{machine}/logical-board", "whereIsBoard", "Say where a board is, named by its triad.",
            machines.by_logical_board, query=on_machines.LogicalBoard, answers={200: docs.WhereIs}),
        Operation("GET", f"{machine}/physical-board", "whereIsPlace", "Say where a board is, named by its place.",
            machines.by_physical_board, query=on_machines.PhysicalBoard, answers={200: docs.WhereIs}),
        Operation("GET", f"{machine}/chip", "whereIsChip", "Say where a chip of a machine is.",
            machines.by_chip, query=on_machines.ChipQuery, answers={200: docs.WhereIs}),
        Operation("GET", f"{machine}/board-ip", "whereIsAddress", "Say where a board is, named by its address.",
            machines.by_address, query=on_machines.Address, answers={200: docs.WhereIs}),
        Operation("GET", f"{service}/history", "listEndedJobs", "List jobs that have ended, the latest first.",
            lists.history, query=on_lists.HistoryQuery, answers={200: docs.History}),
        Operation("GET", f"{service}/usage", "tellUsage", "Tell who used what.",
            usage.tell, query=UsageQuery, answers={200: docs.Usage}),
        Operation("GET", f"{service}/groups", "listGroups", "List the groups that your jobs may be charged to.",
            groups.list, answers={200: docs.Groups}),
        Operation("GET", service, "describeService", "Say what there is, and which token changes need.",
            _root, answers={200: docs.Root}),
        Operation("GET", f"{service}/emergencyStop", "getStop", "Say whether all jobs were stopped.",
            jobs.stop_state, answers={200: docs.Stop}),
        Operation("POST", f"{service}/emergencyStop", "stopAll", "End all jobs, and take no new ones.",
            jobs.stop_all, Right.ADMINISTER, query=on_jobs.StopQuery, answers={200: docs.Stop}),
        Operation("DELETE", f"{service}/emergencyStop", "liftStop", "Take new jobs again.",
            jobs.lift_stop, Right.ADMINISTER, answers={200: docs.Stop}),
        Operation("GET", f"{job}/fast-data-read", "fastRead", "Not served here.", _refuse(_FAST_DATA)),
        Operation("POST", f"{job}/fast-data-write", "fastWrite", "Not served here.", _refuse(_FAST_DATA), Right.USE),
        *(
            Operation(method, f"{service}/admin/{{what:path}}", f"admin{method.title()}", "Not served here.",
                _refuse(_ADMIN), Right.ADMINISTER)
            for method in ("GET", "POST", "PUT", "DELETE")
        ),
        Operation("GET", "system/login.html", "loginPage", "Show the login form, and begin a session for it.",
            pages.login, None, answers={200: Raw.HTML}),
        Operation("POST", "system/perform_login", "logIn", "Log in by name and password.",
            pages.perform_login, None, body=Raw.FORM, answers={302: None}, by_form=True),
        Operation("POST", "system/perform_logout", "logOut", "End the session.",
            pages.perform_logout, body=Raw.TEXT, answers={204: None, 302: None}, by_form=True),
        Operation("GET", "", "base", "Go to the page for people.", pages.base, None, answers={302: None}),
        Operation("GET", "system", "startPage", "Show what there is to people.", pages.start, answers={200: Raw.HTML}),
        Operation("GET", "system/api.html", "apiPage", "Show the page on which the API is tried.",
            pages.api, answers={200: Raw.HTML}),
        Operation("GET", "system/api.js", "apiScript", "What that page does.",
            pages.script, None, answers={200: Raw.SCRIPT}),
        Operation("GET", "srv/openapi.json", "describeApi", "Describe the API in OpenAPI 3.1.",
            _described(rows, base), None, answers={200: Raw.JSON}),
        Operation("GET", "system/style.css", "style", "How pages look.", pages.style, None, answers={200: Raw.STYLE}),
    ]
    # fmt: on
    return rows


def _described(rows: Sequence[Operation], base: str) -> Callable[[Request], Answer]:
    made: list[Answer] = []

    def describe(_request: Request) -> Answer:
        if not made:
            made.append(Answer(200, description(rows, base), JSON))
        return made[0]

    return describe


def _root(request: Request) -> Answer:
    session = request.logged_in
    major, minor, revision = (int(part) for part in __version__.rpartition("!")[2].split(".")[:3])
    return document(
        docs.Root(
            version=docs.ServiceVersion(major, minor, revision),
            jobs_ref=f"{request.service}jobs",
            machines_ref=f"{request.service}machines",
            history_ref=f"{request.service}history",
            usage_ref=f"{request.service}usage",
            groups_ref=f"{request.service}groups",
            csrf_header=CSRF_HEADER,
            csrf_token=session.csrf,
            account=session.login.account,
            role=session.login.role,
            login_ends=written_time_or_none(session.expires),
        )
    )


def _refuse(sentence: str) -> Callable[..., Answer]:
    def refuse(_request: Request, **_parts: object) -> Answer:
        raise HttpError(501, sentence)

    return refuse
