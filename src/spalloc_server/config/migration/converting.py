"""The conversion of an older service's configuration: what the file is decides how it is read.

A Python program is run by runner.py in another process, and its values come from there; definitions.py reads those of
the Java service.
"""

import subprocess
import sys
from pathlib import Path

import msgspec

from spalloc_server.config.migration.definitions import DefinitionError, convert_definitions
from spalloc_server.config.migration.old import Converted, Old, configuration_of, notes_of
from spalloc_server.config.migration.recognising import MOST_BYTES, TAKEN, Form, UnknownFormError, recognised
from spalloc_server.config.mistakes import ConfigurationError, Mistake

RUN_SECONDS = 60.0
"""How long a program may take."""
_SERVICE = "the older server"


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    configuration: Old | None = None
    error: str | None = None
    line: int = 1


def convert(path: Path) -> Converted:
    """Return what the configuration file of an older service means to this one.

    A Python program is run, in a process of its own: it can do anything that a program of this user can do.

    Raises:
        ConfigurationError: The file has none of the forms that can be converted, fails, takes too long, or defines no
            configuration.
    """
    name = str(path)
    if not path.is_file():
        what = "this is a directory; give a file" if path.is_dir() else "there is no such file"
        raise _failure(name, 1, what)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise _failure(name, 1, f"the file is larger than {MOST_BYTES // 1_000_000} MB")
        if recognised(content) is Form.DEFINITIONS:
            return convert_definitions(content.decode("utf-8-sig"))
    except UnknownFormError as error:
        raise _failure(name, 1, f"{error}; {TAKEN}") from None
    except DefinitionError as error:
        raise _failure(name, error.line, str(error)) from None
    except OSError as error:
        raise _failure(name, 1, f"the file can't be read: {error.strerror}") from error
    return _convert_program(path)


def _convert_program(path: Path) -> Converted:
    name = str(path)
    command = [sys.executable, "-P", "-W", "ignore", "-m", "spalloc_server.config.migration.runner", name]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=RUN_SECONDS, check=False
        )
        if not done.stdout:
            raise _failure(name, 1, f"the file ended the process that ran it, with status {done.returncode}")
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except subprocess.TimeoutExpired as error:
        raise _failure(name, 1, f"the file took longer than {RUN_SECONDS:g} s") from error
    except msgspec.DecodeError as error:
        raise _failure(name, 1, f"the file's values are not those of a configuration: {error}") from error
    if answer.configuration is None:
        raise _failure(name, answer.line, answer.error or "the file defines no configuration")
    try:
        configuration = configuration_of(answer.configuration)
    except ValueError as error:
        raise _failure(name, 1, str(error)) from error
    return Converted(configuration, tuple(notes_of(answer.configuration, _SERVICE)))


def _failure(name: str, line: int, sentence: str) -> ConfigurationError:
    return ConfigurationError(name, [Mistake(name, line, sentence)])
