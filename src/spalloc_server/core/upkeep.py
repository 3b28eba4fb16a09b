# Boards that no job holds and that are not free yet: being switched off, cooling down, or set aside as faulty.
#
# Jobs are unknown here. What a board's failure means to the job that had it is decided in site.py.
"""The care of boards between jobs."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from spalloc_server.core.effects import BoardKey, BoardRecord, Notice, about_board
from spalloc_server.core.machine import Machine
from spalloc_server.core.power import PowerOrder, all_links
from spalloc_server.core.timers import Timers
from spinnaker.geometry import Board

MOST_DOUBLINGS = 40
"""How often a rest is doubled at most: a board may fail for years, and no number grows for as long."""
LONGEST_REST_SECONDS = 3600.0
"""However often a board has failed, it is tried again after so long at the latest."""


class _Task(Enum):
    """What is under way with a board, or planned."""

    OFF = "switch it off"
    TEST = "switch it on to see whether it comes up"
    COOL = "let it cool down"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a board."""

    why: str
    rest_seconds: float | None = None
    """How long the board is to be left alone; None for as long as its failures ask for."""
    failures: int = 1
    """How often it has failed, 1 or more; it is left alone twice as long for each."""


@dataclass(slots=True)
class _Rest:
    """Why a board that failed is left alone, and for how long."""

    then: _Task
    until: float
    alarm: float
    """When the timer comes that looks whether the rest is over; never later than `until`."""


@dataclass(slots=True)
class _Care:
    """What is known of one board in care."""

    why: str | None = None
    """What is wrong with it, or None if nothing is known to be."""
    failures: int = 0
    proven: bool = True
    """Whether it may be given to jobs once it is off; one that would not come up must pass a test first."""
    rest_seconds: float | None = None
    """How long it has still to rest before its next test, where that does not follow from its failures."""


@dataclass(slots=True)
class Findings:
    """What the care of boards leads to."""

    orders: list[PowerOrder] = field(default_factory=list)
    records: dict[BoardKey, BoardRecord | None] = field(default_factory=dict)
    free: list[BoardKey] = field(default_factory=list)
    """Boards that jobs may have again."""
    notices: list[Notice] = field(default_factory=list)


class Upkeep:
    """Every board that is neither free nor a job's."""

    def __init__(self, machines: Mapping[str, Machine], new_order: Callable[[], int]) -> None:
        """Care for the boards of `machines`; `new_order` gives numbers to power orders."""
        self._machines = machines
        self._new_order = new_order
        self._care: dict[BoardKey, _Care] = {}
        self._owed_by_strangers: set[BoardKey] = set()
        """Boards that are perhaps on, and that the machines don't have: there is no way to switch them off."""
        self._under_way: dict[int, tuple[_Task, list[BoardKey]]] = {}
        self._strayed: set[BoardKey] = set()
        """Boards that are on again, of orders to switch them off that are under way."""
        self._timers: Timers[tuple[_Task, list[BoardKey]]] = Timers()
        self._resting: dict[BoardKey, _Rest] = {}
        """Boards that failed and are left alone for now."""
        self._findings = Findings()

    def take_findings(self) -> Findings:
        """Return what has come of all calls since the last time."""
        findings, self._findings = self._findings, Findings()
        return findings

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do, or None."""
        return self._timers.next()

    def set_aside(self) -> dict[BoardKey, str]:
        """Return the boards in care that something is wrong with, and what."""
        return {key: care.why for key, care in self._care.items() if care.why is not None}

    def receive(self, machine: str, boards: Iterable[Board], faulty: Mapping[Board, Fault]) -> None:
        """Take over boards that were free or a job's; something is wrong with those in `faulty`."""
        keys = self._leave_out_strangers(BoardKey(machine, board) for board in sorted(boards))
        for key in keys:
            self._care[key] = _Care()
            fault = faulty.get(key.board)
            if fault is not None:
                self._blame(key, fault)
        self._begin(_Task.OFF, keys)

    def has(self, key: BoardKey) -> bool:
        """Return whether a board is in care."""
        return key in self._care

    def doubt(self, key: BoardKey, fault: Fault, now: float) -> None:
        """Note that something is wrong with a board in care: it must rest and pass a test before it is free."""
        self._blame(key, fault)
        rest = self._resting.get(key)
        if rest is not None and rest.then is _Task.TEST:
            self._record(key, owed_off=False)
            self._rest(key, _Task.TEST, max(rest.until, now + self._rest_seconds(key)))
            return
        if self._stop_cooling(key):
            # It is off already, so nothing else is going to lead on to the rest.
            self._record(key, owed_off=False)
            self._rest(key, _Task.TEST, now + self._rest_seconds(key))

    def strayed(self, key: BoardKey, number: int) -> None:
        """Switch a board in care off again that an order of this number switched off, and that is on."""
        task, keys = self._under_way.get(number, (None, []))
        if task is _Task.OFF and key in keys:
            # Other boards of the order are not off yet.
            self._strayed.add(key)
        rest = self._resting.get(key)
        if self._stop_cooling(key) or (rest is not None and rest.then is _Task.TEST):
            self._resting.pop(key, None)
            self._begin(_Task.OFF, [key])

    def _stop_cooling(self, key: BoardKey) -> bool:
        """Let a board wait no longer until it is free; return whether it did."""
        for task, keys in self._timers:
            if task is _Task.COOL and key in keys:
                keys.remove(key)
                return True
        return False

    def _blame(self, key: BoardKey, fault: Fault) -> None:
        failures = max(self._care[key].failures, fault.failures)
        self._care[key] = _Care(fault.why, failures, proven=False, rest_seconds=fault.rest_seconds)
        self._findings.notices.append(
            Notice(
                f"{key.machine} {key.board} is set aside: {fault.why}", serious=True, about=about_board(key)
            )
        )

    def recall(self, records: Mapping[BoardKey, BoardRecord], now: float) -> None:
        """Take up the care of boards as it was recorded, after a restart at `now`."""
        owed = []
        for key in self._leave_out_strangers(sorted(records, key=lambda key: (key.machine, key.board))):
            record = records[key]
            well = record.aside is None
            self._care[key] = _Care(record.aside, 0 if well else 1, well, record.rest_seconds)
            if record.owed_off:
                owed.append(key)
            else:
                self._rest(key, _Task.TEST, now + (record.rest_seconds or 0.0))
        if owed:
            self._begin(_Task.OFF, owed)

    def in_care(self) -> dict[BoardKey, str | None]:
        """Return all boards in care, each with what is wrong with it, if anything is."""
        return {key: care.why for key, care in self._care.items()}

    def machines_changed(self) -> None:
        """Leave the boards that the machines don't have any more, and care for those that they have again.

        One that is just being switched off or tested is left when the answer comes.
        """
        busy = {key for _, keys in self._under_way.values() for key in keys}
        for key in [key for key in self._care if key not in busy and not self._is_ours(key)]:
            rest = self._resting.get(key)
            self._leave(key, owed_off=rest is not None and rest.then is _Task.OFF)
        for _, keys in self._timers:
            keys[:] = [key for key in keys if key in self._care]
        back = sorted(
            filter(self._is_ours, self._owed_by_strangers), key=lambda key: (key.machine, key.board)
        )
        self._owed_by_strangers.difference_update(back)
        for key in back:
            self._care[key] = _Care()
        if back:
            self._begin(_Task.OFF, back)

    def answered(self, number: int, failed: Mapping[Board, str], now: float) -> bool:
        """Take the hardware's answer to an order; return False if the order was not given from here."""
        try:
            task, keys = self._under_way.pop(number)
        except KeyError:
            return False
        strayed = self._strayed.intersection(keys)
        self._strayed -= strayed
        for stranger in [key for key in keys if not self._is_ours(key)]:
            owed_off = task is _Task.TEST or stranger.board in failed or stranger in strayed
            self._leave(stranger, owed_off=owed_off)
        keys = [key for key in keys if key in self._care]
        ok = [key for key in keys if key.board not in failed and key not in strayed]
        bad = [key for key in keys if key.board in failed]
        if task is _Task.OFF:
            self._are_off(ok, now)
            self._stay_on(bad, failed, now)
            self._begin(_Task.OFF, [key for key in keys if key in strayed])
        else:
            for key in ok:
                # One that users reported while it was tested must rest, however well it does in the test.
                self._care[key].proven = self._care[key].rest_seconds is None
            for key in bad:
                self._fail(key, failed)
            self._begin(_Task.OFF, keys)
        return True

    def tick(self, now: float) -> None:
        """Begin what is due at `now`."""
        # As a set in order: a rest that was ended early leaves its timer behind, so a board may have two that are due.
        rested: dict[BoardKey, None] = {}
        for task, keys in self._timers.due(now):
            if task is _Task.COOL:
                self._set_free(keys)
            else:
                rested.update(dict.fromkeys(key for key in keys if self._has_rested(key, now)))
        self._end_rest(rested)

    def _has_rested(self, key: BoardKey, now: float) -> bool:
        """Return whether a board's rest is over; where it is not, and its timer has come, look again when it is."""
        rest = self._resting.get(key)
        if rest is None:
            return False
        if rest.alarm <= now < rest.until:
            rest.alarm = rest.until
            self._timers.add(rest.until, (rest.then, [key]))
        return rest.until <= now

    def hurry(self, boards: Iterable[BoardKey]) -> None:
        """Begin at once what was put off because boards had failed: there is reason to hope that it works now.

        Boards that rest for as long as was asked for, as those do that users reported, go on resting.
        """
        self._end_rest([key for key in boards if key in self._resting and not self._must_rest(key)])

    def _must_rest(self, key: BoardKey) -> bool:
        return self._resting[key].then is _Task.TEST and self._care[key].rest_seconds is not None

    def _end_rest(self, boards: Iterable[BoardKey]) -> None:
        due: dict[_Task, list[BoardKey]] = defaultdict(list)
        for key in boards:
            task = self._resting.pop(key).then
            due[task].append(key)
            if task is _Task.TEST:
                self._care[key].rest_seconds = None
        for task, keys in due.items():
            self._begin(task, keys)

    def _is_ours(self, key: BoardKey) -> bool:
        machine = self._machines.get(key.machine)
        return machine is not None and key.board in machine.places

    def _leave_out_strangers(self, keys: Iterable[BoardKey]) -> list[BoardKey]:
        """Return the boards that the machines have; the others, of which one can't tell, are left as perhaps on."""
        ours = []
        for key in keys:
            if self._is_ours(key):
                ours.append(key)
            else:
                self._leave(key, owed_off=True)
        return ours

    def _leave(self, key: BoardKey, *, owed_off: bool) -> None:
        """Care no more for a board that the machines don't have."""
        self._care.pop(key, None)
        self._resting.pop(key, None)
        self._findings.free.append(key)
        self._findings.records[key] = BoardRecord(owed_off=True) if owed_off else None
        if owed_off:
            self._owed_by_strangers.add(key)
            self._findings.notices.append(
                Notice(
                    f"{key.machine} {key.board} is configured no more, and perhaps on",
                    serious=True,
                    about=about_board(key),
                )
            )

    def _begin(self, task: _Task, keys: list[BoardKey]) -> None:
        of_machine: dict[str, list[BoardKey]] = defaultdict(list)
        for key in keys:
            of_machine[key.machine].append(key)
            self._record(key, owed_off=True)
        for machine, theirs in of_machine.items():
            number = self._new_order()
            self._under_way[number] = (task, theirs)
            boards = frozenset(key.board for key in theirs)
            # What is tested is also what jobs rely on: that links can be stopped.
            cut = all_links(boards) if task is _Task.TEST else frozenset()
            self._findings.orders.append(PowerOrder(number, machine, boards, task is _Task.TEST, cut))

    def _are_off(self, keys: list[BoardKey], now: float) -> None:
        cooling = [key for key in keys if self._care[key].proven]
        if cooling:
            self._set_cooling(cooling, now)
        for key in keys:
            care = self._care.get(key)
            if care is not None and not care.proven:
                self._record(key, owed_off=False)
                self._rest(key, _Task.TEST, now + self._rest_seconds(key))

    def _set_cooling(self, keys: list[BoardKey], now: float) -> None:
        at_once = []
        for key in keys:
            self._findings.records[key] = None
            seconds = self._machines[key.machine].cool_down_seconds
            if seconds > 0:
                self._timers.add(now + seconds, (_Task.COOL, [key]))
            else:
                at_once.append(key)
        self._set_free(at_once)

    def _set_free(self, keys: list[BoardKey]) -> None:
        for key in keys:
            care = self._care.pop(key)
            if care.why is not None:
                self._findings.notices.append(
                    Notice(f"{key.machine} {key.board} is well again and back in use", about=about_board(key))
                )
            self._findings.free.append(key)

    def _fail(self, key: BoardKey, failed: Mapping[Board, str]) -> None:
        care = self._care[key]
        care.why = failed[key.board]
        care.failures += 1

    def _rest(self, key: BoardKey, then: _Task, until: float) -> None:
        before = self._resting.get(key)
        if before is not None and before.alarm <= until:
            # One timer a board: a board that is reported again and again would fill the memory with them.
            self._resting[key] = _Rest(then, until, before.alarm)
            return
        self._resting[key] = _Rest(then, until, until)
        self._timers.add(until, (then, [key]))

    def _stay_on(self, keys: list[BoardKey], failed: Mapping[Board, str], now: float) -> None:
        for key in keys:
            self._fail(key, failed)
            self._record(key, owed_off=True)
            self._rest(key, _Task.OFF, now + self._retry_seconds(key))
            self._findings.notices.append(
                Notice(
                    f"{key.machine} {key.board} could not be switched off: {failed[key.board]}",
                    serious=True,
                    about=about_board(key),
                )
            )

    def _rest_seconds(self, key: BoardKey) -> float:
        asked = self._care[key].rest_seconds
        return self._retry_seconds(key) if asked is None else asked

    def _retry_seconds(self, key: BoardKey) -> float:
        first = self._machines[key.machine].board_retry_seconds
        doublings = min(self._care[key].failures - 1, MOST_DOUBLINGS)
        return min(first * 2.0**doublings, max(first, LONGEST_REST_SECONDS))

    def _record(self, key: BoardKey, *, owed_off: bool) -> None:
        self._findings.records[key] = BoardRecord(owed_off, self._care[key].why, self._care[key].rest_seconds)
