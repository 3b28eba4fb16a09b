"""Any history of commands, failures, time and crashes: what must hold after every step, and once all is quiet."""

from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spalloc_client.states import JobState
from spalloc_server.core.askers import Asker
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle
from spinnaker.geometry import Board, BoardLink, Link, Size, neighbour
from tests.examples import examples
from tests.spalloc_server.core.driver import HOST, World, all_boards, is_carrying, machine

shapes = st.one_of(
    st.just(AnyBoard()),
    st.builds(Boards, st.integers(2, 14)),
    st.builds(Rectangle, st.builds(Size, st.integers(1, 2), st.integers(1, 2))),
    st.builds(BoardAt, st.builds(Board, st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))),
)


class Histories(RuleBasedStateMachine):
    """One machine with a dead board, any number of clients, hardware that fails, and a server that crashes.

    All of it happens between slices of decisions of any length.
    """

    @initialize(
        dead=st.sets(st.builds(Board, st.integers(0, 1), st.integers(0, 1), st.integers(0, 2)), max_size=2),
        slice_steps=st.sampled_from([1, 2, 5, None]),
    )
    def begin(self, dead: set[Board], slice_steps: int | None) -> None:
        self.world = World(
            machine(2, 2, dead_boards=frozenset(dead), settle_seconds=5.0, cool_down_seconds=3.0),
            slice_steps=slice_steps,
        )
        self.acknowledged: set[int] = set()
        self.destroyed: set[int] = set()

    @rule(shape=shapes, keepalive=st.sampled_from([None, 10.0, 100.0]))
    def create(self, shape: object, keepalive: float | None) -> None:
        self.acknowledged.add(self.world.create(JobRequest(shape), keepalive=keepalive))  # type: ignore[arg-type]

    @rule(pick=st.integers(0, 30))
    def destroy(self, pick: int) -> None:
        self.world.destroy(pick)
        if pick in self.acknowledged:
            self.destroyed.add(pick)

    @rule(pick=st.integers(0, 30), on=st.booleans())
    def power(self, pick: int, *, on: bool) -> None:
        self.world.power(pick, on=on)

    @rule(pick=st.integers(0, 30))
    def keep_alive(self, pick: int) -> None:
        self.world.site.keep_alive(pick, Asker(HOST), self.world.at)
        self.world.settle()

    @precondition(lambda self: self.world.orders)
    @rule(data=st.data())
    def hardware_answers(self, data: st.DataObject) -> None:
        order = self.world.orders[data.draw(st.integers(0, len(self.world.orders) - 1), "which order")]
        # The hardware works on a board's orders one after the other.
        if any(
            order.boards & earlier.boards for earlier in self.world.orders if earlier.number < order.number
        ):
            return
        failed = data.draw(st.sets(st.sampled_from(sorted(order.boards))), "failed boards")
        self.world.answer(order, dict.fromkeys(failed, "it is broken"))

    @rule(seconds=st.sampled_from([0.0, 1.0, 6.0, 70.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule()
    def crash(self) -> None:
        self.world.restart()

    @rule()
    def quieten(self) -> None:
        """Healthy hardware, and time for it: everything that is owed is done."""
        # A board that failed often rests for up to an hour; jobs that time out meanwhile let others start.
        for seconds in (*(1000.0,) * 8, 10.0, 10.0, 10.0):
            self.go_on()
            self.world.wait(seconds)
        self.go_on()
        site = self.world.site
        held = set(site.boards.holders())
        assert set(self.world.hardware.on) <= held, "no board is on without a job"
        for job in site.jobs.values():
            assert job.record.state in (JobState.ready, JobState.queued)
            if job.record.state is JobState.ready and job.record.allocation is not None:
                keys = {BoardKey("m", board) for board in job.record.allocation.boards}
                assert (keys & set(self.world.hardware.on)) == (keys if job.record.power else set())
        self.check_links()
        if not held:
            assert site.free_boards("m") == len(all_boards(*self.world.machines)), (
                "what is freed is whole again"
            )

    def go_on(self) -> None:
        """Finish the decision that is under way, with hardware that obeys."""
        while not self.world.settle() or self.world.orders:
            self.world.answer_all()

    def check_links(self) -> None:
        """No packet can pass from one job to another, or to a board that is nobody's."""
        size = self.world.machines[0].size
        holders = self.world.site.boards.holders()
        for key in all_boards(*self.world.machines):
            for link in Link:
                far = BoardKey("m", neighbour(size, key.board, link))
                if is_carrying(self.world, key, link):
                    assert holders.get(key) == holders.get(far), BoardLink(key.board, link)

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        site = self.world.site
        assert self.acknowledged == set(site.jobs) | set(site.ended)
        assert self.destroyed <= set(site.ended)

    @invariant()
    def no_board_is_in_two_jobs(self) -> None:
        site = self.world.site
        held = [
            (BoardKey(job.record.allocation.machine, board), job.id)
            for job in site.jobs.values()
            if job.record.allocation is not None
            for board in job.record.allocation.boards
        ]
        assert len({key for key, _ in held}) == len(held)
        assert dict(held) == site.boards.holders()
        assert {key.board for key in site.boards.holders()}.isdisjoint(self.world.machines[0].dead_boards)

    @invariant()
    def what_is_recorded_is_what_is(self) -> None:
        site = self.world.site
        for number, record in self.world.job_records.items():
            assert record == (site.jobs[number].record if number in site.jobs else site.ended[number])
        assert set(self.world.board_records).isdisjoint(site.boards.holders())

    @invariant()
    def whoever_had_boards_is_charged_once_for_each_allocation(self) -> None:
        charges = {(charge.job, charge.begun): charge for charge in self.world.charges}
        for record in self.world.job_records.values():
            if record.ended is not None and record.allocated is not None:
                charge = charges[record.id, record.allocated]
                assert record.allocation is not None
                assert (charge.ended, charge.boards) == (record.ended, len(record.allocation.boards))
        # One board is charged for once at a time: no two allocations of a job overlap.
        for job in {charge.job for charge in self.world.charges}:
            spells = [(one.begun, one.ended) for one in self.world.charges if one.job == job]
            assert all(before[1] <= after[0] for before, after in pairwise(spells))

    @invariant()
    def boards_that_are_on_are_a_jobs_or_owed(self) -> None:
        owed = {key for key, record in self.world.board_records.items() if record.owed_off}
        assert set(self.world.hardware.on) <= set(self.world.site.boards.holders()) | owed


Histories.TestCase.settings = examples(60, stateful_step_count=40)
TestHistories = Histories.TestCase
