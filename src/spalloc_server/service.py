# A whole server, put together: core, store, hardware and fronts, started and stopped in the right order.
#
# No decisions and no options: those come in as values from embedded.py and scripts/.
"""A server of one site."""

from collections.abc import Sequence
from pathlib import Path

from spalloc_server.clock import Clock, SystemClock
from spalloc_server.core.machine import Machine
from spalloc_server.core.site import Site
from spalloc_server.engine import Engine
from spalloc_server.fronts.v1.server import V1Server
from spalloc_server.hardware.bmps import Bmps
from spalloc_server.store.database import Store


class Service:
    """A server; lives in one event loop."""

    def __init__(
        self, machines: Sequence[Machine], *, state: Path | None, clock: Clock | None = None
    ) -> None:
        """Make a server for `machines`, highest priority first.

        Args:
            machines: The site's machines.
            state: The file of the server's records; None keeps them in memory, gone at the end.
            clock: Where the time is read; None for the computer's clocks.

        Raises:
            StoreError: The records can't be used.
        """
        self._store = Store(state)
        self.engine = Engine(Site(machines), self._store, Bmps(machines), clock or SystemClock())
        self._front = V1Server(self.engine)

    async def start(self, host: str, port: int, *, all_off: bool = False) -> tuple[str, int]:
        """Take up the recorded jobs, listen, and return the address in use; port 0 takes any that is free.

        Boards of jobs are left as they are, unless `all_off` says that they lost their power meanwhile.

        Raises:
            OSError: The address can't be listened on.
            StoreError: The records can't be read.
        """
        try:
            self.engine.start(all_off=all_off)
            return await self._front.start(host, port)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop serving; jobs stay in the records, their boards stay as they are."""
        self._front.stop_listening()
        await self.engine.stop()
        await self._front.stop()
        self._store.close()
