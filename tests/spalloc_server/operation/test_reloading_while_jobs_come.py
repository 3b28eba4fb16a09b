"""A reload while clients go on making jobs: when it takes effect, and how long they wait for it."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from spalloc_server.clock import SystemClock
from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.core.askers import SERVER
from spalloc_server.core.jobs import Asked
from spalloc_server.core.machine import Machine
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest
from spalloc_server.core.site import SLICE_STEPS
from spalloc_server.core.timekeeping import Moment
from spalloc_server.operation.reloading import MOST_HELD_SECONDS, ROUNDS, WOULD_END_JOBS, Effect, Reloading
from spalloc_server.service import Service
from spinnaker.geometry import Board, Size

SLICE_SECONDS = MOST_HELD_SECONDS / 4
AT_ONCE = 5
ANSWERS = b'"return"'
MACHINE = Machine("m", Size(12, 12), dead_boards=frozenset({Board(3, 3, 0), Board(8, 8, 1)}))


class _SteppedClock(SystemClock):
    """A clock that a test sets forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds


class _Reload:
    """A reload that takes so long for each slice of its work, and jobs come whenever it lets others go on."""

    def __init__(
        self, change: Callable[[Machine], Machine], come: Iterator[JobRequest], slice_steps: int = 1
    ) -> None:
        old = Configuration(state=None, machines=(MACHINE,), v1=Listening(0))
        self.new = replace(old, machines=(change(MACHINE),))
        self.clock = _SteppedClock()
        self.service = Service(old, clock=self.clock)
        self.came = 0
        self.slices = 0
        self.held_seconds = 0.0
        self._requests, self._slice_steps = come, slice_steps
        self._client: asyncio.StreamWriter | None = None

    def come(self) -> None:
        site, wall, now = self.service.engine.site, self.clock.wall(), self.clock.now()
        for what in itertools.islice(self._requests, AT_ONCE):
            site.create_job(what, Asked((), {}), owner="me", keepalive=None, by=SERVER, at=Moment(now, wall))
            self.came += 1

    async def let_others_go_on(self, _seconds: float) -> None:
        self.slices += 1
        self.clock.seconds += SLICE_SECONDS
        if self.service.v1.turns.most_changes:
            self.come()
            return
        self.held_seconds += SLICE_SECONDS
        if self._client is not None:
            # A change, and the client's keepalive behind it.
            self._client.write(b'{"command": "destroy_job", "args": [1]}\n')
            self._client.write(b'{"command": "job_keepalive", "args": [1]}\n')
            await self._client.drain()
            self._client = None

    async def _run(self, patch: pytest.MonkeyPatch, *, may_end_jobs: bool) -> Effect:
        host, port = await self.service.start()
        reader, self._client = await asyncio.open_connection(host, port)
        client = self._client
        self.come()
        with patch.context() as patched:
            patched.setattr("spalloc_server.core.outlook.SLICE_STEPS", self._slice_steps)
            patched.setattr("spalloc_server.operation.reloading.asyncio.sleep", self.let_others_go_on)
            effect = await Reloading(self.service, lambda: self.new, "TYPED").reload(
                may_end_jobs=may_end_jobs
            )
        if self.held_seconds:
            for _ in range(2):
                assert ANSWERS in await reader.readline(), "what waited is done, and the keepalive behind it"
        client.close()
        await self.service.stop()
        return effect

    def run(self, patch: pytest.MonkeyPatch, *, may_end_jobs: bool = False) -> Effect:
        return asyncio.run(self._run(patch, may_end_jobs=may_end_jobs))

    @property
    def in_force(self) -> bool:
        return self.service.configuration is self.new


def _more_tags(machine: Machine) -> Machine:
    return replace(machine, tags=machine.tags | {"big"})


def _odd() -> Iterator[JobRequest]:
    """Requests of which no two are alike, and each takes long to look at."""
    return (
        JobRequest(Boards(390 + number % 40), min_ratio=number / 1e4, max_dead_boards=1, max_dead_links=0)
        for number in itertools.count()
    )


def test_a_reload_takes_effect_however_fast_jobs_come(monkeypatch: pytest.MonkeyPatch) -> None:
    reload = _Reload(_more_tags, itertools.repeat(JobRequest(AnyBoard())), SLICE_STEPS)
    assert reload.run(monkeypatch).refusal is None
    assert reload.in_force
    assert reload.came > ROUNDS * AT_ONCE


def test_a_reload_holds_changes_for_a_fifth_of_a_second_at_most_and_says_why_it_gave_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reload = _Reload(_more_tags, _odd())
    answer = reload.run(monkeypatch).answer()
    assert 0.0 < reload.held_seconds <= 0.2
    assert not reload.in_force
    assert answer.status == WOULD_END_JOBS
    assert (
        "could not be checked, and it might end them; try again, or have it take effect all the same with: TYPED"
        in (answer.text)
    )
    assert answer.text in caplog.messages


def test_a_reload_that_may_end_jobs_takes_effect_however_odd_the_jobs_are_that_come(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reload = _Reload(_more_tags, _odd())
    answer = reload.run(monkeypatch, may_end_jobs=True).answer()
    assert 0.0 < reload.held_seconds <= 0.2
    assert reload.in_force
    assert "still to be checked" in answer.text
    assert "still to be checked" in caplog.text


def test_a_reload_that_changes_nothing_that_jobs_need_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reload = _Reload(lambda machine: replace(machine, settle_seconds=1.0), _odd())
    assert reload.run(monkeypatch).refusal is None
    assert reload.in_force
    assert not reload.slices
