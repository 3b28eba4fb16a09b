"""Does the administrator's emergency stop in the running server; what it does to jobs is decided in core/.

It is answered soon, on disk or not.
"""

from collections.abc import Mapping

import msgspec

from spalloc_server.core.askers import SERVER
from spalloc_server.core.emergency import UNRECORDED, LiftStop, StopAll
from spalloc_server.engine import Engine
from spalloc_server.operation.control.protocol import DONE, Answer
from spalloc_server.operation.doing import Doing, refusing
from spalloc_server.recorded import recorded_soon
from spalloc_server.words import counted

UNRECORDED_STATUS = 3
"""The status of a stop that is done and not on disk."""


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `stop-all`."""

    reason: str


class NoArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `stop-all.lift`: none."""


class EmergencyCommands:
    """The administrators' commands that stop all jobs of one server, and lift that."""

    def __init__(self, engine: Engine) -> None:
        """Do commands with `engine`."""
        self._engine = engine

    @property
    def commands(self) -> Mapping[str, Doing]:
        """The commands, by their names on the control socket."""
        return {"stop-all": refusing(self._stop), "stop-all.lift": refusing(self._lift)}

    async def _stop(self, arguments: Mapping[str, object], by: str) -> Answer:
        options = msgspec.convert(arguments, Stop)
        ended = self._engine.do(StopAll(options.reason, by), SERVER).value
        done = f"{counted(ended, 'job')} ended, and none are taken until spalloc-server stop-all --lift"
        if await recorded_soon(self._engine):
            return Answer(DONE, done)
        return Answer(UNRECORDED_STATUS, f"{done}; {UNRECORDED}")

    async def _lift(self, arguments: Mapping[str, object], by: str) -> Answer:
        msgspec.convert(arguments, NoArguments)
        was_stopped = self._engine.do(LiftStop(by), SERVER).value
        return Answer(DONE, "jobs are taken again" if was_stopped else "there was no stop: jobs are taken")
