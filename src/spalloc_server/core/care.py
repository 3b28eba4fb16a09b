"""Boards that no job has, on their way to being free: they are switched off, cooled down, left alone, tested.

What a board can go through stands in board_life.py. What begins it is upkeep.py's subject.
"""

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
from spalloc_server.core.power import PowerOrder, all_links
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.timers import Timers
from spalloc_server.moment import Moment
from spinnaker.geometry import Board

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


class Care:
    """Sees to boards that no job has, and lets jobs have them again."""

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
        self.findings = Findings()
        """What has come of all calls since it was last taken."""

    def take_findings(self) -> Findings:
        """Return what has come of all calls since the last time."""
        findings, self.findings = self.findings, Findings()
        return findings

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do, or None."""
        return self._timers.next()

    def power_done(self, number: int, failed: Mapping[Board, str], at: Moment) -> bool:
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
                    of.fail(failed[key.board], at.wall)
                else:
                    # One that users reported while it was tested must rest, however well it does in the test.
                    of.proven = of.rest_seconds is None
            self.switch_off(keys, BoardHappening.TESTED)
            return True
        bad = [key for key in keys if key.board in failed] if failed else []
        again = [key for key in keys if key in order.strayed and key.board not in failed]
        if bad or again:
            keys = [key for key in keys if key.board not in failed and key not in order.strayed]
        self._are_off(keys, at.now)
        self._stay_on(bad, failed, at)
        self.switch_off(again, BoardHappening.STRAYED)
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
                    self.wake([key], state.until)
                elif isinstance(state, Cooling):
                    cooled.append(key)
                else:
                    rested[key] = None
            self._set_free(cooled)
        self.end_rest(rested)

    def strayed(self, number: int, key: BoardKey) -> None:
        """Note that a board is on again that an order under way switched off: it is switched off again after that."""
        self._orders[number].strayed.add(key)

    def switch_off(self, keys: Collection[BoardKey], happening: BoardHappening) -> None:
        """Begin to switch boards off."""
        self._order(keys, happening, test=False)

    def _order(self, keys: Collection[BoardKey], happening: BoardHappening, *, test: bool) -> None:
        of_machine: dict[str, list[BoardKey]] = defaultdict(list)
        for key in keys:
            of_machine[key.machine].append(key)
        self.findings.records.update(dict.fromkeys(keys, _PERHAPS_ON))
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
            self.findings.orders.append(PowerOrder(number, machine, boards, test, cut))

    def _ours_of(self, order: _Order, failed: Mapping[Board, str]) -> list[BoardKey]:
        """Return the boards of an order that the machines still have, and leave the others."""
        machine = self._machines.get(order.keys[0].machine)
        places: Mapping[Board, object] = {} if machine is None else machine.places
        ours = []
        for key in order.keys:
            if key.board in places:
                ours.append(key)
            else:
                self.leave(key, on=order.test or key.board in failed or key in order.strayed)
        return ours

    def _are_off(self, keys: Collection[BoardKey], now: float) -> None:
        cooling = []
        for key in keys:
            of = self._boards.found(key)
            if of is None or of.proven:
                cooling.append(key)
            else:
                retry = self._machines[key.machine].board_retry_seconds
                self.rest(key, BoardHappening.OFF_IN_DOUBT, now + of.rest_after(retry))
        if not cooling:
            return
        # They are one order's, so one machine's.
        seconds = self._machines[cooling[0].machine].cool_down_seconds
        self.findings.records.update(dict.fromkeys(cooling))
        objected = self._boards.objected()
        if objected:
            for key in cooling:
                self.findings.records[key] = self._boards.lasting_record(key)
        self._boards.become(cooling, BoardHappening.OFF, Cooling(now + seconds))
        if seconds > 0:
            self.wake(cooling, now + seconds)
        else:
            self._set_free(cooling)

    def _set_free(self, keys: Collection[BoardKey]) -> None:
        self._boards.become(keys, BoardHappening.COOLED, FREE)
        for key in keys:
            if self._boards.fault(key) is not None:
                drained = self._boards.drained(key)
                back = "back in use" if drained is None else drained.words
                well = f"{key.machine} {key.board} is well again and {back}"
                self.findings.notices.append(Notice(well, about=about_board(key)))
        self.withdraw(keys, *CURED_BY_A_TEST)
        self._release(keys)

    def _release(self, keys: Collection[BoardKey]) -> None:
        of_machine: dict[str, list[Board]] = defaultdict(list)
        for key in keys:
            of_machine[key.machine].append(key.board)
        for machine, boards in of_machine.items():
            self._scheduler.release(machine, boards, 0.0)
            self.findings.machines.add(machine)

    def _stay_on(self, keys: Collection[BoardKey], failed: Mapping[Board, str], at: Moment) -> None:
        for key in keys:
            of = self._boards.against(key)
            of.fail(failed[key.board], at.wall)
            self._record(key, owed_off=True)
            until = at.now + of.retry_after(self._machines[key.machine].board_retry_seconds)
            self._boards.become([key], BoardHappening.STAYED_ON, StayingOn(until))
            self.wake([key], until)
            self.findings.notices.append(
                Notice(
                    f"{key.machine} {key.board} could not be switched off: {failed[key.board]}",
                    serious=True,
                    about=about_board(key),
                )
            )

    def rest(self, key: BoardKey, happening: BoardHappening, until: float) -> None:
        """Leave a board alone that is off, before it is tested."""
        self._record(key, owed_off=False)
        self._boards.become([key], happening, Resting(until))
        self.wake([key], until)

    def wake(self, keys: Iterable[BoardKey], when: float) -> None:
        """See to it that boards are looked at by a tick at a time, or before."""
        late = [key for key in keys if self._alarms.get(key, inf) > when]
        if late:
            self._alarms.update(dict.fromkeys(late, when))
            self._timers.add(when, late)

    def end_rest(self, keys: Iterable[BoardKey]) -> None:
        """Begin with boards what they were left alone before."""
        on, off = [], []
        for key in keys:
            if isinstance(self._boards.state(key), StayingOn):
                on.append(key)
            elif self._boards.drained(key) is None:
                # Somebody may have the others in their hands: they rest until they are put back.
                off.append(key)
                self._boards.against(key).rest_seconds = None
        self.switch_off(on, BoardHappening.RESTED)
        self._order(off, BoardHappening.RESTED, test=True)

    def leave(self, key: BoardKey, *, on: bool) -> None:
        """See no more to a board that the machines don't have."""
        if on:
            self._boards.become([key], BoardHappening.REMOVED_ON, LOST)
            lost = f"{key.machine} {key.board} is configured no more, and perhaps on"
            self.findings.notices.append(Notice(lost, serious=True, about=about_board(key)))
        else:
            self._boards.become([key], BoardHappening.REMOVED, FREE)
        self.withdraw([key], *CURED_BY_A_TEST)
        self.record_anew(key)
        self._release([key])

    def withdraw(self, keys: Collection[BoardKey], *objections: Objection) -> None:
        """Object no longer to boards, and let jobs have those that nothing else speaks against."""
        objected = self._boards.objected()
        for key in keys if objected else ():
            if key in objected:
                self._boards.withdraw(key, *objections)
                if self._boards.reason(key) is None:
                    self._scheduler.put_back(key.machine, key.board)

    def record_anew(self, key: BoardKey) -> None:
        """Record a board as it is, whatever it is doing."""
        state = self._boards.state(key)
        if isinstance(state, Free | Held | Cooling):
            self.findings.records[key] = self._boards.lasting_record(key)
        else:
            self._record(key, owed_off=not isinstance(state, Resting))

    def _record(self, key: BoardKey, *, owed_off: bool) -> None:
        self.findings.records[key] = self._boards.record(key, owed_off=owed_off)
