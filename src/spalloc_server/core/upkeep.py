"""What happens to boards from outside: jobs, faults, silence, administrators and changed machines.

The states of a board stand in board_life.py, the boards' states and objections in boards.py. How a board is switched
off, tested and freed is decided in care.py, what a fault means to the job that holds the board in site.py.
"""

from collections.abc import Collection, Iterable, Mapping

from spalloc_server.core.board_life import (
    FREE,
    LOST,
    BoardHappening,
    Free,
    Held,
    Objection,
    PerhapsOn,
    Resting,
    StayingOn,
    SwitchingOff,
    Testing,
    Waiting,
    outcome,
)
from spalloc_server.core.boards import Boards
from spalloc_server.core.care import Care
from spalloc_server.core.effects import BoardKey, BoardRecord, Notice, about_board
from spalloc_server.core.machine import Machine
from spalloc_server.core.objections import Drained, Fault
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.timekeeping import Moment
from spalloc_server.words import there_are
from spinnaker.geometry import Board
from spinnaker.places import Frame


class Upkeep:
    """Starts what is to be done with boards, and tells the scheduler which are not available."""

    def __init__(self, boards: Boards, care: Care, scheduler: Scheduler) -> None:
        """Look after `boards`."""
        self._boards = boards
        self._machines = boards.machines
        self._care = care
        self._scheduler = scheduler

    # Jobs

    def hold(self, machine: str, boards: Iterable[Board], job: int) -> None:
        """Note that a job has boards that the scheduler gave it."""
        self._boards.become(
            [BoardKey(machine, board) for board in boards], BoardHappening.ALLOCATED, Held(job)
        )

    def give_back(
        self, machine: str, boards: Iterable[Board], faulty: Mapping[Board, Fault], at: Moment
    ) -> None:
        """Take boards back from a job; something is wrong with those in `faulty`."""
        keys = self._configured(BoardKey(machine, board) for board in sorted(boards))
        if faulty or self._boards.objected():
            for key in keys:
                if key.board in faulty:
                    self._blame_held(key, faulty[key.board], at)
                self._set_aside(key)
        self._care.switch_off(keys, BoardHappening.GIVEN_BACK)
        self._care.findings.machines.add(machine)

    # Faults, silence and administrators

    def doubt(self, key: BoardKey, fault: Fault, at: Moment) -> None:
        """Note that something is wrong with a board: once no job has it, it must rest and then pass a test."""
        state = self._boards.state(key)
        if isinstance(state, Held):
            if fault.objection is Objection.REPORTED or self._boards.fault(key) is None:
                self._blame_held(key, fault, at)
            return
        objections = self._boards.objections_to(key)
        objections.blame(fault, at.wall)
        self._set_aside(key)
        self._care.findings.machines.add(key.machine)
        rest = at.now + objections.rest_after(self._machines[key.machine].board_retry_seconds)
        match state:
            case Free():
                self._scheduler.occupy(key.machine, [key.board])
                self._care.switch_off([key], BoardHappening.DOUBTED)
            case Resting(until):
                self._care.rest(key, BoardHappening.DOUBTED, max(until, rest))
            case _ if outcome(state, BoardHappening.DOUBTED) is Resting:
                # It is off already, so no answer of the hardware will start its rest.
                self._care.rest(key, BoardHappening.DOUBTED, rest)

    def switch_off_again(
        self,
        machine: str,
        number: int,
        keys: Iterable[BoardKey],
        faults: Mapping[BoardKey, Fault],
        at: Moment,
    ) -> None:
        """Switch off boards that no job has and that are on again after an order switched them off.

        Args:
            machine: The boards' machine.
            number: The order's.
            keys: The boards.
            faults: What is wrong with those that strayed too often.
            at: When it happens.
        """
        free = []
        for key in sorted(keys):
            fault = faults.get(key)
            state = self._boards.state(key)
            if isinstance(state, Free):
                free.append(key)
                if fault is not None:
                    self._boards.objections_to(key).blame(fault, at.wall)
                    self._set_aside(key)
                continue
            if isinstance(state, SwitchingOff):
                if state.order == number:
                    self._care.strayed(number, key)
            elif outcome(state, BoardHappening.STRAYED) is SwitchingOff:
                self._care.switch_off([key], BoardHappening.STRAYED)
            if fault is not None and self._boards.fault(key) is None:
                self.doubt(key, fault, at)
        self._scheduler.occupy(machine, [key.board for key in free])
        self._care.switch_off(free, BoardHappening.STRAYED)
        self._care.findings.machines.add(machine)

    def object_to(self, keys: Iterable[BoardKey], objection: Objection, why: str, at: Moment) -> None:
        """Make boards unavailable for a reason that a test does not end; jobs that hold them keep them."""
        for key in keys:
            self._boards.objections_to(key).add(objection, why, at.wall)
            self._scheduler.set_aside(key.machine, key.board)

    def drain(self, keys: Iterable[BoardKey], drained: Drained) -> None:
        """Take boards out of service until they are put back; jobs that hold them keep them, and none is tested."""
        for key in keys:
            self._boards.objections_to(key).drain(drained)
            self._scheduler.set_aside(key.machine, key.board)
            self._care.update_record(key)
            self._tell(key, f"is drained by {drained.by}: {drained.why}", by=drained.by)

    def put_back(self, keys: Collection[BoardKey], by: str) -> None:
        """Make drained boards available again; those that must pass a test are tested now, without a further rest.

        Boards that are no longer configured, and perhaps on, are forgotten: the administrator says that they are off.
        """
        for key in keys:
            objections = self._boards.known_objections(key)
            if self._boards.state(key) is LOST:
                self._boards.become([key], BoardHappening.FORGOTTEN, FREE)
                self._care.withdraw([key], Objection.DRAINED)
                self._care.update_record(key)
                self._tell(key, f"is no longer configured, and is forgotten by {by}", by=by)
                continue
            if objections is None or (objections.drained is None and objections.fault is None):
                continue
            told = "is put back" if objections.fault is None else "is put back, and tested first"
            self._care.withdraw([key], Objection.DRAINED)
            self._care.update_record(key)
            self._tell(key, f"{told}, by {by}", by=by)
            self._end_wait(key)

    def forget_reports(self, keys: Collection[BoardKey], by: str) -> None:
        """Forget users' reports of boards; those that are set aside because of them are tested now."""
        for key in keys:
            objections = self._boards.known_objections(key)
            if objections is None or Objection.REPORTED not in objections.why:
                continue
            if isinstance(self._boards.state(key), Held):
                objections.rest_seconds = None
                self._care.withdraw([key], Objection.REPORTED)
            self._tell(key, f"has its reports cleared by {by}", by=by)
            self._end_wait(key)

    def _end_wait(self, key: BoardKey) -> None:
        """End a board's wait for its test, or for the next try to switch it off."""
        objections = self._boards.known_objections(key)
        if objections is None or objections.fault is None:
            return
        match self._boards.state(key):
            case Resting() | StayingOn():
                self._care.end_rest([key])
            case Testing():
                objections.rest_seconds = None
            case _ if not objections.proven:
                objections.rest_seconds = 0.0

    def _tell(self, key: BoardKey, text: str, *, by: str) -> None:
        about = {**about_board(key), "by": by}
        self._care.findings.notices.append(Notice(f"{key.machine} {key.board} {text}", about=about))
        self._care.findings.machines.add(key.machine)

    def frame_silent(self, machine: str, frame: Frame, why: str | None, at: Moment) -> None:
        """Note how a frame's BMP is silent, or with None that it answers again."""
        keys = [BoardKey(machine, board) for board in self._boards.silent.note(machine, frame, why)]
        if not keys:
            return
        about: dict[str, str | int] = {"machine": machine, "frame": str(frame)}
        self._care.findings.machines.add(machine)
        if why is not None:
            text = f"{machine} {frame}: its {there_are(len(keys), 'board')} not given to jobs: {why}"
            self._care.findings.notices.append(Notice(text, serious=True, about=about))
            self.object_to(keys, Objection.SILENT, why, at)
            return
        self._care.findings.notices.append(Notice(f"{machine} {frame}: its BMP answers again", about=about))
        self._care.withdraw(keys, Objection.SILENT)
        # What failed may have failed because of the BMP, so it is tried now. Boards that users reported go on resting.
        self._care.end_rest([key for key in keys if self._may_stop_waiting(key)])

    def _may_stop_waiting(self, key: BoardKey) -> bool:
        state, objections = self._boards.state(key), self._boards.known_objections(key)
        return isinstance(state, StayingOn) or (
            isinstance(state, Resting) and (objections is None or objections.rest_seconds is None)
        )

    # Configuration and restart

    def machines_change(self, after: Mapping[str, Machine]) -> None:
        """Before a change of machines: withdraw `SILENT` from the boards of removed and changed frames."""
        for name, boards in self._boards.silent.machines_change(after).items():
            self._care.withdraw([BoardKey(name, board) for board in boards], Objection.SILENT)

    def machines_changed(self) -> None:
        """After a change of machines: let go of boards that are gone, and switch off those that are configured again.

        A board that is being switched off or tested is let go of when the answer comes.
        """
        for key, state in list(self._boards.states.items()):
            if isinstance(state, Waiting) and not self._boards.knows(key):
                self._care.let_go(key, on=isinstance(state, PerhapsOn))
        back = sorted(key for key in self._boards.lost() if self._boards.knows(key))
        self._care.switch_off(back, BoardHappening.CONFIGURED)

    def tell_scheduler(self) -> None:
        """Tell the scheduler again which boards are not available; it has forgotten those of a removed machine."""
        for key, state in self._boards.states.items():
            if self._boards.knows(key) and not isinstance(state, Held):
                self._scheduler.occupy(key.machine, [key.board])
        for key in self._boards.objected():
            if self._boards.knows(key) and self._boards.reason(key) is not None:
                self._scheduler.set_aside(key.machine, key.board)

    def recall(self, records: Mapping[BoardKey, BoardRecord], now: float) -> None:
        """Restore boards from their records, after a restart at `now`; held boards stay held."""
        owed, cared_for = [], []
        for key, record in sorted(records.items()):
            if record.drained is not None:
                self._boards.objections_to(key).drain(record.drained)
                if record == BoardRecord(drained=record.drained):
                    # It is off, as is any board without a record.
                    continue
            if isinstance(self._boards.state(key), Held):
                continue
            if record.owed_off or self._boards.knows(key):
                cared_for.append(key)
            else:
                # It is off, and no longer configured: nothing but that it is drained matters.
                self._care.update_record(key)
        for key in self._configured(cared_for):
            record = records[key]
            if record.aside is not None:
                reported = record.rest_seconds is not None
                what = Objection.REPORTED if reported else Objection.FAILED
                fault = Fault(record.aside, record.rest_seconds, objection=what)
                self._boards.objections_to(key).blame(fault, record.aside_since)
            if record.owed_off:
                owed.append(key)
            else:
                until = now + (record.rest_seconds or 0.0)
                self._boards.become([key], BoardHappening.RECALLED_IN_DOUBT, Resting(until))
                self._care.wake([key], until)
        self._care.switch_off(owed, BoardHappening.RECALLED_ON)
        self.tell_scheduler()

    def _configured(self, keys: Iterable[BoardKey]) -> list[BoardKey]:
        """Return the boards that are configured; let go of the others, which may be on."""
        configured = []
        for key in keys:
            if self._boards.knows(key):
                configured.append(key)
            else:
                self._care.let_go(key, on=True)
        return configured

    def _blame_held(self, key: BoardKey, fault: Fault, at: Moment) -> None:
        """Object to a board that a job holds or gives back; its earlier failures no longer count."""
        objections = self._boards.objections_to(key)
        objections.failures = 0
        objections.blame(fault, at.wall)

    def _set_aside(self, key: BoardKey) -> None:
        """Make a board unavailable, and tell why, if it must pass a test."""
        fault = self._boards.fault(key)
        if fault is not None:
            self._scheduler.set_aside(key.machine, key.board)
            aside = f"{key.machine} {key.board} is set aside: {fault}"
            self._care.findings.notices.append(Notice(aside, serious=True, about=about_board(key)))
