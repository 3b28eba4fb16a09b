"""What the scheduler remembers over a restart: the spots that are kept, and how much may be kept idle.

A few lines of JSON, written when they change. The expected ends of jobs are in the jobs' own records.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import inf, isfinite

import msgspec

from spalloc_server.core.keeping import IDLE_SHARE, SAVED_SECONDS, IdleBudget, Keeper, KeptSpot
from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.occupancy import AT_ONCE
from spalloc_server.core.request_groups import Arrivals
from spinnaker.geometry import Size


class _Spot(msgspec.Struct, frozen=True):
    """A kept spot; times are in seconds of Unix time, None for one that is infinite."""

    job: int
    boards: tuple[str, str, str]
    """Three bitmaps in hexadecimal."""
    since: float
    when: float | None
    promised: float | None
    shut_after: float
    """In seconds."""
    shut: float | None
    next_look: float | None
    is_late: bool
    may_be_sooner: bool


class _Machine(msgspec.Struct, frozen=True):
    """What is remembered of a machine; times are as in `_Spot`."""

    size: Size
    left: float
    idle: int
    next_count: float | None
    charged: float | None
    spot: _Spot | None


class _Memory(msgspec.Struct, frozen=True):
    """All that is remembered."""

    machines: dict[str, _Machine]
    longest: float
    """No job that waits is expected to take longer, in seconds."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Memory).decode
_LONGEST = 1_000_000
"""How many bytes are read at most: more than the largest site writes."""


def written(keepers: Mapping[str, Keeper], longest: float, wall: float) -> bytes:
    """Return what is to be remembered of all machines, by name.

    Args:
        keepers: the machines.
        longest: no job that waits is expected to take more seconds.
        wall: by how many seconds Unix time is ahead of the core's time.
    """
    return _encode(_Memory({name: _machine(keeper, wall) for name, keeper in keepers.items()}, longest))


def state_of(keepers: Mapping[str, Keeper], longest: float) -> object:
    """Return something that differs when something else is to be remembered; time alone makes no difference."""
    # What a machine saves up follows from the time, once it is known since when.
    machines = [
        (name, None)
        if keeper.kept is None
        else (name, keeper.budget.idle, keeper.budget.next_count, keeper.packer.kept, replace(keeper.kept))
        for name, keeper in keepers.items()
        if keeper.budget.charged > -inf
    ]
    return (machines, longest) if machines else None


def _machine(keeper: Keeper, wall: float) -> _Machine:
    budget, kept, spot = keeper.budget, keeper.kept, None
    if kept is not None:
        z0, z1, z2 = (f"{plane:x}" for plane in keeper.packer.kept)
        spot = _Spot(
            kept.queued.job,
            (z0, z1, z2),
            kept.since + wall,
            _finite(kept.when, wall),
            _finite(kept.promised, wall),
            kept.shut_after,
            _finite(kept.shut, wall),
            _finite(kept.next_look, wall),
            kept.is_late,
            kept.may_be_sooner,
        )
    next_count, charged = _finite(budget.next_count, wall), _finite(budget.charged, wall)
    return _Machine(keeper.packer.machine.size, budget.left, budget.idle, next_count, charged, spot)


def recall(
    text: bytes, keepers: Mapping[str, Keeper], queue: Arrivals, wall: float, now: float
) -> tuple[dict[int, str], float]:
    """Go on with what `written` wrote, as far as it is about machines and waiting jobs that there are.

    Args:
        text: what was written.
        keepers: the machines.
        queue: the jobs that wait.
        wall: by how many seconds Unix time is ahead of the core's time.
        now: the core's time. What was recorded as past is past: if the clock has been set back since, all times move
            with that.

    Returns:
        the jobs for which a spot is kept, each with the machine; and `longest`, as for `written`.

    Raises:
        ValueError: nothing of the kind was written.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"it has {len(text)} bytes, and {_LONGEST} at most are written")
    memory = _decode(text)
    machines = {
        name: (machine, None if machine.spot is None else _planes(machine.spot))
        for name, machine in memory.machines.items()
    }
    kept_for: dict[int, str] = {}
    for name, (machine, boards) in machines.items():
        keeper, spot = keepers.get(name), machine.spot
        if keeper is None or keeper.packer.machine.size != machine.size:
            continue
        charged = _time(machine.charged, wall, -inf)
        # Otherwise the spot would be free so much later, and open to others until then.
        ahead = wall + max(0.0, charged - now)
        most = IDLE_SHARE * SAVED_SECONDS * keeper.packer.live_boards
        keeper.budget = IdleBudget(
            max(-most, min(most, machine.left)),
            max(0, min(keeper.packer.live_boards, machine.idle)),
            _time(machine.next_count, ahead, -inf),
            min(charged, now),
        )
        if spot is None or boards is None or spot.job not in queue or spot.job in kept_for:
            continue
        if boards == NO_BOARDS or not keeper.packer.is_usable(boards):
            continue
        when, shut = _time(spot.when, ahead, AT_ONCE), _time(spot.shut, ahead, inf)
        keeper.kept = KeptSpot(
            queue[spot.job],
            spot.since - ahead,
            when,
            _time(spot.promised, ahead, AT_ONCE),
            spot.shut_after,
            shut,
            spot.is_late,
            _time(spot.next_look, ahead, -inf),
            spot.may_be_sooner,
        )
        keeper.packer.keep(boards, when if shut == inf else AT_ONCE)
        kept_for[spot.job] = name
    return kept_for, memory.longest if isfinite(memory.longest) else 0.0


def _planes(spot: _Spot) -> Planes:
    z0, z1, z2 = (int(plane, 16) for plane in spot.boards)
    return Planes(z0, z1, z2)


def _finite(time: float, wall: float) -> float | None:
    return None if abs(time) == inf else time + wall


def _time(time: float | None, wall: float, infinite: float) -> float:
    return infinite if time is None else time - wall
