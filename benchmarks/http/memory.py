"""Prints how fast SpiNNMan writes and reads memory through the service, and directly on the same boards."""

import asyncio
import json
import tempfile
from pathlib import Path
from statistics import median

import uvloop

from spinnaker.geometry import Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.peers.environments import environment
from tests.spalloc_server.fronts.http.whole import whole_server

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests/spalloc_server/fronts/http/with_spinnman/session.py"
BYTES = 1 << 20


async def main() -> None:
    python = environment("SpiNNMan==1!7.4.1", ROOT / ".peers").python
    machine = VirtualMachine(size=Size(1, 1), timings=Timings.instant())
    with tempfile.TemporaryDirectory() as folder:
        async with whole_server(machine, Path(folder)) as whole:
            arguments = {"n_boards": 1, "size": BYTES, **whole.by_password}
            process = await asyncio.create_subprocess_exec(
                python,
                SCRIPT,
                "compare",
                json.dumps(arguments),
                env=whole.variables,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            output, _ = await process.communicate()
    told = json.loads(output.splitlines()[-1])
    for index, what in enumerate(("write", "read")):
        direct, through = (median(rates[index] for rates in told[how]) for how in ("direct", "through"))
        print(
            f"{what}: {through / 1e6:.2f} MB/s through the service, {direct / 1e6:.2f} MB/s directly: "
            f"{through / direct:.2f} of it"
        )


if __name__ == "__main__":
    uvloop.run(main())
