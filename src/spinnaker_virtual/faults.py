"""Faults that happen on purpose: how often, and, drawn from a seed, when.

Decides only; agenda.py, bmp.py and hardware.py carry the faults out.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, fields
from random import Random
from typing import NamedTuple, Self

from spinnaker.fpga import FPGAS_PER_BOARD
from spinnaker.geometry import Board
from spinnaker.places import Frame

_SECONDS_AN_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often things go wrong. Shares are from 0 to 1; times are in seconds."""

    lost: float = 0.0
    """Share of datagrams, in each direction, that are lost."""
    duplicated: float = 0.0
    """Share of datagrams that arrive twice, the second time up to `late_by` seconds later."""
    late: float = 0.0
    """Share of datagrams that are delayed by up to `late_by` seconds."""
    late_by: float = 0.1
    reordered: float = 0.0
    """Share of datagrams that the next one overtakes."""
    power: float = 0.0
    """Share of power-ons after which a board has no power, although the BMP reports success."""
    fpga: float = 0.0
    """Share of power-ons after which one of a board's FPGAs has not loaded."""
    idle: float = 0.0
    """Share of writes to registers, and of boards in power commands, that a BMP acknowledges without doing anything."""
    slow_power: float = 0.0
    """Share of power commands that take up to `slow_power_by` seconds longer."""
    slow_power_by: float = 20.0
    hang: float = 0.0
    """Share of requests after which a BMP is silent for `hang_for` seconds."""
    hang_for: float = 30.0
    crash: float = 0.0
    """How many times an hour, on average, a board that is on crashes; it works again after a power-on."""

    def __post_init__(self) -> None:
        for name in self.names():
            value = getattr(self, name)
            limit = float("inf") if name == "crash" or name.endswith(("_by", "_for")) else 1.0
            if not 0 <= value <= limit or value == float("inf"):
                allowed = "0 or more" if limit > 1 else "0 to 1"
                raise ValueError(f"fault {name} can't be {value}; {allowed} is allowed")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all faults and of their times."""
        return tuple(entry.name for entry in fields(cls))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the faults that a string describes, such as `lost=0.01,late=0.2,late_by=0.5`.

        Raises:
            ValueError: A fault is unknown or given twice, or its value is not a number or out of range.
        """
        values = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, equals, number = (piece.strip() for piece in part.partition("="))
            if name not in cls.names():
                raise ValueError(f"there is no fault {name!r}; there are {', '.join(cls.names())}")
            if name in values:
                raise ValueError(f"fault {name} is given twice")
            try:
                values[name] = float(number)
            except ValueError:
                shown = number if equals else part
                raise ValueError(f"fault {name} needs a number, as in {name}=0.01, not {shown!r}") from None
        return cls(**values)

    @property
    def of_network(self) -> bool:
        """Whether any datagrams are lost, duplicated, delayed or reordered."""
        return bool(self.lost or self.duplicated or self.late or self.reordered)


class PowerOutcome(NamedTuple):
    """The result of powering a board on."""

    on: bool = True
    loaded: tuple[bool, ...] = (True,) * FPGAS_PER_BOARD
    """For each FPGA, whether its bitfile loads."""


class Delivery(NamedTuple):
    """When a datagram arrives."""

    delays: tuple[float, ...] = (0.0,)
    """Seconds until it arrives, for each time that it does; empty if it is lost."""
    overtaken: bool = False
    """Whether the next datagram arrives first."""


_SAFE = Delivery()
_WELL = PowerOutcome()


class FaultSource:
    """Draws faults from a seed.

    Each kind of fault of each board and BMP has its own random numbers, so that the faults of one do not depend on how
    the others are used.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._seed = seed
        self._randoms: dict[str, Random] = {}
        self._planned: dict[Board, deque[PowerOutcome]] = defaultdict(deque)

    def _random(self, kind: str, whose: object) -> Random:
        key = f"{self._seed}/{kind}/{whose}"
        if key not in self._randoms:
            self._randoms[key] = Random(key)
        return self._randoms[key]

    def plan_power(self, board: Board, outcome: PowerOutcome, times: int = 1) -> None:
        """Fix the results of the board's next power-ons; later ones are drawn again."""
        self._planned[board].extend([outcome] * times)

    def power(self, board: Board) -> PowerOutcome:
        """Return the result of powering a board on now."""
        if self._planned[board]:
            return self._planned[board].popleft()
        if not self.faults.power and not self.faults.fpga:
            return _WELL
        random = self._random("power", board)
        dead, unloaded, which = random.random(), random.random(), random.randrange(FPGAS_PER_BOARD)
        if dead < self.faults.power:
            return PowerOutcome(on=False, loaded=(False,) * FPGAS_PER_BOARD)
        if unloaded < self.faults.fpga:
            return PowerOutcome(loaded=tuple(number != which for number in range(FPGAS_PER_BOARD)))
        return _WELL

    def idles(self, board: Board) -> bool:
        """Return whether a BMP acknowledges its next action on a board without doing it."""
        return bool(self.faults.idle) and self._random("idle", board).random() < self.faults.idle

    def power_delay(self, frame: Frame) -> float:
        """Return how many seconds longer than usual a power command takes."""
        if not self.faults.slow_power:
            return 0.0
        random = self._random("slow power", frame)
        chosen, share = random.random(), random.random()
        return share * self.faults.slow_power_by if chosen < self.faults.slow_power else 0.0

    def hang(self, frame: Frame) -> float:
        """Return for how many seconds a BMP is silent after a request; mostly 0."""
        if not self.faults.hang or self._random("hang", frame).random() >= self.faults.hang:
            return 0.0
        return self.faults.hang_for

    def life(self, board: Board) -> float | None:
        """Return after how many seconds a board that was powered on crashes; None if it doesn't."""
        if not self.faults.crash:
            return None
        return self._random("crash", board).expovariate(self.faults.crash / _SECONDS_AN_HOUR)

    def deliver(self, direction: str) -> Delivery:
        """Return when the next datagram arrives in a direction such as "to 127.1.0.0:17893"."""
        faults = self.faults
        if not faults.of_network:
            return _SAFE
        random = self._random("network", direction)
        lost, twice, late, late_by, again, overtaken = (random.random() for _ in range(6))
        if lost < faults.lost:
            return Delivery(())
        delays = [late_by * faults.late_by if late < faults.late else 0.0]
        if twice < faults.duplicated:
            delays.append(delays[0] + again * faults.late_by)
        return Delivery(tuple(delays), overtaken < faults.reordered)
