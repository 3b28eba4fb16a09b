"""Measurements and results made up for tests."""

from collections.abc import Callable, Sequence

from benchmarks.suite.machine import MachineDescription
from benchmarks.suite.measurement import OURS, SERVER_7_0_0, Measurement, Outcome, Samples, Subject, Unit
from benchmarks.suite.results import Result, Results, RoomResults, result_of
from benchmarks.suite.statistics import Better

MACHINE = MachineDescription(
    cores=2,
    processor="A Processor",
    memory_bytes=8 * 2**30,
    kernel="Linux 6.1",
    python="3.11.7",
    uvloop="0.21",
)


def measurement(
    *,
    peers: tuple[Subject, ...] = (SERVER_7_0_0,),
    limits: tuple[Subject, ...] = (),
    better: Better = Better.LOWER,
    unit: Unit = Unit.SECONDS,
    rounds: int = 2,
    quick_rounds: int = 1,
    peer_rounds: int | None = None,
    warm: bool = False,
    reason: str = "",
    name: str = "server/work",
    work: str = "some work",
) -> Measurement:
    return Measurement(
        name=name,
        work=work,
        unit=unit,
        better=better,
        peers=peers,
        limits=limits,
        rounds=rounds,
        quick_rounds=quick_rounds,
        peer_rounds=peer_rounds,
        warm=warm,
        reason=reason,
    )


def result(
    ours: Sequence[float],
    others: dict[Subject, Sequence[float]],
    declare: Callable[..., Measurement] = measurement,
    notes: dict[Subject, str] | None = None,
    failures: dict[Subject, str] | None = None,
    **declared: object,
) -> Result:
    """What comes of samples; subjects are declared by their kind."""
    kinds = {kind: tuple(s for s in others if s.kind.value == kind) for kind in ("peer", "limit")}
    of = declare(peers=kinds["peer"], limits=kinds["limit"], **declared)
    taken = {OURS: ours, **others}
    samples = tuple(
        Samples(
            subject,
            tuple(values),
            (notes or {}).get(subject, ""),
            (failures or {}).get(subject, ""),
            of.rounds,
        )
        for subject, values in taken.items()
    )
    return result_of(Outcome(of, samples))


def results(*made: Result, room: str = "server", run: str = "2026-11-22T10:00:00+00:00") -> Results:
    return Results(MACHINE, {room: RoomResults("2026-11-22", run, 1.0, made)})
