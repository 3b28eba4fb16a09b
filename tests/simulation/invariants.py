"""What must hold: at every moment, and once everything is quiet.

A board of a ready job has the power that the job wants. If it is on, exactly the links that lead out of the job are
stopped. A board that is on belongs to a job, or is in care. That holds at every moment, also with BMPs that
acknowledge what they have not done, with one exception: a late second copy of a command, delivered by the network,
may change a board at any moment. From then on, the board may differ from what was ordered
  - for 10 s where no answers are lost: the second answer reveals it;
  - for 100 s where answers are lost: the next regular check finds it, after turns that take long there;
  - in any case, while its BMP is dead or slow, while it is out of service, while the server is away or paused, and
    for 10 s after that or after a reload.
Then it is as ordered again, or no ready job has it. BMPs of major version 1 can't be checked, so their boards have
no exception, and in the simulation they get neither late copies nor BMPs that only acknowledge.
"""

from spalloc_client.states import JobState
from spalloc_server.core.board_life import Held, Lost
from spalloc_server.core.effects import BoardKey, Effects
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.reservations import WARNING_SECONDS
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.site import Site
from spalloc_server.engine import Engine
from spinnaker.geometry import Board
from tests.simulation.charges import Ledger
from tests.simulation.site import SimulatedSite
from tests.simulation.world import EPOCH

LATE_SECONDS = 10.0
"""How long after the begin of a reservation a job may have its boards, where nothing holds up the server."""


ROUNDING_SECONDS = 1e-3


class Watch:
    """Checks a site after every event that changed something."""

    def __init__(self, site: SimulatedSite) -> None:
        self._site = site
        self._ledger = Ledger(site)
        self._engine: Engine | None = None
        self._hardware_changes = -1
        self._changed = True
        self._told: set[int] = set()
        """Jobs that were told that they would be ended."""
        self._untold: set[int] = set()
        """Jobs that a reservation ended without that."""
        self._found_ready: dict[int, JobRecord] = {}
        """Jobs that were found to be really ready, as they were recorded then."""
        self.looks = 0
        site.world.after_each = self.look

    def look(self) -> None:
        site = self._site
        engine = site.engine
        if engine is None:
            return
        if engine is not self._engine:
            self._listen_to(engine)
        if not self._changed and site.hardware_changes == self._hardware_changes:
            return
        self._changed, self._hardware_changes = False, site.hardware_changes
        self.looks += 1
        core = engine.site
        check_holders(site, core)
        check_drained(site, core)
        site.limits.check(core)
        check_reservations(site, core)
        site.people.check(core)
        site.payers.check(core)
        assert not self._untold, f"jobs {self._untold} were ended by a reservation and not told before"
        self._check_ready(core)
        if engine is not self._engine:
            self._engine = engine
            check_promises(site, core)

    def _listen_to(self, engine: Engine) -> None:
        """Record all changes from now on."""
        take, self._changed = engine._site.take_effects, True
        self._ledger.follow(engine)
        self._site.payers.follow()

        def noted() -> Effects:
            self._changed = True
            effects = take()
            self._ledger.note(effects, engine)
            self._site.payers.note(effects, engine._site)
            self._told |= effects.endings
            ended = {number for number, record in effects.jobs.items() if is_of_reservation(record)}
            self._untold |= ended - self._told
            self._site.happened["job ended by a reservation"] += len(ended)
            return effects

        engine._site.take_effects = noted  # type: ignore[method-assign]

    def check_charges(self) -> None:
        """Hold that charges are what the history of allocations says, once all is recorded."""
        self._ledger.check()
        self._site.payers.follow()

    def _check_ready(self, core: Site) -> None:
        """Check the jobs that changed since the last check, and those whose boards did."""
        stirred, found = self._site.stirred, self._found_ready
        for job in core.jobs.values():
            record = job.record
            if record.state is not JobState.ready or record.allocation is None:
                continue
            if found.get(job.id) is not record or not stirred.isdisjoint(record.allocation.boards):
                check_ready(self._site, job.id, record.allocation.boards, on=bool(record.power))
                found[job.id] = record
        stirred.clear()


def boards_in_care(core: Site) -> set[Board]:
    states = core.boards.states
    return {key.board for key, state in states.items() if not isinstance(state, Held | Lost)}


def check_holders(site: SimulatedSite, core: Site) -> None:
    """No board is in two jobs, and none is on without a reason."""
    machine = core.machines.get("m")
    places = {} if machine is None else machine.places
    holder: dict[Board, int] = {}
    for job in core.jobs.values():
        allocation = job.record.allocation
        if allocation is None:
            assert job.record.state is JobState.queued, (
                f"job {job.id} is {job.record.state.name}, without boards"
            )
            continue
        for board in allocation.boards:
            assert board not in holder, f"board {board} is in jobs {holder[board]} and {job.id}"
            assert board in places, f"job {job.id} has {board}, which is out of service"
            holder[board] = job.id
    assert holder == {key.board: job for key, job in core.boards.holders().items()}
    care = boards_in_care(core)
    # Those that are out of service can't be switched; that they are perhaps on is remembered.
    known = care | {key.board for key, state in core.boards.states.items() if isinstance(state, Lost)}
    for board, virtual in site.hardware_boards.items():
        if virtual.on and not site.is_excused(board):
            assert board in holder or board in known, f"board {board} is on, and nobody knows"
    for key in core.boards.objected():
        if core.boards.fault(key) is not None:
            assert key.board in care or key.board in holder, f"{key} is free, though it must pass a test"
    assert not care & holder.keys(), f"boards {care & holder.keys()} are in care, and jobs have them"


def check_drained(site: SimulatedSite, core: Site) -> None:
    """A board that is drained stays so until it is put back, and goes to no job but keeps the one that it had."""
    for board, job in site.promises.drained.items():
        key = BoardKey("m", board)
        assert core.boards.drained(key) is not None, (
            f"board {board} was drained, acknowledged, and is so no more"
        )
        holder = core.boards.holder(key)
        assert holder is None or holder == job, f"board {board} is drained, and job {holder} got it"


def is_of_reservation(record: JobRecord) -> bool:
    """Return whether a job was ended by a reservation."""
    return record.ended is not None and (record.reason or "").startswith("Its boards are reserved for ")


def check_reservations(site: SimulatedSite, core: Site) -> None:
    """While a reservation holds, jobs of others get none of its boards, and those that had some end soon.

    They may keep them where it waits for them. A reservation that was acknowledged holds until it is removed.
    """
    for name in site.promises.reserved:
        assert name in core.reserving.added, f"reservation {name} was acknowledged and is lost"
    wall = site.clock.wall()
    for one, boards in core.reserving.on("m"):
        told = EPOCH + site.reserved_since[one.name]
        since = max(one.begins, told)
        for job in core.jobs.values():
            record = job.record
            if (
                record.allocation is None
                or one.lets(record.owner)
                or boards.isdisjoint(record.allocation.boards)
            ):
                continue
            assert record.allocated is not None
            assert record.allocated <= since, f"job {job.id} got boards that are reserved ({one.name})"
            # One that began without a limit, and was given one later, was only expected to end before.
            kept_its_limit = record.asked.kwargs.get("time_limit") == record.time_limit
            if record.time_limit is not None and kept_its_limit and record.allocated > told:
                late = record.allocated + record.time_limit - one.begins
                assert late < ROUNDING_SECONDS, f"job {job.id} may run {late} s into reservation {one.name}"
            if one.ends_jobs and one.begins <= wall < one.ends:
                end = max(since, EPOCH + site.last_hindrance)
                if told < EPOCH + site.booted:
                    # While the server was down, its users could not be told.
                    end = max(end, EPOCH + site.booted + WARNING_SECONDS)
                late = wall - end
                assert late < LATE_SECONDS, (
                    f"job {job.id} has boards {late} s after reservation {one.name} began"
                )


def check_ready(site: SimulatedSite, job: int, boards: frozenset[Board], *, on: bool) -> None:
    for board in boards:
        if not site.is_excused(board):
            assert site.hardware.board(board).on == on, f"job {job} is ready, its board {board} is not {on=}"
    if on and not site.old:
        for board, border in site.border(boards).items():
            if site.is_excused(board):
                continue
            cut = site.cut_links(board)
            assert border <= cut, f"job {job} is ready, its border is open at {board}: {border - cut}"
            assert cut <= border, f"job {job}: links inside it are cut at {board}: {cut - border}"


def check_promises(site: SimulatedSite, core: Site) -> None:
    """Whatever was acknowledged still holds."""
    for job in site.promises.created:
        assert job in core.jobs or job in core.ended, f"job {job} was acknowledged and is lost"
    for job in site.promises.destroyed:
        assert job not in core.jobs, f"job {job} was destroyed, acknowledged, and lives"
    for job in core.ended.keys() & site.promises.created - site.promises.maybe_destroyed:
        record = core.ended[job]
        reason = record.reason or ""
        boards = frozenset() if record.allocation is None else record.allocation.boards
        if is_of_reservation(record):
            assert any(
                one.ends_jobs
                and not one.lets(record.owner)
                and {("m", board) for board in boards} & one.boards
                for one in site.administrator.reserved
            ), f"job {job} ended for a reservation that never was: {reason!r}"
            continue
        is_expected = (
            reason.startswith("Cancelled:") or site.limits.is_over(record) or site.payers.is_over(record)
        )
        assert is_expected or boards & site.administrator.taken_out, f"job {job} ended by itself: {reason!r}"


def is_at_rest(site: SimulatedSite) -> bool:
    """Whether nothing is left to do."""
    engine = site.engine
    if engine is None or engine._next_flush is not None or engine._recording is not None:
        return False
    core = engine.site
    settled = all(
        job.record.allocation is None or job.record.state is JobState.ready for job in core.jobs.values()
    )
    out = core.boards.silent.why or core.boards.all_drained() or core.reserving.added
    return settled and not boards_in_care(core) and not out and not site.has_excuses


def check_rest(site: SimulatedSite) -> None:
    """At rest, every job is ready or waits for a good reason, and no board is on without a job."""
    assert site.engine is not None
    core = site.engine.site
    check_holders(site, core)
    for job in core.jobs.values():
        if job.record.state is JobState.ready and job.record.allocation is not None:
            check_ready(site, job.id, job.record.allocation.boards, on=bool(job.record.power))
    check_promises(site, core)
    for board in site.machine.places:
        if site.hardware.board(board).on:
            job = core.jobs[core.boards.holders()[BoardKey("m", board)]]
            assert job.record.power, f"board {board} is on, and its job {job.id} wants it off"
    queue = sorted(job.id for job in core.jobs.values() if job.record.state is JobState.queued)
    if queue:
        fresh = Scheduler([site.machine])
        fresh.occupy("m", [key.board for key in core.boards.holders()])
        first = min(queue, key=lambda job: core.waiting(job).position)  # type: ignore[union-attr]
        fresh.submit(first, core.jobs[first].record.request, 0.0)
        assert not fresh.decide(0.0), f"job {first} waits at the head of the queue, and would fit"
