"""Configuration files and defaults: where they are looked for, and what they may say.

See options.py for which options there are, and requirements.py for merging them with a caller's arguments.

The commands and the library take their defaults from configuration files, if there are any. Files are read
in this order, later ones overriding earlier ones: a system-wide one (such as `/etc/xdg/spalloc`), the user's
(such as `$HOME/.config/spalloc`), and `.spalloc` in the working directory. `python -m spalloc_client.config`
(or `python -m spalloc.config`) prints the places on your system.

Files are INI files as Python's `configparser` reads them, with one section, `spalloc`::

    [spalloc]
    hostname = localhost
    owner = jdh@cs.man.ac.uk

The options; a job needs a `hostname` and an `owner`, here or as arguments:

OPTIONS

The variables `SPALLOC_SERVER_HOSTNAME` and `SPALLOC_SERVER_PORT`, which `spalloc --command` sets for what it
runs, stand above `hostname` and `port` of any file: inside an allocation, its server is the default. So do
`SPALLOC_USER`, `SPALLOC_PASSWORD` and `SPALLOC_TOKEN` above `username`, `password` and `token`.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from spalloc_client import checks
from spalloc_client.errors import ConfigError
from spalloc_client.logs import log
from spalloc_client.options import BY_NAME, OPTIONS, closest, with_meanings
from spalloc_client.surroundings import LOGIN_VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, TypeAlias

    from spalloc_client.options import Config

    Files: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

__doc__ = with_meanings(__doc__, "`{0.name}`\n    {0.meaning} (Default: {0.default})\n")

SECTION = "spalloc"
"""The section of the files that is read."""

DEFAULT_CONFIG = {option.name: option.default for option in OPTIONS if option.default is not None}
"""The defaults, as a file would say them; `hostname` and `owner` have none."""


SERVER_VARIABLES = {"hostname": "SPALLOC_SERVER_HOSTNAME", "port": "SPALLOC_SERVER_PORT"}
"""Options, and the environment variables that win over what files say of them; so do those of `LOGIN_VARIABLES`."""

JOB_VARIABLE = "SPALLOC_ID"
"""The environment variable with the ID of the job that a program runs in."""


def _config_directories() -> tuple[str, str]:
    """Where the system's and the user's file are looked for.

    They have the names of the directories that programs with several files would use.
    """
    if sys.platform in ("win32", "darwin", "cygwin") or "ANDROID_ROOT" in os.environ:
        import platformdirs

        return platformdirs.site_config_dir(SECTION), platformdirs.user_config_dir(SECTION)
    # Elsewhere these lines of the XDG Base Directory Specification are all that platformdirs does; importing it
    # would take longer than importing everything else a command needs. noqa: pathlib would, too.
    sites = [*filter(os.path.isabs, os.environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep)), "/etc/xdg"]
    homes = [*filter(os.path.isabs, [os.environ.get("XDG_CONFIG_HOME", "")]), os.path.expanduser("~/.config")]  # noqa: PTH111
    return os.path.join(sites[0], SECTION), os.path.join(homes[0], SECTION)  # noqa: PTH118


SYSTEM_CONFIG_FILE, USER_CONFIG_FILE = _config_directories()
CWD_CONFIG_FILE = os.path.join(os.curdir, f".{SECTION}")  # noqa: PTH118  # pathlib drops the leading "./"

SEARCH_PATH = [SYSTEM_CONFIG_FILE, USER_CONFIG_FILE, CWD_CONFIG_FILE]
"""Where configuration files are looked for, lowest priority first."""


def read_config(
    filenames: Files | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read configuration files, and what the environment says of the server.

    Args:
        filenames: Files to read, later ones overriding earlier ones, or one file; those that do not exist are passed
            over. None for `SEARCH_PATH`.
        environment: Where `SERVER_VARIABLES` and the like are looked for; None for the process's own.

    Returns:
        The value of every option, as a dictionary.

    Raises:
        ConfigError: A file can't be read. Values of options are checked when they are read: then this is
            raised, too.
        ValueError: `filenames` is not a file name or a list of them.
    """
    return read_with_origins(filenames, environment)[0]


def read_with_origins(
    filenames: Files | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[Config, Mapping[str, str]]:
    """Do what `read_config` does, and return also which file or variable each option comes from, defaults left out.

    Raises:
        ValueError: As `read_config` does.
    """
    said, sources = _read_files(checks.filenames(SEARCH_PATH if filenames is None else filenames))
    for name, variable in (SERVER_VARIABLES | LOGIN_VARIABLES).items():
        value = (os.environ if environment is None else environment).get(variable)
        if value:
            said[name], sources[name] = value, variable
    checked = _Checked(said, sources)
    hostname = checked.get("hostname") if "hostname" in checked else None
    if isinstance(hostname, str) and checks.is_url(hostname):
        from spalloc_client.address import ServiceUrl
        from spalloc_client.https.login import PARTS, chosen

        known = {name: checked[name] for name in PARTS if name in checked}
        checked["hostname"] = chosen(ServiceUrl.read("hostname", hostname), {}, known)
    return cast_config(checked), sources


def without_mistakes(config: Config) -> tuple[Config, Mapping[str, ConfigError]]:
    """The configuration with defaults for options that can't be used, and what is wrong with those."""
    mistakes = getattr(config, "mistakes", {})
    return cast_config({**_Checked(DEFAULT_CONFIG, {}), **config}), mistakes


def cast_config(values: object) -> Config:
    """Return a dictionary, which has a value for every option, as a configuration."""
    return values  # type: ignore[return-value]  # the type of a dictionary's entries is nothing that it could show


def job_of_environment() -> int:
    """Return the ID of the job that this program runs in.

    Raises:
        ValueError: It runs in no job.
    """
    given = os.environ.get(JOB_VARIABLE)
    if not given:
        raise ValueError(
            f"{JOB_VARIABLE} is not set, so this program runs in no job; start it by spalloc --command, or "
            "make a job of its own with Job(...)"
        )
    digits = int(given) if given.isascii() and given.isdecimal() and len(given) < 20 else given
    return checks.whole_number(JOB_VARIABLE, digits, 1, None, "a job's ID, 1 or more")


class _Checked(dict[str, object]):
    """The values of files and defaults; reading an option with an unusable value raises ConfigError."""

    def __init__(self, said: Mapping[str, str | ConfigError], sources: Mapping[str, str]) -> None:
        super().__init__(hostname=None, owner=None)
        self.mistakes: dict[str, ConfigError] = {}
        """The error of each option with an unusable value."""
        for name, text in {**DEFAULT_CONFIG, **said}.items():
            self.pop(name, None)
            if isinstance(text, ConfigError):
                self.mistakes[name] = text
                continue
            try:
                self[name] = BY_NAME[name].of_text(text)
            except ValueError as error:
                self.mistakes[name] = ConfigError(f"{sources.get(name, 'defaults')}: {error}")

    def __missing__(self, name: str) -> object:
        raise self.mistakes[name] if name in self.mistakes else KeyError(name)

    def get(self, name: str, default: object = None) -> Any:
        """The value of an option, or the default if there is no such option."""
        return self[name] if name in self or name in self.mistakes else default


def _read_files(filenames: Sequence[str]) -> tuple[dict[str, str | ConfigError], dict[str, str]]:
    """Every option that the files set, and the file that set it last."""
    contents = [(filename, _read_text(filename)) for filename in filenames]
    found = [(filename, text) for filename, text in contents if text is not None]
    return _parse(found) if found else ({}, {})


def _read_text(filename: str) -> str | None:
    """Return a file's content; None if it can't be opened, with a warning if it exists."""
    try:
        # Editors on Windows write a byte order mark.
        with open(filename, encoding="utf-8-sig") as file:  # noqa: PTH123  # pathlib costs more than the rest
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        log("config", f"{filename} is passed over, it can't be read: {error.strerror}", warning=True)
        return None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{filename}: byte {error.start} is not UTF-8; save the file as UTF-8") from error


def _parse(files: Sequence[tuple[str, str]]) -> tuple[dict[str, str | ConfigError], dict[str, str]]:
    import configparser  # only now that there is a file: most of what reading one costs

    # One for all files, as in published clients: values may name options of other files, and defaults.
    parser = configparser.ConfigParser()
    parser.read_dict({SECTION: DEFAULT_CONFIG})
    sources: dict[str, str] = {}
    for filename, text in files:
        before = dict(parser.items(SECTION, raw=True))
        try:
            parser.read_string(text, filename)
        except configparser.Error as error:
            raise ConfigError(f"{filename}: {' '.join(error.message.split())}") from error
        for name, value in parser.items(SECTION, raw=True):
            if before.get(name) != value:
                sources[name] = filename
                if name not in BY_NAME:
                    log("config", f"{filename}: there is no option {name}{closest(name)}", warning=True)
    said: dict[str, str | ConfigError] = {}
    for name in sources.keys() & BY_NAME.keys():
        # In passwords and URLs, % stands for itself.
        raw = parser.get(SECTION, name, raw=True)
        as_it_is = BY_NAME[name].is_secret or checks.is_url(raw)
        if BY_NAME[name].is_secret or (checks.is_url(raw) and "@" in raw):
            from spalloc_client.https.login import warn_if_readable

            warn_if_readable(sources[name])
        try:
            said[name] = raw if as_it_is else parser.get(SECTION, name)
        except configparser.Error as error:
            said[name] = ConfigError(f"{sources[name]}: {' '.join(error.message.split())}")
    return said, sources


def main() -> None:
    """Print where configuration files are looked for; with arguments, do what `spalloc-config` does."""
    if sys.argv[1:]:
        # By name: the commands are above the library.
        sys.exit(import_module("spalloc_client.scripts.config").main())
    print("Default search path (lowest-priority first):")
    print("\n".join(SEARCH_PATH))


if __name__ == "__main__":
    main()
