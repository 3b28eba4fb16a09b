"""The time in which a user has a job's boards: runs the wrapped command or the prompt, and prints news of the job.

session.py gets the boards and gives them back; outlook.py brings the news, and wording.py words them.
"""

from __future__ import annotations

import signal
import sys
from collections import deque

from spalloc_client.scripts.bell import Letterbox
from spalloc_client.scripts.interruption import Interruptions
from spalloc_client.scripts.outcome import NOT_EXECUTABLE, NOT_FOUND, SUCCESS, CommandError, Ended
from spalloc_client.scripts.outlook import Outlook
from spalloc_client.scripts.prompt import await_enter
from spalloc_client.scripts.substitutions import Facts, substituted
from spalloc_client.scripts.waiting import DESTROYED
from spalloc_client.terminal.console import NotWrittenError, ReaderGoneError, messages, output
from spalloc_client.terminal.table import definitions
from spalloc_client.terminal.text import Style, Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from spalloc_client.arguments import Arguments
    from spalloc_client.job_answers import Connections
    from spalloc_client.scripts.wording import Happened


def use(
    arguments: Arguments,
    facts: Facts,
    rewrite: Callable[[Connections], None],
    interruptions: Interruptions,
    known: Connections | None = None,
) -> Ended:
    """Let the user have the boards until they are done with them, or at the prompt until the job no longer exists.

    Args:
        arguments: The arguments of `spalloc`.
        facts: The job and its boards.
        rewrite: Writes the file of host names again, when the job has other boards.
        interruptions: Signals that may come meanwhile.
        known: The boards as the server names them; None if that is as `facts` does.
    """
    happened: deque[Happened] = deque()
    news: deque[Happened] = deque()

    def tell(event: Happened) -> None:
        happened.append(event)
        if event.connections is not None:
            try:
                rewrite(event.connections)
            except CommandError as error:
                _say(Text(str(error)))
        if arguments.command:
            _say(event.line)
        else:
            news.append(event)
            interruptions.bell.ring()

    delay = max(0.0, arguments.reconnect_delay)
    letterbox = Letterbox()
    outlook = Outlook(
        facts.job_id, facts.server, known or facts.connections, tell, delay, arguments.signal, letterbox.put
    )
    outlook.start()
    try:
        if not arguments.command:
            _show(facts)
            status = await_enter(news, interruptions)
            return Ended(status, interrupted=False, job_is_over=status == DESTROYED)
        command = arguments.command
        if arguments.signal is not None:
            command = surviving(command, arguments.signal[0])
        ended = _run(command, facts, interruptions, letterbox)
        # The command may have ended because it lost its boards, and the news may not have arrived yet.
        interruptions.outcome_of(outlook.last_look)
    finally:
        outlook.stop()
    spoilt = ended.status == SUCCESS and any(event.spoils for event in happened)
    return Ended(
        DESTROYED if spoilt else ended.status,
        interrupted=ended.interrupted,
        job_is_over=any(event.is_end for event in happened),
    )


def _say(line: Text) -> None:
    if sys.platform != "win32":
        # The command has the terminal, where writing from the background may be forbidden: not while this is blocked.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        messages().print([line])
    except (ReaderGoneError, NotWrittenError):
        return  # the message can no longer be read; the command goes on


def surviving(command: list[str], name: str) -> list[str]:
    """Return a command so that, of a line for the shell, the shell itself is not ended by a signal that all get.

    A signal with a trap of its own, unlike one that is ignored, means to the programs of the line what it always does.
    """
    return command if len(command) > 1 or name in ("KILL", "STOP") else [f"trap : {name}; {command[0]}"]


def _run(command: list[str], facts: Facts, interruptions: Interruptions, letterbox: Letterbox) -> Ended:
    tokens = facts.tokens()
    words = [substituted(word, tokens) for word in command]
    try:
        if sys.platform == "win32":
            from spalloc_client.windows.command import run_on_console

            status = run_on_console(words, facts.environment(), interruptions.check)
            return Ended(status, interrupted=False)
        else:  # noqa: RET505  # the type checker passes over it for Windows
            from spalloc_client.scripts.wrapped import run_wrapped

            return run_wrapped(words, facts.environment(), interruptions.check, letterbox)
    except FileNotFoundError as error:
        raise CommandError(NOT_FOUND, f"--command: there is no program {words[0]!r}") from error
    except PermissionError as error:
        raise CommandError(NOT_EXECUTABLE, f"--command: {words[0]!r} may not be executed") from error
    except OSError as error:
        raise CommandError(
            NOT_EXECUTABLE, f"--command: {words[0]!r} can't be executed: {error.strerror}"
        ) from error


def _show(facts: Facts) -> None:
    pairs: dict[str, Text | str | int] = {
        "Hostname": Text(printable(facts.hostname), Style.BOLD),
        "Width": facts.width,
        "Height": facts.height,
    }
    if len(facts.connections) > 1:
        pairs["Num boards"] = len(facts.connections)
        pairs["All hostnames"] = facts.ethernet_ips
    pairs["Running on"] = printable(facts.machine)
    output().print(definitions(pairs))
