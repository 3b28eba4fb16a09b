"""`spalloc` at work: a job is requested, waited for, used and freed, whatever happens in between.

This file fixes that order, and sees that the job is freed. wording.py and waiting.py print what happens meanwhile;
using.py covers the time in which the user has the boards.
"""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from spalloc_client.checks import is_url, server_name
from spalloc_client.errors import JobDestroyedError
from spalloc_client.options import OPTIONS
from spalloc_client.scripts.interruption import Interruptions, Stopped
from spalloc_client.scripts.outcome import NOT_WRITTEN, SIGNALLED, SUCCESS, USAGE, CommandError, Ended
from spalloc_client.scripts.substitutions import Facts, csv
from spalloc_client.scripts.waiting import DESTROYED, StatusLine, wait_for_boards
from spalloc_client.scripts.wording import asked_for, freed, kept, sentence
from spalloc_client.states import JobState
from spalloc_client.terminal.console import messages
from spalloc_client.terminal.text import Style, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from spalloc_client.arguments import Arguments
    from spalloc_client.job import Job
    from spalloc_client.job_answers import Connections
    from spalloc_client.scripts.outcome import Endings

INTERRUPTED_WAITING = 4
NOT_BOOTED = 5
_INTERRUPTED = "Keyboard interrupt."

_GRACE = 5.0
"""Seconds to wait, once told to stop, for a server that has been asked for a job and has not answered."""


def hold(arguments: Arguments, endings: Endings) -> Ended:
    """Do what `spalloc` was asked to do.

    Raises:
        CommandError: Something of the user's can't be done.
        OSError: The server can't be reached.
    """
    gc.enable()
    with Interruptions() as interruptions:
        try:
            with ExitStack() as stack:
                return _hold(arguments, endings, stack, interruptions)
        except Stopped as stopped:
            return Ended(SIGNALLED + stopped.number, interrupted=False)


def _hold(arguments: Arguments, endings: Endings, stack: ExitStack, interruptions: Interruptions) -> Ended:
    if arguments.virtual is not None:
        from spalloc_client.scripts.sites import RunningSite

        site = stack.enter_context(RunningSite(interruptions, *arguments.virtual))
        arguments.hostname, arguments.port = site.hostname, site.port
    endings.server = server_name(arguments.hostname, arguments.port)
    ethernet_ips = stack.enter_context(_TemporaryCsv())
    status_line = stack.enter_context(StatusLine(messages(), quiet=arguments.quiet))
    held = stack.enter_context(_Held(interruptions, status_line, keep=arguments.no_destroy))

    from spalloc_client.job import Job

    args, options = job_request(arguments)
    try:
        job = held.ask(lambda: Job(*args, **options))  # type: ignore[arg-type]
    except ValueError as error:
        raise CommandError(USAGE, str(error)) from error
    except JobDestroyedError as error:
        raise CommandError(DESTROYED, str(error)) from error
    assert job.id is not None  # it has one since its creation
    server = (arguments.hostname, arguments.port)
    try:
        wanted = asked_for(args) if arguments.resume is None else None
        facts: Facts | None = None
        known: Connections | None = None
        status = SUCCESS
        while facts is None and status == SUCCESS:
            # A job that was ready may have lost its boards before they are asked for.
            status = wait_for_boards(job, job.id, server, status_line, interruptions, wanted)
            if status == SUCCESS:
                known = _tunnel(job, arguments, stack, interruptions)
                if arguments.boot:
                    _boot(job, job.id, status_line, interruptions)
                login = _login(arguments)
                facts = interruptions.outcome_of(
                    partial(_facts, job, job.id, ethernet_ips.name, server, login)
                )
    except Stopped as stopped:
        word = _INTERRUPTED if stopped.number == 2 else f"Stopped by signal {stopped.number}."
        held.reason = word
        held.farewell = kept(job.id) if arguments.no_destroy else freed(job.id)
        status_line.last(Text(f"Job {job.id}: {word}", Style.RED))
        return Ended(
            INTERRUPTED_WAITING if stopped.number == 2 else SIGNALLED + stopped.number, interrupted=False
        )
    if facts is None:
        return Ended(status, interrupted=False)
    ethernet_ips.rewrite(facts.connections)
    status_line.last(sentence(job.id, JobState.ready))
    from spalloc_client.scripts.using import use

    # Through a tunnel, boards that are others now are reached at the same addresses.
    rewrite = ethernet_ips.rewrite if known is None else lambda _: None
    ended = use(arguments, facts, rewrite, interruptions, known)
    if not ended.job_is_over:
        if arguments.no_destroy:
            held.farewell = kept(job.id)
        elif not arguments.command:
            # After a command that ends by itself, users do not wait for the message that its boards are free.
            held.farewell = freed(job.id, had_boards=True)
    return ended


def job_request(arguments: Arguments) -> tuple[list[int], dict[str, object]]:
    """Return the arguments that make a `Job`, by position and by name."""
    said = {option.name: option.flag.value(getattr(arguments, option.name)) for option in OPTIONS}
    if arguments.machine is not None:
        said["tags"] = None
    if is_url(arguments.hostname or ""):
        # It says already who logs in.
        said.update(dict.fromkeys(("username", "password", "token")))
    # Files have been read for the arguments' defaults, and what they warned of has been said.
    return arguments.what, {**said, "resume_job_id": arguments.resume, "config_filenames": []}


def _tunnel(
    job: Job, arguments: Arguments, stack: ExitStack, interruptions: Interruptions
) -> Connections | None:
    """Bring the boards within reach until the job is given back, if that is wanted.

    Returns:
        The boards as the server names them; None if they are reached by these names, or have been lost.
    """
    known = job.machine_info().sorted_connections if arguments.tunnel else None
    if known is not None:
        tunnel = job.tunnel(arguments.tunnel_ports)
        interruptions.outcome_of(tunnel.start)
        stack.callback(tunnel.stop)
    return known


def _boot(job: Job, job_id: int, status_line: StatusLine, interruptions: Interruptions) -> None:
    from spalloc_client.errors import BootError

    status_line.show(Text(f"Job {job_id}: Booting...", Style.YELLOW))
    try:
        interruptions.outcome_of(job.boot)
    except BootError as error:
        raise CommandError(NOT_BOOTED, str(error)) from error


def _login(arguments: Arguments) -> Mapping[str, str]:
    """Return the variables by which the command may log in at the service, if the user wants that."""
    if not arguments.pass_login or not is_url(arguments.hostname):
        return {}
    from spalloc_client.address import ServiceUrl
    from spalloc_client.https.login import found
    from spalloc_client.surroundings import LOGIN_VARIABLES

    login = found(ServiceUrl.read("hostname", arguments.hostname))
    said = {variable: getattr(login, part) for part, variable in LOGIN_VARIABLES.items()}
    return {variable: value for variable, value in said.items() if value is not None}


def _facts(
    job: Job, job_id: int, ethernet_ips: str, server: tuple[str, int], login: Mapping[str, str]
) -> Facts | None:
    """Return the facts about the job's boards; None if it has none."""
    info = job.machine_info()
    connections = info.sorted_connections
    if connections is None or info.width is None or info.height is None:
        return None
    return Facts(
        job_id=job_id,
        hostname=connections[0][2],
        width=info.width,
        height=info.height,
        ethernet_ips=ethernet_ips,
        machine=info.machine_name or "",
        connections=connections,
        server=server,
        login=login,
    )


_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
"""Names of folders that need no quotes in any shell."""

_OTHER_FOLDERS = ("/tmp", "/var/tmp")
"""Where temporary files go when the usual folder has no such name."""


class _TemporaryCsv:
    """The file with all host names, which exists as long as the job."""

    def __enter__(self) -> Self:
        try:
            descriptor, self.name = self._made()
        except OSError as error:
            raise CommandError(
                NOT_WRITTEN, f"can't make a temporary file: {error.strerror}; TMPDIR says where to"
            ) from error
        os.close(descriptor)
        return self

    def _made(self) -> tuple[int, str]:
        from tempfile import gettempdir, mkstemp

        usual = gettempdir()
        for folder in (usual, *_OTHER_FOLDERS):
            # The name is put into a shell line unchanged, in quotes or not, so no character in it may need quotes.
            if sys.platform == "win32" or _PLAIN.fullmatch(folder):
                try:
                    return mkstemp(".csv", "spinnaker_ips_", folder)
                except OSError:
                    if folder == usual:
                        raise
        return mkstemp(".csv", "spinnaker_ips_")

    def __exit__(self, *_: object) -> None:
        try:
            # The command may have removed it.
            Path(self.name).unlink(missing_ok=True)
        except OSError as error:
            # On Windows, something that the command left running may have it open; how the command ended counts more.
            messages().print([f"spalloc: can't remove {self.name}: {error.strerror}"])

    def rewrite(self, connections: Connections) -> None:
        try:
            Path(self.name).write_text(csv(connections), encoding="utf-8", newline="\n")
        except OSError as error:
            raise CommandError(NOT_WRITTEN, f"can't write {self.name}: {error.strerror}") from error


class _Held:
    """The job, from before it is requested until it is freed."""

    def __init__(self, interruptions: Interruptions, status_line: StatusLine, *, keep: bool) -> None:
        self._interruptions = interruptions
        self._status_line = status_line
        self._keep = keep
        self._made: list[Job] = []
        self._asked = threading.Event()
        """Set unless the server's answer is outstanding."""
        self._asked.set()
        self.reason: str | None = None
        """Why the job is freed, if not because all is done."""
        self.farewell: Text | None = None
        """What to say when it has been freed."""

    def __enter__(self) -> Self:
        return self

    def ask(self, make: Callable[[], Job]) -> Job:
        """Create the job; it is freed even if a signal comes between the server's answer and its arrival here."""

        def work() -> Job:
            try:
                self._made.append(make())
            finally:
                self._asked.set()
            return self._made[0]

        return self._interruptions.outcome_of(work, begins=self._asked.clear)

    def __exit__(self, *_: object) -> None:
        self._interruptions.clean_up()
        self._interruptions.outcome_of(lambda: self._asked.wait(_GRACE))
        for job in self._made:
            give_back = job.close if self._keep else partial(job.destroy, self.reason)
            warnings = self._status_line.warnings
            self._interruptions.outcome_of(give_back)
            # A warning says that it is not so.
            if self.farewell is not None and self._status_line.warnings == warnings:
                self._status_line.last(self.farewell)
