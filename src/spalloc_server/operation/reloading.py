"""Taking over a changed configuration: what it would do to jobs is found out first, and told before and after.

Which jobs a change ends is decided in core/outlook.py; who asks for a reload, and in which form the answer is
sent, in running.py and control/.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from spalloc_server.config.changes import differences, forgets, needs_restart
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.settings import Configuration
from spalloc_server.core.outlook import Ending, Outlook
from spalloc_server.operation.control.protocol import DONE, REFUSED, Answer, Line
from spalloc_server.service import Service
from spalloc_server.words import counted, there_are

_log = logging.getLogger(__name__)

T = TypeVar("T")

WOULD_END_JOBS = 3
"""The status of a reload that was refused because it would or might end jobs, and it was not said that it may."""
MOST_JOBS_LOGGED = 20
MOST_LINES = 200
"""Mistakes, changes or jobs that an answer names each; of more, it says how many there are."""
ROUNDS = 3
"""How often jobs that came meanwhile are looked at before none may come until it is done."""
MOST_HELD_SECONDS = 0.2
"""How long clients' changes wait for that at most; behind them, a client's keepalives wait, too."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a reload did, or why it did nothing."""

    refusal: str | None = None
    """Why the old configuration stays in force; None if it does not."""
    status: int = DONE
    error: ConfigurationError | None = None
    """What is wrong with the new one."""
    changes: Sequence[str] = ()
    endings: Sequence[Ending] = ()
    """The jobs that it ended, or would end."""
    left: int = 0
    """Waiting jobs that were not looked at, since too many came."""
    restart: Sequence[str] = ()
    """Settings whose change takes effect only when the server is started again."""

    def answer(self) -> Answer:
        """Return what is said to an administrator who asked for the reload."""
        lines: list[Line] = []
        if self.error is not None:
            lines += _some(
                self.error.mistakes,
                "mistake",
                lambda one: Line(str(one), {"kind": "mistake", "file": one.file, "line": one.line}),
            )
            lines += [Line(f"note: {note}", {"kind": "note"}) for note in self.error.notes]
        lines += _some(self.changes, "change", lambda one: Line(one, {"kind": "change"}))
        verb = "ended" if self.refusal is None else "would end"
        lines += _some(
            self.endings,
            "job",
            lambda one: Line(
                f"job {one.job} of {one.owner} {verb}: {one.why}",
                {"kind": "ending", "job": one.job, "owner": one.owner, "reason": one.why},
            ),
        )
        lines += [Line(restart_sentence(one), {"kind": "restart", "setting": one}) for one in self.restart]
        if self.refusal is not None:
            return Answer(self.status, self.refusal, lines)
        ended = f"; it ended {counted(len(self.endings), 'job')}" if self.endings else ""
        left = f"; {_left(self.left)}" if self.left else ""
        return Answer(DONE, f"the new configuration is in force{ended}{left}", lines)


class Reloading:
    """Has one server follow its configuration."""

    def __init__(
        self, service: Service, read_again: Callable[[], Configuration], how_to_end_jobs: str
    ) -> None:
        """Reload for `service`, which was started with what it works by now.

        Args:
            service: The server.
            read_again: Reads the configuration, in a thread; raises ConfigurationError if anything is wrong.
            how_to_end_jobs: What an administrator types for a reload that may end jobs.
        """
        self.service = service
        """The server that follows."""
        self._started_with = service.configuration
        self._read_again = read_again
        self._how_to_end_jobs = how_to_end_jobs
        self._turn = asyncio.Lock()

    async def reload(self, *, may_end_jobs: bool) -> Effect:
        """Read the configuration again and take it over; log what comes of it.

        Args:
            may_end_jobs: Whether it is taken over also if jobs end because of it.
        """
        async with self._turn:
            try:
                # In a thread: a file may be long, and its disk slow.
                new = await asyncio.to_thread(self._read_again)
            except ConfigurationError as error:
                return _refused(error)
            except Exception:  # noqa: BLE001 — jobs must not suffer from whatever is wrong with a file
                _log.exception("the new configuration can't be read, the old one stays in force")
                return Effect("the new configuration can't be read; the server's log says why", REFUSED)
            return await self._take_over(new, may_end_jobs=may_end_jobs)

    async def _take_over(self, new: Configuration, *, may_end_jobs: bool) -> Effect:
        site, old = self.service.engine.site, self.service.configuration
        changes = differences(old, new)
        restart = needs_restart(self._started_with, new)
        outlook = Outlook(new.machines)
        for _ in range(ROUNDS):
            for _ in outlook.work_out(outlook.unknown(site)):
                await asyncio.sleep(0)
        if outlook.unknown(site):
            with self.service.v1.no_changes():
                await self._work_out_the_last(outlook)
        # Nothing may happen to jobs between this and the change itself.
        endings, left = outlook.endings(site), len(outlook.unknown(site))
        jobs = f"{counted(len(endings), 'job')}: {_named(endings)}"
        if endings and not may_end_jobs:
            _log.warning(
                "the new configuration is refused, the old one stays in force: it would end %s; a restart would end "
                "them, too; mend the file, or have it end them with: %s",
                jobs,
                self._how_to_end_jobs,
                extra={"jobs": len(endings)},
            )
            refusal = (
                f"the new configuration is refused, the old one stays in force: it would end "
                f"{counted(len(endings), 'job')}; mend the file, or have it end them with: {self._how_to_end_jobs}"
            )
            return Effect(refusal, WOULD_END_JOBS, changes=changes, endings=endings)
        if left and not may_end_jobs:
            refusal = (
                f"the new configuration is refused, the old one stays in force: jobs come so fast that it "
                f"can't be found out for {counted(left, 'waiting job')} whether it would end them; try again, or have "
                f"it take effect all the same with: {self._how_to_end_jobs}"
            )
            _log.warning("%s", refusal, extra={"jobs": left})
            return Effect(refusal, WOULD_END_JOBS, changes=changes, left=left)
        if left:
            _log.warning("the new configuration takes effect: %s", _left(left), extra={"jobs": left})
        if endings:
            _log.warning("the new configuration ends %s", jobs, extra={"jobs": len(endings)})
        self.service.reconfigure(new)
        if endings:
            _log.warning("the new configuration has ended %s", jobs, extra={"jobs": len(endings)})
        for change in changes[:MOST_LINES]:
            _log.info("changed in the configuration: %s", change)
        if forgets(old, new):
            _log.warning(
                "fewer ended jobs are kept than before; what is beyond that is dropped within an hour"
            )
        for setting in restart:
            _log.warning("%s", restart_sentence(setting))
        _log.info("the configuration was read again", extra={"machines": len(new.machines)})
        return Effect(changes=changes, endings=endings, left=left, restart=restart)

    async def _work_out_the_last(self, outlook: Outlook) -> None:
        """Find out what becomes of the last jobs that came, as far as that does not take too long."""
        site, clock = self.service.engine.site, self.service.engine.clock
        until = clock.now() + MOST_HELD_SECONDS
        # Those that a board's failure makes wait again meanwhile are few.
        while unknown := outlook.unknown(site):
            for _ in outlook.work_out(unknown):
                if clock.now() >= until:
                    return
                await asyncio.sleep(0)


def restart_sentence(setting: str) -> str:
    """Return what is said of a changed setting that a running server can't follow."""
    return f"a changed {setting} takes effect only when the server is started again"


def _refused(error: ConfigurationError) -> Effect:
    _log.error("the new configuration is refused, the old one stays in force")
    for mistake in error.mistakes[:MOST_LINES]:
        _log.error(
            "mistake in the configuration: %s",
            mistake.sentence,
            extra={"file": mistake.file, "line": mistake.line},
        )
    if len(error.mistakes) > MOST_LINES:
        more = counted(len(error.mistakes) - MOST_LINES, "more mistake")
        _log.error("%s in the configuration", more)
    for note in error.notes:
        _log.error("note on the configuration: %s", note)
    mistakes = counted(len(error.mistakes), "mistake")
    return Effect(
        f"the new configuration has {mistakes} and is refused, the old one stays in force", REFUSED, error
    )


def _left(jobs: int) -> str:
    """Return what is said of jobs that were not looked at where it takes effect nevertheless."""
    return f"{there_are(jobs, 'waiting job')} still to be looked at, and what can never run there ends, too"


def _named(endings: Sequence[Ending]) -> str:
    named = ", ".join(str(ending.job) for ending in endings[:MOST_JOBS_LOGGED])
    more = len(endings) - MOST_JOBS_LOGGED
    return f"{named} and {more} more" if more > 0 else named


def _some(things: Sequence[T], noun: str, line: Callable[[T], Line]) -> list[Line]:
    """Return a line for each of the first things, and one that says how many more there are."""
    lines = [line(one) for one in things[:MOST_LINES]]
    more = len(things) - MOST_LINES
    if more > 0:
        lines.append(
            Line(f"and {counted(more, f'more {noun}')}", {"kind": "more", "of": noun, "count": more})
        )
    return lines
