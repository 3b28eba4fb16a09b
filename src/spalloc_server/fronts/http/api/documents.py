"""Every document of the API, as it is written in JSON.

How single values are written is in conventions.py. Fields that may be absent are None here, and then left out. Boards,
places and chips are arrays of their coordinates: `[x, y, z]`, `[cabinet, frame, board]`, `[x, y]`.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from spinnaker.geometry import Board, Chip
from spinnaker.places import Place

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""A moment, in UTC and whole seconds."""
Url = Annotated[str, Meta(extra_json_schema={"format": "uri"})]
Duration = float | Annotated[str, Meta(extra_json_schema={"format": "duration"})]
"""Seconds, or ISO 8601."""
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
WholeNumber = Annotated[int, Meta(ge=-(2**53), le=2**53)]


class Document(Struct, rename="kebab", omit_defaults=True, frozen=True):
    """What the server writes."""


class Form(Struct, rename="kebab", omit_defaults=True, frozen=True, forbid_unknown_fields=True):
    """What a client sends."""


# The service


class ServiceVersion(Document, frozen=True):
    """The version of this server."""

    major_version: int
    minor_version: int
    revision: int


class Root(Document, frozen=True):
    """What there is, and what a client must send with each request that changes something."""

    version: ServiceVersion
    jobs_ref: Url
    machines_ref: Url
    history_ref: Url
    usage_ref: Url
    groups_ref: Url
    csrf_header: str
    csrf_token: str
    account: str
    role: str
    login_ends: Time | None = None
    """When the token with which one has logged in ends, or what an issuer said."""


# Machines


class BoardOnMachine(Struct, frozen=True):
    """A board by all its coordinates; the place and the address of a dead board may not be known."""

    x: int
    y: int
    z: int
    cabinet: int | None
    frame: int | None
    board: int | None
    address: str | None


class LinkEnd(Struct, frozen=True):
    """One end of a link."""

    board: BoardOnMachine
    direction: str
    """`N`, `E`, `SE`, `S`, `W` or `NW`."""


Link = tuple[LinkEnd, LinkEnd]


class SetAside(Document, frozen=True):
    """A board that goes to no job until it is put back."""

    board: Board
    reason: str


class ReservationOnMachine(Document, frozen=True):
    """Boards that are reserved from a time to a time."""

    name: str
    begins: Time
    ends: Time
    owners: list[str]
    """Nobody if it is for maintenance."""
    reason: str
    ends_jobs: bool
    boards: list[Board]


class MachineInList(Document, frozen=True):
    """A machine; width and height are in triads."""

    name: str
    tags: list[str]
    uri: Url
    width: int
    height: int
    dead_boards: list[BoardOnMachine]
    dead_links: list[Link]
    set_aside_boards: list[SetAside]
    reservations: list[ReservationOnMachine]


class Machines(Document, frozen=True):
    """The machines, highest priority first."""

    machines: list[MachineInList]


class OneMachine(Document, frozen=True):
    """A machine; width and height are in triads."""

    name: str
    tags: list[str]
    width: int
    height: int
    down_boards: list[BoardOnMachine]
    down_links: list[Link]
    lookup_by_physical_board: Url
    lookup_by_logical_board: Url
    lookup_by_chip: Url
    lookup_by_address: Url
    set_aside_boards: list[SetAside]
    reservations: list[ReservationOnMachine]


class WhereIs(Document, frozen=True):
    """One chip in every coordinate."""

    chip: Chip
    logical_board_coordinates: Board
    machine: str
    machine_ref: Url
    board_chip: Chip
    """The chip of the machine at the board's (0, 0)."""
    physical_board_coordinates: Place
    job_id: int | None = None
    job_ref: Url | None = None
    job_chip: Chip | None = None
    """The chip's coordinate in the job that has the board."""
    machine_chip: Chip | None = None
    """The chip's coordinate in the machine, where `chip` is that in the job."""


# Jobs


class Dimensions(Form, frozen=True):
    """A rectangle of triads."""

    width: Annotated[int, Meta(ge=1, le=9999)]
    height: Annotated[int, Meta(ge=1, le=9999)]


class BoardChoice(Form, frozen=True):
    """One board: `x`, `y` and `z`; or `cabinet`, `frame` and `board`; or `address`."""

    x: Count | None = None
    y: Count | None = None
    z: Annotated[int, Meta(ge=0, le=2)] | None = None
    cabinet: Count | None = None
    frame: Count | None = None
    board: Count | None = None
    address: Name | None = None


class NewJob(Form, frozen=True):
    """What a job asks for; without `num-boards`, `dimensions` and `board`, one board."""

    keepalive_interval: Duration
    """30 to 300 seconds."""
    num_boards: float | None = None
    dimensions: Dimensions | None = None
    board: BoardChoice | None = None
    machine_name: Name | None = None
    tags: Annotated[list[Name], Meta(max_length=100)] | None = None
    max_dead_boards: Count | None = None
    group: Name | None = None
    nmpi_collab: Name | None = None
    nmpi_job_id: WholeNumber | Name | None = None
    owner: Name | None = None
    min_ratio: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    max_dead_links: Count | None = None
    require_torus: bool | None = None
    time_limit: Duration | None = None


class CreatedJob(Document, frozen=True):
    """The job that was created."""

    job_id: int
    job_ref: Url


class OriginalRequest(Struct, rename="kebab", frozen=True):
    """What a job asked for, with defaults filled in."""

    owner: str
    group: str | None
    nmpi_collab: str | None
    nmpi_job_id: int | str | None
    keepalive_interval: float | None
    """In seconds; a job of another protocol may have none."""
    num_boards: int | None
    dimensions: Dimensions | None
    board: BoardChoice | None
    machine_name: str | None
    tags: list[str] | None
    max_dead_boards: int | None
    """None for any number."""
    min_ratio: float
    max_dead_links: int | None
    require_torus: bool
    time_limit: float | None


class InQueue(Document, frozen=True):
    """Where a waiting job stands."""

    position: int
    """1 for the job that is considered first."""
    of: int
    """How many jobs wait."""
    reason: str
    """The position in words, and what the job waits for."""
    earliest_start: float | None = None
    """In how many seconds it is expected to start, at least."""
    latest_start: float | None = None
    """In how many seconds it is expected to start, at most."""


class JobTimes(Document, frozen=True):
    """How long a live job may have its boards, and is expected to; in seconds from now, but for the limit."""

    time_limit: float | None = None
    """In seconds from when it got its boards."""
    ends_in: float | None = None
    """When the server will end it."""
    why: str | None = None
    """The job's reason then."""
    expected_seconds: float | None = None
    """How long it is expected to have its boards from now on."""
    expected_by: str | None = None
    """What that follows from."""


class JobState(Document, frozen=True):
    """A job, for whoever may use it."""

    state: str
    """`QUEUED`, `POWER`, `READY` or `DESTROYED`."""
    owner: str
    start_time: Time
    """When it was created."""
    keepalive_ref: Url
    machine_ref: Url
    power_ref: Url
    chip_ref: Url
    original_request: OriginalRequest
    account: str | None = None
    group: str | None = None
    """The group that is charged for it."""
    finish_time: Time | None = None
    reason: str | None = None
    keepalive_host: str | None = None
    keep_alive_time: Time | None = None
    proxy_ref: Url | None = None
    power: str | None = None
    allocated_time: Time | None = None
    """When it got the boards that it has."""
    queue: InQueue | None = None
    times: JobTimes | None = None


class JobSummary(Document, frozen=True):
    """A job, as everybody who may look sees it."""

    job_id: int
    job_ref: Url
    state: str
    owner: str
    start_time: Time
    asked: str
    """What it asked for, in words."""
    account: str | None = None
    machine_name: str | None = None
    boards: list[Board] | None = None
    allocated_time: Time | None = None
    time_limit: float | None = None
    finish_time: Time | None = None
    yours: bool = False
    """Whether the one who asks may use it; then there are the fields that follow."""
    details: JobState | None = None
    machine: "MachineOfJob | None" = None


class Jobs(Document, frozen=True):
    """A page of jobs, newest first."""

    jobs: list[Url]
    details: list[JobSummary] | None = None
    prev: Url | None = None
    next: Url | None = None


class Group(Struct, rename="kebab", frozen=True):
    """A group that jobs may be charged to, in board-seconds."""

    name: str
    quota: float | None
    """None for no limit."""
    used: float
    """With what runs now."""
    left: float | None


class Groups(Document, frozen=True):
    """The groups that the jobs of whoever asks may be charged to."""

    groups: list[Group]
    default: str | None = None
    """The one that is charged for a job that names none, if the account has a default."""


class History(Document, frozen=True):
    """Jobs that have ended, those that ended last first."""

    jobs: list[JobSummary]


class Used(Document, frozen=True, omit_defaults=False):
    """What one owner, account, group or machine used within the period."""

    name: str | None
    """Null for jobs without an account or a group."""
    jobs: int
    """How many jobs had boards."""
    board_seconds: float


class Usage(
    Document,
    frozen=True,
    rename={
        "begins": "from",
        "ends": "to",
        "complete_since": "complete-since",
        "board_seconds": "board-seconds",
        "left_out": "left-out",
    },
):
    """Who used what within a period; jobs that have their boards still count up to now."""

    begins: Time
    ends: Time
    by: Literal["owner", "account", "group", "machine"]
    jobs: int
    """How many jobs had boards, all together."""
    board_seconds: float
    usage: list[Used]
    """Those that used most first."""
    account: str | None = None
    """Of whose jobs only; absent for all."""
    complete_since: Time | None = None
    """Of earlier allocations, some may be forgotten; absent if none is."""
    left_out: int = 0
    """How many more there are, which used less."""


class MachineOfJob(Document, frozen=True):
    """The boards of a job; width and height are in triads, chips are counted from the job's first board."""

    width: int
    height: int
    depth: int
    machine_name: str
    connections: list[tuple[Chip, str]]
    """The chip and the address of each board's Ethernet connection."""
    boards: list[Board]
    power: Url
    machine_ref: Url


class Power(Document, frozen=True):
    """Whether a job's boards are on."""

    power: Literal["ON", "OFF"]


class PowerWanted(Form, frozen=True):
    """Whether a job's boards are to be on; `ON` also resets boards that are on."""

    power: Literal["ON", "OFF", 0, 1]
    """0 is `OFF`, and 1 `ON`."""


class TimeLimit(Form, frozen=True):
    """How long a job may have its boards."""

    time_limit: Duration
    """In seconds from when it got them."""


class BoardOfReport(Form, frozen=True):
    """One board of a report: a machine, and `chip`, coordinates, place or address."""

    machine: Name | None = None
    chip: tuple[Count, Count] | None = None
    x: Count | None = None
    y: Count | None = None
    z: Count | None = None
    cabinet: Count | None = None
    frame: Count | None = None
    board: Count | None = None
    address: Name | None = None


class IssueReport(Form, frozen=True):
    """What is wrong with boards of a job."""

    issue: Annotated[str, Meta(max_length=1000)]
    boards: Annotated[list[BoardOfReport], Meta(min_length=1, max_length=100)]


class ReportedIssue(Document, frozen=True):
    """What was done about a report."""

    action: str


class Stop(Document, frozen=True):
    """Whether all jobs were ended, and none are taken."""

    stopped: bool
    reason: str | None = None
    ended_jobs: int | None = None
    """How many jobs were ended just now."""
    unrecorded: str | None = None
    """What is not on disk yet, though it is done, and what that means."""


class LoginRefused(Document, frozen=True):
    """Why nobody was logged in."""

    message: str
