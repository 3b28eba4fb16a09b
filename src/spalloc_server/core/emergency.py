"""The emergency stop: all jobs end, their boards are switched off, and no new jobs come until it is lifted.

Administrators give these commands, over HTTP or on the server's computer. A restart of the server lifts the stop, too:
whoever starts it decides. Both are done while records can't be written as well: the boards are switched off before the
end of their jobs is on disk.
"""

from dataclasses import dataclass
from typing import ClassVar

from spalloc_server.core.askers import SERVER, Asker
from spalloc_server.core.commands import LONGEST_REASON, Command
from spalloc_server.core.refusals import Refusal, Sort
from spalloc_server.core.rights import Right, may
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment

EMERGENCY = "The machine has been shut down due to an emergency"
"""The reason of the jobs that it ends, and of those that it refuses."""
UNRECORDED = (
    "the boards are switched off, but the end of their jobs is not on disk yet: a server that is started again before "
    "it is has these jobs again, and switches their boards on; start it with --cold-start instead"
)
"""What is to be known of a stop while records can't be written."""


class _ByAdministrator:
    """A command that only administrators give."""

    __slots__ = ()

    is_lasting: ClassVar[bool] = False

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return why somebody may not give the command, or None if they may."""
        if by == SERVER or may(by.login, Right.ADMINISTER):
            return None
        return Refusal("only an administrator may stop all jobs, or lift the stop", Sort.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class StopAll(_ByAdministrator, Command[int]):
    """End all jobs and take no new ones; the result is how many were ended."""

    why: str = ""
    """For the owners of the jobs to read; cut after `LONGEST_REASON` characters."""
    by: str = ""
    """The name of the administrator who asks on the server's computer; over HTTP it is the account's."""

    def apply(self, site: Site, by: Asker, at: Moment) -> int:
        """End all jobs in one decision, however many: nobody else's request is worth more now."""
        site.stopped = f"{EMERGENCY}: {self.why[:LONGEST_REASON]}" if self.why else EMERGENCY
        numbers = list(site.jobs)
        for number in numbers:
            site.destroy_job(number, site.stopped, at, by=by)
        who = _who(by, self.by)
        site.notice(f"{who} has ended all jobs, {len(numbers)}: {site.stopped}", {"by": who}, serious=True)
        return len(numbers)


@dataclass(frozen=True, slots=True)
class LiftStop(_ByAdministrator, Command[bool]):
    """Take new jobs again; the result is whether there was a stop."""

    by: str = ""
    """As for `StopAll`."""

    def apply(self, site: Site, by: Asker, at: Moment) -> bool:  # noqa: ARG002
        """Lift the stop."""
        was_stopped = site.stopped is not None
        if was_stopped:
            who = _who(by, self.by)
            site.notice(f"{who} has lifted the emergency stop", {"by": who}, serious=True)
        site.stopped = None
        return was_stopped


def _who(by: Asker, name: str) -> str:
    return name or (by.login.account if by.login is not None else "the server")
