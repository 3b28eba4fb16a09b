"""How a server may be named on a command line, and what is said when it is not, or is something else."""

import os
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from spalloc_client import checks
from spalloc_client.config import read_config
from spalloc_client.conversation import UNTRUSTED
from spalloc_client.requirements import gather
from spalloc_client.scripts import alloc
from spalloc_client.scripts.outcome import Endings
from tests.spalloc_client.scripts.conftest import Commands


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("host", ("host", None)),
        ("host:24244", ("host", 24244)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("::1", ("::1", None)),
        ("fe80::1%eth0", ("fe80::1%eth0", None)),
        ("[::1]", ("::1", None)),
        ("[::1]:24244", ("::1", 24244)),
        ("https://host", ("https://host/spalloc/", 443)),
        ("https://me:secret@host:8443/other", ("https://host:8443/other/", 8443)),
        ("https://[::1]:5/spalloc/", ("https://[::1]:5/spalloc/", 5)),
        ("http://localhost:9091/spalloc", ("http://localhost:9091/spalloc/", 9091)),
    ],
)
def test_a_server_may_be_named_with_its_port(text: str, server: tuple[str, int | None]) -> None:
    assert checks.server(text) == server
    wanted = gather([], {"hostname": text, "owner": "me"}, read_config([], {}))
    assert (wanted.hostname, wanted.port) == (server[0], server[1] or 22244)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("http://host:8080/spalloc/", "write https://"),
        ("https://", "such as https://spalloc.example.org/spalloc/"),
        ("spalloc://[::1]:5", "--hostname ::1 --port 5"),
        ("[::1]5", "--hostname ::1"),
        ("host:", "--hostname host"),
        (":22244", "such as"),
        ("host:http", "port is 'http'"),
        ("host:70000", "1 to 65535"),
    ],
)
def test_what_names_no_server_is_answered_with_what_to_type(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)):
        checks.server(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", [("spalloc-ps",), ("spalloc-machine",), ("spalloc", "--owner", "me", "-c", "true")], ids=" ".join
)
def test_commands_take_host_and_port_in_one_word(query: tuple[str, ...], commands: Commands) -> None:
    server = ":".join(commands.server[1::2])
    assert commands.run(query[0], "--hostname", server, *query[1:], server=False).returncode == 0
    two = commands.run(query[0], "-H", server, "-P", "9", *query[1:], server=False)
    assert (two.returncode, two.stderr.count("\n")) == (2, 1)
    assert "two ports" in two.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "missing"),
    [
        (("spalloc",), ["--hostname", "--owner"]),
        (("spalloc", "--owner", "me"), ["--hostname"]),
        (("spalloc", "-H", "x"), ["--owner"]),
        (("spalloc-ps",), ["--hostname"]),
        (("spalloc-job",), ["--hostname"]),
    ],
)
def test_all_that_is_missing_is_said_at_once_with_lines_to_paste(
    line: tuple[str, ...], missing: list[str], tmp_path: Path
) -> None:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    ended = Commands("", 0).run(*line, server=False, env=environment)
    said, *paste = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert [name for name in ("--hostname", "--owner") if name in said] == missing
    assert said.endswith(f"{tmp_path}/spalloc:")
    assert [line.partition(" =")[0] for line in paste] == ["[spalloc]", "hostname", "owner"]
    (tmp_path / "spalloc").write_text("\n".join(paste))
    pasted = read_config([tmp_path / "spalloc"], {})
    assert pasted["hostname"]
    assert pasted["owner"]


def test_tags_may_have_commas_between_as_in_files() -> None:
    arguments = alloc.parser(read_config([], {})).parse_args(
        ["-H", "x", "--owner", "me", "--tags", "a,b", "c"]
    )
    alloc.check(arguments)
    assert arguments.tags == ["a", "b", "c"]


@pytest.mark.slow
@pytest.mark.parametrize("query", [("spalloc-ps",), ("spalloc", "--owner", "me")], ids=" ".join)
def test_an_http_server_is_not_taken_for_a_spalloc_server_that_is_down(query: tuple[str, ...]) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            ended = Commands("127.0.0.1", server.server_port).run(*query)
        finally:
            server.shutdown()
            thread.join()
    assert ended.stderr.count("\n") == 1
    assert "what answers there is no spalloc server: check --hostname and --port" in ended.stderr
    assert "is running" not in ended.stderr


def trouble(server: str, error: Exception, capsys: pytest.CaptureFixture[str]) -> str:
    def fail() -> int:
        raise error

    assert Endings("spalloc-ps", server=server).status_of(fail) == 1
    return capsys.readouterr().err


def test_who_is_told_to_check_a_url_is_told_of_no_port_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://service/spalloc/"
    away = f"{url} can't be reached: no route"
    assert trouble(url, OSError(away), capsys) == (
        f"spalloc-ps: {away}; check --hostname, and that the server is running\n"
    )
    slow = trouble(url, TimeoutError(away), capsys)
    assert slow == f"spalloc-ps: {away}; check --hostname, or raise --timeout\n"
    assert "check --hostname and --port, or" in trouble("host:22244", TimeoutError("no answer"), capsys)


def test_a_certificate_that_is_not_believed_does_not_send_anybody_to_the_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = "https://service/spalloc/"
    why = f"{url} can't be reached: {UNTRUSTED}: unknown; name the file of its authority in SSL_CERT_FILE"
    assert trouble(url, ConnectionError(why), capsys) == f"spalloc-ps: {why}\n"
