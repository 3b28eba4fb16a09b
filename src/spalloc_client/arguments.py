"""The descriptions of the commands' arguments, how they are read, and the options that name the server.

Each command describes its own arguments in its own file. Completion and manual pages read these descriptions.
Importing and filling argparse takes longer than anything else that a command does before it asks its server, so plain
lines are read here, and argparse is left with help, mistakes and rarer forms. Tests compare the two.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

from spalloc_client import checks
from spalloc_client._version import __version__
from spalloc_client.options import BY_NAME, OPTIONS, SERVER
from spalloc_client.terminal.console import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn

    from spalloc_client.options import Config


USAGE_STATUS = 2

REST = "..."
"""The number of words of an option that takes all that follow (`argparse.REMAINDER`)."""

Arguments = SimpleNamespace
"""What a command was given; `given` has the names of those values that the line itself says, and not a default."""


class Argument:
    """One argument, described as for argparse's `add_argument`."""

    __slots__ = ("names", "options")

    def __init__(self, names: tuple[str, ...], options: dict[str, Any]) -> None:
        self.names = names
        self.options = options

    @property
    def is_option(self) -> bool:
        """Whether it is written with a dash."""
        return self.names[0].startswith("-")

    @property
    def target(self) -> str:
        """The name of its value."""
        if "dest" in self.options:
            return str(self.options["dest"])
        name = next((name for name in self.names if name.startswith("--")), self.names[0])
        return name.lstrip("-").replace("-", "_")

    @property
    def nargs(self) -> int | str | None:
        """How many words follow, as argparse has it; 0 for those that take none, None for one."""
        return 0 if "action" in self.options else self.options.get("nargs")

    @property
    def help(self) -> str:
        """What it does."""
        value = self.default
        shown = " ".join(value) if isinstance(value, list) else str(value)
        return str(self.options["help"]).replace("%(default)s", shown)

    @property
    def default(self) -> object:
        """Its default."""
        action = self.options.get("action")
        if action in ("store_true", "store_false"):
            return self.options.get("default", action == "store_false")
        return self.options.get("default")


class Group:
    """Arguments that stand together in the help, or of which only one may be given."""

    __slots__ = ("arguments", "exclusive", "required", "title")

    def __init__(self, title: str | None = None, *, exclusive: bool = False, required: bool = False) -> None:
        self.title = title
        """The heading above them; None for the parser's own groups."""
        self.exclusive = exclusive
        """Whether only one of them may be given."""
        self.required = required
        """Whether one of them must be given."""
        self.arguments: list[Argument] = []

    def add_argument(self, *names: str, **options: Any) -> None:
        """Add an argument; names and options are those of argparse."""
        self.arguments.append(Argument(names, options))


class Parser(Group):
    """A command's arguments; a mistake in them is one line on standard error, with status 2."""

    __slots__ = ("command", "groups", "summary")

    def __init__(self, command: str, summary: str) -> None:
        """Start with the options that every command has.

        Args:
            command: The command's name.
            summary: What it does, one sentence.
        """
        super().__init__()
        self.command = command
        self.summary = summary
        self.groups: list[Group] = [self]
        self.add_argument("-h", "--help", action="help", help="show this help message and exit")
        self.add_argument(
            "--version",
            "-V",
            action="version",
            version=__version__,
            help="show program's version number and exit",
        )

    def add_group(self, title: str) -> Group:
        """Add a group with a heading of its own, and return it."""
        return self._add(Group(title))

    def add_alternatives(self, *, required: bool = False) -> Group:
        """Add a group of which only one argument may be given, and return it."""
        return self._add(Group(exclusive=True, required=required))

    def _add(self, group: Group) -> Group:
        self.groups.append(group)
        return group

    def parse_args(self, words: Sequence[str]) -> Arguments:
        """Read a command line; leaves with status 2, or 0 for `--help` and the like, if that is what it asks for."""
        read = self.read_plainly(words)
        if read is None:
            read = self.read_by_argparse(words)
        defaults = {
            argument.target: argument.default for group in self.groups for argument in group.arguments
        }
        read.given = {name for name, value in vars(read).items() if value is not defaults.get(name)}
        return read

    def read_plainly(self, words: Sequence[str]) -> Arguments | None:
        """Read a line whose options are written out, each followed by its one value if it takes one.

        Returns:
            What argparse would; or None for any other line, mistaken ones included.
        """
        return _PlainReader(self.groups).read(words)

    def read_by_argparse(self, words: Sequence[str]) -> Arguments:
        """Read any line; leaves as `parse_args` does."""
        arguments = [argument for group in self.groups for argument in group.arguments]
        rest = {
            name: argument.target
            for argument in arguments
            if argument.nargs == REST
            for name in argument.names
        }
        start = next((index for index, word in enumerate(words) if word == "--" or word in rest), len(words))
        target = rest.get(words[start]) if start < len(words) else None
        if target is None or "--" not in words[start:]:
            return self.for_argparse().parse_args(words, SimpleNamespace())
        # argparse would end a wrapped command at its first `--`.
        following = list(words[start + 1 :])
        shown = [*words[: start + 1], *("-" if word == "--" else word for word in following)]
        read = self.for_argparse().parse_args(shown, SimpleNamespace())
        setattr(read, target, following)
        return read

    def for_argparse(self) -> argparse.ArgumentParser:
        """Return an argparse parser of the same arguments."""
        import argparse

        class OneLineErrors(argparse.ArgumentParser):
            def error(self, message: str) -> NoReturn:
                self.exit(USAGE_STATUS, f"{self.prog}: {message}; see {self.prog} --help\n")

            def _print_message(self, message: str, file: Any = None) -> None:
                # What argparse writes by itself gets lost, or left for the interpreter to complain of at its end, when
                # nobody reads it or the disk is full; and not every encoding has the letters of its defaults.
                if file is sys.stdout:
                    output().write(message)
                else:
                    super()._print_message(message, file)

        class AsDescribed(argparse.HelpFormatter):
            def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
                # Of several words, argparse would make its own: JOB_ID X Y [JOB_ID X Y ...].
                if isinstance(action.metavar, str) and " " in action.metavar:
                    return action.metavar
                return super()._format_args(action, default_metavar)

        made = OneLineErrors(
            prog=self.command, description=self.summary, formatter_class=AsDescribed, add_help=False
        )
        for group in self.groups:
            into: Any = made
            if group.exclusive:
                into = made.add_mutually_exclusive_group(required=group.required)
            elif group.title is not None:
                into = made.add_argument_group(group.title)
            for argument in group.arguments:
                into.add_argument(*argument.names, **_for_argparse(argument))
        return made


def _for_argparse(argument: Argument) -> dict[str, Any]:
    from argparse import ArgumentTypeError

    settings = {**argument.options, "help": argument.help.replace("%", "%%")}
    if "type" in settings and settings["type"] not in (int, float):

        def convert(word: str, kind: Callable[[str], object] = settings["type"]) -> object:
            try:
                return kind(word)
            except ValueError as error:
                raise ArgumentTypeError(str(error)) from None

        settings["type"] = convert
    return settings


class _PlainReader:
    """Reads lines that need no more than a look-up of each word."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._required = [group for group in groups if group.required]
        self._group_of = {
            argument.target: group for group in groups if group.exclusive for argument in group.arguments
        }
        everything = [argument for group in groups for argument in group.arguments]
        self._options = {
            name: argument for argument in everything if argument.is_option for name in argument.names
        }
        self._positional = [argument for argument in everything if not argument.is_option]
        self._values: dict[str, object] = {}
        for argument in everything:
            if argument.options.get("action") not in ("help", "version"):
                self._values.setdefault(argument.target, argument.default)
        self._chosen: dict[Group, str] = {}

    def read(self, words: Sequence[str]) -> Arguments | None:
        free: list[str] = []
        # Where free words are in two places, argparse has rules of its own.
        free_ended = False
        index = 0
        while index < len(words):
            word = words[index]
            index += 1
            if not word.startswith("-"):
                if free_ended:
                    return None
                free.append(word)
                continue
            free_ended = bool(free)
            argument = self._options.get(word)
            taken = None if argument is None else self._take(argument, words[index:])
            if taken is None:
                return None
            index += taken
        if not self._take_free(free) or any(group not in self._chosen for group in self._required):
            return None
        return SimpleNamespace(**self._values)

    def _take(self, argument: Argument, following: Sequence[str]) -> int | None:
        """Take an option and its words; return the number of these words."""
        group = self._group_of.get(argument.target)
        if group is not None and self._chosen.setdefault(group, argument.target) != argument.target:
            return None
        action, nargs = argument.options.get("action"), argument.nargs
        if action in ("store_true", "store_false"):
            self._values[argument.target] = action == "store_true"
            return 0
        if action is not None or "choices" in argument.options:
            return None
        if nargs == REST and following:
            self._values[argument.target] = list(following)
            return len(following)
        if nargs not in (None, "?") or not following or following[0].startswith("-"):
            return None
        return 1 if self._store(argument, following[0]) else None

    def _take_free(self, words: Sequence[str]) -> bool:
        """Take the words that belong to no option."""
        if not words:
            return True
        if len(self._positional) != 1:
            return False
        (argument,) = self._positional
        nargs = argument.nargs
        if nargs == "?" and len(words) == 1:
            return self._store(argument, words[0])
        if nargs != "*":
            return False
        values = [_converted(argument, word) for word in words]
        self._values[argument.target] = values
        return None not in values

    def _store(self, argument: Argument, word: str) -> bool:
        self._values[argument.target] = value = _converted(argument, word)
        return value is not None


def _converted(argument: Argument, word: str) -> object:
    """Return a word as its argument's type has it, or None if it can't be: argparse then says why."""
    kind: Callable[[str], object] = argument.options.get("type", str)
    try:
        return kind(word)
    except Exception:  # noqa: BLE001  # types may raise what they like, as for argparse
        return None


def add_debug(group: Group) -> None:
    """Add the option that shows where an error came from."""
    group.add_argument(
        "--debug",
        action="store_true",
        help="enable additional diagnostic information: log messages, and the traceback of an error",
    )


def add_server(parser: Parser, config: Config) -> Group:
    """Add the options that say where the server is, and return their group."""
    group = parser.add_group("spalloc server arguments")
    add_options(group, SERVER, config)
    return group


def add_options(group: Group, of: str, config: Config) -> None:
    """Add the flags of the options of one group of options.py."""
    values: Mapping[str, Any] = config
    for option in OPTIONS:
        flag, name = option.flag, option.name
        if option.group != of:
            continue
        value = flag.default(values[name])
        told = flag.help
        if value != flag.none and option.spell is not str:
            told = told.replace("%(default)s", option.spell(value))
        if flag.off:
            yes, no = (" (default)", "") if value else ("", " (default)")
            group.add_argument(
                *flag.names, action="store_true", dest=name, default=value, help=f"{flag.help}{yes}"
            )
            group.add_argument(
                *flag.off, action="store_false", dest=name, default=value, help=f"do not {flag.help}{no}"
            )
        else:
            group.add_argument(*flag.names, dest=name, default=value, help=told, **flag.settings)


def _with_login(url: str, arguments: Arguments) -> str:
    from spalloc_client.address import ServiceUrl
    from spalloc_client.https.login import PARTS, chosen, warn_of_arguments

    service = ServiceUrl.read("hostname", url)
    said = {name: BY_NAME[name].of_caller(getattr(arguments, name)) for name in PARTS}
    by_user = {name: value for name, value in said.items() if name in arguments.given}
    warn_of_arguments(by_user, service.login if "hostname" in arguments.given else None)
    return chosen(service, by_user, said)


def named_server(arguments: Arguments) -> tuple[str, int]:
    """Return the host name and port that `--hostname` and `--port`, or their defaults, name together.

    Raises:
        ValueError: They name two ports, or a default is no server's.
    """
    name, port_of_name = checks.server(arguments.hostname)
    if checks.is_url(name):
        name = _with_login(name, arguments)
    if port_of_name is None:
        return name, arguments.port
    if "port" in arguments.given and arguments.port != port_of_name:
        raise ValueError(
            f"--hostname {arguments.hostname} and --port {arguments.port} name two ports; give one"
        )
    return name, port_of_name
