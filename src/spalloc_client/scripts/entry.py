"""How every command begins: it answers a shell's questions, reads the configuration and parses its arguments.

See outcome.py for how it ends.
"""

from __future__ import annotations

import atexit
import os
import sys

from spalloc_client import logs
from spalloc_client.config import read_config, without_mistakes
from spalloc_client.errors import ConfigError
from spalloc_client.options import OPTIONS
from spalloc_client.scripts import switch_interruption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import NoReturn

    from spalloc_client.arguments import Arguments, Parser
    from spalloc_client.options import Config
    from spalloc_client.scripts.outcome import Endings

COMPLETE = "--complete"
"""The first argument with which a shell's script asks for completions."""


def enter(
    endings: Endings,
    argv: Sequence[str] | None,
    make_parser: Callable[[Config], Parser],
    act: Callable[[Arguments], int],
    uses_configuration: Callable[[Arguments], bool] = lambda _: True,
) -> int:
    """Run a command from its arguments to its exit status.

    Args:
        endings: How it reports the ways it can end.
        argv: The arguments, without the command's name; None for those of this process.
        make_parser: Makes the command's parser from the configuration.
        act: Does what the arguments say, and returns the exit status.
        uses_configuration: Whether these arguments need the configuration. If they do, its mistakes are raised, but
            only those in options that this command reads and no argument overrides.
    """
    open_streams(answers=True)
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == [COMPLETE]:
        return endings.status_of(lambda: _complete(make_parser, *words[1:]))

    def action() -> int:
        # Switched off again in here, where Ctrl-C until then is still caught; from then on it just ends the process.
        switch_interruption(on=True)
        logs.teller = endings.warn
        try:
            config, mistakes = _config()
            # Mistakes are raised later: --help must work, since its reader may be about to fix them.
            defaults = _Defaults(config)
            arguments = make_parser(defaults).parse_args(words)  # type: ignore[arg-type]  # no dict is a TypedDict
            if uses_configuration(arguments):
                _raise_mistakes(
                    {name: mistakes[name] for name in mistakes if name in defaults.asked}, arguments
                )
            endings.debug = arguments.debug
            if arguments.debug:
                import logging

                logging.basicConfig(level=logging.DEBUG)
                logs.teller = None
            return act(arguments)
        finally:
            logs.teller = None
            switch_interruption(on=False)

    return endings.status_of(action)


def _complete(make_parser: Callable[[Config], Parser], position: str = "", *words: str) -> int:
    if not position.isdecimal():
        from spalloc_client.scripts.outcome import USAGE, CommandError

        raise CommandError(USAGE, f"{COMPLETE} is for the scripts that --completion writes")
    from spalloc_client.completion.answer import answer

    return answer(make_parser, int(position), words)


class _Defaults(dict[str, object]):
    """The configuration, which notes what is asked of it: an argument of an option's name may be something else."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> object:
        self.asked.add(name)
        return super().__getitem__(name)


def _raise_mistakes(mistakes: Mapping[str, ConfigError], arguments: Arguments) -> None:
    """Raise the first mistake in an option that this command uses and no argument overrides, if there is one."""
    unused: Collection[str] = ()
    if getattr(arguments, "resume", None) is not None:
        # Requirements mean nothing to a job that exists already.
        unused = [option.name for option in OPTIONS if option.is_requirement]
    elif getattr(arguments, "job_id", None) is not None and getattr(arguments, "destroy", None) != "":
        # The owner is used only to find a job when no ID is given, and in the reason for destroying one.
        unused = ("owner",)
    for name, mistake in mistakes.items():
        if name not in arguments.given and name not in unused:
            raise mistake


def _config() -> tuple[Config, Mapping[str, ConfigError]]:
    try:
        return without_mistakes(read_config())
    except ConfigError as error:
        # A file that can't be read at all: what it says of each option is not known.
        config = read_config([])
        return config, dict.fromkeys(config, error)


def open_streams(*, answers: bool = False) -> None:
    """Give the process its standard streams, should it have been started with some of them closed.

    Args:
        answers: Whether standard output is what was asked for; that it goes nowhere is then an error like a full disk.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # Opened for reading only, it can't be written.
            unwritable = answers and name == "stdout"
            to = os.open(os.devnull, os.O_RDONLY) if unwritable else os.devnull
            setattr(sys, name, open(to, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


def leave(status: int) -> NoReturn:
    """End this process as the interpreter does, but skip tearing modules down: a tenth of a command's time."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
