"""Writes docs/machine-in-use.svg, the picture at the top of README: a virtual machine with some people's jobs.

`python -m docs._tools.machine_in_use`.
"""

from pathlib import Path

from spalloc_client import ProtocolClient
from spalloc_client.drawing.pictures import machines_picture
from spalloc_server.embedded import EmbeddedSite
from spinnaker.geometry import Board, Size
from spinnaker_virtual import Timings, VirtualMachine

FILE = Path(__file__).parents[1] / "machine-in-use.svg"
MACHINE = VirtualMachine(
    size=Size(8, 4),
    dead_boards=frozenset({Board(3, 1, 1), Board(6, 2, 0)}),
    timings=Timings.instant(),
)
JOBS = (
    ("ada", (4, 2)),
    ("grace", (12,)),
    ("alan", (3,)),
    ("mary", (2, 2)),
    ("ada", (1,)),
    ("emmy", (3,)),
    ("alan", (1,)),
)
"""Who asks for what: boards, or triads across and up."""


def picture() -> str:
    """Return the picture, as `spalloc-machine --svg` draws it."""
    with (
        EmbeddedSite(machine=MACHINE) as site,
        ProtocolClient(site.hostname, site.port, timeout=60) as client,
    ):
        for owner, what in JOBS:
            client.create_job(*what, owner=owner, keepalive=None)
        drawn = machines_picture(client.list_machines(), client.list_jobs())
    assert drawn is not None
    return drawn + "\n"


if __name__ == "__main__":
    FILE.write_text(picture(), encoding="utf-8")
