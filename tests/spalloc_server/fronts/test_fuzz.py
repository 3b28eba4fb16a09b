"""The v1 front stands whatever bytes it is sent; fuzz.py makes them, and says what "stands" means."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.wire import Lines, WireError
from spalloc_server.fronts.v1.inbox import Inbox
from tests.seeds import SEED
from tests.spalloc_server.fronts.fuzz import Fuzzer


@pytest.mark.parametrize(
    "inputs",
    [
        2_000,
        pytest.param(60_000, marks=pytest.mark.uncounted),
        pytest.param(1_000_000, marks=pytest.mark.long),
    ],
)
def test_nonsense_is_answered_and_leaves_nothing_behind(inputs: int) -> None:
    logging.disable(logging.WARNING)
    try:
        asyncio.run(Fuzzer(SEED).run(inputs))
    except BaseException as error:
        error.add_note(f"To see it again: python -m tests.spalloc_server.fronts.fuzz {inputs} {SEED}")
        raise
    finally:
        logging.disable(logging.NOTSET)


@given(st.lists(st.binary(max_size=12)), st.integers(1, 8))
def test_an_inbox_cuts_lines_as_the_wire_format_says_however_they_come(
    pieces: list[bytes], limit: int
) -> None:
    lines, inbox = Lines(limit), Inbox(limit)
    for piece in pieces:
        expected, refused = [], False
        try:
            # One byte at a time, so that lines before one that is too long are not lost with it.
            for byte in piece:
                expected += lines.feed(bytes([byte]))
        except WireError:
            refused = True
        inbox.feed(piece)
        got = []
        try:
            while (line := inbox.next_line()) is not None:
                got.append(line)
        except WireError:
            assert refused
            assert got == expected
            return
        assert not refused
        assert got == expected


@given(
    st.lists(
        st.sampled_from([b"\n", b"\r\n", b" ", b"\t", b"x", b"{}\n", b" \n" * 40, b"\n" * 5000, b" " * 50])
    ),
    st.sampled_from([1, 45, 100, 8000]),
)
def test_blank_lines_are_passed_over_and_counted_however_many_there_are(
    pieces: list[bytes], limit: int
) -> None:
    stream = b"".join(pieces)
    inbox = Inbox(limit)
    inbox.feed(stream)
    lines, taken = stream.split(b"\n"), 0
    too_long = next((number for number, line in enumerate(lines) if len(line) > limit), len(lines))
    got = []
    try:
        while True:
            line = inbox.next_line()
            taken += inbox.taken
            if line is None:
                break
            got.append(line)
        assert too_long == len(lines)
        assert taken == len(stream) - len(inbox) == len(stream) - len(lines[-1])
    except WireError:
        assert too_long < len(lines)
    assert got == [line for line in lines[: min(too_long, len(lines) - 1)] if line.strip()]
