"""The client of services that speak HTTP, such as that of Manchester, and this project's server over HTTPS.

`https://HOST/spalloc/` can stand wherever a server's name can. ProtocolClient then has a connection of this package in
place of a v1 one; whatever uses a ProtocolClient does not know the difference. From below:

- ../address.py has the address, and login.py finds who one is.
- session.py logs in and sends single requests; translation.py has the commands of v1 in terms of them, documents.py
  what is answered, and watching.py what is a change. All this is steps without I/O.
- transport.py sends requests with httpcore, service.py does the steps with it in an event loop, and beside.py does the
  same for blocking programs.

Nothing of it is imported for a server of v1, and httpcore by transport.py alone.
"""

from __future__ import annotations

import os

from spalloc_client.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client.https.session import Session

_sessions: dict[tuple[object, ...], Session] = {}
"""The sessions of this process: whoever logs in alike shares one, since services check passwords slowly, on purpose."""


def session_for(hostname: str) -> Session:
    """Return a session with the service at an address, which begins when it is first used.

    Raises:
        ConfigError: What speaks HTTP is not installed.
    """
    from importlib.util import find_spec

    from spalloc_client.address import ServiceUrl

    url = ServiceUrl.read("hostname", hostname)
    if find_spec("httpcore") is None:
        raise ConfigError(
            f"{url} is spoken to over HTTP, and the libraries for that are not installed: "
            "pip install 'spalloc[https]'"
        )
    from spalloc_client.https.login import found
    from spalloc_client.https.session import Session

    login = url.login
    key = (os.getpid(), str(url), login.username, login.password, login.token)
    if key not in _sessions:
        _sessions[key] = Session(url, lambda: found(url))
    return _sessions[key]
