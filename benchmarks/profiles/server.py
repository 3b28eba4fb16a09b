"""Our server under a profiler that is switched on and off from outside, so that its start is not counted.

`python -m benchmarks.profiles.server FILE ARGUMENTS`: SIGUSR1 begins, SIGUSR2 ends and writes FILE.
"""

import cProfile
import signal
import sys
from pathlib import Path

from spalloc_server.scripts.server import main

if __name__ == "__main__":
    profile = cProfile.Profile()
    written = Path(sys.argv.pop(1))

    def begin(*_: object) -> None:
        """Count from here."""
        profile.enable()

    def end(*_: object) -> None:
        """Count no more, and write what was counted."""
        profile.disable()
        part = written.with_suffix(".part")
        profile.dump_stats(part)
        part.rename(written)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    sys.exit(main(sys.argv[1:]))
