"""From the text of a configuration to its values, or to one report of all its mistakes.

The whole document and its tables, except those of machines and reservations, which are read in modules of their own.
Every key is described in docs/reference/configuration.md.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spalloc_server.config.files import FileError, read_text
from spalloc_server.config.kinds import (
    a_duration,
    a_file,
    a_host,
    a_port,
    a_time_limit,
    accounts_of_networks,
    list_of,
    networks,
    one_of,
    true_or_false,
    whole_number,
)
from spalloc_server.config.limits import read_limits
from spalloc_server.config.lines import lines_of
from spalloc_server.config.machines import CARE, read_machines
from spalloc_server.config.mistakes import ConfigurationError, Mistake, Mistakes
from spalloc_server.config.reading import Kind, Table
from spalloc_server.config.reservations import read_reservations
from spalloc_server.config.settings import (
    DEFAULT_METRICS_PORT,
    LOOPBACK,
    Audit,
    Configuration,
    History,
    Level,
    Listening,
    Usage,
)
from spalloc_server.config.shares import read_shares
from spalloc_server.core.admission import Control, JobLimits, Trust
from spalloc_server.core.groups import GroupRules
from spalloc_server.core.machine import Machine
from spalloc_server.fronts.v1.limits import Limits
from spinnaker.geometry import Size

if TYPE_CHECKING:
    from spalloc_server.fronts.http.settings import HttpSettings

_COUNT = whole_number(1, 1_000_000)
_SECONDS = a_duration("seconds", above=0.0)
_LISTENING: Mapping[str, Kind[object]] = {"port": a_port, "allow": networks}
_LIMITS: Mapping[str, Kind[object]] = {
    "connections": _COUNT,
    "connections_from_one_address": _COUNT,
    "ipv6_prefix": whole_number(1, 128),
    "memory_bytes": whole_number(1024**2, 1024**4),
    "request_bytes": whole_number(1024, 16 * 1024**2),
    "first_request_seconds": _SECONDS,
    "idle_seconds": _SECONDS,
    "slow_reader_seconds": _SECONDS,
}
_HISTORY: Mapping[str, Kind[object]] = {
    "days": a_duration("days"),
    "jobs": whole_number(1, 1_000_000_000),
    "megabytes": _COUNT,
}
_USAGE: Mapping[str, Kind[object]] = {
    "days": a_duration("days"),
    "charges": whole_number(1, 1_000_000_000),
}
_AUDIT: Mapping[str, Kind[object]] = {
    "days": a_duration("days"),
    "entries": whole_number(1, 1_000_000_000),
}
_JOB_LIMITS: Mapping[str, Kind[object]] = {field.name: _COUNT for field in fields(JobLimits)}
_TRUST: Mapping[str, Kind[object]] = {
    "control": one_of(Control),
    "administrators": networks,
    "accounts": accounts_of_networks,
}
_GROUPS: Mapping[str, Kind[object]] = {"required": true_or_false, "quota_warning": a_time_limit}

Changes = Sequence[tuple[tuple[str, ...], object]]
"""Values to read instead of those of a document: each with the keys that lead to it, through tables."""

_LARGEST_FILE_BYTES = 16_000_000
_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_OLD_CONFIGURATION = re.compile(r"^\s*configuration\s*=\s*Configuration\s*\(", re.MULTILINE)


def load(path: Path, changes: Changes = ()) -> Configuration:
    """Return what the file at `path` says; paths in it are relative to its folder.

    Args:
        path: Where it is.
        changes: What is read instead of some of its values.

    Raises:
        ConfigurationError: It can't be read, or anything is wrong with it.
    """
    name = str(path)
    try:
        file = read_text(path, _LARGEST_FILE_BYTES)
    except FileError as error:
        raise ConfigurationError(name, [Mistake(name, error.line, str(error))]) from error
    try:
        return parse(file.text, name, path.absolute().parent, changes)
    except ConfigurationError as error:
        raise ConfigurationError(name, error.mistakes, (*file.notes, *error.notes)) from error


def parse(text: str, name: str, folder: Path, changes: Changes = ()) -> Configuration:
    """Return what a configuration's text says.

    Args:
        text: The text, in TOML.
        name: What its file is called in reports.
        folder: What paths in it are relative to.
        changes: What is read instead of some of its values.

    Raises:
        ConfigurationError: Anything is wrong with it.
    """
    try:
        return _read(text, name, folder, changes)
    except RecursionError as error:
        raise ConfigurationError(
            name, [Mistake(name, 1, "the file has arrays or tables that are nested too deeply")]
        ) from error


def default_state(path: Path, folder: Path) -> Path:
    """Return where a configuration's server keeps its records by default: beside the configuration."""
    return folder / f"{path.stem}.state"


def _read(text: str, name: str, folder: Path, changes: Changes) -> Configuration:
    try:
        values = tomllib.loads(text)
    except ValueError as error:
        # Most are tomllib's own errors, but a number of thousands of digits is refused by Python itself.
        raise ConfigurationError(name, [_not_toml(name, text, str(error))]) from error
    # The lines of values are needed only if one is wrong: finding them takes as long as reading the values.
    mistakes = Mistakes(name, lambda: lines_of(text))
    for keys, value in changes:
        _change(values, keys, value, mistakes)
    document = Table(values, (), mistakes)
    if not document.has("machine"):
        # The machines may have been lost: a site without any must say so.
        lack = "has no machine" if text.strip() else "is empty"
        mistakes.add(
            (), f"{lack}; expected [[machine]] tables, or the line machine = [] for a server without machines"
        )
    v1, metrics, state = document.table("v1"), document.table("metrics"), document.table("state")
    control, log, file = document.table("control"), document.table("log"), a_file(folder)
    care = document.table("boards").whole(Machine("", Size(1, 1)), CARE)
    jobs, tables = document.table("jobs"), document.tables("machine")
    # First, since reading a machine ends with noting the settings that nobody has taken.
    time_limits = read_limits(jobs, tables)
    before = len(mistakes.found)
    machines = read_machines(tables, folder, care)
    known = None if len(mistakes.found) > before else machines
    configuration = Configuration(
        machines=machines,
        reservations=read_reservations(document.tables("reservation"), known),
        v1_limits=v1.table("limits").whole(Limits(), _LIMITS),
        v1=_listening(v1, Configuration(None).v1),
        metrics=_listening(metrics, Listening(DEFAULT_METRICS_PORT)) if document.has("metrics") else None,
        http=_http(document, folder),
        state=state.take("file", file, default_state(Path(name), folder)),
        control=control.take("socket", file, None),
        history=document.table("history").whole(History(), _HISTORY),
        usage=document.table("usage").whole(Usage(), _USAGE),
        audit=document.table("audit").whole(Audit(), _AUDIT),
        job_limits=jobs.whole(JobLimits(), _JOB_LIMITS),
        time_limits=time_limits,
        shares=read_shares(document.table("fair_share"), document.table("priority")),
        groups=document.table("groups").whole(GroupRules(), _GROUPS),
        trust=document.table("trust").whole(Trust(), _TRUST),
        log_level=log.take("level", one_of(Level), Level.INFO),
    )
    for table in (state, control, log, document):
        table.finish()
    if mistakes.found:
        raise ConfigurationError(name, mistakes.found, mistakes.notes)
    return configuration


def _http(document: Table, folder: Path) -> "HttpSettings | None":
    table = document.table("http")
    if not document.has("http"):
        return None
    # Only now: servers without HTTP need none of this.
    from spalloc_server.config.http import read_http

    return read_http(table, folder)


def _change(values: dict[str, object], keys: tuple[str, ...], value: object, mistakes: Mistakes) -> None:
    """Put a value in its place, with the tables around it; what stands there and is no table is a mistake."""
    *tables, last = keys
    for at, key in enumerate(tables, 1):
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            mistakes.add(keys[:at], f"is no table, so {last} can't be set in it")
            return
        values = inner
    values[last] = value


def _listening(table: Table, default: Listening) -> Listening:
    """Return where a front listens, and note the keys of its table that nobody has taken."""
    addresses = table.take("listen", list_of(a_host, "addresses"), default.addresses)
    if table.has("listen") and not addresses and table.values["listen"] == []:
        table.entry("listen").wrong(f'at least one address, such as ["{LOOPBACK}"]')
    return replace(table.whole(default, _LISTENING), addresses=addresses)


def _not_toml(name: str, text: str, message: str) -> Mistake:
    if _OLD_CONFIGURATION.search(text):
        return Mistake(
            name,
            1,
            "the file is a configuration of the 2023 server; make a TOML file of it with: spalloc-server convert",
        )
    where = _WHERE.search(message)
    line = text.count("\n") + 1
    if where is not None:
        message = message[: where.start()]
        if where["line"] is not None:
            line = int(where["line"])
    return Mistake(name, line, f"the file is not valid TOML: {message[:1].lower()}{message[1:]}")
