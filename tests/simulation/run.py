"""Runs one simulated site from beginning to end; the same seed always gives the same story.

`python -m tests.simulation.run SEED [SEED_AFTER_THE_LAST]` runs the sites of these seeds.
"""

import gc
import logging
import sys
import time
import traceback
from collections import Counter
from unittest import mock

from spalloc_server.core import run_ahead
from spalloc_server.core.askers import Asker, Login, Role
from spalloc_server.core.commands import DestroyJob
from tests.simulation.invariants import Watch, check_promises, check_rest, is_at_rest
from tests.simulation.keeper import KEEPALIVE
from tests.simulation.site import SimulatedSite, close

BUSY_SECONDS = 60.0
REST_SECONDS = 20_000.0
CLOSER = Asker("", Login("closer", Role.ADMINISTRATOR))
"""Who may end all jobs, those of accounts, too."""
FORECAST_EVENTS = 20
"""How far a forecast looks ahead at most: one is made each minute, and they would be three quarters of the time."""
FAR_SEEDS = 25
"""One site of this number has forecasts that look as far ahead as real ones."""


def run(seed: int) -> Counter[str]:
    """Simulate one site; return how often each kind of thing happened.

    Raises:
        AssertionError: A promise was broken.
    """
    # Repeated garbage collection takes a fifth of the time, and there is little; once at the end is enough.
    gc.disable()
    try:
        events = FORECAST_EVENTS if seed % FAR_SEEDS else run_ahead.MOST_EVENTS
        with mock.patch.object(run_ahead, "MOST_EVENTS", events):
            return _run(seed)
    finally:
        gc.enable()
        gc.collect(0)


def _run(seed: int) -> Counter[str]:
    site = SimulatedSite(seed)
    try:
        watch = Watch(site)
        site.boot()
        site.plan_misfortunes(BUSY_SECONDS)
        site.open_to_users(site.dice.choice((1, 2, 4)), BUSY_SECONDS)
        site.world.pass_time(BUSY_SECONDS + 70.0)
        site.mend()
        users_left = site.world.run(until=lambda: all(task.done() for task in site.tasks), limit=300.0)
        assert users_left, "a user still waits for a reply, minutes after everything was mended"
        for task in site.tasks:
            task.result()
        assert site.world.run(until=lambda: is_at_rest(site), limit=REST_SECONDS), _unrest(site)
        check_rest(site)
        _let_the_deserted_end(site)
        _close_down(site)
        watch.check_charges()
        assert site.server is not None
        site.check_no_faults(site.server)
        site.happened["events"] = site.world.events
        site.happened["looks"] = watch.looks
        site.happened["datagrams lost"] = site.network.counts.lost
        site.happened["late copies"] = site.network.counts.late_copies
        site.happened["datagrams doubled"] = site.network.counts.doubled
        site.happened["jobs"] = len(site.promises.created)
        return site.happened
    finally:
        for process in (site.server, site.crowd):
            if process is not None:
                process.kill()
        close(site.database)
        site.disk.close()
        site.world.after_each = lambda: None
        site.world.pass_time(0.0)


def _close_down(site: SimulatedSite) -> None:
    """Destroy every job; all boards go off and are free."""
    assert site.engine is not None
    assert site.server is not None
    engine = site.engine

    def destroy_all() -> None:
        for job in list(engine.site.jobs):
            engine.do(DestroyJob(job, "closing down"), CLOSER)

    site.promises.maybe_destroyed |= engine.site.jobs.keys()
    site.server.enter(destroy_all)
    assert site.world.run(until=lambda: is_at_rest(site), limit=REST_SECONDS), _unrest(site)
    check_rest(site)
    free = engine.site.scheduler.free_boards("m")
    assert free == len(site.machine.places), (
        f"{free} boards of {len(site.machine.places)} are free at the end"
    )


def _let_the_deserted_end(site: SimulatedSite) -> None:
    """Jobs that are not kept alive end in time, whatever the server itself missed; the others are still there."""
    assert site.engine is not None
    core = site.engine.site
    limit = 2 * KEEPALIVE + site.longest_pause + 5.0
    ended = site.world.run(until=lambda: not site.promises.deserted & core.jobs.keys(), limit=limit)
    assert ended, f"jobs {site.promises.deserted & core.jobs.keys()} live, and nobody keeps them alive"
    check_promises(site, core)
    site.happened["keepalives"] = sum(keeper.kept for keeper in site.keepers.values())


def _unrest(site: SimulatedSite) -> str:
    if site.engine is None:
        return "the server is not there"
    core = site.engine.site
    jobs = {job.id: (job.record.state.name, job.order) for job in core.jobs.values()}
    return f"it never came to rest: jobs {jobs}, boards {core.boards.states}, silent {core.boards.silent.why}"


def main(arguments: list[str]) -> int:
    """Run the seeds from the first up to, but not with, the second."""
    first = int(arguments[0])
    last = int(arguments[1]) if len(arguments) > 1 else first + 1
    logging.disable(logging.CRITICAL)
    if last == first + 1:
        logging.disable(logging.NOTSET)
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    total: Counter[str] = Counter()
    failures = 0
    begin = time.perf_counter()
    for seed in range(first, last):
        try:
            total += run(seed)
        except Exception:  # noqa: BLE001
            failures += 1
            traceback.print_exc()
            print(f"seed {seed} failed; again: python -m tests.simulation.run {seed}", flush=True)
    print(f"{last - first} seeds, {failures} failed, {time.perf_counter() - begin:.1f} s")
    for what, count in sorted(total.items()):
        print(f"  {what}: {count}")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
