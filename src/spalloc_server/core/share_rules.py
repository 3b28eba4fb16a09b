"""The rules by which an administrator has jobs moved in the order of the queue.

By how much a job is moved because of them is decided in shares.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spalloc_server.core.networks import NOWHERE, Networks

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRules:
    """Which jobs are moved in the order, and how far."""

    enabled: bool = False
    """Whether jobs are moved back for what their owners use; priorities count in any case."""
    half_life: float = DAY_SECONDS
    """After how many seconds use counts half; more than 0."""
    most_moved: float = DAY_SECONDS
    """By how many seconds a job is moved at most, back or forward; 0 or more."""
    shared_hosts: Networks = NOWHERE
    """Hosts that many people share: on them, each owner counts for itself."""
    shared_accounts: frozenset[str] = frozenset()
    """The same for accounts, as of a program that works for many people."""
    groups: bool = False
    """Whether jobs are also moved back for what the jobs of their group use."""
    priority_of_owners: Mapping[str, float] = field(default_factory=dict)
    """By how many seconds an owner's jobs are moved forward; back where negative."""
    priority_of_tags: Mapping[str, float] = field(default_factory=dict)
    """The same for jobs that ask for a tag."""
    priority_of_accounts: Mapping[str, float] = field(default_factory=dict)
    """The same for jobs that an account creates."""
    priority_of_groups: Mapping[str, float] = field(default_factory=dict)
    """The same for jobs that are charged to a group."""

    @property
    def move_any(self) -> bool:
        """Whether any job can be moved by them."""
        return self.enabled or bool(
            self.priority_of_owners
            or self.priority_of_tags
            or self.priority_of_accounts
            or self.priority_of_groups
        )

    def priority(self, owner: str, tags: Iterable[str], account: str | None, group: str | None) -> float:
        """Return by how many seconds a job is moved forward: the sum of what all these have."""
        of_tags = self.priority_of_tags
        by_name = ((self.priority_of_accounts, account), (self.priority_of_groups, group))
        named = [priorities.get(name, 0.0) for priorities, name in by_name if name is not None]
        of_owner = self.priority_of_owners.get(owner, 0.0)
        return of_owner + sum([of_tags.get(tag, 0.0) for tag in tags]) + sum(named)

    def within(self, seconds: float) -> float:
        """Return by how much a job is moved back that was to be moved by this much."""
        return max(-self.most_moved, min(self.most_moved, seconds))
