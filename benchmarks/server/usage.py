"""Measures who used what: `python -m benchmarks.server.usage [JOBS]`, by default 200,000 jobs over a year.

Prints, for each question, the seconds that the answer takes and how much of that is processor time.
"""

import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from random import Random

from spalloc_server.core.charges import Charge
from spalloc_server.core.usage import By, UsageQuestion
from spalloc_server.store.database import Store

JOBS = 200_000
BEGIN, YEAR, MONTH = 1.7e9, 365 * 86_400.0, 30 * 86_400.0
_AT_ONCE = 5_000


def charges(jobs: int) -> list[Charge]:
    """Return the charges of jobs of 500 owners on two machines over a year, in the order in which they ended."""
    dice = Random(18)
    made = []
    for job in range(1, jobs + 1):
        owner, begun = dice.randrange(500), BEGIN + dice.uniform(0.0, YEAR)
        ended = begun + dice.expovariate(1 / 3600)
        boards, machine = dice.choice((1, 3, 24, 48)), dice.choice(("large", "small"))
        made.append(
            Charge(
                job, f"owner{owner}", f"account{owner}", f"group{owner % 100}", machine, boards, begun, ended
            )
        )
    return sorted(made, key=lambda charge: charge.ended)


def measure(jobs: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Return the seconds and the processor seconds of each question."""
    path, found = folder / "state", {}
    with closing(Store(path)) as store:
        made = charges(jobs)
        for first in range(0, jobs, _AT_ONCE):
            store.write({}, {}, charges=made[first : first + _AT_ONCE])
        questions = {f"a year by {by}": UsageQuestion(BEGIN, BEGIN + YEAR, by) for by in By}
        questions["the last month by owner"] = UsageQuestion(BEGIN + YEAR - MONTH, BEGIN + YEAR)
        for name, question in questions.items():
            began, used = time.perf_counter(), time.process_time()
            answer = store.usage(question, BEGIN + YEAR, [])
            assert answer.parts
            found[name] = time.perf_counter() - began, time.process_time() - used
    return found


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    with tempfile.TemporaryDirectory() as place:
        for name, (seconds, used) in measure(count, Path(place)).items():
            print(f"{count:,} jobs, {name}: {seconds:.3f} s, {used:.3f} s of processor time")
