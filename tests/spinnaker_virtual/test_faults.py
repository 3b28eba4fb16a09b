"""What goes wrong on purpose, and that it does so again with the same seed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinnaker import bmp
from spinnaker.fpga import IDENTITY_REGISTER, identifies, stop_register
from spinnaker.geometry import Board, Link, Size
from spinnaker.places import Frame
from spinnaker.scamp import ScampCommand
from spinnaker_virtual import Faults, Timings, VirtualMachine
from spinnaker_virtual.faults import Delivery, FaultSource, PowerOutcome
from tests.spinnaker_virtual.bench import ROOT, Bench

HOUR = 3600.0


def heard(bench: Bench, count: int = 400, seconds: float = 1.0) -> list[int]:
    """Ask a BMP for its version over and over; return the sequence numbers in the order in which replies come."""
    sequences = []
    for sequence in range(count):
        sequences += [reply.sequence for reply in bench.tell(bmp.version_request(0, sequence))]
    return sequences + [reply.sequence for reply in bench.pass_time(seconds)]


def test_without_faults_every_request_is_answered_once_and_in_order() -> None:
    assert heard(Bench.of()) == list(range(400))


def test_some_datagrams_are_lost_on_either_way() -> None:
    sequences = heard(Bench.of(faults=Faults(lost=0.2)))
    assert sequences == sorted(set(sequences))
    assert 200 < len(sequences) < 310  # 0.8 x 0.8 of 400 is 256


def test_some_datagrams_arrive_twice() -> None:
    sequences = heard(Bench.of(faults=Faults(duplicated=0.2, late_by=0.0)))
    assert set(sequences) == set(range(400))
    assert 500 < len(sequences) < 660  # 1.2 x 1.2 of 400 is 576


def test_some_datagrams_are_late_and_overtaken_by_others() -> None:
    bench = Bench.of(faults=Faults(late=0.3, late_by=0.5))
    at_once = []
    for sequence in range(100):
        at_once += [reply.sequence for reply in bench.tell(bmp.version_request(0, sequence))]
    later = [reply.sequence for reply in bench.pass_time(1.0)]
    assert sorted(at_once + later) == list(range(100))
    assert len(later) > 20


def test_some_datagrams_go_behind_the_next_one() -> None:
    sequences = heard(Bench.of(faults=Faults(reordered=0.2)))
    assert sorted(sequences) == list(range(400))
    assert sequences != sorted(sequences)
    assert max(abs(place - sequence) for place, sequence in enumerate(sequences)) < 20


def test_faults_do_not_depend_on_the_addresses_that_happen_to_be_free() -> None:
    faults = Faults(lost=0.2, duplicated=0.1, late=0.1, reordered=0.1)
    machine = VirtualMachine(size=Size(1, 1), timings=Timings.instant(), faults=faults, seed=3)
    first = heard(Bench(machine))
    assert heard(Bench(machine, base="127.10.0.0")) == first
    assert heard(Bench(replace(machine, seed=4))) != first


def test_boards_go_through_the_same_faults() -> None:
    bench = Bench.of(faults=Faults(lost=0.5))
    bench.hardware.board(ROOT).power_on(0.0)
    for _ in range(400):
        bench.boot()
    answers = [bool(bench.send(ScampCommand.VERSION)) for _ in range(100)]
    assert 5 < sum(answers) < 60


def test_an_idle_bmp_acknowledges_and_does_nothing() -> None:
    bench = Bench.of(faults=Faults(idle=1.0))
    assert bench.ask(bmp.power_request([0], True)).ok
    assert not bench.on(ROOT)
    bench.hardware.board(ROOT).power_on(0.0)
    register = stop_register(Link.EAST)
    assert bench.ask(bmp.write_fpga_request(0, *register, 1)).ok
    assert bmp.word_of(bench.ask(bmp.read_fpga_request(0, *register))) == 0
    assert bench.ask(bmp.power_request([0], False)).ok
    assert bench.on(ROOT)


def test_some_boards_of_a_power_command_are_switched_and_some_only_acknowledged() -> None:
    bench = Bench.of(faults=Faults(idle=0.5))
    switched = 0
    for _ in range(100):
        bench.hardware.board(ROOT).power_off()
        assert bench.ask(bmp.power_request([0], True)).ok
        switched += bench.on(ROOT)
    assert 25 < switched < 75


@given(st.integers(0, 1 << 32))
def test_the_same_seed_gives_the_same_faults_and_another_seed_others(seed: int) -> None:
    def fates(seed: int) -> list[Delivery]:
        source = FaultSource(Faults(lost=0.2, duplicated=0.2, late=0.2, reordered=0.2), seed)
        return [source.deliver("to a board") for _ in range(60)]

    assert fates(seed) == fates(seed)
    assert fates(seed) != fates(seed + 1)


def test_what_happens_to_one_board_does_not_depend_on_the_others() -> None:
    alone, together = FaultSource(Faults(power=0.5), 7), FaultSource(Faults(power=0.5), 7)
    outcomes = []
    for number in range(50):
        together.power(Board(number, 0, 1))
        outcomes.append(together.power(ROOT))
    assert outcomes == [alone.power(ROOT) for _ in range(50)]


def identities(bench: Bench, board: int = 0) -> list[bool]:
    values = [
        bmp.word_of(bench.ask(bmp.read_fpga_request(board, number, IDENTITY_REGISTER))) for number in range(3)
    ]
    return [identifies(number, value) for number, value in enumerate(values)]


def test_a_board_may_have_no_power_although_its_bmp_says_so() -> None:
    bench = Bench.of(faults=Faults(power=1.0))
    assert bench.ask(bmp.power_request([0], True)).ok
    assert not bench.on(ROOT)
    assert identities(bench) == [False, False, False]


def test_one_fpga_may_not_load() -> None:
    bench = Bench.of(faults=Faults(fpga=1.0))
    assert bench.ask(bmp.power_request([0], True)).ok
    assert bench.on(ROOT)
    assert sum(identities(bench)) == 2


def test_faults_of_power_can_be_planned_for_the_next_times() -> None:
    bench = Bench.of()
    bench.hardware.faults.plan_power(ROOT, PowerOutcome(loaded=(True, False, True)), times=2)
    found = []
    for _ in range(3):
        bench.ask(bmp.power_request([0], True))
        found.append(identities(bench))
    assert found == [[True, False, True], [True, False, True], [True, True, True]]


def test_power_may_take_longer_than_a_host_waits() -> None:
    bench = Bench.of(faults=Faults(slow_power=1.0, slow_power_by=20.0))
    assert bench.tell(bmp.power_request([0], True)) == []
    assert not bench.on(ROOT)
    assert [reply.ok for reply in bench.pass_time(20.0)] == [True]
    assert bench.on(ROOT)


def test_a_bmp_may_hang_for_a_while() -> None:
    bench = Bench.of(faults=Faults(hang=1.0, hang_for=30.0))
    assert bench.tell(bmp.version_request(0)) == []
    bench.hardware.faults.faults = Faults()
    bench.pass_time(29.9)
    assert bench.tell(bmp.version_request(0)) == []
    bench.pass_time(0.1)
    assert bench.ask(bmp.version_request(0)).ok


def test_boards_that_are_on_die_in_time_and_come_back_with_a_power_on() -> None:
    bench = Bench.of(faults=Faults(crash=2.0))
    bench.power()
    bench.boot()
    assert bench.answers(ROOT)
    bench.pass_time(10 * HOUR)
    assert not any(bench.answers(Board(0, 0, z)) for z in range(3))
    assert bench.on(ROOT)
    bench.power()
    bench.boot()
    assert bench.answers(ROOT)


def test_boards_that_are_on_from_the_start_have_faults_too() -> None:
    bench = Bench.of(faults=Faults(crash=2.0))
    bench.hardware.faults.plan_power(ROOT, PowerOutcome(on=False))
    (frame,) = bench.hardware.bmps.values()
    frame.power_on_all(bench.now)
    assert [bench.on(Board(0, 0, z)) for z in range(3)] == [False, True, True]
    bench.boot(Board(0, 0, 1))
    assert bench.answers(Board(0, 0, 1))
    bench.pass_time(10 * HOUR)
    assert not bench.answers(Board(0, 0, 1))


def test_faults_are_read_from_text() -> None:
    assert Faults.parse("lost=0.01, late = 0.2,late_by=0.5") == Faults(lost=0.01, late=0.2, late_by=0.5)
    assert Faults.parse("") == Faults()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lsot=0.1", "no fault 'lsot'; there are lost, duplicated"),
        ("lost", "lost needs a number, as in lost=0.01"),
        ("lost=often", "lost=0.01, not 'often'"),
        ("lost=1.5", "lost can't be 1.5; 0 to 1 is allowed"),
        ("hang_for=-1", "hang_for can't be -1.0; 0 or more is allowed"),
        ("power=nan", "power can't be nan"),
        ("late_by=inf", "late_by can't be inf"),
        ("lost=0.1,lost=0.2", "lost is given twice"),
    ],
)
def test_faults_that_make_no_sense_are_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Faults.parse(text)


def test_frames_hang_one_by_one() -> None:
    bench = Bench.of(8, 2)
    bench.hardware.bmps[Frame(0, 1)].hang(bench.now, 5.0)
    assert bench.ask(bmp.version_request(0), Frame(0, 0)).ok
    assert bench.tell(bmp.version_request(0), Frame(0, 1)) == []
