"""Boards on their way to being free: they are switched off, cool down, rest and are tested.

The states of a board stand in board_life.py. What starts this is decided in upkeep.py.
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
    Objection,
    PerhapsOn,
    Resting,
    StayingOn,
    SwitchingOff,
    Testing,
    Waiting,
)
from spalloc_server.core.boards import Boards
from spalloc_server.core.effects import BoardKey, BoardRecord, Notice, PowerOrder, about_board, all_links
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.timekeeping import Moment, Timers
from spinnaker.geometry import Board

_PERHAPS_ON = BoardRecord(owed_off=True)


@dataclass(slots=True)
class Findings:
    """What is to be done, recorded and told because of what happened to boards."""

    orders: list[PowerOrder] = field(default_factory=list)
    records: dict[BoardKey, BoardRecord | None] = field(default_factory=dict)
    machines: set[str] = field(default_factory=set)
    """Machines whose available boards have changed."""
    notices: list[Notice] = field(default_factory=list)


@dataclass(slots=True)
class _Order:
    """A power order that is not answered yet."""

    test: bool
    keys: list[BoardKey]
    strayed: set[BoardKey] = field(default_factory=set)
    """Boards that were switched off and are on again, while others of the order are not off yet."""


class Care:
    """Switches off and tests boards that no job has, until they are free."""

    def __init__(self, boards: Boards, scheduler: Scheduler, new_order: Callable[[], int]) -> None:
        """Care for `boards`; `new_order` returns the number of a new power order."""
        self._boards = boards
        self._machines = boards.machines
        self._scheduler = scheduler
        self._new_order = new_order
        self._orders: dict[int, _Order] = {}
        self._timers: Timers[list[BoardKey]] = Timers()
        self._alarms: dict[BoardKey, float] = {}
        """When the next timer of a board is due; one is enough, however often its time is put off."""
        self.findings = Findings()
        """The findings of all calls since they were last taken."""

    def take_findings(self) -> Findings:
        """Return the findings of all calls since the last time."""
        findings, self.findings = self.findings, Findings()
        return findings

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do, or None."""
        return self._timers.next()

    def power_done(self, number: int, failed: Mapping[Board, str], at: Moment) -> bool:
        """Process the hardware's answer to an order; return False if the order was not given here."""
        try:
            order = self._orders.pop(number)
        except KeyError:
            return False
        keys = self._configured(order, failed)
        if order.test:
            for key in keys:
                objections = self._boards.objections_to(key)
                if key.board in failed:
                    objections.fail(failed[key.board], at.wall)
                else:
                    # A board that users reported during its test must rest even if it passes.
                    objections.proven = objections.rest_seconds is None
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
        """Do what is due at `now`."""
        # An ordered set: a board has two timers if its time was brought forward.
        rested: dict[BoardKey, None] = {}
        for keys in self._timers.due(now):
            cooled = []
            for key in keys:
                if self._alarms.get(key, inf) <= now:
                    del self._alarms[key]
                state = self._boards.state(key)
                if not isinstance(state, Waiting):
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
        """Note that a board is on again before its order is answered; it is switched off again after that."""
        self._orders[number].strayed.add(key)

    def switch_off(self, keys: Collection[BoardKey], happening: BoardHappening) -> None:
        """Order boards to be switched off."""
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
            # Jobs rely on stopped links too, so a test stops them all.
            cut = all_links(boards) if test else frozenset()
            self.findings.orders.append(PowerOrder(number, machine, boards, test, cut))

    def _configured(self, order: _Order, failed: Mapping[Board, str]) -> list[BoardKey]:
        """Return the boards of an order that are still configured; let go of the others."""
        machine = self._machines.get(order.keys[0].machine)
        places: Mapping[Board, object] = {} if machine is None else machine.places
        configured = []
        for key in order.keys:
            if key.board in places:
                configured.append(key)
            else:
                self.let_go(key, on=order.test or key.board in failed or key in order.strayed)
        return configured

    def _are_off(self, keys: Collection[BoardKey], now: float) -> None:
        cooling = []
        for key in keys:
            objections = self._boards.known_objections(key)
            if objections is None or objections.proven:
                cooling.append(key)
            else:
                retry = self._machines[key.machine].board_retry_seconds
                self.rest(key, BoardHappening.OFF_IN_DOUBT, now + objections.rest_after(retry))
        if not cooling:
            return
        # The boards of one order are of one machine.
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
            self._scheduler.release(machine, boards)
            self.findings.machines.add(machine)

    def _stay_on(self, keys: Collection[BoardKey], failed: Mapping[Board, str], at: Moment) -> None:
        for key in keys:
            objections = self._boards.objections_to(key)
            objections.fail(failed[key.board], at.wall)
            self._record(key, owed_off=True)
            until = at.now + objections.retry_after(self._machines[key.machine].board_retry_seconds)
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
        """Let a board that is off rest until its test."""
        self._record(key, owed_off=False)
        self._boards.become([key], happening, Resting(until))
        self.wake([key], until)

    def wake(self, keys: Iterable[BoardKey], when: float) -> None:
        """Have a tick look at boards at `when`, or earlier."""
        late = [key for key in keys if self._alarms.get(key, inf) > when]
        if late:
            self._alarms.update(dict.fromkeys(late, when))
            self._timers.add(when, late)

    def end_rest(self, keys: Iterable[BoardKey]) -> None:
        """Test boards that have rested, and switch off those that stayed on; drained boards go on resting."""
        on, off = [], []
        for key in keys:
            if isinstance(self._boards.state(key), StayingOn):
                on.append(key)
            elif self._boards.drained(key) is None:
                # Somebody may be working on a drained board, so it rests until it is put back.
                off.append(key)
                self._boards.objections_to(key).rest_seconds = None
        self.switch_off(on, BoardHappening.RESTED)
        self._order(off, BoardHappening.RESTED, test=True)

    def let_go(self, key: BoardKey, *, on: bool) -> None:
        """Stop caring for a board that is no longer configured; `on` says whether it may be on."""
        if on:
            self._boards.become([key], BoardHappening.REMOVED_ON, LOST)
            lost = f"{key.machine} {key.board} is no longer configured, and perhaps on"
            self.findings.notices.append(Notice(lost, serious=True, about=about_board(key)))
        else:
            self._boards.become([key], BoardHappening.REMOVED, FREE)
        self.withdraw([key], *CURED_BY_A_TEST)
        self.update_record(key)
        self._release([key])

    def withdraw(self, keys: Collection[BoardKey], *objections: Objection) -> None:
        """Drop objections to boards, and make those available that have no other."""
        objected = self._boards.objected()
        for key in keys if objected else ():
            if key in objected:
                self._boards.withdraw(key, *objections)
                if self._boards.reason(key) is None:
                    self._scheduler.put_back(key.machine, key.board)

    def update_record(self, key: BoardKey) -> None:
        """Record a board as it is now."""
        state = self._boards.state(key)
        if isinstance(state, PerhapsOn | Resting):
            self._record(key, owed_off=isinstance(state, PerhapsOn))
        else:
            self.findings.records[key] = self._boards.lasting_record(key)

    def _record(self, key: BoardKey, *, owed_off: bool) -> None:
        self.findings.records[key] = self._boards.record(key, owed_off=owed_off)
