"""Machines that change while jobs run: who notices, who doesn't, and what becomes of the boards."""

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spalloc_client.states import JobState
from spalloc_server.core.administration import Drain, PutBack
from spalloc_server.core.board_life import Condition
from spalloc_server.core.effects import BoardKey, BoardRecord, NewMachines, PowerOrder
from spalloc_server.core.machine import Machine
from spalloc_server.core.notable import notable_boards
from spalloc_server.core.outlook import Outlook
from spalloc_server.core.questions import count_boards
from spalloc_server.core.reconfiguration import reconfigure
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle
from spinnaker.geometry import Board, Size
from tests.examples import examples
from tests.spalloc_server.core.driver import World, all_boards, machine

ONE = JobRequest(AnyBoard())
THREE = JobRequest(Boards(3))
FAULTY = {Board(0, 0, 0): "it is broken"}


def _without(whole: Machine, *dead: Board) -> Machine:
    places = {board: place for board, place in whole.places.items() if board not in dead}
    return replace(
        whole,
        dead_boards=whole.dead_boards | set(dead),
        places=places,
        addresses={board: whole.addresses[board] for board in places},
    )


def _ready(world: World, request: JobRequest = THREE) -> int:
    job = world.create(request)
    world.answer_all()
    assert world.record(job).state is JobState.ready
    return job


def test_a_job_on_a_machine_that_did_not_change_does_not_notice() -> None:
    world = World(machine(name="a"), machine(name="b"))
    job = _ready(world)
    before = world.record(job)
    world.reconfigure(machine(name="a"), machine(3, 3, name="b"), machine(name="c"))
    assert world.record(job) == before
    assert not world.orders
    assert world.machines_told[-1] == {"b", "c"}


def test_a_job_does_not_notice_settings_that_don_t_concern_its_boards() -> None:
    world = World(machine())
    job = _ready(world)
    before = world.record(job)
    boards = before.allocation.boards if before.allocation else frozenset()
    other = next(board for board in machine().places if board not in boards)
    world.reconfigure(
        replace(_without(machine(), other), tags=frozenset({"new"}), settle_seconds=9.0, bmps={})
    )
    assert world.record(job) == before


def test_nothing_is_told_when_nothing_changed() -> None:
    world = World(machine())
    world.reconfigure(machine())
    assert not world.machines_told


def test_a_job_whose_machine_is_taken_away_is_ended_and_its_boards_are_switched_off_first() -> None:
    world = World(machine(name="a"), machine(name="b"))
    job = _ready(world)
    reconfigure(world.site, [machine(name="b")], world.at)
    world.site.decide(world.at)
    off, change = world.site.take_effects().orders
    assert isinstance(off, PowerOrder)
    assert not off.on
    assert change == NewMachines((machine(name="b"),))
    assert world.record(job).state is JobState.destroyed
    assert world.record(job).reason == "Machine a is no longer in the server's configuration."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda m: _without(m, Board(0, 0, 0)),
            "Board (0, 0, 0) of machine m is no longer in the server's configuration, or is dead there.",
        ),
        (lambda m: machine(3, 2), "Machine m is configured with another size now, 3x2 triads."),
        (
            lambda m: replace(m, addresses={**m.addresses, Board(0, 0, 0): "elsewhere"}),
            "Board (0, 0, 0) of machine m is configured with another place or address now.",
        ),
    ],
)
def test_a_job_whose_boards_changed_is_ended_and_told_why(change: object, reason: str) -> None:
    world = World(machine())
    job = _ready(world, JobRequest(BoardAt(Board(0, 0, 0))))
    world.reconfigure(change(machine()))  # type: ignore[operator]
    assert world.record(job).reason == reason
    world.answer_all()
    assert not world.hardware.on
    assert not world.board_records


def test_a_queued_job_that_can_never_run_now_is_ended_and_one_that_can_starts() -> None:
    world = World(machine(2, 2))
    whole = _ready(world, JobRequest(Rectangle(Size(2, 2))))
    large = world.create(JobRequest(Rectangle(Size(2, 2))))
    small = world.create(ONE)
    world.reconfigure(machine(1, 1, name="other"))
    assert world.record(whole).state is JobState.destroyed
    assert (world.record(large).reason or "").startswith("Cancelled: ")
    assert world.record(small).state is JobState.power


def test_a_job_that_loses_its_boards_and_can_never_have_others_is_ended_and_told_why() -> None:
    world = World()
    job = _ready(world)
    world.reconfigure(replace(world.machines[0], tags=frozenset({"other"})))
    assert world.record(job).state is JobState.ready, "the change does not touch its boards"
    world.power(job, on=True)
    (order,) = world.orders
    world.answer(order, {min(order.boards): "its FPGA 1 did not load"})
    assert world.record(job).state is JobState.destroyed
    assert world.record(job).reason == "Cancelled: No machine has all of the tags default."
    assert world.site.waiting(job) is None
    world.answer_all()
    assert not world.hardware.on


def test_all_changes_take_effect_together() -> None:
    world = World(machine(1, 1, name="a"), machine(1, 1, name="b"))
    queued = [world.create(THREE) for _ in range(3)]
    world.answer_all()
    assert world.record(queued[2]).state is JobState.queued
    world.reconfigure(machine(1, 1, name="b"), machine(1, 1, name="c"))
    allocation = world.record(queued[2]).allocation
    assert allocation is not None
    assert allocation.machine == "c"


def test_a_faulty_board_that_is_taken_out_and_put_back_can_be_used_again() -> None:
    world = World(machine(1, 1))
    job = world.create(JobRequest(BoardAt(Board(0, 0, 0))))
    world.answer(world.orders[0], FAULTY)
    world.answer_all()
    assert world.record(job).state is JobState.queued
    world.reconfigure(_without(machine(1, 1), Board(0, 0, 0)))
    assert (world.record(job).reason or "").startswith("Cancelled: ")
    world.reconfigure(machine(1, 1))
    _ready(world, JobRequest(BoardAt(Board(0, 0, 0))))


def test_a_board_that_is_removed_and_configured_again_while_it_is_switched_off_is_not_allocated_before_it_is_off() -> (
    None
):
    world = World(machine(1, 1))
    world.destroy(_ready(world))
    world.reconfigure()
    world.reconfigure(machine(1, 1))
    job = world.create(THREE)
    assert world.record(job).state is JobState.queued
    world.answer_all()
    assert world.record(job).state is JobState.ready


def test_a_restart_with_another_configuration_ends_the_jobs_that_it_affects() -> None:
    world = World(machine(1, 1, name="a"), machine(2, 2, name="b"))
    gone, kept = _ready(world, replace(THREE, machine="a")), _ready(world, replace(THREE, machine="b"))
    world.restart(machine(2, 2, name="b"))
    assert world.record(gone).reason == "Machine a is no longer in the server's configuration."
    assert world.record(kept).state is JobState.ready
    assert any("no longer configured, and perhaps on" in notice.text for notice in world.notices)
    dead = min(world.record(kept).allocation.boards)  # type: ignore[union-attr]
    world.restart(_without(machine(2, 2, name="b"), dead))
    assert (
        world.record(kept).reason
        == f"Board {dead} of machine b is no longer in the server's configuration, or is dead there."
    )
    world.answer_all()
    assert {key.board for key in world.hardware.on if key.machine == "b"} == {dead}


def test_a_cold_start_ends_all_jobs_and_allocates_no_board_before_it_is_off() -> None:
    world = World(machine(1, 1))
    running, queued = _ready(world), world.create(THREE)
    world.start_cold()
    assert world.record(running).reason == world.record(queued).reason == "The server was started afresh."
    job = world.create(THREE)
    assert job == queued + 1
    assert world.record(job).state is JobState.queued
    assert set(world.board_records.values()) == {BoardRecord(owed_off=True)}
    world.answer(world.orders[0])
    assert not world.hardware.on
    assert world.record(job).state is JobState.power


def test_a_start_says_which_jobs_it_ends() -> None:
    world = World(machine(1, 1), machine(1, 1, name="n"))
    gone, _ = world.create(replace(THREE, machine="m")), world.create(replace(THREE, machine="n"))
    world.answer_all()
    world.notices.clear()
    world.restart(machine(1, 1, name="n"))
    (said,) = [notice for notice in world.notices if "this start" in notice.text]
    assert said.text == f"this start ends 1 job whose boards the configuration no longer has: {gone}"
    assert said.serious


def test_a_cold_start_forgets_that_boards_are_faulty_but_not_that_unconfigured_ones_are_perhaps_on() -> None:
    world = World(machine(1, 1))
    world.create(JobRequest(BoardAt(Board(0, 0, 0))))
    world.answer(world.orders[0], FAULTY)
    gone = BoardKey("gone", Board(0, 0, 0))
    world.board_records[gone] = BoardRecord(owed_off=True)
    world.start_cold()
    world.answer_all()
    assert world.board_records == {gone: BoardRecord(owed_off=True)}
    assert world.site.free_boards("m") == 3


def test_a_board_that_is_perhaps_on_is_switched_off_once_it_is_configured_again() -> None:
    world = World(machine(1, 1))
    _ready(world)
    world.restart(machine(1, 1, name="other"))
    assert len(world.hardware.on) == 3
    world.reconfigure(machine(1, 1))
    assert world.site.free_boards("m") == 0
    world.answer_all()
    assert not world.hardware.on
    assert world.site.free_boards("m") == 3


MACHINES = [machine(2, 2), machine(1, 2), machine(2, 2, name="n"), machine(1, 1, name="n")]
VARIANTS = [
    *MACHINES,
    *(_without(one, Board(0, 0, 0)) for one in MACHINES),
    *(replace(one, addresses=dict.fromkeys(one.places, "moved"), cool_down_seconds=3.0) for one in MACHINES),
]
configurations = st.lists(
    st.integers(0, len(VARIANTS) - 1), max_size=2, unique_by=lambda pick: VARIANTS[pick].name
)
"""By their places in VARIANTS, so that a failing history can be read."""
shapes = st.one_of(st.just(AnyBoard()), st.builds(Boards, st.integers(2, 12)))


class Reconfigurations(RuleBasedStateMachine):
    """Any machines, changed at any moment, by reloading or by restarting."""

    @initialize()
    def begin(self) -> None:
        self.world = World(MACHINES[0])
        self.acknowledged: set[int] = set()

    @rule(shape=shapes)
    def create(self, shape: AnyBoard | Boards) -> None:
        self.acknowledged.add(self.world.create(JobRequest(shape), keepalive=None))

    @rule(pick=st.integers(0, 30))
    def destroy(self, pick: int) -> None:
        self.world.destroy(pick)

    @precondition(lambda self: self.world.orders)
    @rule(data=st.data())
    def hardware_answers(self, data: st.DataObject) -> None:
        order = self.world.orders[data.draw(st.integers(0, len(self.world.orders) - 1), "which order")]
        if any(
            order.machine == earlier.machine
            and order.boards & earlier.boards
            and earlier.number < order.number
            for earlier in self.world.orders
        ):
            order = self.world.orders[0]
        failed = data.draw(st.sets(st.sampled_from(sorted(order.boards))), "failed boards")
        self.world.answer(order, dict.fromkeys(failed, "it is broken"))

    @rule(picks=configurations)
    def reconfigure(self, picks: list[int]) -> None:
        site, machines = self.world.site, [VARIANTS[pick] for pick in picks]
        outlook = Outlook(machines)
        for _ in outlook.work_out(outlook.unknown(site)):
            pass
        foretold = {ending.job: ending.why for ending in outlook.endings(site, self.world.wall)}
        live = set(site.jobs)
        self.world.reconfigure(*machines)
        assert {job: site.ended[job].reason for job in live - set(site.jobs)} == foretold

    @rule(picks=configurations, doubtful=st.booleans())
    def restart(self, picks: list[int], *, doubtful: bool) -> None:
        perhaps_on = self.perhaps_on()
        self.world.restart(*(VARIANTS[pick] for pick in picks), doubtful=doubtful)
        assert set(self.world.site.boards.lost()) <= perhaps_on

    @rule(picks=configurations)
    def start_cold(self, picks: list[int]) -> None:
        perhaps_on = self.perhaps_on()
        self.world.machines = tuple(VARIANTS[pick] for pick in picks)
        self.world.start_cold()
        assert set(self.world.site.boards.lost()) <= perhaps_on

    def perhaps_on(self) -> set[BoardKey]:
        """Return the boards that jobs have or that are recorded as owed; a start knows of no others that are on."""
        owed = {key for key, record in self.world.board_records.items() if record.owed_off}
        return owed | self.world.site.boards.holders().keys()

    @precondition(lambda self: self.world.machines)
    @rule(data=st.data())
    def drain(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(all_boards(*self.world.machines))), "which board")
        self.world.do(Drain([key], "the fan is broken", "jane"))

    @rule()
    def put_all_back(self) -> None:
        """An administrator switches off what the server can't, and puts back what the list shows."""
        boards = self.world.site.boards
        ordered = {BoardKey(order.machine, board) for order in self.world.orders for board in order.boards}
        lost = set(boards.lost()) - ordered
        for key in lost:
            self.world.hardware.on.pop(key, None)
        self.world.do(PutBack(sorted(lost | (boards.all_drained().keys() - boards.lost())), "jane"))

    @precondition(lambda self: any(one.bmps for one in self.world.machines))
    @rule(data=st.data(), silent=st.booleans())
    def bmp_falls_silent_or_answers(self, data: st.DataObject, *, silent: bool) -> None:
        frames = [(one.name, frame) for one in self.world.machines for frame in one.bmps]
        name, frame = data.draw(st.sampled_from(sorted(frames)), "which frame")
        self.world.site.frame_silent(name, frame, "it is silent" if silent else None, self.world.at)
        self.world.settle()

    @rule(seconds=st.sampled_from([0.0, 6.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule()
    def quieten(self) -> None:
        """Healthy hardware, and time for it: all boards are jobs' or free."""
        for name, frame in list(self.world.site.boards.silent.why):
            self.world.site.frame_silent(name, frame, None, self.world.at)
        self.world.settle()
        for _ in range(8):
            self.world.answer_all()
            self.world.wait(1000.0)
        self.world.answer_all()
        self.put_all_back()
        self.world.answer_all()
        # Boards that were put back may have to cool down first.
        self.world.wait(1000.0)
        self.world.answer_all()
        site = self.world.site
        for one in self.world.machines:
            held = {key for key in site.boards.holders() if key.machine == one.name}
            assert site.free_boards(one.name) == len(one.places) - len(held)
        for job in site.jobs.values():
            assert job.record.state in (JobState.ready, JobState.queued)
        assert not self.world.board_records, "all is quiet"
        assert not notable_boards(site, self.world.at)

    @invariant()
    def no_board_is_counted_twice_or_not_at_all(self) -> None:
        for one in self.world.machines:
            counts = count_boards(self.world.site)[one.name]
            assert all(count >= 0 for count in counts.values())
            assert counts.total() == len(one.places) + len(one.dead_boards)
            assert counts[Condition.FREE] == self.world.site.free_boards(one.name)
            if not any(name == one.name for name, _ in self.world.site.boards.silent.why):
                assert counts[Condition.SILENT] == 0

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        assert self.acknowledged == set(self.world.site.jobs) | set(self.world.site.ended)

    @invariant()
    def jobs_hold_boards_that_there_are_and_each_board_is_one_jobs(self) -> None:
        site = self.world.site
        held = [
            BoardKey(job.record.allocation.machine, board)
            for job in site.jobs.values()
            if job.record.allocation is not None
            for board in job.record.allocation.boards
        ]
        assert len(set(held)) == len(held)
        assert set(held) == set(site.boards.holders()) <= all_boards(*self.world.machines)

    @invariant()
    def boards_that_are_on_are_a_jobs_or_owed(self) -> None:
        owed = {key for key, record in self.world.board_records.items() if record.owed_off}
        assert set(self.world.hardware.on) <= set(self.world.site.boards.holders()) | owed

    @invariant()
    def every_notice_says_what_it_is_about(self) -> None:
        for notice in self.world.notices:
            assert notice.about
            if notice.text.endswith((" starts", " ends")):
                assert notice.text.split()[:2] == ["job", str(notice.about["job"])]
                assert notice.about["owner"]
                continue
            assert notice.about.keys() <= {"job", "jobs", "machine", "board", "frame", "by"}
            assert all(str(value) in notice.text for value in notice.about.values())

    @invariant()
    def orders_are_for_boards_that_there_are_or_were(self) -> None:
        for order in self.world.orders:
            if order.on:
                assert {BoardKey(order.machine, board) for board in order.boards} <= {
                    BoardKey(one.name, board) for one in VARIANTS for board in one.places
                }


Reconfigurations.TestCase.settings = examples(100, stateful_step_count=40)
TestReconfigurations = Reconfigurations.TestCase
