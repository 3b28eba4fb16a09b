"""Combines what a caller and the configuration ask of a job, and checks it before anything is sent.

Arguments take precedence over configuration files, and files over defaults. config.py reads the files; options.py
says which options there are and which values they take.
"""

from __future__ import annotations

from spalloc_client import checks
from spalloc_client.config import USER_CONFIG_FILE
from spalloc_client.options import BY_NAME, OPTIONS, USE_CONFIG, closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from spalloc_client.options import Config
    from spalloc_client.wire import Json


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
        """The server's name or address, or the URL of a service, with who logs in there."""
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

    @property
    def is_for_service(self) -> bool:
        """Whether the server is a service that speaks HTTP."""
        return checks.is_url(self.hostname)

    @property
    def server(self) -> str:
        """What to call the server in messages."""
        return checks.server_name(self.hostname, self.port)

    @property
    def known_owner(self) -> str | None:
        """Who owns the job that is created; None if only the service knows."""
        owner = None if self.is_for_service else self.kwargs.get("owner")
        return None if owner is None else str(owner)


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
        TypeError: There is no such keyword.
    """
    for name in given:
        if name not in BY_NAME:
            raise TypeError(f"Job() got an unexpected keyword argument {name!r}{closest(name)}")
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
    if checks.is_url(name):
        name = _with_login(name, given, config)
    shape = () if resumed is not None else check_shape(args)
    kwargs = {} if resumed is not None else _kwargs(said, shape, given, by_login=checks.is_url(name))

    def own(option: str) -> Any:
        return BY_NAME[option].of_caller(said[option])

    return Requirements(
        hostname=name,
        port=own("port") if port is None else port,
        timeout=own("timeout"),
        reconnect_delay=own("reconnect_delay"),
        # Of a service, the version says nothing: it is seen from what it answers whether it is one.
        ignore_version=own("ignore_version") or checks.is_url(name),
        resume_job_id=resumed,
        keepalive=kwargs.get("keepalive"),
        args=shape,
        kwargs=kwargs,
    )


def _with_login(url: str, given: Mapping[str, object], config: Config) -> str:
    from spalloc_client.address import ServiceUrl
    from spalloc_client.https.login import PARTS, chosen

    by_caller = {
        name: BY_NAME[name].of_caller(given[name])
        for name in PARTS
        if name in given and not _left_open(given[name])
    }
    values: Mapping[str, object] = config
    return chosen(ServiceUrl.read("hostname", url), by_caller, {name: values[name] for name in PARTS})


class _Said(dict[str, object]):
    """Arguments; those left out are read from the configuration when they are needed."""

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


def _kwargs(
    said: Mapping[str, object], shape: tuple[int, ...], given: Mapping[str, object], *, by_login: bool
) -> dict[str, Any]:
    """Return the arguments of `create_job` by name."""
    if said["owner"] is None and not by_login:
        raise ValueError(
            f"An owner must be specified: give owner=..., or put it in a file such as {USER_CONFIG_FILE}"
        )
    asked = {
        option.name: option.of_caller(said[option.name])
        for option in OPTIONS
        if option.is_requirement and not (option.name == "owner" and said["owner"] is None)
    }
    machine, tags = asked["machine"], asked["tags"]
    if machine is not None and tags is not None:
        raise ValueError(
            f"Only one of tags and machine may be specified: machine is {machine!r}"
            f"{_origin('machine', given)} and tags is {tags!r}{_origin('tags', given)}; give None for one of them"
        )
    if asked["require_torus"] and (not shape or shape == (1,) or len(shape) == 3):
        raise ValueError(
            f"require_torus is True{_origin('require_torus', given)}; it must be False for a single board, "
            "which has no wrap-around links"
        )
    return {
        name: value
        for name, value in asked.items()
        if value is not None or not BY_NAME[name].none_is_not_sent
    }


def _origin(name: str, given: Mapping[str, object]) -> str:
    return " (from configuration)" if _left_open(given.get(name, USE_CONFIG)) else ""


def _left_open(value: object) -> bool:
    return isinstance(value, str) and value == USE_CONFIG
