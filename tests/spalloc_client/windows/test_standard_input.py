"""Standard input can't be waited for on Windows: threads read it.

Tried here by telling the code that it is there.
"""

import os
import select
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from spalloc_client import _keepalive_process
from spalloc_client.scripts.interruption import Interruptions
from spalloc_client.scripts.prompt import Keyboard

PATIENCE = 20.0


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """The ends of a pipe, on what calls itself Windows."""
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "platform", "win32")
    yield reading, writing
    os.close(reading)


def test_the_keepalive_process_learns_that_the_application_has_gone(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with _keepalive_process._as_socket(reading) as listening:
        assert not select.select([listening], [], [], 0)[0]
        os.write(writing, b"said")
        assert select.select([listening], [], [], PATIENCE)[0]
        assert listening.recv(10) == b"said"
        os.close(writing)
        assert select.select([listening], [], [], PATIENCE)[0]
        assert listening.recv(10) == b""


def test_what_is_typed_ends_the_wait(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = pipe
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: reading))
    with Interruptions() as interruptions, Keyboard(interruptions) as keyboard:
        interruptions.bell.ring()
        assert keyboard.wait() is None
        os.write(writing, b"done\n")
        assert keyboard.wait() == b"done\n"
        os.close(writing)
        assert keyboard.wait() == b""


def test_standard_input_that_can_not_be_read_is_an_error(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, writing = pipe
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: writing))
    with (
        Interruptions() as interruptions,
        Keyboard(interruptions) as keyboard,
        pytest.raises(OSError, match="Bad file"),
    ):
        keyboard.wait()
    os.close(writing)


def test_pieces_that_came_before_anybody_waited_are_all_found(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, writing = pipe
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: pipe[0]))
    with Interruptions() as interruptions, Keyboard(interruptions) as keyboard:
        # Both have rung before anybody waits.
        keyboard._read[:] = [b"do", b"ne"]
        interruptions.bell.ring()
        assert keyboard.wait() == b"do"
        assert keyboard.wait() == b"ne"
        os.close(writing)
        assert keyboard.wait() == b""
