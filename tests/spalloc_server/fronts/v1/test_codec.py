"""The server's codec is wire.py by a faster hand: what it takes, refuses, says of it and writes is the same."""

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spalloc_client.wire import (
    Failure,
    JobsChanged,
    Json,
    MachinesChanged,
    Message,
    Return,
    WireError,
    decode_message,
    decode_request,
    encode,
)
from spalloc_server.fronts.v1.codec import (
    failure_line,
    jobs_changed_line,
    machines_changed_line,
    read_request,
    return_line,
)

# Unlike Hypothesis's own, with halves of characters, which JSON can say and UTF-8 can't.
any_strings = st.text(st.characters(codec=None) | st.characters(categories=["Cs"]), max_size=8)
json_values: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_strings, inner, max_size=4),
    max_leaves=8,
)

numbers = st.from_regex(rb"-?[0-9]{1,25}(\.[0-9]{0,20})?([eE][+-]?[0-9]{0,4})?", fullmatch=True)
strings = st.lists(
    st.sampled_from(
        [
            b"a", b"command", b" ", b"\\n", b"\\/", b"\\x", b"\\u0041", b"\\u00e9", b"\\ud83d", b"\\ude00", b"\\u12",
            b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xff", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x00",
            b"\x1f", b"\x7f", b"\\\\", b'\\"', b'"', b"\\",
        ]
    ),
    max_size=4,
).map(lambda pieces: b'"' + b"".join(pieces) + b'"')  # fmt: skip
words = st.sampled_from(
    [
        b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity", b"nul", b"-0", b"-0.0", b"1e400", b"1e-400",
        b"01", b"18446744073709551616", b"-9223372036854775809", b"9" * 4300, b"9" * 4301, b"", b"'a'",
        b"\xef\xbb\xbf1",
    ]
)  # fmt: skip
spaces = st.sampled_from([b"", b"", b"", b" ", b"\t\r", b"\x0b", b"\x00", b"\xa0"])


def listed(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(
        st.lists(inner, max_size=4), spaces, st.sampled_from([b",", b",", b",", b"", b",,"])
    ).map(lambda said: b"[" + said[1] + said[2].join(said[0]) + said[1] + b"]")


def keyed(keys: st.SearchStrategy[bytes], inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    pairs = st.tuples(keys, spaces, inner).map(lambda said: said[0] + said[1] + b":" + said[2])
    return st.tuples(st.lists(pairs, max_size=5), spaces).map(
        lambda said: said[1] + b"{" + b",".join(said[0]) + b"}" + said[1]
    )


values = st.recursive(
    numbers | strings | words, lambda inner: listed(inner) | keyed(strings, inner), max_leaves=6
)
# Keys come twice, are unknown, and have values of the wrong kind: all that, more often than not.
requests = keyed(
    st.sampled_from([b'"command"', b'"args"', b'"kwargs"', b'"comm\\u0061nd"', b'"other"']),
    strings | listed(values) | keyed(strings, values) | values,
)
# All is well but for one value: what is wrong with it is not hidden by something else.
valid_but_for_one_value = (numbers | strings | words).map(
    lambda odd: b'{"command":"a","args":[%b]}' % odd
) | (strings.map(lambda odd: b'{"command":%b,"kwargs":{%b:1}}' % (odd, odd)))


def read(reader: Callable[[bytes], object], line: bytes) -> str:
    """What a reader takes a line for, or says against it, told apart as exactly as Python can."""
    try:
        request = reader(line)
    except WireError as error:
        return str(error)
    return repr((request.command, list(request.args), request.kwargs))  # type: ignore[attr-defined]


def same(line: bytes) -> None:
    assert read(read_request, line) == read(decode_request, line)


@given(requests | valid_but_for_one_value)
@example(b'{"command":"\xff"}')
@example(b'{"command":"a","args":["\xed\xa0\x80"]}')
@example(b'{"command":5,"command":"version"}')
@example(b'{"command":"version","args":1,"args":[]}')
@example(b'{"command":"version","other":"\xff"}')
@example(b'{"command":"version","other":NaN}')
@example(b'{"command":"version","args":null}')
@example(b'{"command":"a","args":[NaN]}')
@example(b'{"command":"a","args":["\\ud800"]}')
@example(b'{"command":"a","args":[1e400,-1e400,-0,-0.0,1E5,1e-400]}')
@example(b'{"command":"a","args":[' + b"9" * 4301 + b"]}")
@example(b'{"command":"a","kwargs":{"a":1,"b":2,"\\u0061":3}}')
@example(b'\xef\xbb\xbf{"command":"a"}')
@example(b'{"command":"a"}{')
@example(b"")
def test_a_line_is_read_or_refused_with_the_words_of_the_wire_format(line: bytes) -> None:
    same(line)


@given(
    st.builds(lambda command, args, kwargs: {"command": command, "args": args, "kwargs": kwargs},
              any_strings, st.lists(json_values, max_size=4), st.dictionaries(any_strings, json_values, max_size=4)),
    st.booleans(),
)  # fmt: skip
def test_what_clients_can_say_is_read_as_the_wire_format_reads_it(request: object, ascii_only: bool) -> None:
    same(json.dumps(request, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@given(requests, st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=2)), max_size=3))
def test_damaged_lines_are_told_from_whole_ones(line: bytes, damage: list[tuple[int, bytes]]) -> None:
    for at, piece in damage:
        line = line[:at] + piece + line[at + 1 :]
    same(line)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_request_or_refused(line: bytes) -> None:
    same(line)


@pytest.mark.parametrize("depth", [100, 5_000, 200_000])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_nesting_is_followed_as_deep_as_the_wire_format_follows_it(
    depth: int, brackets: tuple[bytes, bytes]
) -> None:
    same(b'{"command":"a","args":[' + brackets[0] * depth + b"1" + brackets[1] * depth + b"]}")
    same(b'{"command":"a","args":[' + brackets[0] * depth)


def both_ways(line: bytes, message: Message) -> None:
    """Expect a line to say a message, in ASCII, as the wire format's own line does."""
    assert line.isascii()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert repr(decode_message(line)) == repr(decode_message(encode(message)))


@given(json_values)
@example("é")
@example("\ud800")
@example({"\udfff": [2**64, -(2**63) - 1]})
def test_replies_say_the_same_as_the_wire_format_and_in_ascii(value: Json) -> None:
    both_ways(return_line(value), Return(value))


@given(any_strings, st.lists(st.integers(0, 2**70)), st.lists(any_strings))
def test_refusals_and_news_say_the_same_as_the_wire_format_and_in_ascii(
    message: str, jobs: list[int], machines: list[str]
) -> None:
    both_ways(failure_line(message), Failure(message))
    both_ways(jobs_changed_line(jobs), JobsChanged(jobs))
    both_ways(machines_changed_line(machines), MachinesChanged(machines))


def test_replies_of_every_day_are_the_very_bytes_of_the_wire_format() -> None:
    for value in (None, "1.0.0", 7, True, [], {"state": 3, "start_time": 1795350054.9190009, "reason": None}):
        assert return_line(value) == encode(Return(value))
    assert failure_line('there is no "x"') == encode(Failure('there is no "x"'))
    assert jobs_changed_line((1, 2)) == encode(JobsChanged((1, 2)))
    assert machines_changed_line(("m",)) == encode(MachinesChanged(("m",)))
