"""What a caller and the configuration together ask of a job, checked before anything is sent.

Arguments win over configuration files, files over defaults. Reading the files is config.py's subject, what
single values may be checks.py's.
"""

from __future__ import annotations

from spalloc_client import checks
from spalloc_client.config import DEFAULT_CONFIG, USER_CONFIG_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal, TypeAlias

    from spalloc_client.config import Config
    from spalloc_client.wire import Json

USE_CONFIG: Literal["USE_CONFIG"] = "USE_CONFIG"
"""An argument that was not given: the configuration says."""

UseConfig: TypeAlias = "Literal['USE_CONFIG']"


_USUAL_RATIO = float(DEFAULT_CONFIG["min_ratio"])


class Requirements:
    """Where to ask, how long to wait, and what for. Built by `gather`, with every value checked."""

    __slots__ = (
        "args",
        "hostname",
        "ignore_version",
        "keepalive",
        "kwargs",
        "port",
        "reconnect_delay",
        "resume_job_id",
        "timeout",
    )

    def __init__(
        self,
        *,
        hostname: str,
        port: int,
        timeout: float | None,
        reconnect_delay: float,
        ignore_version: bool,
        resume_job_id: int | None,
        keepalive: float | None,
        args: tuple[int, ...],
        kwargs: Mapping[str, Json],
    ) -> None:
        self.hostname = hostname
        self.port = port
        self.timeout = timeout
        """Seconds to wait for a reply."""
        self.reconnect_delay = reconnect_delay
        """Seconds between attempts to reconnect."""
        self.ignore_version = ignore_version
        self.resume_job_id = resume_job_id
        """The job to take on, or None to create one."""
        self.keepalive = keepalive
        """Seconds; of a job to be created."""
        self.args = args
        """What `create_job` takes by position."""
        self.kwargs = kwargs
        """What `create_job` takes by name."""


def gather(
    args: Sequence[object], given: Mapping[str, object], config: Config, resume_job_id: object = None
) -> Requirements:
    """Merge arguments with the configuration, and check everything.

    Args:
        args: Positional arguments: the boards.
        given: Keyword arguments; those that are `USE_CONFIG` were not given.
        config: What files and defaults say.
        resume_job_id: The job to take on instead of creating one; requirements are not looked at then.

    Raises:
        ValueError: Something is missing or not allowed; the message names it, its value and what is allowed.
    """
    said = _Said(given, config)
    hostname = said["hostname"]
    if hostname is None:
        raise ValueError(
            f"A hostname must be specified: give hostname=..., or put it in a file such as {USER_CONFIG_FILE}"
        )
    resumed = None
    if resume_job_id is not None:
        resumed = checks.whole_number(
            "resume_job_id", resume_job_id, 1, None, "a job's ID, 1 or more, or None"
        )
    name, port = checks.server(hostname)
    keepalive = None
    shape: tuple[int, ...] = ()
    wishes: Mapping[str, Json] = {}
    if resumed is None:
        shape = check_shape(args)
        keepalive = checks.keepalive(said["keepalive"])
        wishes = _wishes(said, keepalive, shape, given)
    return Requirements(
        hostname=name,
        port=checks.port(said["port"]) if port is None else port,
        timeout=checks.timeout(said["timeout"]),
        reconnect_delay=checks.reconnect_delay(said["reconnect_delay"]),
        ignore_version=checks.flag("ignore_version", said["ignore_version"]),
        resume_job_id=resumed,
        keepalive=keepalive,
        args=shape,
        kwargs=wishes,
    )


class _Said(dict[str, object]):
    """Arguments, and what the configuration says in place of those that were left out, when it is asked for."""

    def __init__(self, given: Mapping[str, object], config: Config) -> None:
        super().__init__((name, value) for name, value in given.items() if not _left_open(value))
        self._config: Mapping[str, object] = config

    def __missing__(self, name: str) -> object:
        return self._config[name]


def check_shape(args: Sequence[object]) -> tuple[int, ...]:
    """Check the boards asked for: nothing, `n` boards, `w, h` triads, or the board `x, y, z`.

    Raises:
        ValueError: They are none of these.
    """
    names: tuple[str, ...]
    if len(args) <= 1:
        names, lowest = ("number of boards",), 1
    elif len(args) == 2:
        names, lowest = ("width in triads", "height in triads"), 1
    elif len(args) == 3:
        names, lowest = ("x", "y", "z"), 0
    else:
        raise ValueError(
            f"{len(args)} positional arguments were given; a job takes none (one board), one (a number of "
            "boards), two (width and height in triads) or three (a board's x, y and z)"
        )
    return tuple(
        checks.whole_number(name, value, lowest, 2 if name == "z" else None, _allowed(name, lowest))
        for name, value in zip(names, args, strict=False)
    )


def _allowed(name: str, lowest: int) -> str:
    return "0, 1 or 2" if name == "z" else f"a whole number, {lowest} or more"


def _wishes(
    said: Mapping[str, object], keepalive: float | None, shape: tuple[int, ...], given: Mapping[str, object]
) -> dict[str, Json]:
    if said["owner"] is None:
        raise ValueError(
            f"An owner must be specified: give owner=..., or put it in a file such as {USER_CONFIG_FILE}"
        )
    owner = checks.owner(said["owner"])
    machine = checks.machine(said["machine"])
    tags = checks.tags(said["tags"])
    if machine is not None and tags is not None:
        raise ValueError(
            f"Only one of tags and machine may be specified: machine is {machine!r}"
            f"{_origin('machine', given)} and tags is {tags!r}{_origin('tags', given)}; give None for one of them"
        )
    require_torus = said["require_torus"] is not None and checks.flag("require_torus", said["require_torus"])
    if require_torus and (not shape or shape == (1,) or len(shape) == 3):
        raise ValueError(
            f"require_torus is True{_origin('require_torus', given)}; it must be False for a single board, "
            "which has no wrap-around links"
        )
    return {
        "owner": owner,
        "keepalive": keepalive,
        "machine": machine,
        "tags": tags,
        "min_ratio": _USUAL_RATIO if said["min_ratio"] is None else checks.min_ratio(said["min_ratio"]),
        "max_dead_boards": checks.dead_boards(said["max_dead_boards"]),
        "max_dead_links": checks.dead_links(said["max_dead_links"]),
        "require_torus": require_torus,
    }


def _origin(name: str, given: Mapping[str, object]) -> str:
    return " (from configuration)" if _left_open(given.get(name, USE_CONFIG)) else ""


def _left_open(value: object) -> bool:
    return isinstance(value, str) and value == USE_CONFIG
