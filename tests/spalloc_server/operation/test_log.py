"""That the log is one line an event, whatever is in it."""

import io
import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.operation.log import LineFormatter

LINE = re.compile(
    r"time=(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) level=(?P<level>[a-z]+) "
    r'message=(?P<message>"(?:[^"\\]|\\.)*")'
    r'(?P<more>(?: \w+=(?:"(?:[^"\\]|\\.)*"|[^\s"]+))*)'
)


def _logged(call: str, *args: object, **how: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    logger = logging.getLogger("tests.log")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.handlers.clear()
    logger.addHandler(handler)
    getattr(logger, call)(*args, **how)
    return stream.getvalue()


def test_a_line_has_time_level_message_and_what_else_was_given() -> None:
    line = _logged(
        "warning", "a board %s", "failed", extra={"machine": "big one", "board": "(0, 0, 1)", "job": 7}
    )
    found = LINE.fullmatch(line.rstrip("\n"))
    assert found is not None
    assert found["level"] == "warning"
    assert found["message"] == '"a board failed"'
    assert found["more"] == ' machine="big one" board="(0, 0, 1)" job=7'


@given(st.text(), st.text())
def test_nothing_leaves_its_line_or_passes_for_another_key(text: str, value: str) -> None:
    line = _logged("info", "%s", text, extra={"owner": value})
    assert line.isascii()
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    found = LINE.fullmatch(line[:-1])
    assert found is not None
    assert json.loads(found["message"]) == text
    assert re.fullmatch(r" owner=(?:\S+|\"(?:[^\"\\]|\\.)*\")", found["more"])


def test_a_traceback_stays_in_its_line() -> None:
    with pytest.raises(ZeroDivisionError) as error:
        _ = 1 / 0
    line = _logged("error", "it failed", exc_info=error.value)
    assert line.count("\n") == 1
    assert "ZeroDivisionError" in json.loads(line.partition(" traceback=")[2])
