"""Tries mutants: `python -m tests.mutants SAMPLE MINUTES [SEED]` takes a sample of them, for at most MINUTES.

Each mutant changes the sources in one place, in a copy. The program prints those that no test notices. cosmic-ray, in
an environment of its own (`.mutants`), finds the places.
"""

import difflib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.mutants.places import COSMIC_RAY, Mutant, mutants, sample
from tests.mutants.rooms import ROOMS, Room
from tests.seeds import SEED

ROOT = Path(__file__).parents[2]


def copied(folder: Path) -> None:
    """Copy the repository, in its current state, into a folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def passes(room: Room, root: Path, seconds: float) -> bool:
    """Return whether a room's tests pass within `seconds` with the sources below `root`."""
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}", "PYTHONDONTWRITEBYTECODE": "1"}
    until = time.monotonic() + seconds
    for command in room.commands():
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                status = process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                status = None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, 9)
                    process.wait()
        if status != 0:
            return False
    return True


def usual_seconds(room: Room, root: Path) -> float:
    """Return how long a room's tests take, which must pass with unchanged sources."""
    began = time.monotonic()
    if not passes(room, root, 600.0):
        raise SystemExit(f"the tests of {room.name} fail without any change: mend them first")
    return time.monotonic() - began


def survives(mutant: Mutant, root: Path, seconds: float) -> str | None:
    """Try a mutant, and return the change that no test noticed; None if one did."""
    path = root / mutant.file
    before = path.read_text()
    subprocess.run(
        [ROOT / COSMIC_RAY, "apply", mutant.file, mutant.operator, str(mutant.occurrence)],
        cwd=root,
        check=True,
    )
    after = path.read_text()
    try:
        if not passes(mutant.room, root, seconds):
            return None
    finally:
        path.write_text(before)
    return "".join(
        line
        for line in difflib.unified_diff(before.splitlines(True), after.splitlines(True), n=2)
        if not line.startswith(("---", "+++"))
    )


def main(size: int, minutes: float, seed: int) -> None:
    """Try a sample, and print the survivors and the score of each room."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        root = Path(folder)
        copied(root)
        there_are = {room.name: mutants(room, root, ROOT / COSMIC_RAY) for room in ROOMS}
        drawn = sample([mutant for some in there_are.values() for mutant in some], size, seed)
        print(
            f"{sum(map(len, there_are.values()))} mutants; {len(drawn)} places drawn by seed {seed}",
            flush=True,
        )
        usual = {room.name: usual_seconds(room, root) for room in {mutant.room for mutant in drawn}}
        until = time.monotonic() + 60 * minutes
        tried, killed = Counter[str](), Counter[str]()
        for mutant in drawn:
            if time.monotonic() > until:
                break
            name = mutant.room.name
            tried[name] += 1
            change = survives(mutant, root, 3 * usual[name] + 10)
            killed[name] += change is None
            if change is not None:
                print(f"\nsurvives: {mutant.file}:{mutant.start[0]} {mutant.operator}\n{change}", flush=True)
        print(f"\n{killed.total()} of {tried.total()} killed")
        for room in ROOMS:
            print(
                f"  {room.name}: {killed[room.name]} of {tried[room.name]}, of {len(there_are[room.name])} mutants"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else SEED)
