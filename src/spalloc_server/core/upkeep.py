# What is done with boards: which are switched off, tested and left alone when, and what is recorded of them.
#
# What can happen to a board stands in board_life.py, what is known of each in boards.py. Jobs are numbers here: what a
# board's failure means to the job that has it is decided in site.py.
"""The upkeep of boards: what follows from what happens to them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from spalloc_server.core.board_life import (
    CURED_BY_A_TEST,
    FREE,
    LOST,
    BoardHappening,
    Cooling,
    Free,
    Held,
    Objection,
    Resting,
    StayingOn,
    SwitchingOff,
    Testing,
)
from spalloc_server.core.boards import Boards
from spalloc_server.core.effects import BoardKey, BoardRecord, Notice, about_board
from spalloc_server.core.machine import Machine
from spalloc_server.core.objections import Fault
from spalloc_server.core.power import PowerOrder, all_links
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.timers import Timers
from spalloc_server.words import there_are
from spinnaker.geometry import Board
from spinnaker.places import Frame

_PERHAPS_ON = BoardRecord(owed_off=True)


@dataclass(slots=True)
class Findings:
    """What has come of the boards' lives."""

    orders: list[PowerOrder] = field(default_factory=list)
    records: dict[BoardKey, BoardRecord | None] = field(default_factory=dict)
    machines: set[str] = field(default_factory=set)
    """Those that jobs can have more or fewer boards of than before."""
    notices: list[Notice] = field(default_factory=list)


@dataclass(slots=True)
class _Order:
    """A power order that is under way."""

    test: bool
    keys: list[BoardKey]
    strayed: set[BoardKey] = field(default_factory=set)
    """Boards that are on again, though others of the order are not off yet."""


class Upkeep:
    """Sees to all boards, and tells the scheduler which of them jobs can have."""

    def __init__(self, boards: Boards, scheduler: Scheduler, new_order: Callable[[], int]) -> None:
        """See to `boards`; `new_order` gives numbers to power orders."""
        self._boards = boards
        self._machines = boards.machines
        self._scheduler = scheduler
        self._new_order = new_order
        self._orders: dict[int, _Order] = {}
        self._timers: Timers[list[BoardKey]] = Timers()
        self._alarms: dict[BoardKey, float] = {}
        """When a timer comes that looks at a board: one is enough, however often what it waits for is put off."""
        self._findings = Findings()

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do, or None."""
        return self._timers.next()

    def take_findings(self) -> Findings:
        """Return what has come of all calls since the last time."""
        findings, self._findings = self._findings, Findings()
        return findings

    # Jobs

    def hold(self, machine: str, boards: Iterable[Board], job: int) -> None:
        """Note that a job has boards, which the scheduler knows."""
        self._boards.become(
            [BoardKey(machine, board) for board in boards], BoardHappening.ALLOCATED, Held(job)
        )

    def give_back(self, machine: str, boards: Iterable[Board], faulty: Mapping[Board, Fault]) -> None:
        """See to boards that a job had; something is wrong with those in `faulty`."""
        keys = self._leave_out_strangers(BoardKey(machine, board) for board in sorted(boards))
        if faulty or self._boards.objected():
            for key in keys:
                if key.board in faulty:
                    self._blame_held(key, faulty[key.board])
                self._set_aside(key)
        self._switch_off(keys, BoardHappening.GIVEN_BACK)
        self._findings.machines.add(machine)

    # What goes wrong

    def doubt(self, key: BoardKey, fault: Fault, now: float) -> None:
        """Note that something is wrong with a board: when no job has it, it must rest and pass a test."""
        state = self._boards.state(key)
        if isinstance(state, Held):
            if fault.objection is Objection.REPORTED or self._boards.fault(key) is None:
                self._blame_held(key, fault)
            return
        of = self._boards.against(key)
        of.blame(fault)
        self._set_aside(key)
        self._findings.machines.add(key.machine)
        rest = now + of.rest_after(self._machines[key.machine].board_retry_seconds)
        match state:
            case Free():
                self._scheduler.occupy(key.machine, [key.board])
                self._switch_off([key], BoardHappening.DOUBTED)
            case Cooling():
                # It is off already, so nothing else is going to lead on to the rest.
                self._rest(key, BoardHappening.DOUBTED, rest)
            case Resting(until):
                self._rest(key, BoardHappening.DOUBTED, max(until, rest))

    def switch_off_again(
        self,
        machine: str,
        number: int,
        keys: Iterable[BoardKey],
        faults: Mapping[BoardKey, Fault],
        now: float,
    ) -> None:
        """Switch off boards that no job has, and that are on though the order of that number switched them off.

        Something is wrong with those in `faults`.
        """
        free = []
        for key in sorted(keys):
            fault = faults.get(key)
            state = self._boards.state(key)
            if isinstance(state, Free):
                free.append(key)
                if fault is not None:
                    self._boards.against(key).blame(fault)
                    self._set_aside(key)
                continue
            if isinstance(state, Cooling | Resting):
                self._switch_off([key], BoardHappening.STRAYED)
            elif state == SwitchingOff(number):
                self._orders[number].strayed.add(key)
            if fault is not None and self._boards.fault(key) is None:
                self.doubt(key, fault, now)
        self._scheduler.occupy(machine, [key.board for key in free])
        self._switch_off(free, BoardHappening.STRAYED)
        self._findings.machines.add(machine)

    def object_to(self, keys: Iterable[BoardKey], objection: Objection, why: str) -> None:
        """Give boards to no job from now on, for a reason that no test is about; jobs that have them keep them."""
        for key in keys:
            self._boards.against(key).add(objection, why)
            self._scheduler.set_aside(key.machine, key.board)

    def withdraw(self, keys: Collection[BoardKey], *objections: Objection) -> None:
        """Object no longer to boards, and let jobs have those that nothing else speaks against."""
        objected = self._boards.objected()
        for key in keys if objected else ():
            if key in objected:
                self._boards.withdraw(key, *objections)
                if self._boards.reason(key) is None:
                    self._scheduler.put_back(key.machine, key.board)

    def frame_silent(self, machine: str, frame: Frame, why: str | None) -> None:
        """Note that a frame's BMP is silent, and how, or with None that it answers again."""
        keys = [BoardKey(machine, board) for board in self._boards.silent.note(machine, frame, why)]
        if not keys:
            return
        about: dict[str, str | int] = {"machine": machine, "frame": str(frame)}
        self._findings.machines.add(machine)
        if why is not None:
            text = f"{machine} {frame}: its {there_are(len(keys), 'board')} not given to jobs: {why}"
            self._findings.notices.append(Notice(text, serious=True, about=about))
            self.object_to(keys, Objection.SILENT, why)
            return
        self._findings.notices.append(Notice(f"{machine} {frame}: its BMP answers again", about=about))
        self.withdraw(keys, Objection.SILENT)
        # There is reason to hope that what failed works now. Boards that users reported go on resting.
        self._end_rest([key for key in keys if self._may_stop_waiting(key)])

    def _may_stop_waiting(self, key: BoardKey) -> bool:
        state, of = self._boards.state(key), self._boards.found(key)
        return isinstance(state, StayingOn) or (
            isinstance(state, Resting) and (of is None or of.rest_seconds is None)
        )

    # The hardware and the clock

    def power_done(self, number: int, failed: Mapping[Board, str], now: float) -> bool:
        """Take the hardware's answer to an order; return False if the order was not given from here."""
        try:
            order = self._orders.pop(number)
        except KeyError:
            return False
        keys = self._ours_of(order, failed)
        if order.test:
            for key in keys:
                of = self._boards.against(key)
                if key.board in failed:
                    of.fail(failed[key.board])
                else:
                    # One that users reported while it was tested must rest, however well it does in the test.
                    of.proven = of.rest_seconds is None
            self._switch_off(keys, BoardHappening.TESTED)
            return True
        bad = [key for key in keys if key.board in failed] if failed else []
        again = [key for key in keys if key in order.strayed and key.board not in failed]
        if bad or again:
            keys = [key for key in keys if key.board not in failed and key not in order.strayed]
        self._are_off(keys, now)
        self._stay_on(bad, failed, now)
        self._switch_off(again, BoardHappening.STRAYED)
        return True

    def tick(self, now: float) -> None:
        """Begin what is due at `now`."""
        # As a set in order: a board may have two timers, where what it waits for was put forward.
        rested: dict[BoardKey, None] = {}
        for keys in self._timers.due(now):
            cooled = []
            for key in keys:
                if self._alarms.get(key, inf) <= now:
                    del self._alarms[key]
                state = self._boards.state(key)
                if not isinstance(state, Cooling | StayingOn | Resting):
                    continue
                if state.until > now:
                    self._wake([key], state.until)
                elif isinstance(state, Cooling):
                    cooled.append(key)
                else:
                    rested[key] = None
            self._set_free(cooled)
        self._end_rest(rested)

    # Configuration and restart

    def machines_change(self, after: Mapping[str, Machine]) -> None:
        """Get ready for machines that are about to be changed: what a changed frame's BMP does is found out anew."""
        for name, boards in self._boards.silent.machines_change(after).items():
            self.withdraw([BoardKey(name, board) for board in boards], Objection.SILENT)

    def machines_changed(self) -> None:
        """Leave the boards that the machines don't have any more, and see to those that they have again.

        One that is just being switched off or tested is left when the answer comes.
        """
        for key, state in list(self._boards.states.items()):
            if isinstance(state, Cooling | StayingOn | Resting) and not self._boards.knows(key):
                self._leave(key, on=isinstance(state, StayingOn))
        back = sorted(
            key for key, state in self._boards.states.items() if state is LOST and self._boards.knows(key)
        )
        self._switch_off(back, BoardHappening.CONFIGURED)

    def reserve(self) -> None:
        """Tell the scheduler again of boards that jobs can't have: it knows nothing of a machine that was away."""
        for key, state in self._boards.states.items():
            if self._boards.knows(key) and not isinstance(state, Held):
                self._scheduler.occupy(key.machine, [key.board])
        for key in self._boards.objected():
            if self._boards.knows(key) and self._boards.reason(key) is not None:
                self._scheduler.set_aside(key.machine, key.board)

    def recall(self, records: Mapping[BoardKey, BoardRecord], now: float) -> None:
        """Go on with boards as it was recorded, after a restart at `now`; those that jobs have are theirs."""
        owed = []
        of_nobody = (key for key in sorted(records) if not isinstance(self._boards.state(key), Held))
        for key in self._leave_out_strangers(of_nobody):
            record = records[key]
            if record.aside is not None:
                reported = record.rest_seconds is not None
                what = Objection.REPORTED if reported else Objection.FAILED
                self._boards.against(key).blame(Fault(record.aside, record.rest_seconds, objection=what))
            if record.owed_off:
                owed.append(key)
            else:
                until = now + (record.rest_seconds or 0.0)
                self._boards.become([key], BoardHappening.RECALLED_IN_DOUBT, Resting(until))
                self._wake([key], until)
        self._switch_off(owed, BoardHappening.RECALLED_ON)
        self.reserve()

    # Parts of the above

    def _switch_off(self, keys: Collection[BoardKey], happening: BoardHappening) -> None:
        self._order(keys, happening, test=False)

    def _order(self, keys: Collection[BoardKey], happening: BoardHappening, *, test: bool) -> None:
        of_machine: dict[str, list[BoardKey]] = defaultdict(list)
        for key in keys:
            of_machine[key.machine].append(key)
        self._findings.records.update(dict.fromkeys(keys, _PERHAPS_ON))
        objected = self._boards.objected()
        if objected:
            for key in keys:
                if key in objected:
                    self._record(key, owed_off=True)
        for machine, theirs in of_machine.items():
            number = self._new_order()
            self._boards.become(theirs, happening, Testing(number) if test else SwitchingOff(number))
            self._orders[number] = _Order(test, theirs)
            boards = frozenset(key.board for key in theirs)
            # What is tested is also what jobs rely on: that links can be stopped.
            cut = all_links(boards) if test else frozenset()
            self._findings.orders.append(PowerOrder(number, machine, boards, test, cut))

    def _ours_of(self, order: _Order, failed: Mapping[Board, str]) -> list[BoardKey]:
        """Return the boards of an order that the machines still have, and leave the others."""
        machine = self._machines.get(order.keys[0].machine)
        places: Mapping[Board, object] = {} if machine is None else machine.places
        ours = []
        for key in order.keys:
            if key.board in places:
                ours.append(key)
            else:
                self._leave(key, on=order.test or key.board in failed or key in order.strayed)
        return ours

    def _are_off(self, keys: Collection[BoardKey], now: float) -> None:
        cooling = []
        for key in keys:
            of = self._boards.found(key)
            if of is None or of.proven:
                cooling.append(key)
            else:
                retry = self._machines[key.machine].board_retry_seconds
                self._rest(key, BoardHappening.OFF_IN_DOUBT, now + of.rest_after(retry))
        if not cooling:
            return
        # They are one order's, so one machine's.
        seconds = self._machines[cooling[0].machine].cool_down_seconds
        self._findings.records.update(dict.fromkeys(cooling))
        self._boards.become(cooling, BoardHappening.OFF, Cooling(now + seconds))
        if seconds > 0:
            self._wake(cooling, now + seconds)
        else:
            self._set_free(cooling)

    def _set_free(self, keys: Collection[BoardKey]) -> None:
        self._boards.become(keys, BoardHappening.COOLED, FREE)
        for key in keys:
            if self._boards.fault(key) is not None:
                well = f"{key.machine} {key.board} is well again and back in use"
                self._findings.notices.append(Notice(well, about=about_board(key)))
        self.withdraw(keys, *CURED_BY_A_TEST)
        self._release(keys)

    def _release(self, keys: Collection[BoardKey]) -> None:
        of_machine: dict[str, list[Board]] = defaultdict(list)
        for key in keys:
            of_machine[key.machine].append(key.board)
        for machine, boards in of_machine.items():
            self._scheduler.release(machine, boards, 0.0)
            self._findings.machines.add(machine)

    def _stay_on(self, keys: Collection[BoardKey], failed: Mapping[Board, str], now: float) -> None:
        for key in keys:
            of = self._boards.against(key)
            of.fail(failed[key.board])
            self._record(key, owed_off=True)
            until = now + of.retry_after(self._machines[key.machine].board_retry_seconds)
            self._boards.become([key], BoardHappening.STAYED_ON, StayingOn(until))
            self._wake([key], until)
            self._findings.notices.append(
                Notice(
                    f"{key.machine} {key.board} could not be switched off: {failed[key.board]}",
                    serious=True,
                    about=about_board(key),
                )
            )

    def _rest(self, key: BoardKey, happening: BoardHappening, until: float) -> None:
        self._record(key, owed_off=False)
        self._boards.become([key], happening, Resting(until))
        self._wake([key], until)

    def _wake(self, keys: Iterable[BoardKey], when: float) -> None:
        """See to it that boards are looked at by a tick at a time, or before."""
        late = [key for key in keys if self._alarms.get(key, inf) > when]
        if late:
            self._alarms.update(dict.fromkeys(late, when))
            self._timers.add(when, late)

    def _end_rest(self, keys: Iterable[BoardKey]) -> None:
        on, off = [], []
        for key in keys:
            if isinstance(self._boards.state(key), StayingOn):
                on.append(key)
            else:
                off.append(key)
                self._boards.against(key).rest_seconds = None
        self._switch_off(on, BoardHappening.RESTED)
        self._order(off, BoardHappening.RESTED, test=True)

    def _leave_out_strangers(self, keys: Iterable[BoardKey]) -> list[BoardKey]:
        """Return the boards that the machines have; the others, of which one can't tell, are left as perhaps on."""
        ours = []
        for key in keys:
            if self._boards.knows(key):
                ours.append(key)
            else:
                self._leave(key, on=True)
        return ours

    def _leave(self, key: BoardKey, *, on: bool) -> None:
        """See no more to a board that the machines don't have."""
        if on:
            self._boards.become([key], BoardHappening.REMOVED_ON, LOST)
            lost = f"{key.machine} {key.board} is configured no more, and perhaps on"
            self._findings.notices.append(Notice(lost, serious=True, about=about_board(key)))
        else:
            self._boards.become([key], BoardHappening.REMOVED, FREE)
        self._findings.records[key] = _PERHAPS_ON if on else None
        self.withdraw([key], *CURED_BY_A_TEST)
        self._release([key])

    # Objections

    def _blame_held(self, key: BoardKey, fault: Fault) -> None:
        """Object to a board that a job has, or gives back; what it failed before, under the job, counts no more."""
        of = self._boards.against(key)
        of.failures = 0
        of.blame(fault)

    def _set_aside(self, key: BoardKey) -> None:
        """Keep jobs from a board if it is to pass a test."""
        fault = self._boards.fault(key)
        if fault is not None:
            self._scheduler.set_aside(key.machine, key.board)
            aside = f"{key.machine} {key.board} is set aside: {fault}"
            self._findings.notices.append(Notice(aside, serious=True, about=about_board(key)))

    def _record(self, key: BoardKey, *, owed_off: bool) -> None:
        self._findings.records[key] = self._boards.record(key, owed_off=owed_off)
