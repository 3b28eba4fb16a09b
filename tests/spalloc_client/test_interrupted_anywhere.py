# Ctrl-C at every single point of a call at which the interpreter can raise it.

import dis
import itertools
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import pytest

from spalloc_client import ProtocolClient, ProtocolError, connection
from tests.spalloc_client.scripted import ScriptedServer

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


class _Interrupt:
    """Raises KeyboardInterrupt at the n-th point of the connection's code that a thread comes by."""

    def __init__(self, at: int) -> None:
        self.left = at
        self._points: dict[CodeType, set[int]] = {}

    def during(self, action: Callable[[], object]) -> None:
        earlier = sys.gettrace()
        sys.settrace(self._enter)
        try:
            action()
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
                raise KeyboardInterrupt
        return self._step


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="knows the instructions of Python 3.11")
def test_a_call_interrupted_at_any_point_does_not_keep_later_calls_waiting() -> None:
    with ScriptedServer({"echo": lambda request: list(request.args)}) as server:
        for at in range(1, 10_000):
            with ProtocolClient(server.hostname, server.port) as client:
                client.version()
                interrupt = _Interrupt(at)
                try:
                    interrupt.during(lambda client=client: client.call("echo", "first"))
                    assert interrupt.left > 0
                    break  # there are no more points
                except KeyboardInterrupt:
                    pass
                try:
                    assert client.call("echo", "second", timeout=20.0) == ["second"]
                except ProtocolError:
                    client.connect()
                    assert client.call("echo", "second", timeout=20.0) == ["second"]
    assert at > 30
