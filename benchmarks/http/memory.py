"""How fast SpiNNMan writes and reads memory through the HTTP service, and directly on the same boards."""

import asyncio
import json
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path

import uvloop

from benchmarks.suite.measurement import DIRECTLY, OURS, CannotDoError, Effort, Measurement, Scene, Take, Unit
from spinnaker.geometry import Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.peers.environments import environment
from tests.spalloc_server.fronts.http.whole import whole_server

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests/spalloc_server/fronts/http/with_spinnman/session.py"
SIZE = 1 << 20
ROUNDS = 3
"""As often as the script takes turns."""
WAYS = {OURS: "through", DIRECTLY: "direct"}


def _measurement(index: int, what: str) -> tuple[int, Measurement]:
    return index, Measurement(
        name=f"http/memory-{what}",
        work=f"a MiB of a board's memory {what} by SpiNNMan through the service, TLS",
        unit=Unit.SECONDS,
        limits=(DIRECTLY,),
        rounds=ROUNDS,
        quick_rounds=ROUNDS,
        reason="Each request waits for its packets to be answered, which SpiNNMan has more of under way directly.",
    )


WRITTEN, READ = _measurement(0, "written"), _measurement(1, "read")


def board_memory(effort: Effort) -> Generator[Scene, None, None]:
    """Measure in one process of SpiNNMan, which takes turns itself."""
    size = int(effort.of(SIZE, SIZE // 8))
    note = "" if size == SIZE else f"of {size} bytes"
    rates = uvloop.run(_rates(size))
    for index, measurement in (WRITTEN, READ):
        turns = {one: iter([SIZE / rate[index] for rate in rates[way]]) for one, way in WAYS.items()}
        yield (
            measurement,
            {one: Take(lambda values=values: next(values), note) for one, values in turns.items()},
        )


async def _rates(size: int) -> Mapping[str, list[tuple[float, float]]]:
    """Return bytes a second, written and read, of each turn of each way."""
    python = environment("SpiNNMan==1!7.4.1", ROOT / ".peers").python
    machine = VirtualMachine(size=Size(1, 1), timings=Timings.instant())
    with tempfile.TemporaryDirectory() as folder:
        async with whole_server(machine, Path(folder)) as whole:
            arguments = json.dumps({"n_boards": 1, "size": size, **whole.by_password})
            process = await asyncio.create_subprocess_exec(
                python,
                SCRIPT,
                "compare",
                arguments,
                env=whole.variables,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            output, errors = await process.communicate()
    if process.returncode:
        raise CannotDoError(f"SpiNNMan failed: {errors.decode()}")
    return json.loads(output.splitlines()[-1])
