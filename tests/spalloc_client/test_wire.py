"""The wire format: what goes in comes out, and whatever else comes in is an error that says so."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spalloc_client.wire import (
    Failure,
    JobsChanged,
    Lines,
    MachinesChanged,
    Message,
    Other,
    Request,
    Return,
    WireError,
    decode_message,
    decode_request,
    encode,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
requests = st.builds(Request, st.text(), st.lists(json_values), st.dictionaries(st.text(), json_values))
messages = (
    st.builds(Return, json_values)
    | st.builds(Failure, st.text())
    | st.builds(JobsChanged, st.lists(st.integers()))
    | st.builds(MachinesChanged, st.lists(st.text()))
)


def complaint(action: Callable[[], object]) -> str | None:
    """What a WireError says, or None without one; other exceptions pass."""
    try:
        action()
    except WireError as error:
        return str(error)
    return None


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    """Split a stream into pieces of these sizes, and the rest."""
    pieces = []
    for size in sizes:
        pieces.append(stream[:size])
        stream = stream[size:]
    return [*pieces, stream]


@given(messages)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_message(line) == message


@given(requests)
def test_a_request_is_read_as_it_was_written(request: Request) -> None:
    assert decode_request(encode(request)) == request


@given(st.lists(messages), st.lists(st.integers(0, 50)))
def test_messages_arrive_however_the_stream_was_split(sent: list[Message], sizes: list[int]) -> None:
    lines = Lines()
    stream = b"".join(encode(message) for message in sent)
    received = [decode_message(line) for piece in cut(stream, sizes) for line in lines.feed(piece)]
    assert received == sent


@given(st.lists(st.sampled_from([b"", b"\n", b"\r\n", b" ", b"\t", b"{}\n", b'{"return": null}\n'])))
def test_blank_lines_mean_nothing(pieces: list[bytes]) -> None:
    lines = Lines()
    received = [line for piece in pieces for line in lines.feed(piece)]
    assert [line.strip() for line in received] == [
        line.strip() for line in b"".join(pieces).split(b"\n")[:-1] if line.strip()
    ]


# Found cases are kept as examples.
@given(st.binary())
@example(b"")
@example(b"\xff\xfe")  # another encoding
@example('{"return": "é"}'.encode("utf-16"))
@example(b"[" * 100_000)  # deeper than the reader can follow
@example(b'{"a":' * 100_000)
@example(b"1" * 5_000)  # more digits than Python converts
@example(b'{"return": ' + b"9" * 5_000 + b"}")
@example(b'{"return": NaN}')
@example(b'{"return": Infinity}')
@example(b'{"return": 1, "exception": "x"}')
@example(b'{"jobs_changed": [true]}')
@example(b'{"jobs_changed": [1.0]}')
@example(b'{"machines_changed": [1]}')
@example(b'{"exception": null}')
@example(b"\xef\xbb\xbf{}")
@example(b'{"return": "\\ud800"}')
@example(b'{"command": 1}')
@example(b'{"command": "x", "args": {}}')
@example(b'{"command": "x", "kwargs": []}')
def test_any_bytes_are_a_message_or_an_error_that_says_what_is_wrong(line: bytes) -> None:
    for decode in (decode_message, decode_request):
        said = complaint(lambda decode=decode: decode(line))  # type: ignore[misc]
        assert said is None or ("can't be read" in said and len(said) < 1000)


@given(json_values)
def test_json_that_is_not_known_is_passed_on_as_it_is(value: object) -> None:
    keys = {"return", "exception", "jobs_changed", "machines_changed"}
    if isinstance(value, dict) and keys & value.keys():
        return
    assert decode_message(json.dumps(value).encode()) == Other(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        {"jobs_changed": [1], "machines_changed": ["m"]},
        {"jobs_changed": [True]},
        {"jobs_changed": [1], "at": 2.5},
        {"jobs_changed": None},
        {"machines_changed": [1]},
        {"notification": 123},
    ],
)
def test_notifications_that_are_not_quite_known_are_passed_on_as_they_are(body: Any) -> None:
    assert decode_message(json.dumps(body).encode()) == Other(body)


def test_a_failure_without_words_is_a_failure() -> None:
    assert decode_message(b'{"exception": null}') == Failure("null")
    assert decode_message(b'{"exception": {"code": 7}}') == Failure('{"code": 7}')


def test_numbers_that_json_lacks_are_read_in_replies_and_refused_in_requests() -> None:
    assert repr(decode_message(b'{"return": [NaN, -Infinity]}')) == "Return(value=[nan, -inf])"
    with pytest.raises(WireError, match="NaN is not JSON"):
        decode_request(b'{"command": "x", "args": [NaN]}')


def test_args_and_kwargs_may_be_missing() -> None:
    assert decode_request(b'{"command": "version"}') == Request("version", (), {})


def test_keys_without_meaning_are_passed_over() -> None:
    assert decode_message(b'{"return": 1, "took": 0.1}') == Return(1)
    assert decode_request(b'{"command": "version", "client": "x"}') == Request("version")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"bytes"])
def test_what_json_can_not_say_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(WireError, match="can't be written as JSON"):
        encode(Request("x", [value]))  # type: ignore[list-item]


def test_messages_of_different_kinds_differ_and_none_can_be_changed() -> None:
    assert JobsChanged([]) != MachinesChanged([])
    assert Return("x") != Failure("x")
    assert repr(Request("x", [1])) == "Request(command='x', args=(1,), kwargs={})"
    with pytest.raises(AttributeError, match="can't be changed"):
        Return(1).value = 2


@given(st.integers(1, 40), st.lists(st.binary(max_size=60), max_size=30))
@example(1, [b"xx"])  # in one piece, without an end
@example(1, [b"xx\n"])  # in one piece, with its end
@example(1, [b"\nxx"])  # behind another
@example(1, [b"x", b"x"])  # in two pieces
def test_lines_hold_no_more_than_their_limit(limit: int, pieces: list[bytes]) -> None:
    lines = Lines(limit)
    longest = max(map(len, b"".join(pieces).split(b"\n")))
    received: list[bytes] = []
    said = complaint(lambda: [received.extend(lines.feed(piece)) for piece in pieces])
    assert (said is None) == (longest <= limit)
    assert said is None or f"longer than the {limit} bytes" in said
    assert all(len(line) <= limit for line in received)


def test_a_hundred_megabytes_without_a_newline_are_refused_in_bounded_memory() -> None:
    lines = Lines(limit=1024 * 1024)
    chunk = b"x" * 65536
    tracemalloc.start()
    try:
        said = complaint(lambda: [lines.feed(chunk) for _ in range(100 * 16)])
        assert said is not None
        assert "longer than" in said
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_limit_below_one_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="limit is 0; it must be 1 byte or more"):
        Lines(0)


def test_a_line_may_have_64_megabytes_unless_it_is_told_otherwise() -> None:
    longest = bytes(64 * 1024 * 1024)
    assert Lines().feed(longest) == []
    with pytest.raises(WireError, match="67108864"):
        Lines().feed(longest + b"x")
