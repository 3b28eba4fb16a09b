"""What befalls boards, and what is begun because of it: jobs that come and go, faults, silence, other machines.

What can happen to a board stands in board_life.py, what is known of each in boards.py; how a board is
switched off, tested and freed is care.py's subject. Jobs are numbers here: what a board's failure means to
the job that has it is decided in site.py.
"""

from collections.abc import Collection, Iterable, Mapping

from spalloc_server.core.board_life import (
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
from spalloc_server.core.care import Care
from spalloc_server.core.effects import BoardKey, BoardRecord, Notice, about_board
from spalloc_server.core.machine import Machine
from spalloc_server.core.objections import Drained, Fault
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.moment import Moment
from spalloc_server.words import there_are
from spinnaker.geometry import Board
from spinnaker.places import Frame


class Upkeep:
    """Begins what is to be done with boards, and keeps jobs from those that they can't have."""

    def __init__(self, boards: Boards, care: Care, scheduler: Scheduler) -> None:
        """Look after `boards`."""
        self._boards = boards
        self._machines = boards.machines
        self._care = care
        self._scheduler = scheduler

    # Jobs

    def hold(self, machine: str, boards: Iterable[Board], job: int) -> None:
        """Note that a job has boards, which the scheduler knows."""
        self._boards.become(
            [BoardKey(machine, board) for board in boards], BoardHappening.ALLOCATED, Held(job)
        )

    def give_back(
        self, machine: str, boards: Iterable[Board], faulty: Mapping[Board, Fault], at: Moment
    ) -> None:
        """See to boards that a job had; something is wrong with those in `faulty`."""
        keys = self._leave_out_strangers(BoardKey(machine, board) for board in sorted(boards))
        if faulty or self._boards.objected():
            for key in keys:
                if key.board in faulty:
                    self._blame_held(key, faulty[key.board], at)
                self._set_aside(key)
        self._care.switch_off(keys, BoardHappening.GIVEN_BACK)
        self._care.findings.machines.add(machine)

    # What goes wrong

    def doubt(self, key: BoardKey, fault: Fault, at: Moment) -> None:
        """Note that something is wrong with a board: when no job has it, it must rest and pass a test."""
        state = self._boards.state(key)
        if isinstance(state, Held):
            if fault.objection is Objection.REPORTED or self._boards.fault(key) is None:
                self._blame_held(key, fault, at)
            return
        of = self._boards.against(key)
        of.blame(fault, at.wall)
        self._set_aside(key)
        self._care.findings.machines.add(key.machine)
        rest = at.now + of.rest_after(self._machines[key.machine].board_retry_seconds)
        match state:
            case Free():
                self._scheduler.occupy(key.machine, [key.board])
                self._care.switch_off([key], BoardHappening.DOUBTED)
            case Cooling():
                # It is off already, so nothing else is going to lead on to the rest.
                self._care.rest(key, BoardHappening.DOUBTED, rest)
            case Resting(until):
                self._care.rest(key, BoardHappening.DOUBTED, max(until, rest))

    def switch_off_again(
        self,
        machine: str,
        number: int,
        keys: Iterable[BoardKey],
        faults: Mapping[BoardKey, Fault],
        at: Moment,
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
                    self._boards.against(key).blame(fault, at.wall)
                    self._set_aside(key)
                continue
            if isinstance(state, Cooling | Resting):
                self._care.switch_off([key], BoardHappening.STRAYED)
            elif state == SwitchingOff(number):
                self._care.strayed(number, key)
            if fault is not None and self._boards.fault(key) is None:
                self.doubt(key, fault, at)
        self._scheduler.occupy(machine, [key.board for key in free])
        self._care.switch_off(free, BoardHappening.STRAYED)
        self._care.findings.machines.add(machine)

    def object_to(self, keys: Iterable[BoardKey], objection: Objection, why: str, at: Moment) -> None:
        """Give boards to no job from now on, for a reason that no test is about; jobs that have them keep them."""
        for key in keys:
            self._boards.against(key).add(objection, why, at.wall)
            self._scheduler.set_aside(key.machine, key.board)

    def drain(self, keys: Iterable[BoardKey], word: Drained) -> None:
        """Give boards to no job until they are put back; jobs that have them keep them, and none is tested."""
        for key in keys:
            self._boards.against(key).drain(word)
            self._scheduler.set_aside(key.machine, key.board)
            self._care.record_anew(key)
            self._tell(key, f"is drained by {word.by}: {word.why}", by=word.by)

    def put_back(self, keys: Collection[BoardKey], by: str) -> None:
        """Let jobs have boards that were drained; those that must pass a test have rested for long enough."""
        for key in keys:
            of = self._boards.found(key)
            if of is None or (of.drained is None and of.fault is None):
                continue
            told = "is put back" if of.fault is None else "is put back, and tested first"
            self._care.withdraw([key], Objection.DRAINED)
            self._care.record_anew(key)
            self._tell(key, f"{told}, by {by}", by=by)
            self._has_rested(key)

    def forget_reports(self, keys: Collection[BoardKey], by: str) -> None:
        """Give no more on what users said of boards: one that is set aside for it has rested for long enough."""
        for key in keys:
            of = self._boards.found(key)
            if of is None or Objection.REPORTED not in of.why:
                continue
            if isinstance(self._boards.state(key), Held):
                of.rest_seconds = None
                self._care.withdraw([key], Objection.REPORTED)
            self._tell(key, f"has its reports cleared by {by}", by=by)
            self._has_rested(key)

    def _has_rested(self, key: BoardKey) -> None:
        """Wait no longer to test a board that must pass a test, or to try again to switch it off."""
        of = self._boards.found(key)
        if of is None or of.fault is None:
            return
        match self._boards.state(key):
            case Resting() | StayingOn():
                self._care.end_rest([key])
            case Testing():
                of.rest_seconds = None
            case _ if not of.proven:
                of.rest_seconds = 0.0

    def _tell(self, key: BoardKey, text: str, *, by: str) -> None:
        about = {**about_board(key), "by": by}
        self._care.findings.notices.append(Notice(f"{key.machine} {key.board} {text}", about=about))
        self._care.findings.machines.add(key.machine)

    def frame_silent(self, machine: str, frame: Frame, why: str | None, at: Moment) -> None:
        """Note that a frame's BMP is silent, and how, or with None that it answers again."""
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
        # There is reason to hope that what failed works now. Boards that users reported go on resting.
        self._care.end_rest([key for key in keys if self._may_stop_waiting(key)])

    def _may_stop_waiting(self, key: BoardKey) -> bool:
        state, of = self._boards.state(key), self._boards.found(key)
        return isinstance(state, StayingOn) or (
            isinstance(state, Resting) and (of is None or of.rest_seconds is None)
        )

    # Configuration and restart

    def machines_change(self, after: Mapping[str, Machine]) -> None:
        """Get ready for machines that are about to be changed: the BMPs of changed frames are asked again."""
        for name, boards in self._boards.silent.machines_change(after).items():
            self._care.withdraw([BoardKey(name, board) for board in boards], Objection.SILENT)

    def machines_changed(self) -> None:
        """Leave the boards that the machines don't have any more, and see to those that they have again.

        One that is just being switched off or tested is left when the answer comes.
        """
        for key, state in list(self._boards.states.items()):
            if isinstance(state, Cooling | StayingOn | Resting) and not self._boards.knows(key):
                self._care.leave(key, on=isinstance(state, StayingOn))
        back = sorted(
            key for key, state in self._boards.states.items() if state is LOST and self._boards.knows(key)
        )
        self._care.switch_off(back, BoardHappening.CONFIGURED)

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
        owed, cared_for = [], []
        for key, record in sorted(records.items()):
            if record.drained is not None:
                self._boards.against(key).drain(record.drained)
                if record == BoardRecord(drained=record.drained):
                    # It is off, as any board without a record.
                    continue
            if not isinstance(self._boards.state(key), Held):
                cared_for.append(key)
        for key in self._leave_out_strangers(cared_for):
            record = records[key]
            if record.aside is not None:
                reported = record.rest_seconds is not None
                what = Objection.REPORTED if reported else Objection.FAILED
                fault = Fault(record.aside, record.rest_seconds, objection=what)
                self._boards.against(key).blame(fault, record.aside_since)
            if record.owed_off:
                owed.append(key)
            else:
                until = now + (record.rest_seconds or 0.0)
                self._boards.become([key], BoardHappening.RECALLED_IN_DOUBT, Resting(until))
                self._care.wake([key], until)
        self._care.switch_off(owed, BoardHappening.RECALLED_ON)
        self.reserve()

    def _leave_out_strangers(self, keys: Iterable[BoardKey]) -> list[BoardKey]:
        """Return the boards that the machines have; the others, of which one can't tell, are left as perhaps on."""
        ours = []
        for key in keys:
            if self._boards.knows(key):
                ours.append(key)
            else:
                self._care.leave(key, on=True)
        return ours

    def _blame_held(self, key: BoardKey, fault: Fault, at: Moment) -> None:
        """Object to a board that a job has, or gives back; what it failed before, under the job, counts no more."""
        of = self._boards.against(key)
        of.failures = 0
        of.blame(fault, at.wall)

    def _set_aside(self, key: BoardKey) -> None:
        """Keep jobs from a board if it is to pass a test."""
        fault = self._boards.fault(key)
        if fault is not None:
            self._scheduler.set_aside(key.machine, key.board)
            aside = f"{key.machine} {key.board} is set aside: {fault}"
            self._care.findings.notices.append(Notice(aside, serious=True, about=about_board(key)))
