"""Keeps which clients watch which jobs and machines, and notifies them of changes.

A notification for a thousand clients is encoded once. Clients that watch single jobs are notified at once, since they
wait for something. Clients that watch everything are notified so seldom that it takes a small part of the server's
time, however many they are; changes between two notifications are sent together.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import NamedTuple

from spalloc_server.fronts.v1.arguments import CommandError
from spalloc_server.fronts.v1.codec import jobs_changed_line, machines_changed_line
from spalloc_server.fronts.v1.endings import EndingWatchers
from spalloc_server.fronts.v1.watcher import Watcher, leave

PAUSE_SECONDS_A_WATCHER = 50e-6
"""The pause after watchers of everything were notified, for each of them. Notifying one takes about a fifth of it."""

WATCHERS_A_TURN = 50
"""How many watchers are notified at once; then commands get their turn."""

MOST_UNKNOWN_MACHINES = 16
"""The most machines that do not exist that one client may watch: a new configuration may bring them."""

JOB_BYTES = 400
"""Memory for watching a job."""
MISSED_BYTES = 64
"""Memory for remembering that a job changed."""
NAME_BYTES = 600
"""Memory for watching a machine, apart from the letters of its name."""
LETTER_BYTES = 4
"""Memory for a letter of its name, at most."""


class _Missed:
    """Changes that a client has not been notified of."""

    __slots__ = ("jobs", "machines")

    def __init__(self) -> None:
        self.jobs: set[int] = set()
        self.machines: set[str] = set()


class _News(NamedTuple):
    """Changes that watchers of everything are being notified of, and their lines."""

    jobs: tuple[int, ...]
    of_jobs: bytes
    machines: tuple[str, ...]
    of_machines: bytes


class Watchers:
    """All clients that watch something."""

    def __init__(
        self,
        is_live: Callable[[int], bool],
        is_machine: Callable[[str], bool],
        endings: EndingWatchers,
    ) -> None:
        """Begin with no watchers.

        Args:
            is_live: Returns whether a job can still change.
            is_machine: Returns whether there is a machine of a name.
            endings: Clients that are to be told before a job ends.
        """
        self._endings = endings
        self._is_live = is_live
        self._is_machine = is_machine
        self._all_jobs: set[Watcher] = set()
        self._all_machines: set[Watcher] = set()
        self._of_job: dict[int, set[Watcher]] = {}
        self._jobs_of: dict[Watcher, set[int]] = {}
        self._of_machine: dict[str, set[Watcher]] = {}
        self._machines_of: dict[Watcher, set[str]] = {}
        self._missed: dict[Watcher, _Missed] = {}
        self._untold = _Missed()
        """Changes that watchers of everything are to be notified of next."""
        self._news = _News((), b"", (), b"")
        self._being_told: list[Watcher] = []
        """Watchers of everything that have still to be sent the news."""
        self._next_telling: asyncio.Handle | None = None
        self._pause_until = 0.0
        self._put_off: dict[Watcher, None] = {}
        """Watchers of single jobs and machines that have still to be sent what they missed."""
        self._next_put_off: asyncio.Handle | None = None

    def stop(self) -> None:
        """Stop notifying."""
        self._endings.stop()
        if self._next_telling is not None:
            self._next_telling.cancel()
            self._next_telling = None
        if self._next_put_off is not None:
            self._next_put_off.cancel()
            self._next_put_off = None

    def __contains__(self, watcher: Watcher) -> bool:
        """Return whether a client watches anything."""
        return (
            watcher in self._all_jobs
            or watcher in self._all_machines
            or watcher in self._jobs_of
            or watcher in self._machines_of
            or watcher in self._endings
        )

    # What clients ask for

    def watch_job(self, watcher: Watcher, job: int | None) -> None:
        """Begin to notify a client of changes to a job, or with None to all jobs."""
        if job is None:
            self._all_jobs.add(watcher)
        elif self._is_live(job):
            self._of_job.setdefault(job, set()).add(watcher)
            self._jobs_of.setdefault(watcher, set()).add(job)
            self._weigh(watcher)

    def unwatch_job(self, watcher: Watcher, job: int | None) -> None:
        """Stop notifying a client of changes to a job, or with None to any job."""
        if job is None:
            self._all_jobs.discard(watcher)
            for other in self._jobs_of.pop(watcher, ()):
                leave(self._of_job, other, watcher)
        else:
            leave(self._jobs_of, watcher, job)
            leave(self._of_job, job, watcher)
        self._weigh(watcher)

    def watch_ending(self, watcher: Watcher, job: int) -> None:
        """Begin to tell a client before a job is ended by the server."""
        self._endings.add(watcher, job)
        self._weigh(watcher)

    def unwatch_ending(self, watcher: Watcher, job: int) -> None:
        """Stop telling a client before a job is ended."""
        self._endings.remove(watcher, job)
        self._weigh(watcher)

    def watch_machine(self, watcher: Watcher, machine: str | None) -> None:
        """Begin to notify a client of changes to a machine, or with None to all machines.

        Raises:
            CommandError: It watches too many.
        """
        if machine is None:
            self._all_machines.add(watcher)
            return
        watched = self._machines_of.setdefault(watcher, set())
        if machine not in watched and not self._is_machine(machine):
            unknown = sum(not self._is_machine(name) for name in watched)
            if unknown >= MOST_UNKNOWN_MACHINES:
                raise CommandError(
                    f"there is no machine {machine[:60]!r}, and {unknown} machines that do not exist are watched "
                    "already; notify_machine without a name watches all, also those to come"
                )
        watched.add(machine)
        self._of_machine.setdefault(machine, set()).add(watcher)
        self._weigh(watcher)

    def _weigh(self, watcher: Watcher) -> None:
        missed = self._missed.get(watcher)
        names = self._machines_of.get(watcher, ())
        watcher.keep(
            JOB_BYTES * len(self._jobs_of.get(watcher, ()))
            + self._endings.weight(watcher)
            + NAME_BYTES * len(names)
            + LETTER_BYTES * sum(map(len, names))
            + (0 if missed is None else MISSED_BYTES * len(missed.jobs))
        )

    def unwatch_machine(self, watcher: Watcher, machine: str | None) -> None:
        """Stop notifying a client of changes to a machine, or with None to any machine."""
        if machine is None:
            self._all_machines.discard(watcher)
            for other in self._machines_of.pop(watcher, ()):
                leave(self._of_machine, other, watcher)
        else:
            leave(self._machines_of, watcher, machine)
            leave(self._of_machine, machine, watcher)
        self._weigh(watcher)

    def forget(self, watcher: Watcher) -> None:
        """Drop a client that has gone."""
        self._missed.pop(watcher, None)
        self._put_off.pop(watcher, None)
        self._endings.forget(watcher)
        self.unwatch_job(watcher, None)
        self.unwatch_machine(watcher, None)

    # Changes

    def jobs_changed(self, jobs: set[int]) -> None:
        """Notify the clients that watch these jobs."""
        theirs: defaultdict[Watcher, list[int]] = defaultdict(list)
        for job in sorted(jobs & self._of_job.keys() if len(jobs) > 1 else jobs):
            for watcher in self._of_job.get(job, ()):
                if watcher not in self._all_jobs:
                    theirs[watcher].append(job)
            if not self._is_live(job):
                self._drop_job(job)
        self._drop_endings(jobs & self._endings.jobs)
        lines: dict[tuple[int, ...], bytes] = {}
        for told, (watcher, changed) in enumerate(theirs.items()):
            if told >= WATCHERS_A_TURN or self._put_off:
                self._tell_later(watcher, jobs=changed)
                continue
            key = tuple(changed)
            line = lines.get(key)
            if line is None:
                line = lines[key] = jobs_changed_line(key)
            if not watcher.tell(line):
                self._miss(watcher, jobs=key)
        if self._all_jobs:
            self._untold.jobs |= jobs
            self._notify_all_soon()

    def jobs_ending(self, jobs: set[int]) -> None:
        """Tell the clients that asked for it that these jobs will be ended soon, or that this has changed."""
        self._endings.jobs_ending(jobs)

    def machines_changed(self, machines: set[str]) -> None:
        """Notify the clients that watch these machines."""
        for machine in sorted(machines & self._of_machine.keys()):
            line = machines_changed_line((machine,))
            for told, watcher in enumerate(self._of_machine[machine] - self._all_machines):
                if told >= WATCHERS_A_TURN or self._put_off:
                    self._tell_later(watcher, machines=(machine,))
                elif not watcher.tell(line):
                    self._miss(watcher, machines=(machine,))
        if self._all_machines:
            self._untold.machines |= machines
            self._notify_all_soon()

    def catch_up(self, watcher: Watcher) -> None:
        """Send a client that reads again the changes that it missed."""
        self._endings.catch_up(watcher)
        missed = self._missed.pop(watcher, None)
        if missed is None:
            return
        self._weigh(watcher)
        if missed.jobs and not watcher.tell(jobs_changed_line(sorted(missed.jobs))):
            self._miss(watcher, jobs=missed.jobs)
        if missed.machines and not watcher.tell(machines_changed_line(sorted(missed.machines))):
            self._miss(watcher, machines=missed.machines)

    def _drop_job(self, job: int) -> None:
        for watcher in self._of_job.pop(job, ()):
            leave(self._jobs_of, watcher, job)
            self._weigh(watcher)

    def _drop_endings(self, jobs: set[int]) -> None:
        for job in jobs:
            if not self._is_live(job):
                for watcher in self._endings.drop(job):
                    self._weigh(watcher)

    def _notify_all_soon(self) -> None:
        if self._next_telling is None and not self._being_told:
            loop = asyncio.get_running_loop()
            if self._pause_until <= loop.time():
                self._tell_some()
            else:
                self._next_telling = loop.call_at(self._pause_until, self._tell_some)

    def _take_news(self) -> None:
        """Make the changes not sent yet the news that watchers of everything are sent next."""
        untold, self._untold = self._untold, _Missed()
        jobs, machines = sorted(untold.jobs), sorted(untold.machines)
        self._news = _News(
            tuple(jobs),
            jobs_changed_line(jobs) if jobs else b"",
            tuple(machines),
            machines_changed_line(machines) if machines else b"",
        )
        self._being_told = list(self._all_jobs | self._all_machines)
        watchers = len(self._being_told)
        self._pause_until = asyncio.get_running_loop().time() + PAUSE_SECONDS_A_WATCHER * watchers

    def _tell_some(self) -> None:
        """Send the news to some watchers of everything, and to the others in later turns; begin new news at the end."""
        self._next_telling = None
        if not self._being_told:
            self._take_news()
        news = self._news
        for _ in range(min(WATCHERS_A_TURN, len(self._being_told))):
            watcher = self._being_told.pop()
            # It may have gone, or stopped watching, meanwhile.
            if news.of_jobs and watcher in self._all_jobs and not watcher.tell(news.of_jobs):
                self._miss(watcher, jobs=news.jobs)
            if news.of_machines and watcher in self._all_machines and not watcher.tell(news.of_machines):
                self._miss(watcher, machines=news.machines)
        if self._being_told:
            self._next_telling = asyncio.get_running_loop().call_soon(self._tell_some)
        elif self._untold.jobs or self._untold.machines:
            self._notify_all_soon()

    def _miss(self, watcher: Watcher, *, jobs: Collection[int] = (), machines: Collection[str] = ()) -> None:
        # As sets, they grow no larger than the number of jobs and machines.
        missed = self._missed.setdefault(watcher, _Missed())
        missed.jobs.update(jobs)
        missed.machines.update(machines)
        self._weigh(watcher)

    def _tell_later(
        self, watcher: Watcher, *, jobs: Collection[int] = (), machines: Collection[str] = ()
    ) -> None:
        """Notify a client after commands have had their turn."""
        self._miss(watcher, jobs=jobs, machines=machines)
        self._put_off[watcher] = None
        if self._next_put_off is None:
            self._next_put_off = asyncio.get_running_loop().call_soon(self._tell_those_put_off)

    def _tell_those_put_off(self) -> None:
        self._next_put_off = None
        for _ in range(min(WATCHERS_A_TURN, len(self._put_off))):
            watcher = next(iter(self._put_off))
            del self._put_off[watcher]
            self.catch_up(watcher)
        if self._put_off:
            self._next_put_off = asyncio.get_running_loop().call_soon(self._tell_those_put_off)
