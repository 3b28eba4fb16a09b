"""By which issuer people log in, and what its word gives: `[http.openid]`.

fronts/http/openid.py says what the settings mean, fronts/http/sso/ does it.
"""

import ssl
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from spalloc_server.config.files import FileError, read_text
from spalloc_server.config.kinds import a_duration, a_file, a_flag, a_string, a_string_that, list_of
from spalloc_server.config.mistakes import shown
from spalloc_server.config.reading import Entry, Kind, Table
from spalloc_server.core.accounts import LONGEST_NAME, name_flaw
from spalloc_server.core.askers import Role
from spalloc_server.fronts.http.openid import ALGORITHMS, GroupRule, OpenId, Pattern, RoleRule, is_address

LARGEST_SECRET_BYTES = 4096
_NOBODY = "none"
"""The role of those who are refused."""
_ROLES = " or ".join(shown(role.value) for role in Role)

_an_issuer = a_string_that(
    'an address with https, such as "https://issuer.example/realm"',
    lambda value: value if is_address(value) and "?" not in value else None,
)
_a_claim = a_string_that(
    "the name of a claim", lambda value: value if value.strip(".") and value.isprintable() else None
)
_an_algorithm = a_string_that(
    " or ".join(map(shown, ALGORITHMS)), lambda value: value if value in ALGORITHMS else None
)
_a_role = a_string_that(_ROLES, Role)
_a_pattern = a_string_that('a value, with at most one * for any characters, such as "team-*"', Pattern.read)
_a_prefix = a_string_that(
    f"what names of accounts may begin with, at most {LONGEST_NAME // 2} characters, or an empty string",
    lambda value: value if len(value) <= LONGEST_NAME // 2 and not name_flaw(f"{value}x") else None,
)
_a_scope = a_string_that(
    'a scope, such as "profile"',
    lambda value: value if value and value.isascii() and value.isprintable() and " " not in value else None,
)
_strings = list_of(a_string, "strings")
_quota = a_duration("board-seconds")
_SETTINGS: Mapping[str, Kind[object]] = {
    "title": a_string,
    "scopes": list_of(_a_scope, "scopes"),
    "audience": _strings,
    "clients": _strings,
    "algorithms": list_of(_an_algorithm, "algorithms"),
    "hosts": _strings,
    "prefix": _a_prefix,
    "name": _a_claim,
    "session_hours": a_duration("hours", above=0.0),
}


def read_openid(table: Table, folder: Path) -> OpenId | None:
    """Return what the table says, and note what is wrong with it; None if the issuer is missing or wrong.

    Args:
        table: The table.
        folder: What paths in it are relative to.
    """
    before = len(table.mistakes.found)
    file = a_file(folder)
    issuer = table.need("issuer", _an_issuer, 'its address, such as "https://issuer.example/realm"')
    client = table.need("client", a_string, "the name by which the issuer knows this server")
    secret = table.take("secret", file, None)
    authority = table.take("authority", file, None)
    roles = tuple(_role(one) for one in table.tables("roles"))
    default = table.take("role", _role_or_nobody, Role.USER)
    settings = table.fill(OpenId(issuer=issuer or "", client=client or ""), _SETTINGS)
    groups = tuple(_group(one, settings.prefix) for one in table.tables("groups"))
    table.finish()
    if len(table.mistakes.found) > before:
        return None
    found = replace(
        settings,
        secret=None if secret is None else _secret(table, secret),
        authority=authority,
        role=None if default == _NOBODY else Role(default),
        roles=tuple(one for one in roles if one is not None),
        groups=tuple(one for one in groups if one is not None),
    )
    _check_together(table, found)
    return found


def _role_or_nobody(entry: Entry) -> Role | str | None:
    return _NOBODY if entry.value == _NOBODY else _a_role(entry)


def _role(table: Table) -> RoleRule | None:
    claim = table.need("claim", _a_claim, "the name of a claim")
    match = table.need("match", list_of(_a_pattern, "values"), "a list of values")
    role = table.need("role", _a_role, _ROLES)
    table.finish()
    return None if claim is None or match is None or role is None else RoleRule(claim, match, role)


def _group(table: Table, prefix: str) -> GroupRule | None:
    claim = table.need("claim", _a_claim, "the name of a claim")
    match = table.need("match", list_of(_a_pattern, "values"), "a list of values")
    name = table.take("name", _a_pattern, Pattern(prefix, ""))
    quota = table.take("quota", _quota, None)
    makes = table.take("make", a_flag, False)
    table.finish()
    if claim is None or match is None:
        return None
    if quota is not None and not makes:
        table.mistakes.add(
            table.path, "has a quota, but no groups are made by it; add make = true, or remove the quota"
        )
    if any(one.after is None for one in match) and name.after is not None:
        table.mistakes.add(
            table.path,
            "has a value without * in match, so which group it means is not said; give name, without *",
        )
    return GroupRule(claim, match, name, quota, makes)


def _secret(table: Table, path: Path) -> str | None:
    """Return the secret in a file."""
    where = (*table.path, "secret")
    try:
        lines = read_text(path, LARGEST_SECRET_BYTES).text.split("\n")
        others = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    except (FileError, OSError) as error:
        table.mistakes.add(where, f"can't be used: {path}: {error}")
        return None
    secret = lines[0].strip()
    if not secret or any(line.strip() for line in lines[1:]) or not secret.isprintable():
        table.mistakes.add(where, f"can't be used: {path} must have one line, with the secret")
        return None
    if others & stat.S_IRWXO:
        table.mistakes.add(
            where,
            f"can't be used: everybody on this computer may read or change {path}; type: chmod 640 {path}",
        )
    return secret


def _check_together(table: Table, found: OpenId) -> None:
    add = table.mistakes.add
    if "openid" not in found.scopes:
        add((*table.path, "scopes"), 'lacks "openid"; without it the issuer does not say who has logged in')
    if not found.audiences and not found.clients:
        add(
            (*table.path, "audience"),
            "is empty, so tokens that any program has from the issuer would be let in; give clients, the names of "
            "programs whose users may come, or remove audience",
        )
    if not found.algorithms:
        add((*table.path, "algorithms"), "is empty; give one, or remove it to allow them all")
    if found.authority is not None:
        try:
            ssl.create_default_context(cafile=found.authority)
        except OSError as error:
            add((*table.path, "authority"), f"can't be used: {found.authority}: {error.strerror or error}")
