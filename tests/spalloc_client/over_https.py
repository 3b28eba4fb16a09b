"""A site as its clients name it over HTTPS, in place of its v1 address."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import quote

from spinnaker.geometry import Size
from tests.doubles.service import JavaService

if TYPE_CHECKING:
    from spalloc_server.embedded import EmbeddedSite

HTTPS = "https"
JAVA = "java"
PROTOCOLS = ["v1", HTTPS, JAVA]


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


class OverJava:
    """A running double of the Java service, as clients name it."""

    def __init__(self, service: JavaService) -> None:
        login = f"{quote(service.user)}:{quote(service.password)}"
        self.service = service
        self.hostname = service.url.replace("://", f"://{login}@", 1)
        self.port = service.port


def is_java(site: object) -> bool:
    """Whether a site is the Java service's double."""
    return isinstance(site, OverJava)


@contextlib.contextmanager
def java(service: JavaService) -> Iterator[OverJava]:
    """A running double of the Java service, as clients name it, whose certificate they believe."""
    with mock.patch.dict(os.environ, {"SSL_CERT_FILE": str(service.bundle)}):
        yield OverJava(service)


@contextlib.contextmanager
def served(protocol: str) -> Iterator[Any]:
    """A server with 4 by 4 triads of virtual boards that power up at once, as clients of a protocol name it."""
    from spalloc_server.embedded import EmbeddedSite  # which needs Linux, as the virtual boards do
    from spinnaker_virtual import Timings, VirtualMachine

    machine = VirtualMachine(size=Size(4, 4), timings=Timings.instant())
    if protocol == JAVA:
        with JavaService(machines={"virtual": machine}) as service, java(service) as site:
            yield site
        return
    with EmbeddedSite(machine=machine, https=protocol == HTTPS) as running, over(running) as site:
        yield site
