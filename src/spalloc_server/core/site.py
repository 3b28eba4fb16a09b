"""The state of the whole site, and what each event does to it.

Each method takes an event and its time, changes the state at once, and adds what is to be done to the effects,
which the engine takes and carries out. Nothing here waits, so nothing is ever half decided.

How boards are found is decided in scheduler.py, what happens to a board in upkeep.py and care.py. Restarts, changed
configurations and administrators' commands use the parts of a site from outside: restart.py, reconfiguration.py,
administration.py.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from math import inf

from spalloc_client.states import JobState
from spalloc_server.core.account_keeping import Accounts
from spalloc_server.core.admission import Headcount, JobLimits, Trust
from spalloc_server.core.allocation import Allocation, border
from spalloc_server.core.askers import Asker, Login, Role
from spalloc_server.core.board_life import Objection
from spalloc_server.core.boards import Boards
from spalloc_server.core.care import Care
from spalloc_server.core.charges import charge_of
from spalloc_server.core.effects import (
    TIMED_OUT,
    BoardKey,
    Effects,
    Notice,
    PowerOrder,
    Remembered,
    about_board,
    end_notice,
    keys_of,
    start_notice,
)
from spalloc_server.core.endings import Ending, Endings
from spalloc_server.core.findings import Strays
from spalloc_server.core.forecast import Forecast, Forecaster
from spalloc_server.core.groups import Groups
from spalloc_server.core.jobs import Asked, Happening, Job, JobRecord, in_short, shortened
from spalloc_server.core.limits import CAUSE, LimitRules, is_of_limit
from spalloc_server.core.machine import Machine
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.objections import Fault
from spalloc_server.core.obstacles import Waiting
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.quotas import ENDED_AT_ONCE, Quotas, is_of_quota
from spalloc_server.core.refusals import Refusal, Sort
from spalloc_server.core.reports import Reports
from spalloc_server.core.request_groups import wanted
from spalloc_server.core.requests import JobRequest
from spalloc_server.core.reserving import CAUSE as RESERVATION
from spalloc_server.core.reserving import Reserving
from spalloc_server.core.scheduler import Expectation, Scheduler
from spalloc_server.core.share_rules import ShareRules
from spalloc_server.core.shares import Asking, Shares
from spalloc_server.core.timekeeping import DRIFT_SECONDS, Delays, Moment, Timers
from spalloc_server.core.upkeep import Upkeep
from spinnaker.geometry import Board
from spinnaker.places import Frame

REMEMBERED_JOBS = 1_000
"""How many destroyed jobs are kept in memory; older ones are in the records only."""

ENDED_CLOCKS = 64
"""How many keepalive timers of ended jobs may remain, beyond the number of live jobs."""

JOBS_A_TICK = 200
"""How many jobs one tick handles for each kind of deadline; it takes a few milliseconds."""

UNHEARD_AGAIN_SECONDS = 0.5
"""When a job is checked again whose keepalive may be among messages that the server has not read yet."""

SLICE_STEPS = 25
"""How many steps of work a decision may do in one slice, as for `Scheduler`: a few milliseconds."""

SWITCH_OFF_RETRY_SECONDS = 10.0
"""How long after boards of a job could not be switched off the next try follows."""


class Site:
    """All jobs and machines of a site; every event comes with the moment `at` which it happens."""

    def __init__(self, machines: Sequence[Machine], *, slice_steps: int | None = SLICE_STEPS) -> None:
        """Begin with all boards free and off.

        Args:
            machines: In order of priority, highest first.
            slice_steps: How many steps of a decision are made at a time, as for `Scheduler`.
        """
        self.machines: dict[str, Machine] = {machine.name: machine for machine in machines}
        self.jobs: dict[int, Job] = {}
        """Live jobs by ID, oldest first."""
        self.ended: dict[int, JobRecord] = {}
        """Destroyed jobs by ID, in the order in which they ended."""
        self.boards = Boards(self.machines)
        """The states of all boards and the objections to them."""
        self.limits = JobLimits()
        """How many jobs there may be; may be replaced at any time."""
        self.time_limits = LimitRules()
        """How long new jobs may have boards; may be replaced at any time."""
        self.trust = Trust()
        """Who may end a job or switch its boards; may be replaced at any time."""
        self.stopped: str | None = None
        """Why no jobs are taken at all, since an emergency stop; None while they are."""
        self.delays = Delays()
        """When the server could not hear keepalives."""
        self.neighbours = Neighbours()
        """Which addresses count as one."""
        self.headcount = Headcount(self.neighbours)
        """How many jobs and boards each owner and host has."""
        self.reports = Reports(self.neighbours)
        """Users' reports of boards, and which hosts had them."""
        self.strays = Strays()
        """How often boards strayed from what was ordered."""
        self.shares = Shares(self.neighbours)
        """What owners and hosts have used lately; its rules are changed by `share_by`."""
        self.jobs_created = 0
        """How many jobs were created since the server started."""
        self.jobs_ended_by_limit = 0
        """How many jobs were ended by their time limit since then."""
        self.jobs_ended_by_quota = 0
        """How many jobs were ended by the quota of their group since then."""
        self.next_job = 1
        """The next job's ID."""
        self.order_numbers = count(1)
        self.scheduler = Scheduler(machines, slice_steps=slice_steps)
        self._care = Care(self.boards, self.scheduler, lambda: next(self.order_numbers))
        self.forecaster = Forecaster()
        """Tells when waiting jobs may get boards."""
        self.upkeep = Upkeep(self.boards, self._care, self.scheduler)
        """What happens to boards; call `collect_findings` afterwards."""
        self.reserving = Reserving(self.machines, self.scheduler)
        """The reservations; a change of them counts from the next decision."""
        self.accounts = Accounts(self.neighbours, self.delays)
        """Accounts, their tokens and sessions."""
        self.groups = Groups()
        """The groups that accounts are in."""
        self.keepalives: Timers[int] = Timers()
        """When each job's keepalive is to be checked, by the job's ID."""
        self.endings = Endings()
        """When jobs will be ended for other reasons; see `expect_end`."""
        self.quotas = Quotas(self.groups, self.endings)
        """What the live jobs of groups use, and when that ends them."""
        self._warming_up: Timers[tuple[int, int]] = Timers()
        """Jobs whose boards have just come up, each with the power order."""
        self._retries: Timers[tuple[int, int]] = Timers()
        """Jobs whose boards are to be switched off again, each with the power order that failed."""
        self.remembered = Remembered()
        """What an earlier process's scheduler remembered, for the start."""
        self._awaited: dict[int, int] = {}
        """Power orders that are not answered yet, each with its job."""
        self._touched: dict[int, Job] = {}
        """Jobs to be recorded. The jobs themselves: one that has ended may be forgotten before its end is recorded."""
        self.effects = Effects()

    # Commands

    def create_job(
        self,
        request: JobRequest,
        asked: Asked,
        *,
        owner: str,
        keepalive: float | None,
        by: Asker,
        at: Moment,
        time_limit: float | None = None,
        group: str | None = None,
    ) -> int:
        """Queue a new job and return its ID; a job that can never run is destroyed by a decision, with the reason.

        Args:
            request: What is asked for.
            asked: The arguments as the client gave them.
            owner: The job's owner.
            keepalive: Seconds without a message after which the job is destroyed; None for never.
            by: Who asks for it.
            at: When it came.
            time_limit: Seconds for which it may have boards; None for what the rules say.
            group: The group that is charged; None for none.
        """
        number = self.next_job
        self.next_job += 1
        self.jobs_created += 1
        job = Job(
            JobRecord(
                number,
                owner,
                at.wall,
                keepalive,
                request,
                asked,
                by.host,
                owner_host=by.host,
                time_limit=self.time_limits.chosen(request, time_limit),
                account=None if by.login is None else by.login.account,
                group=group,
            ),
            at.now,
            at.now,
        )
        self.jobs[number] = job
        if group is not None:
            self.quotas.wait(number, group)
        if self.shares.move_any:
            asking = self.asking(job)
            moved_back = self.shares.moved_back(asking, self._count_boards(), at.now)
            job.amend(moved_back=moved_back, work=asking.work)
        self.touch(job)
        self.submit(job)
        self.forecaster.came(request, owner, job.record.time_limit, at.now, job.record.moved_back)
        if keepalive is not None:
            self.keepalives.add(at.now + keepalive, number)
        return number

    def refusal(self, owner: str, by: Asker) -> Refusal | None:
        """Return why somebody can't create one more job for `owner`, or None if that is allowed."""
        if self.stopped is not None:
            why = f"{self.stopped}; no jobs are taken until an administrator lifts the stop"
            return Refusal(why, Sort.CLOSED)
        return self.headcount.refusal(self.limits, owner, by.source)

    def access_refusal(self, number: int, by: Asker) -> str | None:
        """Return why somebody may not end a job, switch its boards or reach them; None if they may."""
        job = self.jobs.get(number)
        return None if job is None else self.trust.refusal(job.record, by)

    def asker_at(self, host: str) -> Asker:
        """Return as whom a client at `host` asks that can't log in: as the account of its network, if it has one.

        If that account is locked, or there is none of its name, the client may only look.
        """
        name = self.trust.accounts.of(host)
        if name is None:
            return Asker(host)
        account = self.accounts.by_name.get(name)
        role = Role.READER if account is None or account.is_locked else account.role
        return Asker(host, Login(name, role, is_by_network=True))

    def tell_of_missing_accounts(self) -> None:
        """Have the log say which accounts networks have that don't exist."""
        for network, name in self.trust.accounts.names:
            if name not in self.accounts.by_name:
                text = (
                    f"clients at {network} may only look, since there is no account {name}; make it with "
                    f"spalloc-server account add {name}, or change trust.accounts"
                )
                self.notice(text, {"account": name}, serious=True)

    def limit_refusal(self, job: Job, time_limit: float) -> str | None:
        """Return why a live job can't get a time limit (seconds from when it got its boards), or None if it can."""
        before = job.record.time_limit
        if before is not None and time_limit <= before:
            return None
        refusal = self.time_limits.refusal(job.record.request, time_limit)
        if refusal is None and before is not None and job.began is not None:
            order = job.since + job.record.moved_back, job.id
            harmed = self.scheduler.objection(job.id, job.began + time_limit, order)
            if harmed is not None:
                why = f"job {job.id} can't have its boards for longer, since {harmed}"
                return Refusal(why, Sort.CLASHING)
        return refusal

    def limit_job(self, job: Job, time_limit: float, at: Moment) -> None:
        """Replace a live job's time limit (seconds from when it got its boards)."""
        if time_limit != job.record.time_limit:
            job.amend(time_limit=time_limit)
            self.touch(job)
            self.scheduler.limit(job.id, time_limit)
            self.follow_limit(job, at)

    def keep_alive(self, number: int, by: Asker, at: Moment) -> Job | None:
        """Note that somebody still wants the job, if it is theirs to say; return it if it is live.

        Args:
            number: The job's ID.
            by: Who wants it; users see the address as the job's keepalive host.
            at: When it happens.
        """
        job = self.jobs.get(number)
        if job is not None and self.trust.keeps_alive(job.record, by):
            job.heard = at.now
            if job.record.keepalive_host != by.host:
                # Recorded soon, but no answer waits for it: a keepalive counts even while the disk fails.
                job.amend(keepalive_host=by.host)
                self._touched[number] = job
        return job

    def set_power(self, number: int, *, on: bool) -> None:
        """Switch a job's boards on (or reset them) or off.

        To a job without boards it does nothing, unless its boards were to be left off and are wanted on now.
        """
        job = self.jobs.get(number)
        if job is None:
            return
        if job.record.allocation is not None:
            self.order(job, Happening.POWER_ASKED, job.record.allocation, on=on)
        elif on and job.record.stays_off:
            job.amend(stays_off=False)
            self.touch(job)

    def destroy_job(self, number: int, reason: str | None, at: Moment, *, by: Asker | None = None) -> None:
        """End a job in any state; does nothing if it isn't live.

        Args:
            number: The job's ID.
            reason: Why, for its owner to read; None if none was given.
            by: Who asks for it; None if the server does it by itself.
            at: When it happens.
        """
        job = self.jobs.get(number)
        if job is not None:
            if job.record.state is JobState.queued:
                self.scheduler.withdraw(number)
                self.forecaster.left(number)
            host = None if by is None else by.host
            self.end(job, reason, at, host, counts=self._took_its_time(job, reason, by))

    def share_by(self, rules: ShareRules, at: Moment) -> None:
        """Change how new jobs are moved in the order of the queue; those that wait already stay where they are."""
        if self.shares.follow(rules, at.now):
            self.count_shares(at)

    def count_shares(self, at: Moment) -> None:
        """Count what all live jobs have and want."""
        jobs = self.jobs.values()
        for began, number in sorted((job.began, job.id) for job in jobs if job.began is not None):
            job = self.jobs[number]
            assert job.record.allocation is not None
            boards = len(job.record.allocation.boards)
            self.shares.has(self.asking(job), job.record.moved_back, boards, began)
        for job in sorted(
            (job for job in jobs if job.began is None),
            key=lambda job: (job.since + job.record.moved_back, job.id),
        ):
            self.shares.waits(self.asking(job), job.record.moved_back, at.now)

    def asking(self, job: Job) -> Asking:
        """Return a job as far as it counts for shares."""
        record = job.record
        boards = wanted(record.request)
        work = record.work
        if work is None:
            work = boards * self.scheduler.expected(record.owner, boards, record.time_limit)
        return Asking(
            job.id,
            record.owner,
            record.owner_host,
            record.request.tags,
            job.since,
            work,
            record.account,
            record.group,
        )

    def _count_boards(self) -> int:
        return sum([len(machine.places) for machine in self.machines.values()])

    def set_neighbours(self, ipv6_prefix: int) -> bool:
        """Count addresses of an IPv6 network with this prefix (0 to 128 bits) as one; return whether it changed."""
        if ipv6_prefix == self.neighbours.ipv6_prefix:
            return False
        self.neighbours.ipv6_prefix = ipv6_prefix
        self.headcount.recount()
        self.reports.recount()
        return True

    def report_problem(self, key: BoardKey, source: str, text: str, at: Moment) -> None:
        """Add a user's report of a faulty board.

        It counts once for the host or account that it comes from, if a job of theirs has had the board within a day.
        When enough of them have reported the board, it is set aside, once no job holds it. A machine's configuration
        limits how many boards are set aside like this.

        Args:
            key: The board.
            source: As whom the user who reports is counted (`source_of`).
            text: What the user says.
            at: When it happens.
        """
        if Objection.REPORTED in self.boards.objections(key):
            # A program that reports in a loop must not fill the log or the records.
            return
        holder = self.boards.holder(key)
        its_source = None if holder is None else self.jobs[holder].record.source
        if not self.reports.counts(key, source, its_source, at.now):
            self.effects.notices += self.reports.note(key, source, text, at.now)
            return
        machine = self.machines[key.machine]
        out = self.boards.count(Objection.REPORTED, key.machine)
        notices, fault = self.reports.add(key, source, text, machine, out)
        self.effects.notices += notices
        if fault is not None:
            self.upkeep.doubt(key, fault, at)
            self.collect_findings()

    # Events from the hardware and the clock

    def power_done(self, number: int, failed: Mapping[Board, str], at: Moment) -> None:
        """Process the hardware's answer to a power order; the answer to an order that was replaced is ignored.

        A job whose boards failed to come up is moved to others. Boards that could not be switched off are tried again
        later.

        Args:
            number: The order's.
            failed: The boards that failed, and why.
            at: When it happens.
        """
        if self._care.power_done(number, failed, at):
            self.collect_findings()
            return
        job = self.jobs.get(self._awaited.pop(number, 0))
        if job is None or job.order != number or job.record.allocation is None:
            # The job was destroyed or given another order before the answer came.
            return
        if not failed:
            seconds = self.machines[job.record.allocation.machine].settle_seconds if job.record.power else 0.0
            if seconds > 0:
                self._warming_up.add(at.now + seconds, (job.id, number))
            else:
                self._powered(job)
        elif job.record.power:
            faults = {board: Fault(why) for board, why in failed.items()}
            self.move(job, failed, "failed", faults, at)
        else:
            self.notice(
                f"job {job.id}: boards could not be switched off, will try again",
                {"job": job.id},
                serious=True,
            )
            self._retries.add(at.now + SWITCH_OFF_RETRY_SECONDS, (job.id, number))

    def boards_strayed(self, machine: str, number: int, boards: Mapping[Board, str], at: Moment) -> None:
        """Note that boards are no longer as their latest order left them.

        What ran on them is lost, so all of a job's boards are powered again: the job's state tells its owner, and the
        job keeps them if they come up. Boards that no job has are switched off again. A board that has strayed too
        often lately has failed: its job is moved to others, or keeps it if its boards are to be off.

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
            self.notice(
                f"{machine} {key.board} is not as it was ordered: {keys[key]}", about_board(key), serious=True
            )
            fault = self.strays.add(key, keys[key], at.now)
            if fault is not None:
                faults[key] = fault
        for holder in sorted({holder for holder in holders.values() if holder is not None}):
            theirs = {key: fault for key, fault in faults.items() if holders[key] == holder}
            self._restore_power(self.jobs[holder], number, theirs, at)
        unheld = [key for key, holder in holders.items() if holder is None]
        if unheld:
            self.upkeep.switch_off_again(machine, number, unheld, faults, at)
            self.collect_findings()

    def _restore_power(self, job: Job, number: int, faults: Mapping[BoardKey, Fault], at: Moment) -> None:
        """Power all boards of a job again because some strayed, or move the job if some have failed."""
        allocation = job.record.allocation
        if allocation is None or (job.record.state is JobState.power and job.order != number):
            # A later order is under way, which will bring its boards into the state that it wants.
            return
        if faults and job.record.power:
            failed = {key.board: fault for key, fault in faults.items()}
            self.move(job, failed, "failed", failed, at)
            return
        for key, fault in faults.items():
            self.upkeep.doubt(key, fault, at)
        self.notice(
            f"job {job.id}: its boards are {'powered' if job.record.power else 'switched off'} again",
            {"job": job.id, "machine": allocation.machine},
            serious=True,
        )
        self.order(job, Happening.POWER_ASKED, allocation, on=bool(job.record.power))

    def frame_silent(self, machine: str, frame: Frame, why: str | None, at: Moment) -> None:
        """Make the boards of a frame unavailable while its BMP is silent, and available when it answers again.

        Args:
            machine: The frame's machine.
            frame: The BMP's.
            why: In what way it is silent; None if it answers.
            at: When it happens.
        """
        self.upkeep.frame_silent(machine, frame, why, at)
        self.collect_findings()

    def tick(self, at: Moment, *, unheard: Collection[str] = ()) -> None:
        """Do what is due: end jobs that were not kept alive or whose time is over, and go on with boards.

        If thousands of jobs are due at once, as after a restart, some are left to the next ticks.

        Args:
            at: When it happens.
            unheard: Hosts with messages that the server has not read yet. Jobs that were last kept alive from there are
                given time for that, one keepalive more at most.
        """
        for number in self.keepalives.due(at.now, JOBS_A_TICK):
            self._check_keepalive(number, at, unheard)
        self._follow_reservations(at)
        self._follow_quotas(at)
        for number, why in self.endings.due(at.now, JOBS_A_TICK):
            # A job has two timers for one ending if another came before it for a while.
            job = self.jobs.get(number)
            by_limit, by_quota = is_of_limit(why), is_of_quota(why)
            if job is not None and not ((by_limit or by_quota) and self._began_later(job, at)):
                self.jobs_ended_by_limit += by_limit
                self.jobs_ended_by_quota += by_quota
                self.destroy_job(number, why, at)
        for number, order in self._warming_up.due(at.now, JOBS_A_TICK):
            job = self.jobs.get(number)
            if job is not None and job.order == order:
                self._powered(job)
        for number, order in self._retries.due(at.now, JOBS_A_TICK):
            job = self.jobs.get(number)
            if job is not None and job.order == order and job.record.allocation is not None:
                self.order(job, Happening.POWER_ASKED, job.record.allocation, on=False)
        self.accounts.tick(at)
        self._care.tick(at.now)
        self.collect_findings()

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do, or None if it never has without further events."""
        deadlines = (
            self.keepalives.next(),
            self.endings.next(),
            self.quotas.next(),
            self._warming_up.next(),
            self._retries.next(),
            self._care.next_deadline(),
            self.scheduler.next_deadline(),
            self.reserving.next_deadline(),
            self.accounts.timers.next(),
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def decide(self, at: Moment) -> bool:
        """Start jobs that can start, and end those that can never run; called after a batch of events.

        Returns:
            whether everything is decided; if not, `decide` must be called again soon, even if no event comes.
        """
        self._follow_reservations(at)
        # Of a group with nothing left, no job that waits gets the boards that another has just given back.
        if not self._follow_quotas(at):
            return False
        for start in self.scheduler.decide(at.now):
            job = self.jobs[start.job]
            self.forecaster.started(start.job, at.now)
            self._hold(job, start.allocation)
            on = not job.record.stays_off
            job.amend(start_number=start.number)
            self.order(job, Happening.ALLOCATED, start.allocation, on=on, allocated=at.wall)
            job.began = at.now
            self.shares.begin(job.id, len(start.allocation.boards), at.now)
            self.quotas.begin(job.id, len(start.allocation.boards), at.now)
            self.follow_limit(job, at)
            self._follow_reservation(job, at)
            self.effects.notices.append(start_notice(job.record, start.allocation, self.neighbours))
        for number, why in self.scheduler.take_refused():
            job = self.jobs[number]
            self.forecaster.left(number)
            # A client that asks for it in a loop must not fill the history with long requests.
            job.record = in_short(job.record)
            self.end(job, shortened(f"Cancelled: {why}"), at)
        ahead = at.wall - at.now
        for number, until in self.scheduler.take_expected().items():
            self.jobs[number].amend(expected_end=until + ahead)
            self._touched[number] = self.jobs[number]
        self._follow_quotas(at)
        memory = self.scheduler.memory(ahead)
        if memory is not None:
            self.effects.scheduler = memory
        return self.scheduler.is_done

    def _follow_reservations(self, at: Moment) -> None:
        changed = self.reserving.look(at)
        self.effects.machines_changed |= changed
        for job in list(self.jobs.values()) if changed else ():
            if job.record.allocation is not None and job.record.allocation.machine in changed:
                self._follow_reservation(job, at)
        notices, self.reserving.notices = self.reserving.notices, []
        self.effects.notices += notices

    def _follow_reservation(self, job: Job, at: Moment) -> None:
        ending = self.reserving.ending(job.record)
        self.expect_end(job.id, RESERVATION, ending, at)
        if job.record.allocation is not None:
            self.scheduler.end_by(job.id, inf if ending is None else ending.at, at.now)

    def _follow_quotas(self, at: Moment) -> bool:
        """Follow what is left of quotas, and return whether all jobs that wait have ended which must."""
        over = self.quotas.follow(at.now)
        for number, why in over:
            self.jobs_ended_by_quota += 1
            self.destroy_job(number, why, at)
        return len(over) < ENDED_AT_ONCE

    def take_effects(self) -> Effects:
        """Return the effects of all calls since the last time."""
        effects, self.effects = self.effects, Effects()
        effects.is_urgent = self.stopped is not None
        touched, self._touched = self._touched, {}
        effects.jobs = {number: touched[number].record for number in sorted(touched)}
        effects.endings = self.endings.take_news()
        if self.reserving.records:
            effects.reservations, self.reserving.records = self.reserving.records, {}
        if self.accounts.news is not None:
            effects.accounts, self.accounts.news = self.accounts.news, None
        if self.groups.news:
            effects.groups, self.groups.news = self.groups.news, {}
        return effects

    # Questions

    def waiting(self, number: int) -> Waiting | None:
        """Return a queued job's position and what it waits for; None if the job is not queued."""
        job = self.jobs.get(number)
        if job is None or job.record.state is not JobState.queued:
            return None
        return self.scheduler.waiting(number)

    def forecast(self, now: float) -> Steps[Forecast]:
        """Return when the first jobs of the queue are expected to start, as it seems at a moment of the core's time."""
        return self.forecaster.forecast(self.scheduler, now)

    @property
    def has_queue(self) -> bool:
        """Whether any job waits for boards."""
        return bool(self.scheduler.waiting_jobs)

    def expectation(self, number: int, now: float) -> Expectation | None:
        """Return how long a live job is expected to have its boards from now on; None for any other."""
        return self.scheduler.expectation(number, now)

    def ended_record(self, number: int) -> JobRecord | None:
        """Return the record of an ended job, if it is still remembered or not recorded yet; otherwise None."""
        record = self.ended.get(number)
        if record is None and number not in self.jobs and number in self._touched:
            record = self._touched[number].record
        return record

    def ending(self, number: int) -> Ending | None:
        """Return when and why a live job will be ended by the server, as far as is known; otherwise None."""
        soonest, of_quota = self.endings.of(number), self.quotas.ending(number)
        # A quota's is among the others only once it is near.
        return min((one for one in (soonest, of_quota) if one is not None), key=_at, default=None)

    def is_ending_soon(self, number: int) -> bool:
        """Return whether that is so near that clients which asked for it are told."""
        return self.endings.is_near(number)

    def has_given(self, number: int) -> bool:
        """Return whether this ID may have been given to a job."""
        return 0 < number < self.next_job

    def reported(self) -> Mapping[BoardKey, int]:
        """Return the reported boards that are not set aside for it, each with how many hosts have reported it."""
        return self.reports.counted()

    def free_boards(self, machine: str) -> int:
        """Return how many boards of a machine are available now."""
        return self.scheduler.free_boards(machine)

    # Parts of the above, and of restart.py, reconfiguration.py and administration.py

    def touch(self, job: Job) -> None:
        """Have a job's changed record counted and written, and its watchers told."""
        self.headcount.note(job.record)
        job.changes += 1
        self._touched[job.id] = job
        self.effects.jobs_changed.add(job.id)

    def expect_end(self, number: int, cause: str, ending: Ending | None, at: Moment) -> None:
        """Have a live job ended later, with a reason, and its clients told before; or not, for this cause.

        Args:
            number: The job's ID.
            cause: What ends it, such as `limit`; a job may have several, and the soonest counts.
            ending: When and why; None if this cause does not end it.
            at: When this is known.
        """
        if number in self.jobs:
            self.endings.expect(number, cause, ending, at.now)

    def follow_limit(self, job: Job, at: Moment, told_from: float = -inf) -> None:
        """Have a job ended by its time limit, from when it got its boards; see `LimitRules.ending` for `told_from`."""
        ending = self.time_limits.ending(job.record.time_limit, job.began, told_from)
        self.expect_end(job.id, CAUSE, ending, at)

    def _began_later(self, job: Job, at: Moment) -> bool:
        """Follow the limit again of a job that got its boards later than was believed; return whether it did."""
        if job.recalled is None or job.record.allocated is None or job.began is None:
            return False
        began = at.now - max(at.wall - job.record.allocated, at.now - job.recalled)
        if began <= job.began + DRIFT_SECONDS:
            return False
        # The computer's clock was fast at the start, and has been set right since.
        job.began = began
        self.follow_limit(job, at)
        if job.record.allocation is not None:
            self.quotas.begin(job.id, len(job.record.allocation.boards), began)
        return True

    def submit(self, job: Job) -> None:
        """Have a job wait for boards."""
        record = job.record
        self.scheduler.submit(
            job.id,
            record.request,
            job.since,
            owner=record.owner,
            limit=record.time_limit,
            moved_back=record.moved_back,
        )

    def _took_its_time(self, job: Job, reason: str | None, by: Asker | None) -> bool:
        """Return whether a job had its boards for as long as it wanted, or was allowed."""
        if by is None:
            return reason is not None and (reason == TIMED_OUT or is_of_limit(reason))
        return self.neighbours.of(by.source) == self.neighbours.of(job.record.source)

    def notice(self, text: str, about: Mapping[str, str | int], *, serious: bool = False) -> None:
        """Have a line written to the log."""
        self.effects.notices.append(Notice(text, serious, about))

    def _hold(self, job: Job, allocation: Allocation) -> None:
        self.upkeep.hold(allocation.machine, allocation.boards, job.id)
        self.effects.machines_changed.add(allocation.machine)

    def order(
        self,
        job: Job,
        happening: Happening,
        allocation: Allocation,
        *,
        on: bool,
        allocated: float | None = None,
    ) -> None:
        """Have a job's boards switched on or off, because of what happens to it.

        Args:
            job: The job.
            happening: What happens to it.
            allocation: Its boards.
            on: Whether they are to be on.
            allocated: When they were allocated, in seconds of Unix time; None if the job has had them before.
        """
        machine = self.machines[allocation.machine]
        since = job.record.allocated if allocated is None else allocated
        job.happens(happening, power=on, allocation=allocation, stays_off=False, allocated=since)
        job.order = next(self.order_numbers)
        self._awaited[job.order] = job.id
        cut = border(machine, allocation) if on else frozenset()
        self.effects.orders.append(PowerOrder(job.order, machine.name, allocation.boards, on, cut))
        self.touch(job)

    def _powered(self, job: Job) -> None:
        job.order = None
        job.happens(Happening.POWERED)
        self.touch(job)

    def move(
        self, job: Job, lost: Iterable[Board], why: str, failed: Mapping[Board, Fault], at: Moment
    ) -> None:
        """Take all boards from a job because it has `lost` some; it waits for others, with the same power.

        Args:
            job: A job that has boards.
            lost: The boards that it can't keep.
            why: What happened to them, as the end of a sentence.
            failed: What is wrong with those of its boards that have failed.
            at: When it happens.
        """
        allocation = job.record.allocation
        assert allocation is not None
        names = ", ".join(str(board) for board in sorted(lost))
        self.notice(
            f"job {job.id} is moved: {names} of {allocation.machine} {why}",
            {"job": job.id, "machine": allocation.machine},
            serious=True,
        )
        self.reports.had(keys_of(allocation), job.record.source, at.now)
        self._give_back(job, failed, at, counts=False)
        self._charge(job, at)
        job.order = job.began = job.recalled = None
        self.shares.lose(job.id, at.now)
        self.quotas.lose(job.id, at.now)
        self.follow_limit(job, at)
        stays_off = not job.record.power
        job.happens(
            Happening.LOST_BOARDS,
            power=None,
            allocation=None,
            allocated=None,
            expected_end=None,
            stays_off=stays_off,
        )
        self._follow_reservation(job, at)
        self.touch(job)
        # The machines may have changed since the job started, so the scheduler may refuse it now.
        self.submit(job)

    def _give_back(self, job: Job, faulty: Mapping[Board, Fault], at: Moment, *, counts: bool) -> None:
        allocation = job.record.allocation
        assert allocation is not None
        length = self.scheduler.ended(job.id, at.now, counts=counts)
        if length is not None:
            self.effects.lengths.append(length)
        self.upkeep.give_back(allocation.machine, allocation.boards, faulty, at)
        self.collect_findings()

    def end(
        self, job: Job, reason: str | None, at: Moment, by: str | None = None, *, counts: bool = False
    ) -> None:
        """End a job that is not in the scheduler's queue: give its boards back and retire it.

        Args:
            job: A job.
            reason: Why it ends, for its owner.
            at: When it ends.
            by: The host that asked for it; None if none did.
            counts: Whether others are expected to have their boards for as long.
        """
        allocation = job.record.allocation
        if allocation is not None:
            self.reports.had(keys_of(allocation), job.record.source, at.now)
            self._give_back(job, {}, at, counts=counts)
        self.retire(job, reason, at, by)

    def _charge(self, job: Job, at: Moment) -> None:
        """Charge for a job's boards, if it has some, since it is about to have them no more."""
        charge = charge_of(job.record, at.wall)
        if charge is not None:
            self.effects.charges.append(charge)
            if charge.group is not None:
                self.groups.charge(charge.group, charge.board_seconds)

    def retire(self, job: Job, reason: str | None, at: Moment, by: str | None = None) -> None:
        """Mark a job as destroyed and remember it as ended; its boards are left to the caller."""
        self._charge(job, at)
        job.order = None
        job.happens(
            Happening.DESTROYED,
            power=None,
            expected_end=None,
            stays_off=False,
            reason=reason,
            ended=at.wall,
            ended_by=by,
        )
        self.touch(job)
        self.effects.notices.append(end_notice(job.record, self.neighbours))
        del self.jobs[job.id]
        self.endings.forget(job.id)
        self.shares.end(job.id, at.now)
        self.quotas.end(job.id)
        self.effects.shares.update(self.shares.take_news(at))
        self.remember(job.record)
        if len(self.keepalives) > 2 * len(self.jobs) + ENDED_CLOCKS:
            # A keepalive may be years long; timers of ended jobs would fill the memory until then.
            self.keepalives.keep(self.jobs.__contains__)

    def remember(self, record: JobRecord) -> None:
        """Keep the record of an ended job, and drop the oldest if there are too many."""
        self.ended[record.id] = record
        if len(self.ended) > REMEMBERED_JOBS:
            del self.ended[next(iter(self.ended))]

    def _check_keepalive(self, number: int, at: Moment, unheard: Collection[str]) -> None:
        job = self.jobs.get(number)
        if job is None or job.record.keepalive is None:
            return
        deadline = self.delays.deadline(job.heard, job.record.keepalive)
        if at.now < deadline:
            self.keepalives.add(deadline, number)
        elif job.record.keepalive_host in unheard and at.now < deadline + job.record.keepalive:
            self.keepalives.add(at.now + UNHEARD_AGAIN_SECONDS, number)
        else:
            self.destroy_job(number, TIMED_OUT, at)

    def collect_findings(self) -> None:
        """Add to the effects what has come of `upkeep` and of time."""
        findings = self._care.take_findings()
        self.effects.orders += findings.orders
        self.effects.notices += findings.notices
        self.effects.machines_changed |= findings.machines
        if findings.records:
            self.effects.boards.update(findings.records)


def _at(ending: Ending) -> float:
    return ending.at
