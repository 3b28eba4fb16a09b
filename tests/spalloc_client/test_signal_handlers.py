"""Signal handlers that use the client while their own thread is in the middle of a call."""

import itertools
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from spalloc_client import Job, JobState, ProtocolClient, ProtocolError, ProtocolTimeoutError
from spalloc_client.wire import JobsChanged, Request, Return, encode
from tests.spalloc_client.conftest import arguments
from tests.spalloc_client.scripted import PATIENCE, ScriptedServer
from tests.spalloc_client.test_interrupted_anywhere import ONLY_3_11, Interruption

READY = {"state": 3, "power": True, "keepalive": 60.0, "reason": None, "start_time": 1.0}
QUEUED = {**READY, "state": 1, "power": None}


TRIES = 8


class _Handler:
    """Has an action done, as a signal handler, in the main thread; keeps what came of it."""

    def __init__(self) -> None:
        self.action: Callable[[], object] = lambda: None
        self.outcomes: list[object] = []
        self.entered = threading.Semaphore(0)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.entered.release()
        self.outcomes.append(self.action())

    def send(self) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def interrupt(self, answer: Any) -> Callable[[Request], Any]:
        """What answers a request only once the handler, which it lets come, is at work."""

        def answer_later(request: Request) -> Any:
            # Python notices a signal that comes just before a system call begins only at the next one.
            for _ in range(TRIES):
                self.send()
                if self.entered.acquire(timeout=PATIENCE / TRIES):
                    return answer
            raise AssertionError("no handler came")

        return answer_later


@pytest.fixture
def handler() -> Iterator[_Handler]:
    handler = _Handler()
    earlier = signal.signal(signal.SIGUSR1, handler)
    yield handler
    signal.signal(signal.SIGUSR1, earlier)


def echo(request: Request) -> list[Any]:
    return list(request.args)


WAITS: dict[str, Callable[[ProtocolClient], object]] = {
    "a call": lambda client: client.call("slow"),
    "a call with a timeout": lambda client: client.call("slow", timeout=PATIENCE),
    "a wait for notifications": lambda client: client.wait_for_notification(),
    "a wait for notifications with a timeout": lambda client: client.wait_for_notification(PATIENCE),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_a_handler_s_call_is_answered_at_once_and_the_call_it_interrupts_goes_on(
    handler: _Handler, wait: Callable[[ProtocolClient], object], timeout: float | None
) -> None:
    def notify(request: Request) -> bytes:
        return encode(Return(list(request.args))) + encode(JobsChanged([1]))

    with ScriptedServer({"echo": notify, "slow": handler.interrupt("slow")}) as server:
        with ProtocolClient(server.hostname, server.port) as client:
            client.version()
            handler.action = lambda: client.call("echo", "nested", timeout=timeout)
            calls = wait in list(WAITS.values())[:2]
            later = threading.Timer(0.1, handler.send)
            if not calls:
                later.start()
            assert wait(client) == ("slow" if calls else {"jobs_changed": [1]})
            assert handler.outcomes == [["nested"]]
            handler.action = lambda: None
            assert client.version() == "1.0.0"


def test_handlers_may_interrupt_the_calls_of_handlers(handler: _Handler) -> None:
    depth = 0

    def nested() -> object:
        nonlocal depth
        depth += 1
        return client.call("deeper" if depth < 5 else "echo", depth)

    with ScriptedServer({"echo": echo, "deeper": handler.interrupt("deeper")}) as server:
        with ProtocolClient(server.hostname, server.port) as client:
            handler.action = nested
            assert client.call("deeper", 0) == "deeper"
            assert handler.outcomes == [[5], *["deeper"] * 4]


def test_a_handler_may_close_the_client(handler: _Handler) -> None:
    answers = {"slow": handler.interrupt(b"")}
    with ScriptedServer(answers) as server, ProtocolClient(server.hostname, server.port) as client:
        handler.action = client.close
        with pytest.raises(ProtocolError):
            client.call("slow")
        assert not client.connected


def test_a_handler_s_call_does_not_wait_for_a_line_that_its_own_thread_is_sending(handler: _Handler) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = threading.Event()

        def serve() -> None:
            # Little is read from the first connection, so that what is sent over it gets stuck.
            first, _ = listener.accept()
            with first:
                first.recv(1)
                handler.send()
                second, _ = listener.accept()
                with second:
                    second.recv(65536)
                    second.sendall(encode(Return("beside")))
                    ended.wait(PATIENCE)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with ProtocolClient("127.0.0.1", port) as client:
            refused = []

            def ask() -> object:
                with pytest.raises(ProtocolError, match="another call is half sent") as refusal:
                    client.notify_job(timeout=PATIENCE)
                refused.append(refusal)
                answer = client.version(timeout=PATIENCE)
                client.close()
                return answer

            handler.action = ask
            with pytest.raises(ProtocolError):
                client.call("long", "x" * 50_000_000, timeout=PATIENCE)
            ended.set()
            assert handler.outcomes == ["beside"]
            assert refused
        thread.join(PATIENCE)


class GoneError(TimeoutError):
    """What a program raises in a handler; a kind of error that the network has, too."""


@pytest.mark.parametrize(
    "error", [GoneError, ProtocolTimeoutError, ProtocolError, ConnectionError, ValueError]
)
@pytest.mark.parametrize("timeout", [None, PATIENCE])
@pytest.mark.parametrize("what", ["state", "wait_until_ready", "destroy"])
def test_an_error_raised_in_a_handler_ends_the_call_and_reaches_the_program(
    handler: _Handler, error: type[Exception], timeout: float | None, what: str
) -> None:
    def fail() -> object:
        raise error("enough")

    with ScriptedServer({"create_job": 7, "get_job_state": QUEUED}) as server:
        job = Job(**arguments(server, timeout=timeout, keepalive=None))
        handler.action = fail
        server.answers.update(get_job_state=handler.interrupt(b""), destroy_job=handler.interrupt(b""))
        with pytest.raises(error, match="enough"):
            job.state if what == "state" else getattr(job, what)()
        handler.action = lambda: None
        server.answers.update(get_job_state=QUEUED, destroy_job=None)
        job.close()


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("outer", ["state", "wait_until_ready", "hostname"])
def test_a_handler_destroys_the_job_while_the_program_is_in_a_call_of_it(
    handler: _Handler, outer: str, timeout: float | None
) -> None:
    def end() -> None:
        job.destroy("Ended by a signal.")
        raise SystemExit(3)

    with ScriptedServer({"create_job": 7, "get_job_state": QUEUED}) as server:
        job = Job(**arguments(server, timeout=timeout, keepalive=None))
        handler.action = end
        slow = handler.interrupt(QUEUED)
        server.answers.update(get_job_state=slow, get_job_machine_info=slow)
        with pytest.raises(SystemExit):
            job.wait_until_ready() if outer == "wait_until_ready" else getattr(job, outer)
        assert server.requests[-1].command in ("destroy_job", "version")
        assert server.count("destroy_job") == 1
        server.wait_for_connections(0)


def test_a_handler_asks_for_the_state_and_the_program_s_wait_goes_on(handler: _Handler) -> None:
    states = itertools.chain([QUEUED, QUEUED], itertools.repeat(READY))
    with ScriptedServer({"create_job": 7, "get_job_state": lambda request: next(states)}) as server:
        job = Job(**arguments(server, keepalive=None))
        handler.action = lambda: job.state

        def interrupt() -> None:
            server.wait_for_command("get_job_state", 1)
            handler.send()
            server.wait_for_command("get_job_state", 2)
            server.send(encode(JobsChanged([7])))

        thread = threading.Thread(target=interrupt)
        thread.start()
        job.wait_until_ready(PATIENCE)
        thread.join(PATIENCE)
        job.close()
        assert handler.outcomes in ([JobState.queued], [JobState.ready])


@ONLY_3_11
def test_a_handler_s_call_is_answered_at_whatever_point_of_another_call_it_comes(handler: _Handler) -> None:
    with ScriptedServer({"echo": echo}) as server:
        for at in itertools.count(1):
            with ProtocolClient(server.hostname, server.port) as client:
                client.version()
                handler.outcomes.clear()
                handler.action = lambda client=client: client.call("echo", "nested", timeout=PATIENCE)  # type: ignore[misc]
                interjection = Interruption(at, lambda frame: handler(signal.SIGUSR1, frame))
                assert interjection.during(lambda client=client: client.call("echo", "first")) == ["first"]  # type: ignore[misc]
                if interjection.left > 0:
                    break
                assert handler.outcomes == [["nested"]]
                assert client.call("echo", "after", timeout=PATIENCE) == ["after"]
    assert at > 30
