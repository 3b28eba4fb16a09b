"""`spalloc`: its arguments, and the order of events from the request for boards to their return.

waiting.py waits for the boards, wrapped.py runs the command, and substitutions.py fills in its arguments.
"""

from __future__ import annotations

import os
import sys

from spalloc_client.arguments import (
    REST,
    Arguments,
    Parser,
    add_debug,
    add_options,
    add_server,
    named_server,
)
from spalloc_client.checks import is_url
from spalloc_client.options import BOARDS, CONNECTION, JOB
from spalloc_client.scripts.entry import enter
from spalloc_client.scripts.outcome import (
    BOARDS_UNREACHABLE,
    NOT_EXECUTABLE,
    NOT_FOUND,
    SUCCESS,
    USAGE,
    CommandError,
    Endings,
    not_configured,
)
from spalloc_client.scripts.sites import size
from spalloc_client.terminal.console import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spalloc_client.options import Config

COMMAND = "spalloc"


def parser(config: Config) -> Parser:
    """Return the command's parser."""
    made = Parser(COMMAND, "Request (and allocate) a SpiNNaker machine.")
    made.add_argument("--quiet", "-q", action="store_true", help="suppress informational messages")
    add_debug(made)
    made.add_argument(
        "--boot",
        "-B",
        action="store_true",
        help="boot the machine once powered on (needs SpiNNMan: pip install SpiNNMan)",
    )
    made.add_argument(
        "--completion",
        choices=("bash", "zsh"),
        help="write the script by which a shell completes spalloc's commands, and exit; "
        'for ~/.bashrc or ~/.zshrc: eval "$(spalloc --completion bash)"',
    )
    made.add_argument("--no-destroy", "-D", action="store_true", help="do not destroy the job on exit")
    _add_allocation(made, config)
    _add_command(made)
    _add_server(made, config)
    return made


def _add_allocation(made: Parser, config: Config) -> None:
    group = made.add_group("allocation requirement arguments")
    group.add_argument(
        "what",
        nargs="*",
        default=[],
        type=int,
        metavar="WHAT",
        help="what to allocate: nothing or 1 requests 1 SpiNN-5 board, NUM requests at least NUM SpiNN-5 boards, "
        "WIDTH HEIGHT means WIDTHxHEIGHT triads of SpiNN-5 boards and X Y Z requests the board at that logical "
        "board coordinate",
    )
    group.add_argument(
        "--resume",
        "-r",
        type=int,
        metavar="JOB_ID",
        help="resume keeping the specified job alive rather than creating a new job (all allocation requirements "
        "will be ignored)",
    )
    add_options(group, BOARDS, config)


def _add_command(made: Parser) -> None:
    group = made.add_group("command wrapping arguments")
    group.add_argument(
        "--command",
        "-c",
        nargs=REST,
        help="execute the specified command once boards have been allocated and deallocate the boards when it exits; "
        "one argument is a line for the shell, several are a program and its arguments ({} and {hostname} are "
        "substituted for the hostname of the chip at (0, 0), {w} and {h} give the dimensions of the SpiNNaker "
        "machine in chips, {id} is the job ID, and {ethernet_ips} is a temporary file containing a CSV with three "
        "columns: x, y and hostname giving the hostname of each Ethernet connected SpiNNaker chip)",
    )

    group.add_argument(
        "--pass-login",
        action="store_true",
        help="let the command find in SPALLOC_USER, SPALLOC_PASSWORD and SPALLOC_TOKEN who logs in at a service; "
        "without this, it finds neither password nor token there",
    )
    group.add_argument(
        "--signal",
        nargs="?",
        type=_signal,
        const=("USR1", None),
        metavar="SIG@TIME",
        help="send the command a signal before the server ends the job; both parts may be left out: SIG is USR1 then, "
        "and TIME, such as 2m or, in seconds, 120, when the server tells of the end",
    )


def _signal(word: str) -> tuple[str, float | None]:
    from spalloc_client.scripts.ends import read_signal

    return read_signal(word)


def _ports(word: str) -> tuple[int, ...]:
    ports = tuple(int(part) if part.strip().isdecimal() else 0 for part in word.split(","))
    if not all(0 < port < 1 << 16 for port in ports):
        raise ValueError(
            f"{word!r} is no list of UDP ports; write numbers from 1 to 65535 with commas between"
        )
    return ports


def _add_server(made: Parser, config: Config) -> None:
    group = add_server(made, config)
    add_options(group, JOB, config)
    add_options(group, CONNECTION, config)
    group.add_argument(
        "--tunnel",
        action="store_true",
        help="reach the boards through the service, at addresses of this computer: hostnames name these, and UDP ports "
        "17893 and 54321 of each board are there (needs a service as --hostname, https://HOST/spalloc/)",
    )
    group.add_argument(
        "--tunnel-ports",
        type=_ports,
        default=(),
        metavar="PORTS",
        help="other UDP ports of the boards that --tunnel is to bring, with commas between",
    )
    group.add_argument(
        "--virtual",
        type=size,
        metavar="WxH",
        help="need no server: start one with WxH triads of virtual boards inside this command, and stop it at the "
        "end",
    )


def _write_completion(shell: str) -> None:
    from pathlib import Path

    from spalloc_client import completion

    name = {"bash": "spalloc.bash", "zsh": "_spalloc"}[shell]
    output().write((Path(completion.__file__).parent / name).read_text(encoding="utf-8"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    endings = Endings(COMMAND, server_trouble=BOARDS_UNREACHABLE)
    interrupted = False

    def act(arguments: Arguments) -> int:
        nonlocal interrupted
        if arguments.completion is not None:
            _write_completion(arguments.completion)
            return SUCCESS
        check(arguments)
        from spalloc_client.scripts.session import hold

        ended = hold(arguments, endings)
        interrupted = ended.interrupted
        return ended.status

    status = enter(endings, argv, parser, act)
    if interrupted and sys.platform != "win32":
        from spalloc_client.scripts.wrapped import end_as_interrupted

        end_as_interrupted()
    return status


def check(arguments: Arguments) -> None:
    """Check what the parser can't check, and derive arguments from others.

    Raises:
        CommandError: Something is missing or too much.
    """
    if arguments.virtual is not None and arguments.resume is not None:
        raise CommandError(USAGE, "--virtual starts a site with no jobs, so there is none to --resume")
    if arguments.resume is not None and arguments.resume < 1:
        raise CommandError(USAGE, f"--resume is {arguments.resume}; it must be a job's ID, 1 or more")
    if arguments.virtual is not None and not arguments.owner:
        from getpass import getuser

        arguments.owner = getuser()
    _check_server(arguments)
    if len(arguments.what) > 3:
        raise CommandError(
            USAGE,
            "expected either no arguments, one argument, NUM, two arguments, WIDTH HEIGHT, or three arguments, "
            f"X Y Z, not {len(arguments.what)}",
        )
    if arguments.boot:
        from importlib.util import find_spec

        if find_spec("spinnman") is None:
            raise CommandError(USAGE, "--boot needs SpiNNMan, which is not installed: pip install SpiNNMan")
    # As in configuration files, commas may separate tags.
    arguments.tags = [tag for word in arguments.tags for tag in word.split(",") if tag]
    if arguments.signal is not None:
        if sys.platform == "win32":
            raise CommandError(USAGE, "--signal: Windows has no signals that could be sent to a command")
        if arguments.command is None:
            raise CommandError(USAGE, "--signal is for the command that --command names, and there is none")
    _check_tunnel(arguments)
    if arguments.command is not None:
        _check_command(arguments.command)
    if not arguments.what and arguments.resume is None:
        _check_swallowed(arguments)


def _check_server(arguments: Arguments) -> None:
    missing = []
    if not arguments.hostname and arguments.virtual is None:
        missing.append("--hostname of the spalloc server")
    if not arguments.owner and arguments.resume is None and not is_url(arguments.hostname or ""):
        missing.append("--owner (typically your email address)")
    if missing:
        raise not_configured(missing, "" if arguments.hostname else " (--virtual 2x2 needs no server)")
    if arguments.virtual is None:
        try:
            arguments.hostname, arguments.port = named_server(arguments)
        except ValueError as error:
            raise CommandError(USAGE, str(error)) from error


def _check_tunnel(arguments: Arguments) -> None:
    if arguments.tunnel_ports and not arguments.tunnel:
        raise CommandError(USAGE, "--tunnel-ports says what --tunnel is to bring, and there is no --tunnel")
    if not arguments.tunnel:
        return
    if arguments.virtual is not None:
        raise CommandError(
            USAGE, "--tunnel: the boards of --virtual are within reach, they are on this computer"
        )
    if not is_url(arguments.hostname):
        raise CommandError(
            USAGE,
            f"--tunnel: {arguments.hostname} speaks the older protocol, which carries nothing to boards; a tunnel "
            "needs a service: --hostname https://HOST/spalloc/",
        )


def _check_command(command: Sequence[str]) -> None:
    """Check what would otherwise fail only once boards have been allocated and powered."""
    if not command:
        raise CommandError(USAGE, "--command needs the command to execute")
    program, *more = command
    if not more:
        return  # a line, for the shell to read
    from shutil import which

    words = program.split()
    is_line = len(words) > 1 and which(words[0]) is not None
    if which(program) is not None or ("{" in program and not is_line):
        return  # a token stands for what is not known yet
    if which(program, os.F_OK) is not None:
        raise CommandError(NOT_EXECUTABLE, f"--command: {program!r} may not be executed")
    advice = ""
    if is_line:
        from shlex import join

        advice = (
            f"; a line for the shell must be the last word: spalloc {join([*more, '--command', program])}"
        )
    raise CommandError(NOT_FOUND, f"--command: there is no program {program!r}{advice}")


def _check_swallowed(arguments: Arguments) -> None:
    """Check that no number of boards was taken for the value of an option that may do without one."""
    taken = {"machine": [arguments.machine or ""], "tags": arguments.tags}
    for name, words in taken.items():
        number = next((word for word in words if word.isdecimal()), None)
        if name in arguments.given and number is not None:
            option = f"--{name}"
            raise CommandError(
                USAGE,
                f"{option} {number}: {number} would be a name, and no boards are asked for; for {number} boards, type "
                f"the number first: spalloc {number} {option} ...; for one board: spalloc 1 {option} {number}",
            )


if __name__ == "__main__":
    sys.exit(main())
