"""What Windows says in ways of its own: of its consoles, its programs' names, and pipes that nobody reads."""

import errno
import os
import socket
import sys
import threading
from collections import deque

import pytest

from spalloc_client import connection
from spalloc_client.connection import Connection
from spalloc_client.keepalive import Keepalive
from spalloc_client.scripts import names_command
from spalloc_client.terminal import console
from spalloc_client.windows.polling import poll
from tests.spalloc_client.scripted import PATIENCE


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that calls itself Windows."""
    monkeypatch.setattr(sys, "platform", "win32")


@pytest.mark.usefixtures("windows")
def test_a_console_has_places_though_nothing_names_it() -> None:
    assert console.has_places({})
    assert not console.has_places({"TERM": "dumb"})


def test_elsewhere_a_terminal_without_a_name_has_none() -> None:
    assert not console.has_places({})
    assert console.has_places({"TERM": "xterm"})


@pytest.mark.usefixtures("windows")
def test_an_invalid_argument_is_a_reader_that_has_gone() -> None:
    assert isinstance(console.trouble(OSError(errno.EINVAL, "Invalid argument")), console.ReaderGoneError)
    assert isinstance(console.trouble(OSError(errno.ENOSPC, "Full")), console.NotWrittenError)


def test_elsewhere_an_invalid_argument_is_an_error() -> None:
    assert isinstance(console.trouble(OSError(errno.EINVAL, "Invalid argument")), console.NotWrittenError)


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize(
    ("program", "is_one"),
    [
        (r"C:\Python\Scripts\spalloc-ps.exe", True),
        (r"C:\Python\Scripts\spalloc-ps", True),
        (r"Scripts\SPALLOC.EXE", True),
        ("spalloc", True),
        (r"C:\spalloc\run.exe", False),
        ("", False),
    ],
)
def test_commands_are_known_by_their_files_names(program: str, is_one: bool) -> None:
    assert names_command(program) is is_one


def test_elsewhere_backslashes_are_letters_of_a_name() -> None:
    assert names_command("/usr/bin/spalloc-ps")
    assert not names_command(r"x\spalloc-ps")
    assert not names_command("spalloc-ps.exe")


def test_a_helper_that_has_ended_is_no_error_when_it_is_told_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: bytes) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    helper = Keepalive()
    try:
        monkeypatch.setattr(helper, "_say", gone)
        helper.identify(1.0)
    finally:
        helper.stop()


def test_closing_ends_another_thread_s_wait_though_the_system_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Deaf(socket.socket):
        """One whose waits go on when it is shut down."""

        def shutdown(self, _: int) -> None:
            waiting.wait(PATIENCE)

    waiting = threading.Event()
    monkeypatch.setattr(connection, "poll", poll)
    monkeypatch.setattr(connection, "_DO_NOT_WAIT", (0,))
    monkeypatch.setattr(connection, "_CAN_WAIT", False)
    ours, other = socket.socketpair()
    with other:
        shared = Connection(Deaf(fileno=ours.detach()), "a server", deque())

        def done() -> bool:
            waiting.set()
            return not shared.readable

        reader = threading.Thread(target=lambda: shared.wait(done, None), daemon=True)
        reader.start()
        shared.close()
        reader.join(PATIENCE)
        assert not reader.is_alive()
