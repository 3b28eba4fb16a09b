"""A changed configuration: which jobs end because of it, and which boards are watched from then on.

allocation.py decides whether a job can keep its boards. upkeep.py decides what becomes of boards without a job.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation, border, objection
from spalloc_server.core.effects import BoardKey, NewMachines, PowerOrder, Standing, keys_of
from spalloc_server.core.findings import same_frame
from spalloc_server.core.machine import Machine
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment
from spinnaker.geometry import Board


def reconfigure(site: Site, machines: Sequence[Machine], at: Moment) -> None:
    """Replace the machines, all of them at once.

    A job whose boards the change affects is ended, with the reason. A queued job that can no longer run is ended
    by the decisions that follow. Other jobs go on.

    Args:
        site: The site to change.
        machines: All machines from now on, in order of priority, highest first.
        at: When it happens.
    """
    before = dict(site.machines)
    after = {machine.name: machine for machine in machines}
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if not changed and list(before) == list(after):
        return
    end_touched(site, after, at)
    site.effects.orders.append(NewMachines(tuple(machines)))
    site.effects.machines_changed |= changed
    site.upkeep.machines_change(after)
    # In place, since the boards and the fronts use the same mapping.
    site.machines.clear()
    site.machines.update(after)
    site.upkeep.machines_changed()
    site.reports.forget_all_but(site.boards.knows)
    site.strays.forget_all_but(site.boards.knows)
    site.collect_findings()
    site.scheduler.reconfigure(machines)
    site.upkeep.tell_scheduler()
    site.reserving.machines_changed()
    watch_standing(site, before)


def end_touched(site: Site, after: Mapping[str, Machine] | None, at: Moment) -> list[int]:
    """End the jobs that can't keep their boards, and return their IDs.

    Args:
        site: The site to change.
        after: The machines that are about to replace those of the site; None if they are the same.
        at: When it happens.
    """
    ended = []
    for job in [site.jobs[number] for number in sorted(site.jobs)]:
        allocation = job.record.allocation
        if allocation is not None:
            present = site.machines.get(allocation.machine)
            if after is None:
                why = objection(allocation, None, present)
            else:
                why = objection(allocation, present, after.get(allocation.machine))
            if why is not None:
                site.end(job, why, at)
                ended.append(job.id)
    return ended


def watch_standing(site: Site, before: Mapping[str, Machine]) -> None:
    """Have boards watched that need no order, in all frames that were driven otherwise with the machines `before`.

    A new frame driver knows nothing of its boards: those of jobs that are ready, and those that are to be off. A board
    that was out of the configuration may have been switched on meanwhile.
    """
    new = {
        BoardKey(machine.name, board)
        for machine in site.machines.values()
        for frame in {place.in_frame for place in machine.places.values()}
        if not same_frame(before.get(machine.name), machine, frame)
        for board in machine.in_frame(frame)
    }
    for job in site.jobs.values():
        allocation = job.record.allocation
        if allocation is not None and job.record.state is JobState.ready:
            _watch(site, new.intersection(keys_of(allocation)), allocation if job.record.power else None)
    _watch(site, new - site.boards.states.keys(), None)


def _watch(site: Site, keys: Iterable[BoardKey], on: Allocation | None) -> None:
    """Have boards watched that are to be off, or on if they belong to the allocation `on`."""
    by_machine: dict[str, set[Board]] = defaultdict(set)
    for key in keys:
        by_machine[key.machine].add(key.board)
    for machine, boards in by_machine.items():
        cut = frozenset() if on is None else border(site.machines[machine], on)
        cut_here = frozenset(end for end in cut if end.board in boards)
        order = PowerOrder(next(site.order_numbers), machine, frozenset(boards), on is not None, cut_here)
        site.effects.orders.append(Standing(order))
