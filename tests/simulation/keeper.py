"""Keeps a user's jobs alive in the simulated world, as the client's helper process does in the real one.

It has a connection of its own, and replaces it when it fails or nobody answers. It may die one day, and then its jobs
must end; until then they must not.
"""

import asyncio

from tests.simulation.client import Client, GoneError, RefusedError
from tests.simulation.network import Network
from tests.simulation.process import Process

KEEPALIVE = 30.0
PERIOD = KEEPALIVE / 3
"""Seconds between keepalives of a job."""
TIMEOUT = 5.0
"""How long a reply may take before another connection is made."""
RECONNECT = KEEPALIVE / 10


class Keeper:
    """Keeps jobs alive until it dies."""

    def __init__(self, crowd: Process, network: Network, host: str) -> None:
        self._crowd = crowd
        self._network = network
        self._host = host
        self.jobs: set[int] = set()
        self._wanted: asyncio.Event = asyncio.Event()
        self.alive = True
        self.kept = 0
        """The number of keepalives that were answered."""
        self._task = crowd.start(self._run())

    def keep(self, job: int) -> None:
        """Keep a job alive from now on."""
        self.jobs.add(job)
        self._wanted.set()

    def die(self) -> None:
        """Stop for good."""
        self.alive = False
        self._task.cancel()

    async def _run(self) -> None:
        # A helper is there before its job is: its connection is made when there is something to say.
        await self._wanted.wait()
        while True:
            try:
                client = Client.connect(self._crowd, self._network, self._host)
            except ConnectionRefusedError:
                pass
            else:
                await self._talk(client)
                client.transport.abort()
            await self._crowd.passing(RECONNECT)

    async def _talk(self, client: Client) -> None:
        while True:
            begin = self._crowd.time()
            replies = [client.send("job_keepalive", job) for job in sorted(self.jobs)]
            enough = self._crowd.passing(TIMEOUT)
            while not (enough.done() or all(reply.done() for reply in replies)):
                await asyncio.wait(
                    [enough, *(reply for reply in replies if not reply.done())],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            unanswered = [reply for reply in replies if not _is_answered(reply)]
            if unanswered:
                return
            self.kept += len(replies)
            await self._crowd.passing(max(0.0, begin + PERIOD - self._crowd.time()))


def _is_answered(reply: "asyncio.Future[object]") -> bool:
    if not reply.done():
        reply.cancel()
        return False
    return not isinstance(reply.exception(), GoneError | RefusedError)
