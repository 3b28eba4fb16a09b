"""Writes README's table and `docs/benchmarks/` from the files of results: `python -m benchmarks.report`.

It measures nothing.
"""

from pathlib import Path

from benchmarks.report import pages
from benchmarks.suite import results as results_file

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmarks"
README = ROOT / "README.md"
RESULTS = FOLDER / "results.json"


def made() -> dict[Path, str]:
    """Return the text of every page that is made from results."""
    results = results_file.read(RESULTS)
    return {
        README: pages.readme(README.read_text(encoding="utf-8"), results),
        FOLDER / "index.md": pages.measured(results),
    } | {FOLDER / name: drawing for name, drawing in pages.drawings(results).items()}


def write() -> None:
    """Write them."""
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
