"""Who may end a job or switch its boards: a site's choice, and the sentence for those who may not.

Decides by addresses only: the protocol knows no passwords. Who may connect at all is the fronts' subject.
"""

from dataclasses import dataclass
from enum import Enum

from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.networks import NOWHERE, Networks, same_host


class Control(Enum):
    """Who may destroy a job and power its boards."""

    ANYONE = "anyone"
    """Everyone who can connect, as with the 2023 server."""
    OWNER = "owner"
    """The host that the job was created from, and administrators."""


@dataclass(frozen=True, slots=True)
class Trust:
    """A site's choice."""

    control: Control = Control.ANYONE
    administrators: Networks = NOWHERE
    """Whence every job may be destroyed and powered."""

    def refusal(self, job: JobRecord, host: str) -> str | None:
        """Return why a client at `host` may not destroy or power `job`, or None if it may."""
        if self.control is Control.ANYONE or same_host(host, job.owner_host) or host in self.administrators:
            return None
        return (
            f"job {job.id} was created from {job.owner_host or 'a host that is not known'}, and this server lets "
            f"only that host and administrators destroy a job or switch its boards; this is {host or 'unknown'}"
        )
