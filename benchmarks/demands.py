"""What the project asks of itself in numbers, and which measurement answers each.

A list; whether a demand is met is worked out in report/, from the results of a run.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.suite.measurement import (
    CLIENT_7_0_0,
    CLIENT_7_4_1,
    FIFO,
    SERVER_7_0_0,
    SKIP,
    UDP_ECHO,
    WITHOUT_JOBS,
    Subject,
    Unit,
)
from benchmarks.suite.results import Result, Results


@dataclass(frozen=True, slots=True)
class Demand:
    """A bound on a figure of a run."""

    what: str
    bound: float
    unit: Unit | None
    """None for a ratio."""
    figure: Callable[[Results], float | None]
    """The figure, or None when it was not measured."""
    at_least: bool = False
    """Whether the bound is the least allowed, and not the most."""
    goal: bool = False
    """Whether it is wished for, and not required."""
    reason: str = ""
    """What stands in the way, when it is not met."""

    def met(self, value: float) -> bool:
        """Whether a figure is within the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


def median_of(name: str) -> Callable[[Results], float | None]:
    """Our median."""
    return lambda results: _median(results.find(name))


def share_of(name: str, subject: Subject) -> Callable[[Results], float | None]:
    """Ours divided by another's, for what is better when it is lower."""

    def figure(results: Results) -> float | None:
        result = results.find(name)
        other = result.subject(subject.name) if result else None
        return 1 / other.times_better.median if other and other.times_better else None

    return figure


def quotient(name: str, other: str, scale: float = 1.0) -> Callable[[Results], float | None]:
    """Our median of one measurement divided by our median of another, and by a scale."""

    def figure(results: Results) -> float | None:
        above, below = _median(results.find(name)), _median(results.find(other))
        return above / below / scale if above and below else None

    return figure


def _median(result: Result | None) -> float | None:
    return result.ours.spread.median if result and result.ours.spread else None


def _scheduling() -> tuple[Demand, ...]:
    demands: list[Demand] = []
    for trace in ("light", "busy", "overloaded"):
        mean, longest = f"scheduling/{trace}-mean", f"scheduling/{trace}-longest"
        demands += [
            Demand(f"`{trace}`: mean wait, of the 2023 queue's", 1 / 25, None, share_of(mean, SERVER_7_0_0)),
            Demand(f"`{trace}`: longest wait, of the 2023 queue's", 1, None, share_of(longest, SERVER_7_0_0)),
            Demand(
                f"`{trace}`: mean wait, of the bound where all may overtake",
                3,
                None,
                share_of(mean, SKIP),
                goal=True,
                reason=FRONTIER,
            ),
            Demand(
                f"`{trace}`: longest wait, of the bound where none may overtake",
                2,
                None,
                share_of(longest, FIFO),
                goal=True,
                reason=FRONTIER,
            ),
            Demand(
                f"`{trace}`: deciding, an event",
                150e-6,
                Unit.SECONDS,
                median_of(f"scheduling/{trace}-deciding"),
                reason=OF_MACHINE,
            ),
        ]
    return tuple(demands)


OF_MACHINE = "A time, and not a ratio: a slower or busier machine needs more of it."
SHARED = (
    "A time, and not a ratio: server, clients, the disk and the virtual boards of 50 frames share this machine's "
    "processors, and each job is packets to a BMP and their answers."
)
OWN_START = "The interpreter's own start and the modules that both need are part of both."

FRONTIER = (
    "Both bounds place boards anywhere, and no rule reaches both: shorter longest waits make mean waits longer. "
    "The guide on scheduling draws what can be had."
)

DEMANDS: dict[str, tuple[Demand, ...]] = {
    "The client": (
        Demand(
            "`import spalloc_client` alone, which loads its parts when they are first used, of client 1!7.0.0's",
            0.5,
            None,
            share_of("client/import", CLIENT_7_0_0),
        ),
        Demand(
            "import of `Job`, `ProtocolClient` and `JobState`, of client 1!7.0.0's",
            0.5,
            None,
            share_of("client/import-all", CLIENT_7_0_0),
            reason=OWN_START,
        ),
        Demand("installed size, without byte code", 3e6, Unit.BYTES, median_of("client/size")),
        Demand("packages that come with it", 2, Unit.COUNT, median_of("client/packages")),
        Demand(
            "`Job(...)` returns after the reply to `create_job`",
            10e-3,
            Unit.SECONDS,
            median_of("client/job-created"),
            reason=OF_MACHINE,
        ),
        Demand(
            "`spalloc-ps`, start to end, of client 1!7.0.0's",
            0.5,
            None,
            share_of("client/command-ps", CLIENT_7_0_0),
            reason=OWN_START,
        ),
        Demand(
            "the same, of client 1!7.4.1's",
            0.5,
            None,
            share_of("client/command-ps", CLIENT_7_4_1),
            reason=OWN_START,
        ),
    ),
    "The server": (
        Demand(
            "start to first answer, 10,000 jobs in the records",
            1,
            Unit.SECONDS,
            median_of("server/start-with-jobs"),
            reason=(
                "A time, and not a ratio. Most of it is the start of Python and its modules, as the line without jobs "
                "shows."
            ),
        ),
        Demand(
            "one job ready after `create_job`",
            10e-3,
            Unit.SECONDS,
            median_of("server/ready-1"),
            reason=SHARED,
        ),
        Demand("400 three-board jobs ready", 1, Unit.SECONDS, median_of("server/ready-400"), reason=SHARED),
        Demand(
            "memory of a connection, 10,000 of them", 20e3, Unit.BYTES, median_of("server/connection-memory")
        ),
        Demand("the same, all watching", 20e3, Unit.BYTES, median_of("server/watcher-memory")),
        Demand(
            "`create_job` and `destroy_job` pairs a second, on disk, 50 clients",
            1000,
            Unit.PER_SECOND,
            median_of("server/pairs"),
            at_least=True,
            reason=SHARED,
        ),
        Demand(
            "`version` with 10,000 live jobs, of what it is with none",
            1.2,
            None,
            share_of("server/version-among-jobs", WITHOUT_JOBS),
            reason=(
                "Both are some millionths of a second, and two processes: what else the machine does shows in one more "
                "than in the other."
            ),
        ),
        Demand(
            "`list_jobs`, 10,000 jobs, once listed before",
            25e-3,
            Unit.SECONDS,
            median_of("server/list"),
            reason=OF_MACHINE,
        ),
        Demand(
            "`list_jobs`, 10,000 jobs, the first time",
            25e-3,
            Unit.SECONDS,
            median_of("server/list-first"),
            reason=(
                "A job is put into bytes once, until it changes: in an idle moment, or else when the list is asked for."
            ),
        ),
    ),
    "Scheduling": (
        *_scheduling(),
        Demand(
            "deciding on 100x100 triads, of 25 times what it is on 20x20",
            1,
            None,
            quotient("scheduling/deciding-100x100", "scheduling/deciding-20x20", 25),
        ),
    ),
    "Virtual boards": (
        Demand("`make demo`, the second time", 3, Unit.SECONDS, median_of("boards/demo"), reason=OF_MACHINE),
        Demand("256 bytes read, of a bare UDP echo's time", 2, None, share_of("boards/read", UDP_ECHO)),
        Demand(
            "1,200 boards booted as one machine",
            10,
            Unit.SECONDS,
            median_of("boards/together"),
            reason=OF_MACHINE,
        ),
        Demand(
            "1,200 boards booted each by itself, without the cutting of their links",
            10,
            Unit.SECONDS,
            median_of("boards/apart"),
            reason=OF_MACHINE,
        ),
        Demand("memory then, every chip asked", 1.5e9, Unit.BYTES, median_of("boards/apart-memory-asked")),
    ),
}
"""Demands, by the part of the project that they are made of."""
