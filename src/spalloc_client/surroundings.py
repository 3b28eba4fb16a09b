"""The variables of the environment that say who logs in, and the environment that other programs get: without them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LOGIN_VARIABLES = {"username": "SPALLOC_USER", "password": "SPALLOC_PASSWORD", "token": "SPALLOC_TOKEN"}
"""Options, and the variables that win over what files say of them."""

_SECRETS = (LOGIN_VARIABLES["password"], LOGIN_VARIABLES["token"])
_SERVER = "SPALLOC_SERVER_HOSTNAME"
"""The variable with the server's name, which may be a URL with a login."""


def without_secrets() -> Mapping[str, str]:
    """Return the environment of this process without passwords and tokens."""
    server = os.environ.get(_SERVER, "")
    if "@" not in server and not any(name in os.environ for name in _SECRETS):
        return os.environ
    passed = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    if "@" in server:
        from spalloc_client.address import hidden

        passed[_SERVER] = hidden(server)
    return passed
