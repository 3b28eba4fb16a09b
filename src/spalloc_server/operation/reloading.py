"""Reloads the configuration: finds out first which jobs that would end, and refuses or logs it.

core/outlook.py works out which jobs end. Requests to reload come from running.py.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from spalloc_server.config.changes import differences, forgets, needs_restart
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.settings import Configuration
from spalloc_server.core.outlook import Outlook, Victim
from spalloc_server.operation.control.protocol import DONE, REFUSED, Answer, Line
from spalloc_server.service import Service
from spalloc_server.words import counted, date_and_time, there_are

_log = logging.getLogger(__name__)

T = TypeVar("T")

WOULD_END_JOBS = 3
"""The status of a reload that was refused because it would or might end jobs, without leave to do so."""
MOST_JOBS_LOGGED = 20
MOST_LINES = 200
"""How many mistakes, changes and jobs an answer names; it says how many more there are."""
ROUNDS = 3
"""How often new jobs are checked while clients may still create some; then clients' changes must wait."""
MOST_HELD_SECONDS = 0.2
"""How long clients' changes wait at most, since keepalives that the same client sends later wait behind them."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a reload did, or why it did nothing."""

    refusal: str | None = None
    """Why the old configuration stays in force; None if the new one is in force."""
    status: int = DONE
    error: ConfigurationError | None = None
    """The mistakes in the new configuration."""
    changes: Sequence[str] = ()
    endings: Sequence[Victim] = ()
    """The jobs that it ended, or would end."""
    left: int = 0
    """Queued jobs that were not checked, since too many came."""
    restart: Sequence[str] = ()
    """Changed settings that take effect only when the server is started again."""
    notes: Sequence[str] = ()
    """What else the administrator is told."""

    def answer(self) -> Answer:
        """Return the answer to the administrator who asked for the reload."""
        lines: list[Line] = []
        if self.error is not None:
            lines += _some(
                self.error.mistakes,
                "mistake",
                lambda one: Line(str(one), {"kind": "mistake", "file": one.file, "line": one.line}),
            )
            lines += [Line(f"note: {note}", {"kind": "note"}) for note in self.error.notes]
        lines += _some(self.changes, "change", lambda one: Line(one, {"kind": "change"}))
        lines += _some(
            self.endings,
            "job",
            lambda one: Line(
                f"job {one.job} of {one.owner} {self._verb(one)}: {one.why}",
                {"kind": "ending", "job": one.job, "owner": one.owner, "reason": one.why},
            ),
        )
        lines += [Line(restart_sentence(one), {"kind": "restart", "setting": one}) for one in self.restart]
        lines += [Line(note, {"kind": "note"}) for note in self.notes]
        if self.refusal is not None:
            return Answer(self.status, self.refusal, lines)
        at_once = [one for one in self.endings if one.when is None]
        ended = f"; it ended {counted(len(at_once), 'job')}" if at_once else ""
        left = f"; {_left(self.left)}" if self.left else ""
        return Answer(DONE, f"the new configuration is in force{ended}{left}", lines)

    def _verb(self, ending: Victim) -> str:
        if self.refusal is not None:
            return "would end"
        return "ended" if ending.when is None else f"ends at {date_and_time(ending.when)}"


class Reloading:
    """Reloads the configuration of one server."""

    def __init__(
        self, service: Service, read_again: Callable[[], Configuration], how_to_end_jobs: str
    ) -> None:
        """Reload for a server; to be made at its start.

        Args:
            service: The server.
            read_again: Reads the configuration, in a thread; raises `ConfigurationError` if anything is wrong.
            how_to_end_jobs: The command line of a reload that may end jobs, for messages.
        """
        self.service = service
        """The server."""
        self._started_with = service.configuration
        self._read_again = read_again
        self._how_to_end_jobs = how_to_end_jobs
        self._turn = asyncio.Lock()

    async def reload(self, *, may_end_jobs: bool) -> Effect:
        """Read the configuration again and put it in force; log the result.

        Args:
            may_end_jobs: Whether to do so even if it ends jobs.
        """
        async with self._turn:
            try:
                # In a thread: the file may be long, and its disk slow.
                new = await asyncio.to_thread(self._read_again)
            except ConfigurationError as error:
                return _refused(error)
            except Exception:  # noqa: BLE001 — a fault in reading must not disturb jobs
                _log.exception("the new configuration can't be read, the old one stays in force")
                return Effect("the new configuration can't be read; the server's log says why", REFUSED)
            clash = Outlook(new.machines, new.reservations).clash(self.service.engine.site)
            if clash is not None:
                refusal = f"the new configuration is refused, the old one stays in force: {clash}"
                _log.error("%s", refusal)
                return Effect(refusal, REFUSED)
            effect = await self._apply(new, may_end_jobs=may_end_jobs)
            if effect.refusal is None and new.http is not None and new.http.certificate is not None:
                # In a thread: what looks into certificates is imported for the first of them.
                note = await asyncio.to_thread(
                    self._about_certificate, new.http.certificate, self.service.engine.clock.wall()
                )
                effect = replace(effect, notes=[note])
            return effect

    def _about_certificate(self, certificate: Path, wall: float) -> str:
        """Return what the certificate that is now in use says, and log it."""
        from spalloc_server.fronts.http.connections.tls import CertificateError, about

        try:
            said = about(certificate)
        except CertificateError as error:
            _log.warning("%s", error)
            return str(error)
        sentence = f"the certificate is {said.in_words(wall)}"
        _log.log(logging.WARNING if said.is_late(wall) else logging.INFO, "%s", sentence)
        return sentence

    async def _apply(self, new: Configuration, *, may_end_jobs: bool) -> Effect:
        site, old = self.service.engine.site, self.service.configuration
        changes = differences(old, new)
        restart = needs_restart(self._started_with, new)
        outlook = Outlook(new.machines, new.reservations)
        for _ in range(ROUNDS):
            for _ in outlook.work_out(outlook.unknown(site)):
                await asyncio.sleep(0)
        if outlook.unknown(site):
            with self.service.v1.no_changes():
                await self._work_out_the_last(outlook)
        # From here to the change itself there is no await, so that no job can change.
        wall = self.service.engine.clock.wall()
        endings, left = outlook.endings(site, wall), len(outlook.unknown(site))
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
                f"the new configuration is refused, the old one stays in force: jobs come so fast that "
                f"{counted(left, 'queued job')} could not be checked, and it might end them; try again, or have it "
                f"take effect all the same with: {self._how_to_end_jobs}"
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
        """Find out what the change does to the last new jobs, as far as time allows."""
        site, clock = self.service.engine.site, self.service.engine.clock
        until = clock.now() + MOST_HELD_SECONDS
        # Jobs can still become unknown meanwhile, when a board fails and its job waits again; these are few.
        while unknown := outlook.unknown(site):
            for _ in outlook.work_out(unknown):
                if clock.now() >= until:
                    return
                await asyncio.sleep(0)


def restart_sentence(setting: str) -> str:
    """Return the sentence about a changed setting that needs a restart."""
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
    """Return the sentence about jobs that were not checked, for a change that takes effect nevertheless."""
    return f"{there_are(jobs, 'queued job')} still to be checked; those that can never run end soon, too"


def _named(endings: Sequence[Victim]) -> str:
    named = ", ".join(str(ending.job) for ending in endings[:MOST_JOBS_LOGGED])
    more = len(endings) - MOST_JOBS_LOGGED
    return f"{named} and {more} more" if more > 0 else named


def _some(things: Sequence[T], noun: str, line: Callable[[T], Line]) -> list[Line]:
    """Return a line for each thing, or for the first `MOST_LINES`, and one that says how many more there are."""
    lines = [line(one) for one in things[:MOST_LINES]]
    more = len(things) - MOST_LINES
    if more > 0:
        lines.append(
            Line(f"and {counted(more, f'more {noun}')}", {"kind": "more", "of": noun, "count": more})
        )
    return lines
