"""Ctrl-C at every single point of a call at which the interpreter can raise it."""

import contextlib
import dis
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import pytest

from spalloc_client import ProtocolClient, ProtocolError, ProtocolTimeoutError, connection
from spalloc_client.wire import JobsChanged, encode
from tests.spalloc_client.scripted import PATIENCE, ScriptedServer

_SEEN_AFTER = {"RESUME", "CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD"}
"""Instructions after which the interpreter looks for signals."""


def _points(code: CodeType) -> set[int]:
    """Offsets before which it may be raised; what is raised counts as raised by the instruction before."""
    table = dis._parse_exception_table(code)  # type: ignore[attr-defined]

    def handler(offset: int) -> int | None:
        return next((entry.target for entry in table if entry.start <= offset < entry.end), None)

    instructions = [each for each in dis.get_instructions(code) if each.opname != "CACHE"]
    return {
        after.offset
        for before, after in itertools.pairwise(instructions)
        if before.opname in _SEEN_AFTER and handler(before.offset) == handler(after.offset)
    }


class Interruption:
    """Does something at the n-th point of the connection's code that a thread comes by."""

    def __init__(self, at: int, do: Callable[[FrameType], object]) -> None:
        self.left = at
        self._do = do
        self._points: dict[CodeType, set[int]] = {}

    def during(self, action: Callable[[], object]) -> object:
        earlier = sys.gettrace()
        sys.settrace(self._enter)
        try:
            return action()
        finally:
            sys.settrace(earlier)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != connection.__file__:
            return None
        frame.f_trace_opcodes = True
        self._points.setdefault(frame.f_code, _points(frame.f_code))
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode" and frame.f_lasti in self._points[frame.f_code]:
            self.left -= 1
            if self.left == 0:
                self._do(frame)
        return self._step


ONLY_3_11 = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="knows the instructions of Python 3.11"
)


def _ctrl_c(_: FrameType) -> None:
    raise KeyboardInterrupt


def _interrupted(at: int, client: ProtocolClient, action: Callable[[], object]) -> bool:
    """Interrupt an action at its n-th point; whether it has that many."""
    interrupt = Interruption(at, _ctrl_c)
    try:
        interrupt.during(action)
    except KeyboardInterrupt:
        return True
    assert interrupt.left > 0
    return False


def _works(client: ProtocolClient) -> None:
    try:
        assert client.call("echo", "second", timeout=PATIENCE) == ["second"]
    except ProtocolError:
        client.connect()
        assert client.call("echo", "second", timeout=PATIENCE) == ["second"]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer({"echo": lambda request: list(request.args), "mute": b""}) as running:
        yield running


@ONLY_3_11
def test_a_call_interrupted_at_any_point_does_not_keep_later_calls_waiting(server: ScriptedServer) -> None:
    for at in itertools.count(1):
        with ProtocolClient(server.hostname, server.port) as client:
            client.version()
            if not _interrupted(at, client, lambda client=client: client.call("echo", "first")):
                break
            _works(client)
    assert at > 30


@ONLY_3_11
@pytest.mark.parametrize(
    ("command", "timeout"), [("echo", None), ("mute", 0.01)], ids=["with a reply", "out of time"]
)
def test_a_call_interrupted_at_any_point_does_not_keep_other_threads_waiting(
    server: ScriptedServer, command: str, timeout: float | None
) -> None:
    def call(client: ProtocolClient) -> None:
        with contextlib.suppress(ProtocolTimeoutError):
            client.call(command, timeout=timeout)

    for at in itertools.count(1):
        with ProtocolClient(server.hostname, server.port) as client:
            client.version()
            ended: list[object] = []
            others = [threading.Thread(target=_listen, args=(client, ended)) for _ in range(2)]
            for other in others:
                other.start()
            interrupted = _interrupted(at, client, lambda client=client: call(client))
            server.send(encode(JobsChanged([1])) + encode(JobsChanged([2])))
            for other in others:
                other.join(PATIENCE)
            assert len(ended) == 2
        if not interrupted:
            break
    assert at > 20


def _listen(client: ProtocolClient, ended: list[object]) -> None:
    """Wait for one notification, or for the end of the connection."""
    try:
        ended.append(client.wait_for_notification())
    except ProtocolError as error:
        ended.append(error)
