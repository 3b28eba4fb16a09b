"""The control socket: what is said over it, and what a client may not do to the server."""

import asyncio
import json
import os
import pwd
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spalloc_server.core.commands import LONGEST_REASON
from spalloc_server.fronts.unix_sockets import SocketError, listen
from spalloc_server.operation.control import protocol
from spalloc_server.operation.control import server as control_server
from spalloc_server.operation.control.client import NoAnswerError, ask
from spalloc_server.operation.control.protocol import Answer, Line, Request
from spalloc_server.operation.control.server import MOST_CONNECTIONS, ControlServer


async def greet(arguments: Mapping[str, object], by: str) -> Answer:
    if arguments.get("whom") == "nobody":
        raise ValueError("nobody can't be greeted")
    if arguments.get("whom") == "trouble":
        raise KeyError("trouble")
    if arguments.get("whom") == "me":
        return Answer(0, f"hello {by}")
    return Answer(5, "done", [Line(f"hello {arguments.get('whom')}", {"kind": "greeting"})])


@asynccontextmanager
async def control(tmp_path: Path) -> AsyncIterator[Path]:
    server = ControlServer(tmp_path / "socket", {"greet": greet})
    await server.start()
    try:
        yield tmp_path / "socket"
    finally:
        await server.stop()


def asked(path: Path, *arguments: object, **keywords: object) -> list[tuple[str, int | None]]:
    request = Request(*arguments, **keywords)  # type: ignore[arg-type]
    return [(line.text, status) for line, status in ask(path, request)]


def test_an_answer_is_lines_of_json_and_the_last_has_the_status(tmp_path: Path) -> None:
    async def talk() -> bytes:
        async with control(tmp_path) as path:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b'{"version": 1, "command": "greet", "arguments": {"whom": "you"}}\n')
            answer = await reader.read()
            writer.close()
            assert await asyncio.to_thread(asked, path, "greet", {"whom": "you"}) == [
                ("hello you", None),
                ("done", 5),
            ]
            return answer

    lines = asyncio.run(talk()).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"text": "hello you", "kind": "greeting"},
        {"text": "done", "status": 5},
    ]
    assert not (tmp_path / "socket").exists()


def test_a_command_is_told_the_user_who_asks(tmp_path: Path) -> None:
    async def talk() -> list[tuple[str, int | None]]:
        async with control(tmp_path) as path:
            return await asyncio.to_thread(asked, path, "greet", {"whom": "me"})

    assert asyncio.run(talk()) == [(f"hello {pwd.getpwuid(os.geteuid()).pw_name}", 0)]


def test_a_list_of_twelve_thousand_boards_with_the_longest_reasons_is_read_to_its_end(tmp_path: Path) -> None:
    why = "\U0001f525" * LONGEST_REASON
    lines = [Line(f"a (0, 0, 0): drained by jane: {why}", {"drained": {"reason": why}})] * 12_000

    async def show(_arguments: Mapping[str, object], _by: str) -> Answer:
        return Answer(0, "12000 boards are drained", iter(lines))

    def read(path: Path) -> tuple[int, list[int | None]]:
        answer = ask(path, Request("show"))
        read = sum(line == expected for expected, (line, _) in zip(lines, answer, strict=False))
        return read, [status for _, status in answer]

    async def talk() -> tuple[int, list[int | None]]:
        server = ControlServer(tmp_path / "socket", {"show": show})
        await server.start()
        try:
            return await asyncio.to_thread(read, server.path)
        finally:
            await server.stop()

    assert asyncio.run(talk()) == (12_000, [0])


def test_a_board_with_each_kind_of_objection_and_reasons_that_are_the_longest_in_json_fits_in_a_line() -> (
    None
):
    why = "\x01" * LONGEST_REASON
    said = Line("; ".join([why] * 3), {"drained": {"reason": why}, "set_aside": why, "silent": why})
    encoded, _ = protocol.of_answer(Answer(0, "", [said]))
    assert protocol.to_line(encoded) == (said, None)


def test_a_server_cuts_a_line_that_its_client_would_refuse(tmp_path: Path) -> None:
    async def show(_arguments: Mapping[str, object], _by: str) -> Answer:
        long = "\x01" * protocol.LONGEST_LINE_BYTES
        return Answer(1, long, [Line(long, {"kind": "mistake", "file": long})])

    async def talk() -> list[tuple[Line, int | None]]:
        server = ControlServer(tmp_path / "socket", {"show": show})
        await server.start()
        try:
            return await asyncio.to_thread(lambda: list(ask(server.path, Request("show"))))
        finally:
            await server.stop()

    (line, _), (last, status) = asyncio.run(talk())
    assert line.about == {"kind": "mistake"}
    assert status == 1
    for one in (line, last):
        assert one.text.endswith("\x01…")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"reason": "no \udcff"}, r"'no \\udcff' is not valid text: write it in UTF-8"),
        ({"reason": "x" * 100_000}, r"1000\d\d bytes, of which 65536 may be sent; write a shorter reason"),
    ],
)
def test_a_request_that_can_not_be_sent_is_told_before_a_server_is_looked_for(
    arguments: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        asked(tmp_path / "none", "greet", arguments)


@pytest.mark.parametrize(
    ("request_line", "said"),
    [
        (b"", "the request is not one"),
        (b"\xff\n", "the request is not one"),
        (b"[]\n", "the request is not one"),
        (b'{"command": "sing"}\n', "the server knows no 'sing' here; it knows greet"),
        (b'{"command": "greet", "version": 2}\n', "speaks version 1 here and was asked in version 2"),
        (b'{"command": "greet", "arguments": {"whom": "nobody"}}\n', "nobody can't be greeted"),
        (b"[" * 2 * protocol.LONGEST_REQUEST_BYTES, "the request is not one: it is longer than 65536 bytes"),
        (
            b'{"command": "greet", "arguments": {"whom": ' + b"[" * 30_000 + b"\n",
            "the request is not one: it is nested too deeply",
        ),
    ],
)
def test_what_is_no_request_is_answered_in_words(request_line: bytes, said: str, tmp_path: Path) -> None:
    async def talk() -> bytes:
        async with control(tmp_path) as path:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(request_line)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer

    last = json.loads(asyncio.run(talk()).splitlines()[-1])
    assert said in last["text"]
    assert last["status"] == protocol.NOT_UNDERSTOOD


def test_a_command_that_fails_is_logged_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def talk() -> list[tuple[str, int | None]]:
        async with control(tmp_path) as path:
            return await asyncio.to_thread(asked, path, "greet", {"whom": "trouble"})

    assert asyncio.run(talk()) == [("the server failed to do this; its log says why", protocol.REFUSED)]
    assert "the administrator's greet failed" in caplog.text


def test_connections_that_say_nothing_keep_nobody_out_and_are_told_of_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk() -> None:
        async with control(tmp_path) as path:
            silent = [await asyncio.open_unix_connection(path) for _ in range(MOST_CONNECTIONS + 2)]
            assert (await asyncio.to_thread(asked, path, "greet"))[-1] == ("done", 5)
            for reader, writer in silent[:3]:
                assert b"this one is the oldest that has asked nothing" in await reader.read()
                writer.close()
            for reader, writer in silent[3:]:
                # Those who ask at last are answered.
                writer.write(protocol.of_request(Request("greet")))
                assert b'"status":5' in await reader.read()
                writer.close()
            monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.1)
            reader, writer = await asyncio.open_unix_connection(path)
            assert b"the request took longer than 0.1 s" in await reader.read()
            writer.close()

    asyncio.run(talk())
    first, others = caplog.messages
    assert "is the oldest that has asked nothing" in first
    assert others == f"2 more connections were cut off from {tmp_path / 'socket'}"


def test_an_administrator_is_told_to_try_again_while_the_server_does_what_many_others_asked(
    tmp_path: Path,
) -> None:
    async def talk() -> None:
        begun, go_on = asyncio.Semaphore(0), asyncio.Event()

        async def wait(_arguments: Mapping[str, object], _by: str) -> Answer:
            begun.release()
            await go_on.wait()
            return Answer(0, "done")

        server = ControlServer(tmp_path / "socket", {"wait": wait})
        await server.start()
        busy = [await asyncio.open_unix_connection(server.path) for _ in range(MOST_CONNECTIONS)]
        for _, writer in busy:
            writer.write(protocol.of_request(Request("wait")))
        for _ in busy:
            await begun.acquire()
        ((said, status),) = await asyncio.to_thread(asked, server.path, "wait")
        assert "try again when they are done" in said
        assert status == protocol.REFUSED
        go_on.set()
        for reader, writer in busy:
            assert b'"status":0' in await reader.read()
            writer.close()
        await server.stop()

    asyncio.run(talk())


def test_a_server_that_stops_still_answers_who_has_asked_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk() -> None:
        begun, go_on = asyncio.Semaphore(0), asyncio.Event()

        async def wait(_arguments: Mapping[str, object], _by: str) -> Answer:
            begun.release()
            await go_on.wait()
            return Answer(0, "done")

        for is_answered in (True, False):
            go_on.clear()
            server = ControlServer(tmp_path / "socket", {"wait": wait})
            await server.start()
            silent, other = await asyncio.open_unix_connection(server.path)
            reader, writer = await asyncio.open_unix_connection(server.path)
            writer.write(protocol.of_request(Request("wait")))
            await begun.acquire()
            server.stop_listening()
            with pytest.raises(NoAnswerError, match="no server listens at"):
                await asyncio.to_thread(asked, server.path, "wait")
            assert await silent.read() == b""
            if is_answered:
                go_on.set()
            else:
                monkeypatch.setattr(control_server, "LAST_WORDS_SECONDS", 0.1)
            await server.stop()
            assert await reader.read() == (b'{"status":0,"text":"done"}\n' if is_answered else b"")
            other.close()
            writer.close()

    asyncio.run(talk())


def test_a_place_that_is_not_safe_or_taken_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.write_text("precious")
    with pytest.raises(SocketError, match="is there and is no socket; move it away"):
        listen(path)
    assert path.read_text() == "precious"
    path.unlink()
    with listen(path):
        with pytest.raises(SocketError, match=f"another server listens at {path}"):
            listen(path)
    with listen(path):
        pass  # what was left behind was replaced
    tmp_path.chmod(0o777)
    with pytest.raises(SocketError, match=f"everybody may write into {tmp_path}; forbid it with: chmod o-w"):
        listen(path)


def test_a_client_says_why_it_got_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with pytest.raises(NoAnswerError, match=f"no server listens at {path}"):
        asked(path, "greet")
    with listen(path) as listening:
        listening.setblocking(True)
        for reply, said in (
            (b"", "has ended the connection without an answer"),
            (b"HTTP/1.1\n", "is no spalloc server"),
        ):

            async def talk(reply: bytes) -> None:
                client = asyncio.create_task(asyncio.to_thread(asked, path, "greet"))
                connection, _ = await asyncio.to_thread(listening.accept)
                with connection:
                    connection.recv(1000)
                    connection.sendall(reply)
                    connection.shutdown(socket.SHUT_WR)
                await client

            with pytest.raises(NoAnswerError, match=said):
                asyncio.run(talk(reply))
