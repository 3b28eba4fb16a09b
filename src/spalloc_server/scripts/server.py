"""The `spalloc-server` command: parses the command line, and starts a server or another command.

The work is done elsewhere: operation/running.py serves a configuration, embedded.py serves virtual boards, and other
commands have modules of their own. Each is imported only when it is needed, so that all start fast.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spalloc_client._version import __version__
from spalloc_client.scripts.entry import open_streams
from spalloc_client.scripts.outcome import SERVER_TROUBLE, SUCCESS, CommandError, Endings
from spalloc_server.parsing import Parser
from spalloc_server.words import another_server, what_to_install
from spinnaker.geometry import Size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager, ExitStack

    from spalloc_server.config.settings import Configuration
    from spalloc_server.fronts.http.settings import HttpSettings
    from spalloc_server.service import Service

_LAST_PORT = 65535
HTTPS_PORT = 22246
"""Where `--https` serves, unless it says where."""
_ASKING = frozenset({"-h", "--help", "-V", "--version"})


def size(text: str) -> Size:
    """Return the size that a string like `WIDTHxHEIGHT` means.

    Raises:
        argparse.ArgumentTypeError: The string is not a size.
    """
    try:
        return Size.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def port(text: str) -> int:
    """Return the port that a string means.

    Raises:
        argparse.ArgumentTypeError: The string is not a port.
    """
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; expected a number from 0 to {_LAST_PORT}")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments of the server itself."""
    parser = Parser(
        prog="spalloc-server",
        description="Share a site's SpiNNaker boards among jobs.",
        epilog="Other commands, each with its own --help: spalloc-server check CONFIG.toml, "
        "spalloc-server reload CONFIG.toml, spalloc-server boards CONFIG.toml list, "
        "spalloc-server reservations CONFIG.toml list, spalloc-server account CONFIG.toml list, "
        "spalloc-server group CONFIG.toml list, spalloc-server stop-all CONFIG.toml, spalloc-server usage CONFIG.toml, "
        "spalloc-server audit CONFIG.toml, "
        "spalloc-server backup CONFIG.toml FILE, "
        "spalloc-server restore CONFIG.toml FILE, spalloc-server export CONFIG.toml LOG.swf, "
        "spalloc-server convert OLD, spalloc-server simulate TRACE",
    )
    site = parser.add_mutually_exclusive_group(required=True)
    site.add_argument(
        "configuration",
        type=Path,
        nargs="?",
        metavar="CONFIG.toml",
        help="serve the machines of this configuration",
    )
    site.add_argument(
        "--virtual",
        type=size,
        metavar="WxH",
        help="serve W by H triads of virtual boards, three boards each, on this computer's loopback addresses",
    )
    parser.add_argument("--host", help="address to listen on (default: as configured, else 127.0.0.1)")
    parser.add_argument(
        "--port", "-p", type=port, help="port to listen on, 0 for any (default: as configured, else 22244)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep jobs in FILE, so that they outlive the server (default: as configured; with --virtual, nowhere)",
    )
    parser.add_argument(
        "--socket",
        type=Path,
        metavar="FILE",
        help="listen for administrators' commands at FILE (default: as configured, else beside the records, if any)",
    )
    parser.add_argument(
        "--cold-start",
        "-c",
        action="store_true",
        help="end all jobs of an earlier run, and switch every board off before a job gets it",
    )
    parser.add_argument(
        "--set-aside-unreadable",
        action="store_true",
        help="go on without records that can't be read, and switch boards off that may be theirs",
    )
    parser.add_argument(
        "--log-packets",
        metavar="FILE",
        help="with --virtual: write a line for every packet of BMPs and boards to FILE, - for the standard output",
    )
    parser.add_argument(
        "--log-only",
        metavar="KINDS",
        help="log only some kinds of packets: of bmp, boot, board, crossing, separated by commas",
    )
    parser.add_argument(
        "--https",
        type=port,
        nargs="?",
        const=HTTPS_PORT,
        metavar="PORT",
        help="with --virtual: serve HTTPS as well, on PORT (default: %(const)s), and print what clients need for it",
    )
    parser.add_argument("--version", "-V", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--quiet", "-q", action="store_true", help="log only warnings and errors")
    parser.add_argument("--debug", action="store_true", help="log more, and show the traceback of errors")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    # A server answers over its ports, and may have no output.
    open_streams(answers=not words or words[0] in _COMMANDS or not _ASKING.isdisjoint(words))
    if (another := another_server()) is not None:
        Endings("spalloc-server").warn(another)
    command = _COMMANDS.get(words[0]) if words else None
    if command is not None:
        endings = Endings(f"spalloc-server {words[0]}", debug="--debug" in words)
        others = [word for word in words[1:] if word != "--debug"]
        return endings.status_of(lambda: _whole(lambda: command(others)))
    parser = make_parser()
    parsed: list[argparse.Namespace] = []

    def parse() -> int:
        parsed.append(parser.parse_args(words))
        return SUCCESS

    status = Endings("spalloc-server").status_of(lambda: _whole(parse))
    if not parsed:
        return status
    (arguments,) = parsed
    try:
        return _serve(arguments, parser)
    except ModuleNotFoundError as error:
        print(f"spalloc-server: {what_to_install(error)}", file=sys.stderr)
        return SERVER_TROUBLE


def _whole(action: Callable[[], int]) -> int:
    """Do a command's action; turn its SystemExit into a status, and a missing package into a CommandError."""
    try:
        return action()
    except SystemExit as end:
        # argparse has printed its message, which may not have reached standard output yet.
        return end.code if isinstance(end.code, int) else SUCCESS
    except ModuleNotFoundError as error:
        raise CommandError(SERVER_TROUBLE, what_to_install(error)) from error


def _serve(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if arguments.virtual is not None:
        return _serve_virtual(arguments, parser)
    if arguments.log_packets is not None or arguments.log_only is not None:
        parser.error("--log-packets and --log-only are for virtual boards: give --virtual WxH")
    if arguments.https is not None:
        parser.error("--https is for virtual boards: give --virtual WxH, or [http] in the configuration")
    return _serve_configuration(arguments)


def _complain(error: Exception, *, debug: bool) -> int:
    if debug:
        raise error
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print(f"spalloc-server: {message}", file=sys.stderr)
    return 1


def _serve_virtual(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from contextlib import ExitStack

    from spalloc_client.wire import DEFAULT_PORT
    from spalloc_server.clock import SystemClock
    from spalloc_server.core.jobs import first_job
    from spalloc_server.embedded import ALL_TRAFFIC, Traffic, opened_log, quick, running_site
    from spalloc_server.engine import EngineFailedError
    from spalloc_server.operation import log
    from spalloc_server.runtime import run
    from spalloc_server.store.errors import StoreError

    if arguments.log_only is not None and arguments.log_packets is None:
        parser.error("--log-only says which packets are logged: say where to with --log-packets FILE")
    try:
        traffic = ALL_TRAFFIC if arguments.log_only is None else Traffic.parse(arguments.log_only)
    except ValueError as error:
        parser.error(f"argument --log-only: {error}")
    try:
        machine = quick(arguments.virtual)
    except ValueError as error:
        parser.error(f"argument --virtual: {error}")
    log.begin("debug" if arguments.debug else "warning" if arguments.quiet else "info")
    try:
        with ExitStack() as stack:
            log_packets = stack.enter_context(opened_log(arguments.log_packets))
            http, beside = _beside(arguments, stack)
            run(
                _serve_until_told(
                    lambda failed: running_site(
                        machine,
                        host=arguments.host or "127.0.0.1",
                        port=DEFAULT_PORT if arguments.port is None else arguments.port,
                        state=arguments.state,
                        cold=arguments.cold_start,
                        set_aside_unreadable=arguments.set_aside_unreadable,
                        first_job=first_job(SystemClock().wall()),
                        on_failure=failed,
                        log_packets=log_packets,
                        log_only=traffic,
                        http=http,
                        beside=beside,
                    ),
                    farewell="stopping; jobs end with it"
                    if arguments.state is None
                    else "stopping; jobs keep their boards",
                )
            )
    except (OSError, StoreError, EngineFailedError) as error:
        return _complain(error, debug=arguments.debug)
    return 0


def _beside(
    arguments: argparse.Namespace, stack: "ExitStack"
) -> "tuple[HttpSettings | None, Callable[[Service], AbstractAsyncContextManager[None]]]":
    """Return where HTTP is served for virtual boards, and what runs beside their server.

    Args:
        arguments: Of the command.
        stack: Ends what is made for that.
    """
    from spalloc_server.config.settings import Configuration

    control = Configuration(state=arguments.state, control=arguments.socket).control_socket
    settings, made = None, None
    if arguments.https is not None:
        from spalloc_server.fronts.http.local import local_settings

        folder = _folder_of_https(arguments, stack)
        settings, made = local_settings(folder, arguments.host or "127.0.0.1", arguments.https)
        control = control or folder / "control"

    @asynccontextmanager
    async def beside(service: "Service") -> "AsyncIterator[None]":
        async with AsyncExitStack() as inner:
            if control is not None:
                from spalloc_server.operation.running import control_of_virtual_boards

                await inner.enter_async_context(control_of_virtual_boards(control, service))
            if made is not None and service.http is not None and control is not None:
                from spalloc_server.fronts.http.local import local_https

                https = await local_https(service.engine, made, service.http.server)
                print("\n".join(https.lines(control)), flush=True)
            yield

    return settings, beside


def _folder_of_https(arguments: argparse.Namespace, stack: "ExitStack") -> Path:
    """Return where the certificate is kept: beside the records, or for as long as the server runs."""
    import tempfile

    if arguments.state is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spalloc-")))
    state: Path = arguments.state
    return state.with_name(f"{state.name}.https")


async def _serve_until_told(
    site: "Callable[[Callable[[], None]], AbstractAsyncContextManager[tuple[str, int]]]", *, farewell: str
) -> None:
    """Run a virtual site until the process is told to end.

    Args:
        site: Makes the site; its argument is called if the server fails.
        farewell: The log line when the process was told to end.
    """
    import asyncio
    import logging
    import signal

    log = logging.getLogger("spalloc_server")
    ended = asyncio.Event()
    failed = False

    def fail() -> None:
        nonlocal failed
        failed = True
        ended.set()

    loop = asyncio.get_running_loop()
    # There is no configuration to read again, so SIGHUP ends the server, as when a terminal is closed; but not if nohup
    # started it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN or number is not signal.SIGHUP:
            loop.add_signal_handler(number, ended.set)
    async with site(fail) as (host, port):
        log.info("listening on %s port %d", host, port)
        await ended.wait()
        if not failed:
            log.info("%s", farewell)


def _serve_configuration(arguments: argparse.Namespace) -> int:
    from spalloc_server.config.document import load
    from spalloc_server.config.mistakes import ConfigurationError

    def read() -> "Configuration":
        return _with_options(load(arguments.configuration), arguments)

    try:
        configuration = read()
    except ConfigurationError as error:
        return _complain(error, debug=arguments.debug)

    from spalloc_server.engine import EngineFailedError
    from spalloc_server.operation import log, running
    from spalloc_server.runtime import run
    from spalloc_server.store.errors import StoreError

    log.begin(configuration.log_level.value)
    try:
        run(
            running.serve(
                configuration,
                read,
                cold=arguments.cold_start,
                set_aside_unreadable=arguments.set_aside_unreadable,
            )
        )
    except (OSError, StoreError, EngineFailedError) as error:
        return _complain(error, debug=arguments.debug)
    return 0


def _with_options(configuration: "Configuration", arguments: argparse.Namespace) -> "Configuration":
    """Return a configuration in which the command's options override the file."""
    from spalloc_server.config.settings import Level

    v1 = configuration.v1
    level = configuration.log_level
    if arguments.debug or arguments.quiet:
        level = Level.DEBUG if arguments.debug else Level.WARNING
    return replace(
        configuration,
        v1=replace(
            v1,
            addresses=v1.addresses if arguments.host is None else (arguments.host,),
            port=v1.port if arguments.port is None else arguments.port,
        ),
        state=configuration.state if arguments.state is None else arguments.state,
        control=configuration.control if arguments.socket is None else arguments.socket,
        log_level=level,
    )


def _account(words: Sequence[str]) -> int:
    from spalloc_server.scripts.account import main as account

    return account(words)


def _audit(words: Sequence[str]) -> int:
    from spalloc_server.scripts.audit import main as audit

    return audit(words)


def _backup(words: Sequence[str]) -> int:
    from spalloc_server.scripts.backup import main as backup

    return backup(words)


def _boards(words: Sequence[str]) -> int:
    from spalloc_server.scripts.boards import main as boards

    return boards(words)


def _reservations(words: Sequence[str]) -> int:
    from spalloc_server.scripts.reservations import main as reservations

    return reservations(words)


def _check(words: Sequence[str]) -> int:
    from spalloc_server.scripts.check import main as check

    return check(words)


def _convert(words: Sequence[str]) -> int:
    from spalloc_server.scripts.convert import main as convert

    return convert(words)


def _export(words: Sequence[str]) -> int:
    from spalloc_server.scripts.export import main as export

    return export(words)


def _group(words: Sequence[str]) -> int:
    from spalloc_server.scripts.group import main as group

    return group(words)


def _reload(words: Sequence[str]) -> int:
    from spalloc_server.scripts.reload import main as reload

    return reload(words)


def _restore(words: Sequence[str]) -> int:
    from spalloc_server.scripts.restore import main as restore

    return restore(words)


def _stop_all(words: Sequence[str]) -> int:
    from spalloc_server.scripts.stop_all import main as stop_all

    return stop_all(words)


def _simulate(words: Sequence[str]) -> int:
    from spalloc_server.simulate.command import main as simulate

    return simulate(words)


def _usage(words: Sequence[str]) -> int:
    from spalloc_server.scripts.usage import main as usage

    return usage(words)


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "account": _account,
    "audit": _audit,
    "backup": _backup,
    "boards": _boards,
    "reservations": _reservations,
    "check": _check,
    "convert": _convert,
    "export": _export,
    "group": _group,
    "reload": _reload,
    "restore": _restore,
    "simulate": _simulate,
    "stop-all": _stop_all,
    "usage": _usage,
}
