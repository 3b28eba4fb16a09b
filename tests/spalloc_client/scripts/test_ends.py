"""What is told, and when a signal is sent, as the server tells of a job's end."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from spalloc_client.config import read_config
from spalloc_client.scripts import alloc, ends
from spalloc_client.scripts.ends import Ends, read_signal
from spalloc_client.scripts.outcome import CommandError
from spalloc_client.scripts.wording import Happened
from spalloc_client.terminal.text import Text


class Server:
    """A connection to a server that knows time limits."""

    def __init__(self) -> None:
        self.left: float | None = None

    def call(self, _: str, **__: Any) -> Any:
        return [{"set_aside_boards": []}]

    def notify_job_ending(self, _: int, **__: Any) -> None:
        pass

    def job_times(self, _: int, **__: Any) -> Any:
        return {"ends_in": self.left}


class Watched:
    """Job 7, watched."""

    def __init__(self, wish: ends.Wish | None = ends.USUAL) -> None:
        self.told: list[Happened] = []
        self.sent: list[int] = []
        self.server: Any = Server()
        self.ends = Ends(7, self.told.append, wish, self.sent.append)
        self.ends.subscribe(self.server, None)

    def hear(self, seconds: float | None, reason: str | None = None) -> None:
        self.ends.hear({"job_ending": {"job_id": 7, "seconds": seconds, "reason": reason}})

    def left(self, seconds: float | None) -> float | None:
        self.server.left = seconds
        return self.ends.look(self.server, None)


@pytest.mark.parametrize(
    ("word", "wish"),
    [
        ("USR1", ("USR1", None)),
        ("sigterm@90s", ("TERM", 90.0)),
        ("@2m", ("USR1", 120.0)),
        ("", ("USR1", None)),
        ("USR1@60", ("USR1", 60.0)),
        ("@90 ", ("USR1", 90.0)),
        ("INT@1:30:00", ("INT", 5400.0)),
    ],
)
def test_a_signal_is_read_with_or_without_its_name_and_its_time(word: str, wish: ends.Wish) -> None:
    assert read_signal(word) == wish


def test_the_signal_is_sent_once_though_the_end_is_told_again() -> None:
    job = Watched()
    job.hear(300.0)
    job.hear(299.0)
    job.hear(200.0)
    assert len(job.sent) == 1
    assert len(job.told) == 3


@pytest.mark.parametrize("put_off", [7200.0, None])
def test_the_signal_is_sent_again_before_an_end_that_was_put_off(put_off: float | None) -> None:
    job = Watched()
    job.hear(300.0)
    job.hear(put_off)
    assert len(job.sent) == 1
    job.hear(300.0)
    assert len(job.sent) == 2


def test_a_signal_with_a_time_is_sent_then_and_the_wait_is_as_long() -> None:
    job = Watched(("USR1", 120.0))
    assert job.left(None) is None
    assert job.left(500.0) == 380.0
    job.hear(300.0)
    assert not job.sent
    assert job.left(120.0) is None
    assert job.left(110.0) is None
    assert len(job.sent) == 1
    assert job.left(1000.0) == 880.0
    job.left(100.0)
    assert len(job.sent) == 2


def test_without_a_signal_nothing_is_asked_or_sent() -> None:
    job = Watched(None)
    assert job.left(1.0) is None
    job.hear(1.0)
    assert not job.sent


@pytest.mark.parametrize("notification", [None, {"jobs_changed": [7]}, {"job_ending": 7}, {"job_ending": {}}])
def test_other_notifications_are_not_of_the_end(notification: object) -> None:
    job = Watched()
    job.ends.hear(notification)
    assert not job.told
    assert not job.sent


def test_a_reason_is_told_safely() -> None:
    assert ends.ending(7, 60.0, "a\nb\033[1m") == Text(
        "Job 7: The server will end it in 1 minute: a\\nb\\x1b[1m", ends.Style.YELLOW
    )


def test_on_windows_a_signal_is_refused_before_anything_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = alloc.parser(read_config([])).parse_args(
        ["--hostname", "h", "--owner", "me", "--signal", "-c", "true"]
    )
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(
        CommandError, match="--signal: Windows has no signals that could be sent to a command"
    ):
        alloc.check(arguments)
