"""The protocol clients, blocking and asyncio, against a server that says anything, in any way, or nothing."""

import json
import multiprocessing
import os
import signal
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spalloc_client import ProtocolClient, ProtocolError, ProtocolTimeoutError, SpallocServerException
from spalloc_client.wire import Failure, JobsChanged, MachinesChanged, Request, Return, encode
from tests.spalloc_client.scripted import PATIENCE, ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def twice(action: Callable[[], object]) -> None:
    action()
    action()


def echo(request: Request) -> list[Any]:
    return list(request.args)


COMMANDS: list[tuple[str, tuple[Any, ...], dict[str, Any], Request]] = [
    ("version", (), {}, Request("version")),
    (
        "create_job",
        (1, 2),
        {"owner": "me", "tags": ["a"]},
        Request("create_job", (1, 2), {"owner": "me", "tags": ["a"]}),
    ),
    ("job_keepalive", (7,), {}, Request("job_keepalive", (7,))),
    ("get_job_state", (7,), {}, Request("get_job_state", (7,))),
    ("get_job_machine_info", (7,), {}, Request("get_job_machine_info", (7,))),
    ("power_on_job_boards", (7,), {}, Request("power_on_job_boards", (7,))),
    ("power_off_job_boards", (7,), {}, Request("power_off_job_boards", (7,))),
    ("destroy_job", (7,), {}, Request("destroy_job", (7, None))),
    ("destroy_job", (7, "done"), {}, Request("destroy_job", (7, "done"))),
    ("notify_job", (), {}, Request("notify_job", (None,))),
    ("notify_job", (7,), {}, Request("notify_job", (7,))),
    ("no_notify_job", (), {}, Request("no_notify_job", (None,))),
    ("notify_machine", (), {}, Request("notify_machine", (None,))),
    ("notify_machine", ("m",), {}, Request("notify_machine", ("m",))),
    ("no_notify_machine", (), {}, Request("no_notify_machine", (None,))),
    ("list_jobs", (), {}, Request("list_jobs")),
    ("list_machines", (), {}, Request("list_machines")),
    ("get_board_position", ("m", 1, 2, 0), {}, Request("get_board_position", ("m", 1, 2, 0))),
    ("get_board_at_position", ("m", 1, 2, 3), {}, Request("get_board_at_position", ("m", 1, 2, 3))),
    *(
        ("where_is", (), kwargs, Request("where_is", (), kwargs))
        for kwargs in (
            {"machine": "m", "x": 1, "y": 2, "z": 0},
            {"machine": "m", "cabinet": 1, "frame": 2, "board": 3},
            {"machine": "m", "chip_x": 1, "chip_y": 2},
            {"job_id": 7, "chip_x": 1, "chip_y": 2},
        )
    ),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "request_"), COMMANDS)
def test_every_command_is_a_method(
    client_class: Any, server: ScriptedServer, name: str, args: Any, kwargs: Any, request_: Request
) -> None:
    with client_class(server.hostname, server.port) as client:
        getattr(client, name)(*args, timeout=PATIENCE, **kwargs)
    assert server.requests == [request_]


@pytest.mark.parametrize("kind", [Fraction, Decimal, np.uint8, np.int64, np.float32, np.float64, np.array])
def test_numbers_of_every_kind_are_numbers_in_every_call(
    client_class: Any, server: ScriptedServer, kind: Any
) -> None:
    server.answers["echo"] = echo
    with client_class(server.hostname, server.port, timeout=kind(20)) as client:
        client.get_job_state(kind(7), timeout=kind(20))
        assert client.call("echo", kind(3), [kind(4)], np.bool_(True), timeout=kind(20)) == [3, [4], True]
        with pytest.raises(ProtocolTimeoutError):
            client.wait_for_notification(timeout=kind(0))
        with pytest.raises(ValueError, match="JSON"):
            client.call("echo", object())
    assert server.requests[0] == Request("get_job_state", (7,))


@pytest.mark.parametrize("tags", ["abc", b"abc", Path("abc")])
def test_one_tag_is_not_taken_for_its_letters(client_class: Any, server: ScriptedServer, tags: Any) -> None:
    with client_class(server.hostname, server.port) as client:
        for create in (client.create_job, partial(client.call, "create_job")):
            with pytest.raises(ValueError, match="tags is .*; it must be a list of tags"):
                create(1, owner="me", tags=tags)
    assert not server.requests


def test_any_command_can_be_called_by_name(client_class: Any, server: ScriptedServer) -> None:
    server.answers["report_problem"] = echo
    with client_class(server.hostname, server.port) as client:
        assert client.call("version") == "1.0.0"
        assert client.call("report_problem", 1, "two", None, timeout=PATIENCE, x=3) == [1, "two", None]
    assert server.requests[1] == Request("report_problem", (1, "two", None), {"x": 3})


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"machine": "m"}, {"machine": "m", "x": 1, "y": 2}, {"job_id": 1, "x": 1, "y": 2, "z": 0}],
)
def test_where_is_refuses_arguments_that_are_none_of_its_four_sets(
    client_class: Any, server: ScriptedServer, kwargs: Any
) -> None:
    client = client_class(server.hostname, server.port)
    with pytest.raises(SpallocServerException, match="takes one of: machine, x, y, z; machine, cabinet"):
        client.where_is(**kwargs)
    assert not server.requests


CHIP = Request("where_is", (), {"job_id": 7, "chip_x": 1, "chip_y": 2})
BOARDS = {args: Request("create_job", args, {"owner": "me"}) for args in ((), (1,), (2, 3), (1, 2, 0))}

FORMER: list[tuple[str, tuple[Any, ...], dict[str, Any], Request]] = [
    ("create_job", (None,), {"owner": "me"}, BOARDS[()]),
    ("create_job", (None, 1), {"owner": "me"}, BOARDS[1,]),
    ("create_job", (20.0, 2, 3), {"owner": "me"}, BOARDS[2, 3]),
    ("create_job", (20, 1, 2, 0), {"owner": "me"}, BOARDS[1, 2, 0]),
    ("create_job", (None, 1, 2, 0), {"owner": "me", "timeout": 20}, BOARDS[1, 2, 0]),
    ("where_is", (7, 1, 2), {}, CHIP),
    ("where_is", (7, 1, 2, 20.0), {}, CHIP),
    ("where_is", (7, 1, 2, None), {}, CHIP),
    ("where_is", (7, 1), {"chip_y": 2, "timeout": 20.0}, CHIP),
    ("where_is", (7,), {"chip_x": 1, "chip_y": 2}, CHIP),
    ("where_is", (20.0,), {"job_id": 7, "chip_x": 1, "chip_y": 2}, CHIP),
    ("where_is", (None,), {"job_id": 7, "chip_x": 1, "chip_y": 2}, CHIP),
    ("call", ("version", 20.0), {}, Request("version")),
    ("call", ("get_job_state", None, 7), {}, Request("get_job_state", (7,))),
    ("call", ("destroy_job", 20, 7, "done"), {}, Request("destroy_job", (7, "done"))),
    ("call", ("create_job", None, 1), {"owner": "me"}, BOARDS[1,]),
    ("call", ("where_is", None), {"job_id": 7, "chip_x": 1, "chip_y": 2}, CHIP),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "request_"), FORMER)
def test_arguments_may_stand_where_release_7_4_has_them(
    client_class: Any, server: ScriptedServer, name: str, args: Any, kwargs: Any, request_: Request
) -> None:
    with client_class(server.hostname, server.port) as client:
        getattr(client, name)(*args, **kwargs)
    assert server.requests == [request_]


@pytest.mark.parametrize("timeout_first", [("create_job", 0.01, 1), ("call", "list_jobs", 0.01)])
def test_a_timeout_before_the_arguments_is_the_timeout(
    client_class: Any, server: ScriptedServer, timeout_first: Any
) -> None:
    server.answers |= {"create_job": b"", "list_jobs": b""}
    name, *args = timeout_first
    with client_class(server.hostname, server.port) as client:
        with pytest.raises(ProtocolTimeoutError, match=r"within 0\.01 s"):
            getattr(client, name)(*args, owner="me")


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "said"),
    [
        ("create_job", (3.0, 1), {"owner": "me", "timeout": 4}, "two timeouts: 3.0 before"),
        ("call", ("version", 3), {"timeout": 4}, "two timeouts: 3 before"),
        ("where_is", (7, 1, 2), {"chip_x": 1}, "two values for chip_x: 1 and 1"),
        ("where_is", (7, 1, 2, 3), {"timeout": 4}, "two values for timeout: 3 and 4"),
    ],
)
def test_an_argument_that_is_given_twice_is_refused(
    client_class: Any, server: ScriptedServer, name: str, args: Any, kwargs: Any, said: str
) -> None:
    client = client_class(server.hostname, server.port)
    with pytest.raises(ValueError, match=said):
        getattr(client, name)(*args, **kwargs)
    with pytest.raises(SpallocServerException, match="by position, not 5 arguments"):
        client.where_is(1, 2, 3, 4, 5)
    assert not server.requests


@pytest.mark.parametrize("kwargs", [{}, {"owner": None}])
def test_a_job_without_an_owner_is_not_asked_for(
    client_class: Any, server: ScriptedServer, kwargs: Any
) -> None:
    client = client_class(server.hostname, server.port)
    with pytest.raises(SpallocServerException, match="needs an owner"):
        client.create_job(**kwargs)
    assert not server.requests


def test_a_refusal_of_the_server_is_an_exception_with_its_words(
    client_class: Any, server: ScriptedServer
) -> None:
    server.answers["list_jobs"] = Failure("not today")
    with client_class(server.hostname, server.port) as client:
        with pytest.raises(SpallocServerException, match=r"^not today$"):
            client.list_jobs()
        assert client.version() == "1.0.0"


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 65536, 5_000_000])
def test_replies_may_have_any_size(client_class: Any, server: ScriptedServer, size: int) -> None:
    server.answers["echo"] = echo
    with client_class(server.hostname, server.port) as client:
        assert client.call("echo", "x" * size) == ["x" * size]


def test_a_reply_may_be_split_anywhere(client_class: Any, server: ScriptedServer) -> None:
    line = encode(Return(["é", {"a": None}]))
    with client_class(server.hostname, server.port) as client:
        for place in range(len(line)):
            # One half answers a command that is not waited for, the other completes it.
            server.answers["half"] = line[:place]
            server.answers["other"] = line[place:] + encode(Return("other"))
            threading.Thread(target=client.call, args=("half",), daemon=True).start()
            server.wait_for_command("half", place + 1)
            assert client.call("other") == "other"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"garbage\n", "not JSON"),
        (b"HTTP/1.1 400 Bad Request\r\n", "not JSON"),
        ('{"return": "é"}\n'.encode("latin-1"), "not UTF-8"),
        (encode(Return(1)) + encode(Return(2)), "nothing had asked for"),
    ],
)
def test_a_peer_that_does_not_speak_the_protocol_is_a_protocol_error_that_says_so(
    client_class: Any, server: ScriptedServer, sent: bytes, said: str
) -> None:
    server.answers["x"] = sent
    with client_class(server.hostname, server.port) as client:
        with pytest.raises(ProtocolError, match=said):
            twice(lambda: client.call("x", timeout=PATIENCE))
        with pytest.raises(ProtocolError, match=said):
            client.version()
        assert not client.connected


@pytest.mark.slow
def test_a_hundred_megabytes_without_a_newline_are_a_protocol_error_in_bounded_memory(
    client_class: Any,
) -> None:
    chunk = b"x" * 1024 * 1024
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def flood() -> None:
            connection, _ = listener.accept()
            with connection:
                for _ in range(100):
                    try:
                        connection.sendall(chunk)
                    except OSError:
                        return

        threading.Thread(target=flood, daemon=True).start()
        with client_class("127.0.0.1", listener.getsockname()[1]) as client:
            tracemalloc.start()
            try:
                with pytest.raises(ProtocolError, match="a line is longer than the 67108864 bytes"):
                    client.version(timeout=PATIENCE * 3)
                # The line up to its limit, twice while its buffer grows, and a read.
                assert tracemalloc.get_traced_memory()[1] < 150 * 1024 * 1024
            finally:
                tracemalloc.stop()


def test_half_a_line_before_the_end_is_a_protocol_error(client_class: Any, server: ScriptedServer) -> None:
    server.answers["x"] = b'{"retu'
    with client_class(server.hostname, server.port) as client:
        threading.Thread(target=lambda: (server.wait_for_command("x"), server.drop()), daemon=True).start()
        with pytest.raises(ProtocolError, match="the server closed the connection"):
            client.call("x", timeout=PATIENCE)


@pytest.mark.parametrize("answer", [b"", b'{"retu', b"\n\n", encode(JobsChanged([1]))])
def test_a_peer_that_never_answers_is_a_timeout_error_on_time(
    client_class: Any, server: ScriptedServer, answer: bytes
) -> None:
    server.answers["x"] = answer
    with client_class(server.hostname, server.port) as client:
        began = time.monotonic()
        with pytest.raises(
            ProtocolTimeoutError, match=f"no reply to x from 127.0.0.1:{server.port} within 0.2 s"
        ):
            client.call("x", timeout=0.2)
        assert 0.2 <= time.monotonic() - began < 5.0


def test_a_timeout_bounds_the_whole_call_not_each_piece_that_arrives(
    client_class: Any, server: ScriptedServer
) -> None:
    over = threading.Event()

    def chatter(request: Request) -> bytes:
        while not over.wait(0.01):
            server.send(encode(JobsChanged([1])))
        return b""

    server.answers["x"] = chatter
    with client_class(server.hostname, server.port) as client:
        try:
            with pytest.raises(ProtocolTimeoutError):
                client.call("x", timeout=0.3)
        finally:
            over.set()


def test_a_reply_that_comes_too_late_reaches_nobody_else(client_class: Any, server: ScriptedServer) -> None:
    server.answers.update(slow=b"", quick=encode(Return("late")) + encode(Return("quick")))
    with client_class(server.hostname, server.port) as client:
        with pytest.raises(ProtocolTimeoutError):
            client.call("slow", timeout=0.05)
        assert client.call("quick", timeout=PATIENCE) == "quick"


def test_calls_without_a_connection_are_protocol_errors(client_class: Any, server: ScriptedServer) -> None:
    client = client_class(server.hostname, server.port)
    for use in (client.version, client.wait_for_notification):
        with pytest.raises(ProtocolError, match=r"not connected to 127\.0\.0\.1"):
            use()
    client.connect()
    assert client.version() == "1.0.0"
    client.close()
    client.close()
    with pytest.raises(ProtocolError, match="not connected"):
        client.version()


def test_connecting_again_makes_a_new_connection(client_class: Any, server: ScriptedServer) -> None:
    client = client_class(server.hostname, server.port)
    client.connect()
    server.wait_for_connections(1)
    server.drop()
    with pytest.raises(ProtocolError):
        client.version(timeout=PATIENCE)
    client.connect(timeout=PATIENCE)
    assert client.version() == "1.0.0"
    client.connect()
    assert client.version() == "1.0.0"
    client.close()


def test_calls_under_way_end_when_the_connection_is_closed(client_class: Any, server: ScriptedServer) -> None:
    server.answers["x"] = b""
    client = client_class(server.hostname, server.port)
    client.connect()
    failures: list[BaseException] = []

    def call(use: Callable[[], object]) -> None:
        try:
            use()
        except ProtocolError as error:
            failures.append(error)

    threads = [
        threading.Thread(target=call, args=(use,))
        for use in (lambda: client.call("x"), lambda: client.call("x"), client.wait_for_notification)
    ]
    for thread in threads:
        thread.start()
    server.wait_for_command("x", 2)
    client.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(failures) == 3


def test_no_server_is_an_os_error_that_names_it(client_class: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError, match=f"127.0.0.1:{port}"):
        client_class("127.0.0.1", port).connect()


def test_a_name_that_can_not_be_found_is_an_os_error_that_says_it(client_class: Any) -> None:
    with pytest.raises(OSError, match=r"'no-such-host\.invalid'"):
        client_class("no-such-host.invalid").connect()
    with pytest.raises(OSError, match="can't be the name of a server"):
        client_class("\u00e9" * 100 + ".invalid").connect()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("",), "hostname is ''; it must be the server's name or address"),
        ((7,), "hostname is 7; it must be"),
        (("h", 0), "port is 0; it must be a whole number from 1 to 65535"),
        (("h", 65536), "port is 65536; it must be"),
        (("h", "ssh"), "port is 'ssh'; it must be"),
        (("h", True), "port is True; it must be"),
        (("h", 1, "5"), "timeout is '5'; it must be a number of seconds"),
    ],
)
def test_a_server_that_can_not_be_is_refused_at_once(client_class: Any, args: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        client_class(*args)


def test_the_port_may_be_given_in_digits(client_class: Any, server: ScriptedServer) -> None:
    with client_class(server.hostname, str(server.port)) as client:
        assert client.version() == "1.0.0"


@pytest.mark.parametrize(
    ("name", "kwargs"), [("version", {"timeout": "5"}), ("version", {"timeout": float("nan")}), (7, {})]
)
def test_a_call_that_can_not_be_is_refused_at_once(
    client_class: Any, server: ScriptedServer, name: Any, kwargs: Any
) -> None:
    with client_class(server.hostname, server.port) as client:
        with pytest.raises(ValueError, match=r"(timeout|name) is .*; it must be"):
            client.call(name, **kwargs)
        with pytest.raises(ValueError, match="can't be written as JSON"):
            client.call("x", object())
        assert client.version() == "1.0.0"
    assert server.count("version") == 1


def test_notifications_are_returned_in_order_also_those_that_came_with_replies(
    client_class: Any, server: ScriptedServer
) -> None:
    server.answers["x"] = encode(JobsChanged([1, 3])) + encode(Return(None)) + encode(MachinesChanged(["m"]))
    with client_class(server.hostname, server.port) as client:
        client.call("x")
        assert client.wait_for_notification() == {"jobs_changed": [1, 3]}
        assert client.wait_for_notification(timeout=PATIENCE) == {"machines_changed": ["m"]}
        with pytest.raises(ProtocolTimeoutError, match="no notification from"):
            client.wait_for_notification(timeout=0.05)


@pytest.mark.parametrize(
    "body", [{"new": 1}, {"jobs_changed": [1], "machines_changed": ["m"]}, {"jobs_changed": None}, {}]
)
def test_what_a_newer_server_says_is_passed_on_and_disturbs_no_call(
    client_class: Any, server: ScriptedServer, body: Any
) -> None:
    line = json.dumps(body).encode() + b"\n"
    server.answers["x"] = line + b"[]\n7\nnull\n" + b'{"return": {"ratio": NaN}, "took": 1}\n'
    server.answers["y"] = line + b'{"exception": null}\n'
    with client_class(server.hostname, server.port) as client:
        assert repr(client.call("x", timeout=PATIENCE)) == "{'ratio': nan}"
        with pytest.raises(SpallocServerException, match="null"):
            client.call("y", timeout=PATIENCE)
        assert client.wait_for_notification(PATIENCE) == body
        assert client.wait_for_notification(PATIENCE) == body
        assert client.version() == "1.0.0"


def test_a_negative_timeout_returns_only_what_has_been_received(
    client_class: Any, server: ScriptedServer
) -> None:
    server.answers["x"] = encode(JobsChanged([2])) + encode(Return(None))
    with client_class(server.hostname, server.port) as client:
        assert client.wait_for_notification(-1) is None
        client.call("x")
        assert client.wait_for_notification(timeout=-1) == {"jobs_changed": [2]}
        assert client.wait_for_notification(timeout=-0.5) is None
    assert client.wait_for_notification(timeout=-1) is None


def test_notifications_received_before_the_connection_was_lost_are_still_returned(
    client_class: Any, server: ScriptedServer
) -> None:
    server.answers["x"] = encode(JobsChanged([2])) + encode(Return(None))
    with client_class(server.hostname, server.port) as client:
        client.call("x")
        server.drop()
        assert client.wait_for_notification() == {"jobs_changed": [2]}
        with pytest.raises(ProtocolError, match="closed the connection"):
            client.wait_for_notification(timeout=PATIENCE)


def test_each_notification_is_returned_to_one_waiter(client_class: Any, server: ScriptedServer) -> None:
    got: list[Any] = []
    with client_class(server.hostname, server.port) as client:
        threads = [
            threading.Thread(target=lambda: got.append(client.wait_for_notification(PATIENCE)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        server.wait_for_connections(1)
        for number in range(4):
            server.send(encode(JobsChanged([number])))
        for thread in threads:
            thread.join(PATIENCE)
    assert sorted(one["jobs_changed"][0] for one in got) == [0, 1, 2, 3]


@pytest.mark.parametrize("calls", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_eight_threads_get_their_own_replies_and_no_notification_is_lost(
    client_class: Any, server: ScriptedServer, calls: int
) -> None:
    server.answers["echo"] = lambda request: (
        encode(JobsChanged([request.args[1]])) + encode(Return(list(request.args))) + b"\n"
    )
    wrong: list[Any] = []
    notified: list[int] = []

    def work(worker: int) -> None:
        for number in range(calls):
            reply = client.call("echo", worker, worker * calls + number, timeout=PATIENCE * 3)
            if reply != [worker, worker * calls + number]:
                wrong.append(reply)

    def listen() -> None:
        while len(notified) < 8 * calls:
            notified.extend(client.wait_for_notification(PATIENCE)["jobs_changed"])

    with client_class(server.hostname, server.port) as client:
        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        threads.append(threading.Thread(target=listen))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE * 5)
    assert not wrong
    assert sorted(notified) == list(range(8 * calls))


def test_a_thread_that_gives_up_reading_leaves_it_to_another(
    client_class: Any, server: ScriptedServer
) -> None:
    given_up = threading.Event()

    def late(request: Request) -> bytes:
        given_up.wait(PATIENCE)
        return encode(Return("quiet")) + encode(Return("late"))

    server.answers.update(quiet=b"", late=late)
    got: list[Any] = []
    with client_class(server.hostname, server.port) as client:
        other = threading.Thread(target=lambda: got.append(client.call("late")), daemon=True)

        def start_other() -> None:
            server.wait_for_command("quiet")
            other.start()

        starter = threading.Thread(target=start_other)
        starter.start()
        with pytest.raises(ProtocolTimeoutError):
            client.call("quiet", timeout=0.3)
        starter.join(PATIENCE)
        server.wait_for_command("late")
        given_up.set()
        other.join(PATIENCE)
    assert got == ["late"]


def test_a_request_larger_than_any_buffer_is_sent_while_the_server_sends_too(client_class: Any) -> None:
    """A server that reads nothing before it has said all it has to say must not block both sides."""
    said = encode(MachinesChanged(["m" * 4_000_000])) * 4
    wanted = "x" * 8_000_000
    with ScriptedServer({"echo": echo}) as server:
        server.greeting = said
        with client_class(server.hostname, server.port) as client:
            assert client.call("echo", wanted, timeout=PATIENCE * 2) == [wanted]


def test_a_server_that_does_not_read_is_a_timeout_error_and_ends_the_connection(client_class: Any) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        client_class("127.0.0.1", listener.getsockname()[1]) as client,
    ):
        began = time.monotonic()
        with pytest.raises(ProtocolTimeoutError):
            client.call("x", "y" * 50_000_000, timeout=0.5)
        assert time.monotonic() - began < 10.0
        with pytest.raises((ProtocolError, ProtocolTimeoutError)):
            client.version(timeout=0.1)


def test_ctrl_c_while_waiting_leaves_the_connection_in_order(server: ScriptedServer) -> None:
    def interrupt(request: Request) -> bytes:
        os.kill(os.getpid(), signal.SIGINT)
        return b""

    server.answers["x"] = interrupt
    server.answers["y"] = encode(Return("late")) + encode(Return("y"))
    with ProtocolClient(server.hostname, server.port) as client:
        with pytest.raises(KeyboardInterrupt):
            client.call("x")
        assert client.call("y", timeout=PATIENCE) == "y"


def test_a_copy_of_the_process_can_not_use_its_connection_but_can_connect(server: ScriptedServer) -> None:
    with ProtocolClient(server.hostname, server.port) as client:
        assert client.version() == "1.0.0"
        child = multiprocessing.get_context("fork").Process(target=_in_the_copy, args=(client,))
        child.start()
        child.join(PATIENCE)
        assert child.exitcode == 0
        assert client.version() == "1.0.0"


def _in_the_copy(client: ProtocolClient) -> None:
    with pytest.raises(ProtocolError, match="belongs to process"):
        client.version()
    client.connect()
    assert client.version() == "1.0.0"
    client.close()


def test_what_a_client_is_can_be_seen(client_class: Any, server: ScriptedServer) -> None:
    with client_class(server.hostname, server.port) as client:
        kind = getattr(client, "awaitable", client)
        assert repr(kind) == f"<ProtocolClient 127.0.0.1:{server.port} connected>"
    assert repr(kind) == f"<ProtocolClient 127.0.0.1:{server.port} not connected>"
