"""From a configuration's text to its values, or to one report of all its mistakes.

The only place that knows the whole document; its parts are read in sections.py and machines.py.
"""

import re
import tomllib
from pathlib import Path

from spalloc_server.config.files import FileError, read_text
from spalloc_server.config.lines import lines_of
from spalloc_server.config.machines import DEFAULT_CARE, read_care, read_machines
from spalloc_server.config.mistakes import ConfigurationError, Mistake, Mistakes
from spalloc_server.config.reading import Table
from spalloc_server.config.sections import (
    read_control,
    read_history,
    read_jobs,
    read_log,
    read_metrics,
    read_state,
    read_trust,
    read_v1,
)
from spalloc_server.config.settings import Configuration

_LARGEST_FILE_BYTES = 16_000_000
_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_OLD_CONFIGURATION = re.compile(r"^\s*configuration\s*=\s*Configuration\s*\(", re.MULTILINE)


def load(path: Path) -> Configuration:
    """Return what the file at `path` says; paths in it are meant from its own folder.

    Raises:
        ConfigurationError: It can't be read, or anything is wrong with it.
    """
    name = str(path)
    try:
        file = read_text(path, _LARGEST_FILE_BYTES)
    except FileError as error:
        raise ConfigurationError(name, [Mistake(name, error.line, str(error))]) from error
    try:
        return parse(file.text, name, path.absolute().parent)
    except ConfigurationError as error:
        raise ConfigurationError(name, error.mistakes, (*file.notes, *error.notes)) from error


def parse(text: str, name: str, folder: Path) -> Configuration:
    """Return what a configuration's text says.

    Args:
        text: The text, in TOML.
        name: What its file is called in reports.
        folder: Where paths in it are meant from.

    Raises:
        ConfigurationError: Anything is wrong with it.
    """
    try:
        return _read(text, name, folder)
    except RecursionError as error:
        raise ConfigurationError(
            name, [Mistake(name, 1, "the file has too many arrays or tables within each other")]
        ) from error


def default_state(path: Path, folder: Path) -> Path:
    """Return where a configuration's server keeps its records when nothing is said: beside the configuration."""
    return folder / f"{path.stem}.state"


def _read(text: str, name: str, folder: Path) -> Configuration:
    try:
        values = tomllib.loads(text)
    except ValueError as error:
        # Most are tomllib's own; a number of thousands of digits is refused by Python itself.
        raise ConfigurationError(name, [_not_toml(name, text, str(error))]) from error
    # Where values stand is looked up only if any is wrong: finding out takes as long as reading them.
    mistakes = Mistakes(name, lambda: lines_of(text))
    document = Table(values, (), mistakes)
    if not document.has("machine"):
        # What a file lacks may have been lost: that a site has no machines is only believed if it says so.
        lack = "has no machine" if text.strip() else "is empty"
        mistakes.add(
            (), f"{lack}; expected [[machine]] tables, or the line machine = [] for a server of none"
        )
    boards = document.table("boards")
    care = read_care(boards, DEFAULT_CARE)
    boards.finish()
    v1, v1_limits = read_v1(document.table("v1"))
    configuration = Configuration(
        machines=read_machines(document.tables("machine"), folder, care),
        v1=v1,
        v1_limits=v1_limits,
        metrics=read_metrics(document.table("metrics")) if document.has("metrics") else None,
        state=read_state(document.table("state"), folder, default_state(Path(name), folder)),
        control=read_control(document.table("control"), folder),
        history=read_history(document.table("history")),
        job_limits=read_jobs(document.table("jobs")),
        trust=read_trust(document.table("trust")),
        log_level=read_log(document.table("log")),
    )
    document.table("metrics")
    document.finish()
    if mistakes.found:
        raise ConfigurationError(name, mistakes.found, mistakes.notes)
    return configuration


def _not_toml(name: str, text: str, message: str) -> Mistake:
    if _OLD_CONFIGURATION.search(text):
        return Mistake(
            name,
            1,
            "the file is a configuration of the 2023 server; make a TOML file of it with: spalloc-server convert",
        )
    where = _WHERE.search(message)
    line = text.count("\n") + 1
    if where is not None:
        message = message[: where.start()]
        if where["line"] is not None:
            line = int(where["line"])
    return Mistake(name, line, f"the text is not TOML: {message[:1].lower()}{message[1:]}")
