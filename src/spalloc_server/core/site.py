"""The whole site's state, and what every event does to it.

Each method takes an event and the time, changes the state at once, and leaves what is to be done in the
effects, which the engine takes and carries out. Nothing here waits, so nothing is ever half decided. How
boards are found is the scheduler's subject, what a board goes through is that of boards.py.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, count, takewhile

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.board_life import Objection
from spalloc_server.core.boards import Boards
from spalloc_server.core.care import Care
from spalloc_server.core.changes import objection
from spalloc_server.core.delays import Delays
from spalloc_server.core.effects import BoardKey, BoardRecord, Effects, Notice, about_board
from spalloc_server.core.jobs import Asked, Job, JobRecord, in_short, shortened
from spalloc_server.core.life import Happening
from spalloc_server.core.machine import Machine
from spalloc_server.core.networks import Groups
from spalloc_server.core.objections import Drained, Fault
from spalloc_server.core.obstacles import Waiting
from spalloc_server.core.power import NewMachines, PowerOrder, Standing, border
from spalloc_server.core.quotas import Headcount, JobLimits
from spalloc_server.core.reports import RECENT_SECONDS, Reports
from spalloc_server.core.requests import JobRequest
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.silence import same_frame
from spalloc_server.core.strays import Strays
from spalloc_server.core.timers import Timers
from spalloc_server.core.trust import Trust
from spalloc_server.core.upkeep import Upkeep
from spalloc_server.moment import Moment
from spalloc_server.words import counted
from spinnaker.geometry import Board
from spinnaker.places import Frame

TIMED_OUT = "Job timed out."
STARTED_COLD = "The server was started afresh."
REMEMBERED_JOBS = 1_000
"""Destroyed jobs that are kept in memory; the fate of older ones is in the records alone."""

MOST_RECALLED = 200_000
"""Boards of ended jobs that are looked at, at the start, to see which hosts had them; the latest first."""

MOST_NAMED = 20
"""Jobs that one line of the log names; of more, it says how many there are."""

ENDED_CLOCKS = 64
"""How many keepalive clocks of ended jobs may run on beyond the number of live jobs."""

JOBS_A_TICK = 200
"""How many jobs are seen to in one tick of each kind of deadline: it takes a few milliseconds."""
UNHEARD_AGAIN_SECONDS = 0.5
"""When a job is looked at again whose keepalive may be among what the server has not come to."""

SLICE_STEPS = 25
"""Steps of work that a decision may take before others have their turn, twice: a few milliseconds."""

SWITCH_OFF_RETRY_SECONDS = 10.0
"""How long boards that a job's owner wanted off, and that stayed on, are left before the next try."""


class Site:
    """All jobs and machines of a site.

    Whoever tells it of something says `at` which moment it happens.
    """

    def __init__(self, machines: Sequence[Machine], *, slice_steps: int | None = SLICE_STEPS) -> None:
        """Begin with all boards free and off.

        Args:
            machines: In order of priority, highest first.
            slice_steps: How much of a decision is made at a time, as for `Scheduler`.
        """
        self.machines: dict[str, Machine] = {machine.name: machine for machine in machines}
        self.jobs: dict[int, Job] = {}
        """Live jobs by ID, oldest first."""
        self.ended: dict[int, JobRecord] = {}
        """Destroyed jobs by ID, the longest ended first."""
        self.boards = Boards(self.machines)
        """What all boards are doing."""
        self.limits = JobLimits()
        """How many jobs there may be; may be replaced at any time."""
        self.trust = Trust()
        """Who may end a job or switch its boards; may be replaced at any time."""
        self.delays = Delays()
        """When the server was not there to hear of jobs."""
        self.groups = Groups()
        """Which addresses count as one."""
        self._headcount = Headcount(self.groups)
        self._reports = Reports(self.groups)
        self._strays = Strays()
        self.jobs_created = 0
        """How many jobs were created since this was made."""
        self._next_job = 1
        self._orders = count(1)
        self._scheduler = Scheduler(machines, slice_steps=slice_steps)
        self._care = Care(self.boards, self._scheduler, lambda: next(self._orders))
        self._upkeep = Upkeep(self.boards, self._care, self._scheduler)
        self._keepalives: Timers[int] = Timers()
        self._settling: Timers[tuple[int, int]] = Timers()
        self._retries: Timers[tuple[int, int]] = Timers()
        self._awaited: dict[int, int] = {}
        self._touched: dict[int, Job] = {}
        # By itself, not by ID: a job that has ended may be forgotten before its end is recorded.
        self._effects = Effects()

    # Commands

    def create_job(
        self,
        request: JobRequest,
        asked: Asked,
        *,
        owner: str,
        keepalive: float | None,
        host: str,
        at: Moment,
    ) -> int:
        """Queue a new job and return its ID; one that can never run is destroyed by a decision, with the reason.

        Args:
            request: What is asked for.
            asked: The same in the client's words.
            owner: Whose job it is.
            keepalive: Seconds without a word after which the job is destroyed; None for never.
            host: Where the request came from.
            at: When it came.
        """
        number = self._next_job
        self._next_job += 1
        self.jobs_created += 1
        job = Job(
            JobRecord(number, owner, at.wall, keepalive, request, asked, host, owner_host=host),
            at.now,
            at.now,
        )
        self.jobs[number] = job
        self._headcount.add(job.record)
        self._touch(job)
        self._scheduler.submit(number, request, at.now)
        if keepalive is not None:
            self._keepalives.add(at.now + keepalive, number)
        return number

    def refusal(self, owner: str, host: str) -> str | None:
        """Return why there can't be one more job of `owner`, created from `host`, or None if there can."""
        return self._headcount.refusal(self.limits, owner, host)

    def distrust(self, number: int, host: str) -> str | None:
        """Return why a client at `host` may not end a job or switch its boards, or None if it may."""
        job = self.jobs.get(number)
        return None if job is None else self.trust.refusal(job.record, host)

    def keep_alive(self, number: int, host: str, at: Moment) -> Job | None:
        """Note that somebody still wants the job; return it if it is live.

        Args:
            number: The job's ID.
            host: Who wants it, which is shown to users as its keepalive host.
            at: When it happens.
        """
        job = self.jobs.get(number)
        if job is not None:
            job.heard = at.now
            if job.record.keepalive_host != host:
                # Recorded soon, but nobody has to wait for that: a keepalive counts also while the disk fails.
                job.amend(keepalive_host=host)
                self._touched[number] = job
        return job

    def set_power(self, number: int, *, on: bool) -> None:
        """Switch a job's boards on (or reset them) or off.

        To a job without boards it does nothing, unless these were to be left off and are wanted on now.
        """
        job = self.jobs.get(number)
        if job is None:
            return
        if job.record.allocation is not None:
            self._order(job, Happening.POWER_ASKED, job.record.allocation, on=on)
        elif on and job.record.stays_off:
            job.amend(stays_off=False)
            self._touch(job)

    def destroy_job(self, number: int, reason: str | None, at: Moment, *, by: str | None = None) -> None:
        """End a job, whatever it is doing; does nothing to one that isn't live.

        Args:
            number: The job's ID.
            reason: Why, for its owner to read; None if nobody said.
            by: The host that asks for it; None if nobody does.
            at: When it happens.
        """
        job = self.jobs.get(number)
        if job is not None:
            if job.record.state is JobState.queued:
                self._scheduler.withdraw(number)
            self._end(job, reason, at, by)

    def group_by(self, ipv6_prefix: int) -> bool:
        """Let the addresses of IPv6 networks of that prefix (0 to 128) count as one; return whether that is news."""
        if ipv6_prefix == self.groups.ipv6_prefix:
            return False
        self.groups.ipv6_prefix = ipv6_prefix
        records = (job.record for job in self.jobs.values())
        self._headcount.regroup((record.owner_host, record.state is JobState.queued) for record in records)
        self._reports.regroup()
        return True

    def report_problem(self, key: BoardKey, host: str, text: str, at: Moment) -> None:
        """Take a user's report of a sick board.

        It counts once for the host that it comes from, if a job of that host has had the board within a day. When
        enough hosts agree, the board is set aside, after its job if it has one; but of each machine no more boards than
        its configuration allows.

        Args:
            key: The board.
            host: Where the report came from.
            text: What the user says.
            at: When it happens.
        """
        if Objection.REPORTED in self.boards.objections(key):
            # A program that reports in a loop must fill neither the log nor the records.
            return
        holder = self.boards.holder(key)
        whose = None if holder is None else self.jobs[holder].record.owner_host
        if not self._reports.counts(key, host, whose, at.now):
            self._effects.notices += self._reports.note(key, host, text, at.now)
            return
        machine = self.machines[key.machine]
        out = self.boards.count(Objection.REPORTED, key.machine)
        notices, fault = self._reports.add(key, host, text, machine, out)
        self._effects.notices += notices
        if fault is not None:
            self._upkeep.doubt(key, fault, at)
            self._follow_upkeep()

    def drain(self, keys: Collection[BoardKey], word: Drained, at: Moment, *, moves_jobs: bool) -> list[int]:
        """Give boards to no job until they are put back, whatever else becomes of them.

        Args:
            keys: The boards; the machines have all of them.
            word: Why, and who says so.
            at: When it happens.
            moves_jobs: Whether jobs that have them lose their boards now, and get others when there are some, which are
                left off if their owner had these off; else they keep them to their end.

        Returns:
            the jobs that lost their boards.
        """
        self._upkeep.drain(keys, word)
        self._follow_upkeep()
        moved: dict[int, list[Board]] = defaultdict(list)
        for key in sorted(keys) if moves_jobs else ():
            holder = self.boards.holder(key)
            if holder is not None:
                moved[holder].append(key.board)
        for number, boards in sorted(moved.items()):
            self._move(self.jobs[number], boards, f"taken out by {word.by}", {}, at)
        return sorted(moved)

    def put_back(self, keys: Collection[BoardKey], by: str) -> None:
        """Let jobs have boards that were drained or set aside; those that are to pass a test do so first, now.

        Args:
            keys: The boards; those that the machines don't have are drained no more when they have them again.
            by: Who says so.
        """
        self._upkeep.put_back(keys, by)
        self._follow_upkeep()

    def clear_reports(self, keys: Collection[BoardKey], by: str) -> None:
        """Forget users' reports of boards; those that are set aside for reports pass a test now, and are back then.

        Args:
            keys: The boards; the machines have all of them.
            by: Who says so.
        """
        for key in self._reports.forget(keys):
            self._notice(
                f"{key.machine} {key.board} has its reports cleared by {by}", {**about_board(key), "by": by}
            )
        self._upkeep.forget_reports(keys, by)
        self._follow_upkeep()

    # Events from the hardware and the clock

    def power_done(self, number: int, failed: Mapping[Board, str], at: Moment) -> None:
        """Take the hardware's answer to a power order; one that nobody waits for any more makes no difference.

        A job whose boards failed to come up is moved to others; boards that stay on are switched off again later.

        Args:
            number: The order's.
            failed: The boards that failed it, and why.
            at: When it happens.
        """
        if self._care.power_done(number, failed, at):
            self._follow_upkeep()
            return
        job = self.jobs.get(self._awaited.pop(number, 0))
        if job is None or job.order != number or job.record.allocation is None:
            # The job was destroyed, or asked for another power, before the answer came.
            return
        if not failed:
            settle = self.machines[job.record.allocation.machine].settle_seconds if job.record.power else 0.0
            if settle > 0:
                self._settling.add(at.now + settle, (job.id, number))
            else:
                self._powered(job)
        elif job.record.power:
            faults = {board: Fault(why) for board, why in failed.items()}
            self._move(job, failed, "failed", faults, at)
        else:
            self._notice(
                f"job {job.id}: boards could not be switched off, will try again",
                {"job": job.id},
                serious=True,
            )
            self._retries.add(at.now + SWITCH_OFF_RETRY_SECONDS, (job.id, number))

    def boards_strayed(self, machine: str, number: int, boards: Mapping[Board, str], at: Moment) -> None:
        """Take it that boards are not any more what an order made of them, though nothing else was ordered since.

        What ran on them is lost, so all of a job's boards are powered again: the job's state tells its owner, and the
        job keeps them if they come up. Boards that no job has are switched off again. A board that has strayed too
        often lately has failed: its job is moved to others, or keeps it switched off if it wanted that.

        Args:
            machine: The boards' machine.
            number: The order's.
            boards: The boards, and what is wrong with each.
            at: When it happens.
        """
        keys = {BoardKey(machine, board): why for board, why in boards.items()}
        holders = {key: self.boards.holder(key) for key in keys if self.boards.knows(key)}
        faults: dict[BoardKey, Fault] = {}
        for key in holders:
            self._notice(
                f"{machine} {key.board} is not as it was ordered: {keys[key]}", about_board(key), serious=True
            )
            fault = self._strays.add(key, keys[key], at.now)
            if fault is not None:
                faults[key] = fault
        for holder in sorted({holder for holder in holders.values() if holder is not None}):
            theirs = {key: fault for key, fault in faults.items() if holders[key] == holder}
            self._set_right(self.jobs[holder], number, theirs, at)
        unheld = [key for key, holder in holders.items() if holder is None]
        if unheld:
            self._upkeep.switch_off_again(machine, number, unheld, faults, at)
            self._follow_upkeep()

    def _set_right(self, job: Job, number: int, faults: Mapping[BoardKey, Fault], at: Moment) -> None:
        """Power a job's boards again some of which strayed from an order, or move it if some have failed."""
        allocation = job.record.allocation
        if allocation is None or (job.record.state is JobState.power and job.order != number):
            # It waits for another order, which makes its boards what they are to be.
            return
        if faults and job.record.power:
            failed = {key.board: fault for key, fault in faults.items()}
            self._move(job, failed, "failed", failed, at)
            return
        for key, fault in faults.items():
            self._upkeep.doubt(key, fault, at)
        self._notice(
            f"job {job.id}: its boards are {'powered' if job.record.power else 'switched off'} again",
            {"job": job.id, "machine": allocation.machine},
            serious=True,
        )
        self._order(job, Happening.POWER_ASKED, allocation, on=bool(job.record.power))

    def frame_silent(self, machine: str, frame: Frame, why: str | None, at: Moment) -> None:
        """Stop giving out the boards of a frame whose BMP is silent, or go on when it answers again.

        Args:
            machine: The frame's machine.
            frame: The BMP's.
            why: How it is silent; None if it answers.
            at: When it happens.
        """
        self._upkeep.frame_silent(machine, frame, why, at)
        self._follow_upkeep()

    def tick(self, at: Moment, *, unheard: Collection[str] = ()) -> None:
        """Do what is due: end jobs that were not kept alive, and see to boards.

        Of thousands of jobs that are due at once, as they are after a restart, some are left to the next ticks.

        Args:
            at: When it happens.
            unheard: Hosts that have asked for something that the server has not come to. Jobs that were last kept alive
                from there wait for that, for one keepalive more at most.
        """
        for number in self._keepalives.due(at.now, JOBS_A_TICK):
            self._check_keepalive(number, at, unheard)
        for number, order in self._settling.due(at.now, JOBS_A_TICK):
            job = self.jobs.get(number)
            if job is not None and job.order == order:
                self._powered(job)
        for number, order in self._retries.due(at.now, JOBS_A_TICK):
            job = self.jobs.get(number)
            if job is not None and job.order == order and job.record.allocation is not None:
                self._order(job, Happening.POWER_ASKED, job.record.allocation, on=False)
        self._care.tick(at.now)
        self._follow_upkeep()

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do, or None while only events can change anything."""
        deadlines = (
            self._keepalives.next(),
            self._settling.next(),
            self._retries.next(),
            self._care.next_deadline(),
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def decide(self, at: Moment) -> bool:
        """Start jobs that can start, and end those that can never run; called after a batch of events.

        Returns:
            whether all is decided; if not, `decide` must be called again soon, with or without events in between.
        """
        for start in self._scheduler.decide(at.now):
            job = self.jobs[start.job]
            self._hold(job, start.allocation)
            self._order(job, Happening.ALLOCATED, start.allocation, on=not job.record.stays_off)
            self._tell_of_start(job.record, start.allocation)
        for number, why in self._scheduler.take_refused():
            job = self.jobs[number]
            # Whoever asks for it in a loop must not fill the history with what was asked.
            job.record = in_short(job.record)
            self._end(job, shortened(f"Cancelled: {why}"), at)
        return self._scheduler.is_settled

    def take_effects(self) -> Effects:
        """Return what has come of all calls since the last time."""
        effects, self._effects = self._effects, Effects()
        touched, self._touched = self._touched, {}
        effects.jobs = {number: touched[number].record for number in sorted(touched)}
        return effects

    # Configuration

    def reconfigure(self, machines: Sequence[Machine], at: Moment) -> None:
        """Take over changed machines, all of them at once.

        A job whose boards the change touches is ended, with the reason; a queued job that can never run now is ended by
        the decisions that follow. All others don't notice.

        Args:
            machines: All there are from now on, in order of priority, highest first.
            at: When it happens.
        """
        before = dict(self.machines)
        after = {machine.name: machine for machine in machines}
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        if not changed and list(before) == list(after):
            return
        self._end_touched(after, at)
        self._effects.orders.append(NewMachines(tuple(machines)))
        self._effects.machines_changed |= changed
        self._upkeep.machines_change(after)
        # In place: the boards and the fronts look at the same mapping.
        self.machines.clear()
        self.machines.update(after)
        self._upkeep.machines_changed()
        self._reports.forget_all_but(self.boards.knows)
        self._strays.forget_all_but(self.boards.knows)
        self._follow_upkeep()
        self._scheduler.reconfigure(machines, at.now)
        self._upkeep.reserve()
        self._watch_standing(before)

    def _end_touched(self, after: Mapping[str, Machine] | None, at: Moment) -> list[int]:
        """End the jobs that can't keep their boards under a configuration, None being the present one; return them."""
        ended = []
        for job in [self.jobs[number] for number in sorted(self.jobs)]:
            allocation = job.record.allocation
            if allocation is not None:
                present = self.machines.get(allocation.machine)
                if after is None:
                    why = objection(allocation, None, present)
                else:
                    why = objection(allocation, present, after.get(allocation.machine))
                if why is not None:
                    self._end(job, why, at)
                    ended.append(job.id)
        return ended

    # Restart

    def recall(
        self,
        jobs: Iterable[JobRecord],
        boards: Mapping[BoardKey, BoardRecord],
        next_job: int,
        *,
        at: Moment,
        all_off: bool = False,
        doubtful: bool = False,
    ) -> None:
        """Take up where an earlier process was, as recorded; every keepalive starts afresh.

        Args:
            jobs: All jobs that are recorded.
            boards: What is recorded of boards between jobs.
            next_job: The next job's ID.
            at: When it happens.
            all_off: Whether the boards lost their power meanwhile, as virtual ones do that end with the server.
            doubtful: Whether there may be jobs that are not recorded: boards that no job has are switched off first.
        """
        self._next_job = next_job
        records = sorted(jobs, key=lambda record: record.id)
        for record in sorted(
            (r for r in records if r.state is JobState.destroyed), key=lambda r: (r.ended or 0.0, r.id)
        ):
            self._remember(record)
        self._recall_hosts((r for r in records if r.state is JobState.destroyed), at)
        self._recall_live([record for record in records if record.state is not JobState.destroyed], at)
        self._upkeep.recall(self._perhaps_on(boards) if doubtful else boards, at.now)
        ended = self._end_touched(None, at)
        if ended:
            first = ", ".join(map(str, ended[:MOST_NAMED]))
            others = f" and {len(ended) - MOST_NAMED} more" if len(ended) > MOST_NAMED else ""
            self._notice(
                f"this start ends {counted(len(ended), 'job')} whose boards the configuration no longer has: "
                f"{first}{others}",
                {"jobs": len(ended)},
                serious=True,
            )
        for job in list(self.jobs.values()):
            if job.record.allocation is None:
                self._scheduler.submit(job.id, job.record.request, job.since)
            elif job.record.state is JobState.power or (all_off and job.record.power):
                self._order(job, Happening.POWER_ASKED, job.record.allocation, on=bool(job.record.power))
        self._follow_upkeep()
        self._watch_standing({})

    def _watch_standing(self, before: Mapping[str, Machine]) -> None:
        """Have boards watched that are left as they are to be, in all frames that were not driven the same `before`.

        Whoever drives such a frame from now on knows nothing of its boards. A board that comes into service is to be
        off, and may have been switched on while nobody looked.
        """
        new = {
            BoardKey(machine.name, board)
            for machine in self.machines.values()
            for frame in {place.in_frame for place in machine.places.values()}
            if not same_frame(before.get(machine.name), machine, frame)
            for board in machine.in_frame(frame)
        }
        for job in self.jobs.values():
            allocation = job.record.allocation
            if allocation is not None and job.record.state is JobState.ready:
                self._watch(new.intersection(_keys(allocation)), allocation if job.record.power else None)
        self._watch(new - self.boards.states.keys(), None)

    def _watch(self, keys: Iterable[BoardKey], on: Allocation | None) -> None:
        """Have boards watched that are off, or on for a job with this allocation."""
        of_machine: dict[str, set[Board]] = defaultdict(set)
        for key in keys:
            of_machine[key.machine].add(key.board)
        for machine, boards in of_machine.items():
            cut = frozenset() if on is None else border(self.machines[machine], on)
            theirs = frozenset(end for end in cut if end.board in boards)
            order = PowerOrder(next(self._orders), machine, frozenset(boards), on is not None, theirs)
            self._effects.orders.append(Standing(order))

    def _recall_live(self, records: Iterable[JobRecord], at: Moment) -> None:
        for record in records:
            job = self.jobs[record.id] = Job(
                record, at.now, since=at.now - max(0.0, at.wall - record.created)
            )
            self._headcount.add(record)
            if record.keepalive is not None:
                self._keepalives.add(at.now + record.keepalive, job.id)
            allocation = record.allocation
            if allocation is not None:
                self._headcount.get_boards(record)
                self._scheduler.restore_running(job.id, record.request, allocation)
                self._upkeep.hold(allocation.machine, allocation.boards, job.id)

    def _perhaps_on(self, boards: Mapping[BoardKey, BoardRecord]) -> dict[BoardKey, BoardRecord]:
        """Return what is recorded of boards, and of all that no job has that they may be on."""
        nobodys = self._every_board() - self.boards.states.keys()
        return {
            key: replace(boards.get(key, BoardRecord()), owed_off=True) for key in nobodys | boards.keys()
        }

    def _recall_hosts(self, records: Iterable[JobRecord], at: Moment) -> None:
        """Remember which hosts had which boards lately; jobs that have not ended end now."""
        had = sorted(
            (max(0.0, at.wall - (record.ended or at.wall)), record.id, record.owner_host, record.allocation)
            for record in records
            if record.allocation is not None and at.wall - (record.ended or at.wall) <= RECENT_SECONDS
        )
        boards = accumulate(len(allocation.boards) for *_, allocation in had)
        few = sum(1 for _ in takewhile(lambda total: total <= MOST_RECALLED, boards))
        for age, _, host, allocation in reversed(had[:few]):
            self._reports.had(_keys(allocation), host, at.now - age)

    def _every_board(self) -> set[BoardKey]:
        return {
            BoardKey(machine.name, board) for machine in self.machines.values() for board in machine.places
        }

    def begin_afresh(
        self,
        jobs: Iterable[JobRecord],
        boards: Mapping[BoardKey, BoardRecord],
        next_job: int,
        *,
        at: Moment,
    ) -> None:
        """End all recorded jobs and forget what failed; all boards are switched off before a job gets them.

        Ended jobs stay in the history, no ID is given again, and what an administrator drained stays so.

        Args:
            jobs: All jobs that are recorded.
            boards: What is recorded of boards.
            next_job: The next job's ID.
            at: When it happens.
        """
        self._next_job = next_job
        jobs = list(jobs)
        self._recall_hosts(jobs, at)
        perhaps_on = set(boards)
        for record in sorted(jobs, key=lambda record: (record.ended or at.wall, record.id)):
            if record.state is JobState.destroyed:
                self._remember(record)
            else:
                job = self.jobs[record.id] = Job(
                    record, at.now, since=at.now - max(0.0, at.wall - record.created)
                )
                self._headcount.add(record)
                self._retire(job, STARTED_COLD, at)
                if record.allocation is not None:
                    perhaps_on |= {
                        BoardKey(record.allocation.machine, board) for board in record.allocation.boards
                    }
        perhaps_on |= self._every_board()
        all_off = {
            key: BoardRecord(owed_off=True, drained=boards[key].drained if key in boards else None)
            for key in perhaps_on
        }
        self._upkeep.recall(all_off, at.now)
        self._follow_upkeep()

    # Questions

    def waiting(self, number: int) -> Waiting | None:
        """Return where a queued job stands and what it waits for; None for any other."""
        job = self.jobs.get(number)
        if job is None or job.record.state is not JobState.queued:
            return None
        return self._scheduler.waiting(number)

    def ended_record(self, number: int) -> JobRecord | None:
        """Return the record of a job that has ended, if it is remembered here or was not taken to be recorded yet."""
        record = self.ended.get(number)
        if record is None and number not in self.jobs and number in self._touched:
            record = self._touched[number].record
        return record

    def has_given(self, number: int) -> bool:
        """Return whether a job may ever have had this ID."""
        return 0 < number < self._next_job

    def reported(self) -> Mapping[BoardKey, int]:
        """Return the boards that users reported and that are not set aside for it, each with how many hosts did."""
        return self._reports.counted()

    def free_boards(self, machine: str) -> int:
        """Return how many boards of a machine a job could get now."""
        return self._scheduler.free_boards(machine)

    # Parts of the above

    def _touch(self, job: Job) -> None:
        self._touched[job.id] = job
        self._effects.jobs_changed.add(job.id)

    def _notice(self, text: str, about: Mapping[str, str | int], *, serious: bool = False) -> None:
        self._effects.notices.append(Notice(text, serious, about))

    def _tell_of_start(self, record: JobRecord, allocation: Allocation) -> None:
        about: dict[str, str | int] = {
            "job": record.id,
            "owner": record.owner,
            "client": record.owner_host,
            "machine": allocation.machine,
            "boards": len(allocation.boards),
        }
        self._effects.notices.append(
            Notice(f"job {record.id} starts", about=about, of=self.groups.of(record.owner_host))
        )

    def _tell_of_end(self, record: JobRecord) -> None:
        asked = record.ended_by
        about: dict[str, str | int] = {"job": record.id, "owner": record.owner}
        about["by"] = asked or ("time-out" if record.reason == TIMED_OUT else "server")
        if record.reason is not None:
            about["reason"] = record.reason
        # Of what the server ends by itself there is no more than there are boards or jobs at its start.
        own = about["by"] == "server" and (record.allocation is not None or record.reason == STARTED_COLD)
        of = None if own else self.groups.of(asked or record.owner_host)
        self._effects.notices.append(Notice(f"job {record.id} ends", about=about, of=of))

    def _hold(self, job: Job, allocation: Allocation) -> None:
        self._headcount.get_boards(job.record)
        self._upkeep.hold(allocation.machine, allocation.boards, job.id)
        self._effects.machines_changed.add(allocation.machine)

    def _order(self, job: Job, happening: Happening, allocation: Allocation, *, on: bool) -> None:
        machine = self.machines[allocation.machine]
        job.happens(happening, power=on, allocation=allocation, stays_off=False)
        job.order = next(self._orders)
        self._awaited[job.order] = job.id
        cut = border(machine, allocation) if on else frozenset()
        self._effects.orders.append(PowerOrder(job.order, machine.name, allocation.boards, on, cut))
        self._touch(job)

    def _powered(self, job: Job) -> None:
        job.order = None
        job.happens(Happening.POWERED)
        self._touch(job)

    def _move(
        self, job: Job, lost: Iterable[Board], why: str, failed: Mapping[Board, Fault], at: Moment
    ) -> None:
        """Take all its boards from a job that can't keep those it has `lost`; it waits for others, to be as powered."""
        allocation = job.record.allocation
        assert allocation is not None
        names = ", ".join(str(board) for board in sorted(lost))
        self._notice(
            f"job {job.id} is moved: {names} of {allocation.machine} {why}",
            {"job": job.id, "machine": allocation.machine},
            serious=True,
        )
        self._headcount.lose_boards(job.record)
        self._reports.had(_keys(allocation), job.record.owner_host, at.now)
        self._give_back(allocation, failed, at)
        job.order = None
        job.happens(Happening.LOST_BOARDS, power=None, allocation=None, stays_off=not job.record.power)
        self._touch(job)
        # It may have kept its boards when the machines were changed, and be refused others now.
        self._scheduler.submit(job.id, job.record.request, job.since)

    def _give_back(self, allocation: Allocation, faulty: Mapping[Board, Fault], at: Moment) -> None:
        self._upkeep.give_back(allocation.machine, allocation.boards, faulty, at)
        self._follow_upkeep()

    def _end(self, job: Job, reason: str | None, at: Moment, by: str | None = None) -> None:
        allocation = job.record.allocation
        if allocation is not None:
            self._headcount.lose_boards(job.record)
            self._reports.had(_keys(allocation), job.record.owner_host, at.now)
            self._give_back(allocation, {}, at)
        self._retire(job, reason, at, by)

    def _retire(self, job: Job, reason: str | None, at: Moment, by: str | None = None) -> None:
        job.order = None
        job.happens(
            Happening.DESTROYED, power=None, stays_off=False, reason=reason, ended=at.wall, ended_by=by
        )
        self._touch(job)
        self._tell_of_end(job.record)
        del self.jobs[job.id]
        self._headcount.remove(job.record)
        self._remember(job.record)
        if len(self._keepalives) > 2 * len(self.jobs) + ENDED_CLOCKS:
            # A keepalive may be years; the clocks of ended jobs would fill the memory until then.
            self._keepalives.keep(self.jobs.__contains__)

    def _remember(self, record: JobRecord) -> None:
        self.ended[record.id] = record
        if len(self.ended) > REMEMBERED_JOBS:
            del self.ended[next(iter(self.ended))]

    def _check_keepalive(self, number: int, at: Moment, unheard: Collection[str]) -> None:
        job = self.jobs.get(number)
        if job is None or job.record.keepalive is None:
            return
        deadline = self.delays.deadline(job.heard, job.record.keepalive)
        if at.now < deadline:
            self._keepalives.add(deadline, number)
        elif job.record.keepalive_host in unheard and at.now < deadline + job.record.keepalive:
            self._keepalives.add(at.now + UNHEARD_AGAIN_SECONDS, number)
        else:
            self.destroy_job(number, TIMED_OUT, at)

    def _follow_upkeep(self) -> None:
        findings = self._care.take_findings()
        self._effects.orders += findings.orders
        self._effects.notices += findings.notices
        self._effects.machines_changed |= findings.machines
        if findings.records:
            self._effects.boards.update(findings.records)


def _keys(allocation: Allocation) -> list[BoardKey]:
    return [BoardKey(allocation.machine, board) for board in allocation.boards]
