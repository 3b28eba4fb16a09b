"""The proxy's messages: each is read back as it was written, and each fault has its close code."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.fronts.http.boards.messages import (
    ERROR_BYTES,
    MESSAGE_BYTES,
    Close,
    CloseCode,
    Closed,
    Failed,
    Listen,
    Listening,
    Message,
    MessageError,
    MessageTo,
    Open,
    Opened,
    decode_answer,
    decode_request,
)

NUMBER = st.integers(0, 0xFFFF_FFFF)
PAYLOAD = st.binary(max_size=64)
REQUEST = st.one_of(
    st.builds(Open, NUMBER, NUMBER, NUMBER, NUMBER),
    st.builds(Close, NUMBER, NUMBER),
    st.builds(Message, NUMBER, PAYLOAD),
    st.builds(Listen, NUMBER),
    st.builds(MessageTo, NUMBER, NUMBER, NUMBER, NUMBER, PAYLOAD),
)
ANSWER = st.one_of(
    st.builds(Opened, NUMBER, NUMBER),
    st.builds(Closed, NUMBER, NUMBER),
    st.builds(Message, NUMBER, PAYLOAD),
    st.builds(Listening, NUMBER, NUMBER, st.ip_addresses(v=4), NUMBER),
    st.builds(Failed, NUMBER, st.text(max_size=ERROR_BYTES // 4)),
)


@given(REQUEST)
def test_what_a_client_sends_is_read_as_it_was_written(request: object) -> None:
    assert decode_request(request.encode()) == request  # type: ignore[attr-defined]


@given(ANSWER)
def test_what_the_server_sends_is_read_as_it_was_written(answer: object) -> None:
    assert decode_answer(answer.encode()) == answer  # type: ignore[attr-defined]


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_break_the_protocol(data: bytes) -> None:
    for decode in (decode_request, decode_answer):
        try:
            message = decode(data)
        except MessageError as error:
            assert error.code in CloseCode
        else:
            assert message.encode() == data or isinstance(message, Failed)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("00000000 07000000 08000000 04000000 e5450000", Open(7, 8, 4, 17893)),
        ("01000000 07000000 09000000", Close(7, 9)),
        ("02000000 09000000 6869", Message(9, b"hi")),
        ("03000000 07000000", Listen(7)),
        ("04000000 09000000 08000000 04000000 31d40000 6869", MessageTo(9, 8, 4, 54321, b"hi")),
    ],
)
def test_requests_are_laid_out_as_the_published_client_writes_them(written: str, message: object) -> None:
    assert decode_request(bytes.fromhex(written)) == message


def test_a_listener_is_told_its_address_in_network_order_and_its_port_as_the_other_numbers() -> None:
    told = Listening(7, 9, IPv4Address("10.1.2.3"), 4096).encode()
    assert told.hex(" ", 4) == "03000000 07000000 09000000 0a010203 00100000"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", CloseCode.MALFORMED),
        (bytes(4), CloseCode.MALFORMED),
        (bytes(19), CloseCode.MALFORMED),
        (Open(1, 2, 3, 4).encode() + b"x", CloseCode.MALFORMED),
        (Close(1, 2).encode() + b"x", CloseCode.MALFORMED),
        (Listen(1).encode() + b"x", CloseCode.MALFORMED),
        (MessageTo(1, 2, 3, 4, b"").encode()[:-1], CloseCode.MALFORMED),
        (Failed(1, "no").encode(), CloseCode.MALFORMED),
        (b"\x06\0\0\0", CloseCode.CANNOT),
        (b"\xff" * 20, CloseCode.CANNOT),
        (Message(1, bytes(MESSAGE_BYTES - 7)).encode(), CloseCode.TOO_LONG),
    ],
)
def test_each_fault_has_its_close_code(data: bytes, code: CloseCode) -> None:
    with pytest.raises(MessageError) as caught:
        decode_request(data)
    assert caught.value.code == code


def test_a_message_may_have_8192_bytes() -> None:
    longest = Message(1, bytes(MESSAGE_BYTES - 8))
    assert decode_request(longest.encode()) == longest


def test_an_error_has_1000_bytes_at_most_and_no_half_letters() -> None:
    assert decode_answer(Failed(1, "é" * 501).encode()) == Failed(1, "é" * 500)
    assert decode_answer(Failed(1, "e" + "é" * 500).encode()) == Failed(1, "e" + "é" * 499)
