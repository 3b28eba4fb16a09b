"""How jobs are moved in the order of the queue: `[fair_share]` and `[priority]`.

core/shares.py says by how much.
"""

from collections.abc import Mapping
from dataclasses import replace

from spalloc_server.config.kinds import a_priority, a_time_limit, account_names, networks, true_or_false
from spalloc_server.config.reading import Kind, Table
from spalloc_server.core.share_rules import ShareRules

_FAIR_SHARE: Mapping[str, Kind[object]] = {
    "enabled": true_or_false,
    "half_life": a_time_limit,
    "most_moved": a_time_limit,
    "shared_hosts": networks,
    "shared_accounts": account_names,
    "groups": true_or_false,
}


def read_shares(fair_share: Table, priority: Table) -> ShareRules:
    """Return what both tables say, and note what is wrong with them."""
    rules = fair_share.whole(ShareRules(), _FAIR_SHARE)
    rules = replace(
        rules,
        priority_of_owners=_priorities(priority.table("owners")),
        priority_of_tags=_priorities(priority.table("tags")),
        priority_of_accounts=_priorities(priority.table("accounts")),
        priority_of_groups=_priorities(priority.table("groups")),
    )
    priority.finish()
    return rules


def _priorities(table: Table) -> dict[str, float]:
    return {name: table.take(name, a_priority, 0.0) for name in table.values}
