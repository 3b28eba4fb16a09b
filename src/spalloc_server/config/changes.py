"""What differs between two configurations, and which changes need a restart.

Only compares: service.py and operation/running.py apply the changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING

from spalloc_server.config.mistakes import shown
from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.core.limits import TimeLimits
from spalloc_server.core.networks import NetworkNames, Networks

if TYPE_CHECKING:
    from spalloc_server.fronts.http.settings import HttpSettings

_IN_THE_FILE = {
    "v1.addresses": "v1.listen",
    "metrics.addresses": "metrics.listen",
    "http.addresses": "http.listen",
    "v1_limits": "v1.limits",
    "state": "state.file",
    "control": "control.socket",
    "job_limits": "jobs",
    "time_limits": "jobs",
    "jobs.of_tags": "jobs.tags",
    "jobs.of_machines": "the machines' time limits",
    "shares": "fair_share",
    "fair_share.priority_of_owners": "priority.owners",
    "fair_share.priority_of_tags": "priority.tags",
    "fair_share.priority_of_accounts": "priority.accounts",
    "fair_share.priority_of_groups": "priority.groups",
    "log_level": "log.level",
}
"""What the file calls the settings that have another name in `Configuration`."""

_TABLES = ("http.limits", "http.openid")
"""The tables in other tables whose settings are compared one by one."""
_SECRETS = ("http.openid.secret",)
"""The settings whose values are not told."""
_OF_A_RESERVATION = {"begins": "from", "ends": "to", "machines": "machine", "tags": "tag"}


def needs_restart(started_with: Configuration, now: Configuration) -> list[str]:
    """Return the settings whose change takes effect only after a restart, as the file names them.

    Args:
        started_with: The configuration that the server was started with: these settings are still as it says, whatever
            was loaded since.
        now: The configuration that is loaded now.
    """
    settings = {
        "v1.listen": (started_with.v1.addresses, now.v1.addresses),
        "v1.port": (started_with.v1.port, now.v1.port),
        "metrics": (_endpoint(started_with.metrics), _endpoint(now.metrics)),
        "state.file": (started_with.state, now.state),
        **_of_http(started_with.http, now.http),
        "control.socket": (started_with.control_socket, now.control_socket),
    }
    return [name for name, (old, new) in settings.items() if old != new]


def forgets(before: Configuration, after: Configuration) -> bool:
    """Return whether ended jobs will be dropped that would have stayed in the records before."""
    return any(
        getattr(after.history, field.name) < getattr(before.history, field.name)
        for field in fields(after.history)
    )


def differences(before: Configuration, after: Configuration) -> list[str]:
    """Return what is different, one sentence for each setting or machine, in the file's words."""
    return [*_machines(before, after), *_reservations(before, after), *_settings("", before, after)]


def _machines(before: Configuration, after: Configuration) -> Iterator[str]:
    old = {machine.name: machine for machine in before.machines}
    new = {machine.name: machine for machine in after.machines}
    for name in old.keys() - new.keys():
        yield f'machine "{name}" is gone'
    for name, machine in new.items():
        if name not in old:
            yield f'machine "{name}" is new'
        elif machine != old[name]:
            changed = [
                field.name
                for field in fields(machine)
                if field.compare and getattr(machine, field.name) != getattr(old[name], field.name)
            ]
            yield f'machine "{name}" has different {", ".join(changed)}'
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield "the order of the machines is different"


def _reservations(before: Configuration, after: Configuration) -> Iterator[str]:
    old = {one.name: one for one in before.reservations}
    new = {one.name: one for one in after.reservations}
    for name in old.keys() - new.keys():
        yield f'reservation "{name}" is gone'
    for name, reservation in new.items():
        if name not in old:
            yield f'reservation "{name}" is new'
        elif reservation != old[name]:
            changed = [
                _OF_A_RESERVATION.get(field.name, field.name)
                for field in fields(reservation)
                if getattr(reservation, field.name) != getattr(old[name], field.name)
            ]
            yield f'reservation "{name}" has different {", ".join(changed)}'


def _settings(path: str, before: object, after: object) -> Iterator[str]:
    for field in fields(before):  # type: ignore[arg-type]
        if field.name in ("machines", "reservations"):
            continue
        inner = f"{path}.{field.name}" if path else field.name
        name = _IN_THE_FILE.get(inner, inner)
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new:
            continue
        if type(old) is type(new) and is_dataclass(old) and inner in (field.name, *_TABLES):
            yield from _settings(name, old, new)
        elif inner in ("http", "http.openid"):
            yield f"{inner} is new" if old is None else f"{inner} is gone"
        elif inner in _SECRETS:
            yield f"{inner} is another"
        else:
            yield f"{name} is {_written(new)}, was {_written(old)}"


def _written(value: object) -> str:
    match value:
        case None:
            return "none"
        case Enum():
            return shown(value.value)
        case tuple():
            return f"[{', '.join(map(_written, value))}]"
        case frozenset():
            return f"[{', '.join(sorted(map(_written, value)))}]"
        case TimeLimits():
            return f"default {_written(value.default)}, longest {_written(value.longest)}"
        case Mapping():
            return "; ".join(f"{shown(name)}: {_written(inner)}" for name, inner in value.items()) or "none"
        case Networks() | NetworkNames():
            return f"[{value}]"
        case Listening():
            return f"{_written(value.addresses)} port {value.port}, allow {_written(value.allow)}"
        case _ if is_dataclass(value):
            return f"[{value}]"
        case _:
            return shown(value)


def _of_http(
    started_with: "HttpSettings | None", now: "HttpSettings | None"
) -> dict[str, tuple[object, object]]:
    if started_with is None or now is None:
        return {"http": (started_with is None, now is None)}
    names = {"addresses": "listen", "port": "port", "socket": "socket", "base": "base"}
    return {
        f"http.{name}": (getattr(started_with, attribute), getattr(now, attribute))
        for attribute, name in names.items()
    }


def _endpoint(listening: Listening | None) -> object:
    return None if listening is None else (listening.addresses, listening.port)
