"""Finds who logs in: what the caller says, the address, the configuration, `~/.netrc`, and the system's keyring.

What is said first counts. Nothing here sends or shows a password or a token.
"""

from __future__ import annotations

import os
import sys

from spalloc_client.address import Login
from spalloc_client.logs import log
from spalloc_client.surroundings import LOGIN_VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from spalloc_client.address import ServiceUrl

PARTS = ("username", "password", "token")
"""The options that say who logs in."""

_READABLE_BY_OTHERS = 0o044
TELL_BEFORE = 3600.0
"""Seconds before the end of a login from which on it is told."""


def chosen(url: ServiceUrl, given: Mapping[str, object], config: Mapping[str, object]) -> ServiceUrl:
    """Return the address with the login that was chosen for it.

    Args:
        url: The address, perhaps with a login.
        given: What a caller gave by name, or on the command line.
        config: What the environment and files say.
    """
    username: str | None = None
    for level in (_of(given), url.login, _of(config)):
        username = username or level.username
        if level.token is not None:
            return url.with_login(Login(username, None, level.token))
        if level.password is not None:
            return url.with_login(Login(username, level.password))
    return url.with_login(Login(username))


def _of(said: Mapping[str, object]) -> Login:
    return Login(*(None if said.get(name) is None else str(said[name]) for name in PARTS))


def found(url: ServiceUrl, environment: Mapping[str, str] | None = None) -> Login:
    """Return who logs in at an address, looking further if it does not say so; a part is missing if nobody is found."""
    variables = os.environ if environment is None else environment
    said = {name: variables.get(variable) or None for name, variable in LOGIN_VARIABLES.items()}
    login = chosen(url, {}, said).login
    if not login.is_whole:
        login = _of_netrc(url.host, login) or _of_keyring(url, login) or login
    return login


def _of_netrc(host: str, login: Login) -> Login | None:
    """Look in `~/.netrc`, or where `NETRC` says."""
    filename = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")  # noqa: PTH111
    if not os.path.isfile(filename):  # noqa: PTH113
        return None
    from netrc import NetrcParseError, netrc

    try:
        entry = netrc(filename).authenticators(host)
    except (NetrcParseError, OSError, UnicodeDecodeError) as error:
        why = getattr(error, "msg", None) or getattr(error, "strerror", None) or "it is no text"
        log("config", f"{filename} is passed over, it can't be read: {why}", warning=True)
        return None
    if entry is None or not entry[2] or login.username not in (None, entry[0]):
        return None
    warn_if_readable(filename)
    return Login(entry[0], entry[2])


def _of_keyring(url: ServiceUrl, login: Login) -> Login | None:
    """Ask the system's keyring, if the package `keyring` is installed."""
    from importlib import import_module
    from importlib.util import find_spec

    if find_spec("keyring") is None:
        return None
    try:
        keyring = import_module("keyring")
        known = keyring.get_credential(str(url), login.username)
    except Exception as error:  # noqa: BLE001  # those of any system's keyring
        log("config", f"the keyring is passed over: {str(error) or type(error).__name__}", warning=True)
        return None
    return None if known is None else Login(known.username, known.password)


def warn_if_readable(filename: str) -> None:
    """Warn of a file with a password or a token that other users can read."""
    if sys.platform == "win32":
        return
    try:
        mode = os.stat(filename).st_mode  # noqa: PTH116
    except OSError:
        return
    if mode & _READABLE_BY_OTHERS:
        log(
            "config",
            f"{filename} holds a password or a token, and others can read it: chmod 600 {filename}",
            warning=True,
        )


def warn_of_arguments(given: Mapping[str, object], of_url: Login | None) -> None:
    """Warn of a password or a token on the command line.

    Args:
        given: The parts of a login that are there.
        of_url: Who a URL names that is there.
    """
    names = [f"--{name}" for name in ("password", "token") if given.get(name) is not None]
    if of_url is not None and of_url.password is not None:
        names.append("the URL's password")
    if names:
        log(
            "config",
            f"other users of this computer can see {' and '.join(names)} among the arguments of programs; "
            "SPALLOC_PASSWORD, SPALLOC_TOKEN and files are not seen",
            warning=True,
        )


def end_of(token: str) -> float | None:
    """Return when a token ends, in seconds since 1970; None if it does not tell.

    Tokens of OpenID Connect are often JSON Web Tokens (RFC 7519), which say when they expire.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    import json
    from base64 import urlsafe_b64decode

    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def warning_of_end(left: float) -> str:
    """Return what to say of a login by the seconds that are left to it."""
    if left <= 0:
        return "the token has expired: get another one"
    minutes = max(1, int(left // 60))
    when = f"{minutes} minute{'' if minutes == 1 else 's'}"
    return f"the token expires in {when}: jobs that are kept alive by it end then; get another one"
