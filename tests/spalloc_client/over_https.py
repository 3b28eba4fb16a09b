"""A site as its clients name it over HTTPS, in place of its v1 address."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

from spinnaker.geometry import Size

if TYPE_CHECKING:
    from spalloc_server.embedded import EmbeddedSite

HTTPS = "https"
PROTOCOLS = ["v1", HTTPS]


class OverHttps:
    """A running site, whose host name is its URL with a login."""

    def __init__(self, site: "EmbeddedSite") -> None:
        assert site.https is not None
        self._site = site
        self.hostname = site.https.url_with_login

    def __getattr__(self, name: str) -> Any:
        return getattr(self._site, name)


@contextlib.contextmanager
def over(site: "EmbeddedSite") -> Iterator[Any]:
    """A running site as clients name it: over HTTPS if it is served so, and then clients believe its certificate."""
    if site.https is None:
        yield site
        return
    with mock.patch.dict(os.environ, {"SSL_CERT_FILE": str(site.https.bundle)}):
        yield OverHttps(site)


@contextlib.contextmanager
def served(protocol: str) -> Iterator[Any]:
    """A server with 4 by 4 triads of virtual boards that power up at once, as clients of a protocol name it."""
    from spalloc_server.embedded import EmbeddedSite  # which needs Linux, as the virtual boards do
    from spinnaker_virtual import Timings, VirtualMachine

    machine = VirtualMachine(size=Size(4, 4), timings=Timings.instant())
    with EmbeddedSite(machine=machine, https=protocol == HTTPS) as running, over(running) as site:
        yield site
