"""Writes README's table and `docs/benchmarks/` from the files of results: `python -m benchmarks.report`.

It measures nothing.
"""

from pathlib import Path

from benchmarks.report import pages
from benchmarks.suite import results as results_file

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmarks"
README = ROOT / "README.md"
RESULTS = FOLDER / pages.MEASURED.results


def made() -> dict[Path, str]:
    """Return the text of every page that is made from results."""
    text = {README: pages.readme(README.read_text(encoding="utf-8"), results_file.read(RESULTS))}
    there = [page for page in pages.PAGES if (FOLDER / page.results).exists()]
    for page in there:
        results = results_file.read(FOLDER / page.results)
        others = [other for other in there if other is not page] if page is pages.MEASURED else []
        text[FOLDER / page.file] = pages.measured(page, results, others)
        text |= {FOLDER / name: drawing for name, drawing in pages.drawings(results).items()}
    return text


def write() -> None:
    """Write them."""
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
