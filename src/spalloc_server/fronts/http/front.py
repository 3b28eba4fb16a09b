"""The whole HTTP front: the people, the proxy, the application and the server, started and stopped in the right order.

The one module of the front that service.py imports, and only where HTTP is configured.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from spalloc_server.core.askers import SERVER
from spalloc_server.core.identity_commands import EndOfOtherIssuers
from spalloc_server.engine import Engine
from spalloc_server.fronts.http.api.app import make_app
from spalloc_server.fronts.http.boards.relay import Proxy
from spalloc_server.fronts.http.connections.expiry import Expiry
from spalloc_server.fronts.http.connections.server import HttpServer
from spalloc_server.fronts.http.openid import OpenId
from spalloc_server.fronts.http.people import People
from spalloc_server.fronts.http.settings import HttpSettings

if TYPE_CHECKING:
    from spalloc_server.fronts.http.sso.single_sign_on import SingleSignOn

_log = logging.getLogger(__name__)


class HttpFront:
    """Serves a site over HTTP; lives in the engine's event loop."""

    def __init__(self, engine: Engine, settings: HttpSettings, *, beside: int = 0) -> None:
        """Serve the site that `engine` drives.

        Args:
            engine: Drives the site.
            settings: Where, and how.
            beside: How many connections the process's other servers may have.
        """
        self._engine = engine
        self.people = People(engine)
        self._openid: OpenId | None = None
        self._sign_on: SingleSignOn | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self.proxy = Proxy(engine, self.people, settings.limits)
        self.app = make_app(engine, self.people, self.proxy, settings.base, settings.limits)
        self.expiry = Expiry(engine.clock.wall)
        self.server = HttpServer(self.app, settings, engine.presence, engine.site.neighbours, beside=beside)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: An address can't be listened on, or the certificate can't be used.
        """
        self._log_in_by(self.server.settings.openid)
        await self.server.start()
        self.expiry.follow(self.server.settings.certificate, self.server.certificate)
        for host, port in self.server.addresses:
            _log.info("HTTP is served on %s port %d", host, port)
        if self.server.settings.socket is not None:
            _log.info("HTTP is served on the socket %s", self.server.settings.socket)

    def reload(self, settings: HttpSettings) -> None:
        """Change to other settings, and read the certificate again; if that can't be used, the old one stays."""
        try:
            self.server.reload(settings)
            self.expiry.follow(settings.certificate, self.server.certificate)
            self.app.limit(settings.limits)
            self.proxy.limit(settings.limits)
            self._log_in_by(settings.openid)
        except OSError as error:
            # They could be used when the configuration was read, a moment ago.
            _log.error("HTTP goes on with its old settings and certificate: %s", error)

    def stop_listening(self) -> None:
        """Accept no new connections."""
        self.server.stop_listening()

    async def stop(self) -> None:
        """End all connections, after the last answers."""
        self.app.stop()
        self.proxy.stop()
        self.expiry.stop()
        await self.server.stop()
        self.people.stop()
        if self._sign_on is not None:
            await self._sign_on.stop()
        for task in self._ending:
            await task

    def _log_in_by(self, openid: OpenId | None) -> None:
        """Log people in by an issuer from now on, or by none; what another one's word has begun ends."""
        before = self._sign_on
        if openid is None:
            self._sign_on = None
        elif openid != self._openid:
            # Only now: few servers need what this imports.
            from spalloc_server.fronts.http.sso.single_sign_on import SingleSignOn

            self._sign_on = SingleSignOn(self._engine, self.people, openid)
        self._openid, self.people.single_sign_on = openid, self._sign_on
        if before is not None and before is not self._sign_on:
            task = asyncio.get_running_loop().create_task(before.stop())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        self._engine.do(EndOfOtherIssuers(None if openid is None else openid.issuer), SERVER)
