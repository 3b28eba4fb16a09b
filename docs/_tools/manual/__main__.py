"""Writes the manual pages and the reference of the commands from the descriptions that give `--help`.

`python -m docs._tools.manual FOLDER` writes them below a folder, as they stand in the repository.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from docs._tools.manual.markdown import markdown
from docs._tools.manual.pages import pages
from docs._tools.manual.roff import roff


def files() -> Mapping[str, str]:
    """Return the text of every file by its path in the repository."""
    all_pages = pages()
    written = {
        f"share/man/man1/{page.command}.1": roff(page, [other for other in all_pages if other is not page])
        for page in all_pages
    }
    written["docs/reference/commands.md"] = markdown(all_pages)
    return written


def main(arguments: list[str]) -> int:
    """Write all files below a folder, the working directory if none is given; return the exit status."""
    folder = Path(arguments[0] if arguments else ".")
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
