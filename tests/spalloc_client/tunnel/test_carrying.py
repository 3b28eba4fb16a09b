"""What a tunnel decides: which messages a datagram becomes, and where what boards send goes. Without sockets."""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.errors import ProtocolError
from spalloc_client.tunnel import carrying, messages
from spalloc_client.tunnel.carrying import MOST_CHANNELS, MOST_WAITING, Carrier, Delivery, Listen, Port
from spalloc_server.fronts.http.boards import messages as theirs
from spinnaker.scamp import IpTag, ScampCommand, TagFlag, TagOperation
from spinnaker.scp import Result, ScpRequest
from spinnaker.sdp import SDP_PORT, Endpoint, SdpHeader

REAL = {(0, 0): "10.11.193.1", (8, 4): "10.11.193.9", (4, 8): "a-name.example"}
LOCAL = {(0, 0): "127.128.0.1", (8, 4): "127.128.0.2", (4, 8): "127.128.0.3"}
SCP, BOOT = Port((0, 0), SDP_PORT), Port((0, 0), 54321)
OTHER = Port((8, 4), SDP_PORT)
ME, YOU = ("127.0.0.1", 40001), ("127.0.0.1", 40002)
LISTENER = ("127.0.0.1", 50000)


class Service:
    """What a service does with messages: opens channels, numbers them, and keeps what is sent over them."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.numbers = 0
        self.opened: dict[int, Port] = {}
        self.sent: list[tuple[int, bytes]] = []
        self.refuses = False

    def do(self, effects: Sequence[Any]) -> list[Any]:
        """Take the messages among some effects; return what is for programs on this computer."""
        rest = [effect for effect in effects if not isinstance(effect, bytes)]
        for effect in effects:
            if isinstance(effect, bytes):
                rest += self.take(theirs.decode_request(effect))
        return rest

    def take(self, said: theirs.Request) -> list[Any]:
        if isinstance(said, theirs.Open):
            if self.refuses:
                return self.do(self.carrier.hear(theirs.Failed(said.correlation, "no room").encode()))
            self.numbers += 1
            self.opened[self.numbers] = Port((said.x, said.y), said.port)
            return self.do(self.carrier.hear(theirs.Opened(said.correlation, self.numbers).encode()))
        if isinstance(said, theirs.Message):
            self.sent.append((said.channel, said.data))
            return []
        assert isinstance(said, theirs.Close)
        del self.opened[said.channel]
        return self.do(self.carrier.hear(theirs.Closed(said.correlation, said.channel).encode()))

    def hears(self, channel: int, data: bytes) -> list[Any]:
        """A board has sent something to a channel."""
        return self.do(self.carrier.hear(theirs.Message(channel, data).encode()))


@pytest.fixture
def service() -> Service:
    made = Service(Carrier(REAL, LOCAL))
    assert made.carrier.connected() == []
    return made


def scp(command: int, *arguments: int, sequence: int = 7, chip: tuple[int, int] = (255, 255)) -> ScpRequest:
    return ScpRequest(SdpHeader(Endpoint(*chip, 0)), command, sequence, *arguments)


def tag_command(
    operation: TagOperation, tag: int, port: int = 0, address: str = "0.0.0.0", **more: Any
) -> ScpRequest:
    flags = more.pop("flags", 0)
    host = int.from_bytes(IPv4Address(address).packed, "little")
    return scp(ScampCommand.IP_TAG, flags | operation << 16 | tag, port, host, **more)


def set_tag(
    service: Service, request: ScpRequest, port: Port = SCP, sender: Any = ME
) -> tuple[int, ScpRequest]:
    """Set a tag through the tunnel; return its channel and what the board was told."""
    assert service.do(service.carrier.take(port, sender, request.encode())) == []
    channel, told = service.sent[-1]
    return channel, ScpRequest.decode(told)


# Channels


def test_each_socket_has_a_channel_to_each_port_and_gets_its_own_answers(service: Service) -> None:
    for port, sender, data in (
        (SCP, ME, b"one"),
        (SCP, YOU, b"two"),
        (BOOT, ME, b"three"),
        (SCP, ME, b"four"),
    ):
        assert service.do(service.carrier.take(port, sender, data)) == []
    assert service.opened == {1: SCP, 2: SCP, 3: BOOT}
    assert service.sent == [(1, b"one"), (2, b"two"), (3, b"three"), (1, b"four")]
    assert service.hears(2, b"answer") == [Delivery(SCP, YOU, b"answer")]
    assert service.hears(99, b"nobody's") == []


def test_datagrams_wait_for_their_channel_up_to_a_number(service: Service) -> None:
    first = service.carrier.take(SCP, ME, b"0")
    for number in range(1, MOST_WAITING + 5):
        assert service.carrier.take(SCP, ME, str(number).encode()) == []
    service.do(first)
    assert [data for _, data in service.sent] == [str(number).encode() for number in range(MOST_WAITING)]


def test_what_is_too_long_for_a_message_is_lost(service: Service) -> None:
    service.do(service.carrier.take(SCP, ME, b"first"))
    assert service.carrier.take(SCP, ME, bytes(messages.MESSAGE_BYTES - 8)) != []
    assert service.carrier.take(SCP, ME, bytes(messages.MESSAGE_BYTES - 7)) == []


def test_a_channel_that_is_refused_is_tried_again_with_the_next_datagram(service: Service) -> None:
    service.refuses = True
    service.do(service.carrier.take(SCP, ME, b"lost"))
    assert service.carrier.refusal == "no room"
    service.refuses = False
    service.do(service.carrier.take(SCP, ME, b"arrives"))
    assert service.sent == [(1, b"arrives")]


def test_the_channel_that_was_used_least_recently_makes_room(service: Service) -> None:
    for number in range(MOST_CHANNELS + 3):
        service.do(service.carrier.take(SCP, ("127.0.0.1", number), b"hello"))
        service.do(service.carrier.take(SCP, ("127.0.0.1", 0), b"still here"))
    assert len(service.opened) == MOST_CHANNELS
    assert 1 in service.opened
    assert 2 not in service.opened


def test_a_channel_that_is_given_back_is_closed_also_before_it_is_open(service: Service) -> None:
    service.do(service.carrier.take(SCP, ME, b"hello"))
    service.do(service.carrier.forget(SCP, ME))
    opening = service.carrier.take(SCP, YOU, b"hello")
    assert service.carrier.forget(SCP, YOU) == []
    service.do(opening)
    assert service.opened == {}
    assert service.carrier.forget(SCP, YOU) == []


def test_after_a_lost_connection_channels_are_opened_when_they_are_needed(service: Service) -> None:
    service.do(service.carrier.take(SCP, ME, b"before"))
    service.carrier.lost()
    service.opened.clear()
    assert service.carrier.take(SCP, YOU, b"meanwhile") == []
    assert service.hears(1, b"late") == []
    service.do(service.carrier.connected())
    service.do(service.carrier.take(SCP, ME, b"after"))
    assert service.sent == [(1, b"before"), (2, b"meanwhile"), (3, b"after")]


@given(st.binary(max_size=40))
def test_whatever_the_service_sends_is_read_or_is_an_error_of_the_protocol(data: bytes) -> None:
    try:
        Carrier(REAL, LOCAL).hear(data)
    except ProtocolError as error:
        assert "is none" in str(error)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=300))
def test_messages_are_those_of_our_server(one: int, two: int, data: bytes) -> None:
    assert messages.opening(one, 3, 4, 5) == theirs.Open(one, 3, 4, 5).encode()
    assert messages.closing(one, two) == theirs.Close(one, two).encode()
    assert messages.prefix(one) + data == theirs.Message(one, data).encode()
    assert messages.read(theirs.Opened(one, two).encode()) == messages.Opened(one, two)
    assert messages.read(theirs.Closed(one, two).encode()) == messages.Closed(one)
    assert messages.read(theirs.Message(one, data).encode()) == messages.Heard(one, data)
    assert messages.read(theirs.Failed(one, "why").encode()) == messages.Failed(one, "why")


# IP tags


def test_a_tag_is_set_to_its_own_channel_and_what_comes_there_reaches_the_program(service: Service) -> None:
    request = tag_command(TagOperation.SET, 1, 50000, "127.0.0.1", flags=TagFlag.STRIP << 20)
    channel, told = set_tag(service, request)
    assert (told.argument_1, told.argument_3) == (request.argument_1 | 1 << 30, 0)
    assert service.hears(channel, request.reply().encode()) == [Delivery(SCP, ME, request.reply().encode())]
    for data in (b"spikes", request.reply().encode(), b""):
        assert service.hears(channel, data) == [Delivery(SCP, LISTENER, data)]
    service.do(service.carrier.take(SCP, ME, b"other things"))
    assert service.sent[-1][0] != channel


@pytest.mark.parametrize(
    ("request_", "destination"),
    [
        (tag_command(TagOperation.SET, 1, 50000), ("127.0.0.1", 50000)),
        (tag_command(TagOperation.SET, 1, 50000, "192.168.3.4"), ("192.168.3.4", 50000)),
        (tag_command(TagOperation.SET, 1, 50000, "192.168.3.4", flags=1 << 30), ME),
    ],
    ids=["no address", "another address", "the sender"],
)
def test_a_tag_leads_to_where_the_program_wants_it(
    service: Service, request_: ScpRequest, destination: Any
) -> None:
    channel, _ = set_tag(service, request_)
    service.hears(channel, request_.reply().encode())
    assert service.hears(channel, b"spikes") == [Delivery(SCP, destination, b"spikes")]


def test_a_command_that_is_repeated_or_changed_keeps_the_tags_channel(service: Service) -> None:
    request = tag_command(TagOperation.SET, 1, 50000, "127.0.0.1")
    channel, _ = set_tag(service, request)
    assert set_tag(service, request)[0] == channel
    moved = tag_command(TagOperation.SET, 1, 50001, "127.0.0.1", sequence=8)
    assert set_tag(service, moved, sender=YOU)[0] == channel
    assert service.hears(channel, moved.reply().encode()) == [Delivery(SCP, YOU, moved.reply().encode())]
    assert service.hears(channel, b"spikes") == [Delivery(SCP, ("127.0.0.1", 50001), b"spikes")]


def test_a_tag_of_another_board_is_set_through_that_board(service: Service) -> None:
    channel, _ = set_tag(service, tag_command(TagOperation.SET, 1, 50000, "127.0.0.1", chip=(8, 4)))
    assert service.opened[channel] == OTHER
    channel, _ = set_tag(service, tag_command(TagOperation.SET, 1, 50000, "127.0.0.1", chip=(0, 0)))
    assert service.opened[channel] == SCP


def test_tags_are_set_again_on_the_next_connection_and_nobody_is_told(service: Service) -> None:
    request = tag_command(TagOperation.SET, 1, 50000, "127.0.0.1")
    first, told = set_tag(service, request)
    service.hears(first, request.reply().encode())
    service.carrier.lost()
    service.do(service.carrier.connected())
    channel, again = service.sent[-1]
    assert (channel != first, ScpRequest.decode(again)) == (True, told)
    assert service.hears(channel, request.reply().encode()) == []
    assert service.hears(channel, b"spikes") == [Delivery(SCP, LISTENER, b"spikes")]


def test_a_tag_that_is_cleared_has_no_channel(service: Service) -> None:
    channel, _ = set_tag(service, tag_command(TagOperation.SET, 1, 50000, "127.0.0.1"))
    service.do(service.carrier.take(SCP, ME, tag_command(TagOperation.CLEAR, 1).encode()))
    assert channel not in service.opened
    assert service.hears(channel, b"late") == []


def test_tags_that_are_read_tell_where_packets_really_go(service: Service) -> None:
    set_tag(service, tag_command(TagOperation.SET, 2, 50000, "127.0.0.1"))
    question = tag_command(TagOperation.GET, 1, 2, sequence=9)
    service.do(service.carrier.take(SCP, ME, question.encode()))
    table = IpTag(bytes((10, 0, 0, 9)), port=1), IpTag(bytes((10, 0, 0, 9)), port=31000)
    answer = question.reply(Result.OK, b"".join(tag.encode() for tag in table))
    (delivery,) = service.hears(service.sent[-1][0], answer.encode())
    data = delivery.data[14:]
    assert IpTag.decode(data) == table[0]
    seen = IpTag.decode(data[32:] if len(data) == 64 else data[len(data) // 2 :])
    assert (IPv4Address(seen.address), seen.port) == (IPv4Address("127.0.0.1"), 50000)


def test_a_tag_that_leads_into_the_board_stays_as_it_is_and_its_port_is_opened_here(service: Service) -> None:
    request = tag_command(TagOperation.SET, 3, 12345, flags=1 << 29 | 1 << 28)
    effects = service.do(service.carrier.take(SCP, ME, request.encode()))
    assert effects == [Listen(Port((0, 0), 12345))]
    assert service.sent == [(1, request.encode())]


# Addresses


def test_a_chip_tells_the_tunnels_address_of_its_board(service: Service) -> None:
    def told(address: str) -> str:
        question = scp(ScampCommand.INFORMATION, sequence=11)
        service.do(service.carrier.take(SCP, ME, question.encode()))
        data = bytes(32) + IPv4Address(address).packed + bytes(2)
        (delivery,) = service.hears(1, question.reply(Result.OK, data).encode())
        assert delivery.data[:46] == question.reply(Result.OK, data).encode()[:46]
        return str(IPv4Address(delivery.data[46:50]))

    assert told("10.11.193.9") == "127.128.0.2"
    assert told("0.0.0.0") == "0.0.0.0"
    # What looks the same and answers something else stays as it is.
    data = bytes(32) + IPv4Address("10.11.193.9").packed + bytes(2)
    other = scp(ScampCommand.READ, sequence=12).reply(Result.OK, data).encode()
    assert service.hears(1, other) == [Delivery(SCP, ME, other)]


@pytest.mark.parametrize("page", [0xE500_0000, 0xF500_0000])
@pytest.mark.parametrize(
    ("begin", "size", "found"), [(0xF0, 4, True), (0, 256, True), (0xEF, 4, False), (0xF4, 4, False)]
)
def test_an_address_that_is_read_from_a_chips_memory_is_the_tunnels(
    service: Service, page: int, begin: int, size: int, found: bool
) -> None:
    question = scp(ScampCommand.READ, page + 0x7F00 + begin, size, 2)
    service.do(service.carrier.take(SCP, ME, question.encode()))
    variables = bytes(0xF0) + IPv4Address("10.11.193.9").packed + bytes(12)
    (delivery,) = service.hears(1, question.reply(Result.OK, variables[begin : begin + size]).encode())
    assert (IPv4Address("127.128.0.2").packed in delivery.data) is found
    assert len(delivery.data) == 14 + len(variables[begin : begin + size])


def test_questions_without_answers_are_forgotten(service: Service) -> None:
    for number in range(1000):
        service.do(service.carrier.take(SCP, ME, scp(ScampCommand.INFORMATION, sequence=number).encode()))
    channel = service.carrier._open[1]
    assert len(channel.questions) == carrying._MOST_QUESTIONS
