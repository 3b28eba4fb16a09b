# Runs the scripts of this folder, one after the other so that none disturbs another.
#
# What a script prints and which options it takes stands in README.md.
"""Run all benchmarks, or those named: `python -m benchmarks [NAME ...] [--quick] [--json]`."""

import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run scripts and return how many failed."""
    options = [argument for argument in arguments if argument.startswith("-")]
    present = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    names = [argument for argument in arguments if not argument.startswith("-")] or present
    unknown = sorted(set(names) - set(present))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(present)}", file=sys.stderr)
        return len(unknown)
    return sum(
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options]).returncode != 0
        for name in names
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
