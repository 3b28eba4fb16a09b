"""No command shows who logs in, wherever that was said: no output, no log, and no process that it starts."""

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.doubles.people import Account
from tests.doubles.service import JavaService
from tests.spalloc_client.over_https import java
from tests.spalloc_client.scripts.conftest import Commands

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc"),
]

PASSWORD, TOKEN = "pa55 w@rd/of:bob", "sp-t0ken-of-bob"
SECRETS = {PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), TOKEN}
WRONG = {"password": "not-the-pa55word", "token": "sp-not-the-t0ken"}

LOOK = """
import os, pathlib
parent = pathlib.Path(f"/proc/{os.getppid()}")
for process in " ".join(text.read_text() for text in parent.glob("task/*/children")).split():
    for file in ("cmdline", "environ"):
        print(pathlib.Path(f"/proc/{process}/{file}").read_bytes().replace(bytes(1), b" ").decode())
"""
"""Shows the arguments and environments of all that its parent has started."""


class Told:
    """A way to say who logs in: with arguments, the environment, or a file."""

    def __init__(self, url: str, way: str, home: Path, secrets: dict[str, str]) -> None:
        where, kind = way.split(": ")
        secret = secrets[kind]
        self.words = ["--hostname", url]
        self.environment: dict[str, str] = {}
        parts = {kind: secret} | ({"username": "bob"} if kind == "password" else {})
        with_login = url.replace("://", f"://bob:{quote(secret, safe='')}@")
        match where:
            case "arguments":
                self.words += [word for name, value in parts.items() for word in (f"--{name}", value)]
            case "URL among arguments":
                self.words = ["--hostname", with_login]
            case "environment":
                names = {"username": "USER", "password": "PASSWORD", "token": "TOKEN"}
                self.environment = {f"SPALLOC_{names[name]}": value for name, value in parts.items()}
            case "URL in environment":
                self.words, self.environment = [], {"SPALLOC_SERVER_HOSTNAME": with_login}
            case "file" | "URL in file":
                lines = [f"hostname = {with_login}"] if where != "file" else [f"hostname = {url}"]
                lines += [f"{name} = {value}" for name, value in parts.items() if where == "file"]
                file = home / ".spalloc"
                file.write_text("\n".join(["[spalloc]", *lines, ""]))
                file.chmod(0o600)
                self.words = []


@pytest.fixture(scope="module")
def service() -> Iterator[JavaService]:
    with JavaService() as running, java(running):
        running.people.add(Account("bob", PASSWORD, token=TOKEN))
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("USER", "PASSWORD", "TOKEN", "SERVER_HOSTNAME"):
        monkeypatch.delenv(f"SPALLOC_{name}", raising=False)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def commands(home: Path) -> Iterator[Commands]:
    made = Commands("", 0)
    yield made
    made.clean()


WAYS = [
    "arguments: password",
    "arguments: token",
    "URL among arguments: password",
    "environment: password",
    "environment: token",
    "URL in environment: password",
    "file: password",
    "file: token",
    "URL in file: password",
]


@pytest.mark.parametrize("way", WAYS)
def test_no_command_shows_a_secret_nor_gives_it_to_what_it_starts(
    way: str, service: JavaService, commands: Commands, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(service.url, way, home, {"password": PASSWORD, "token": TOKEN})
    for name, value in told.environment.items():
        monkeypatch.setenv(name, value)
    commands.server = told.words
    look = ["--command", sys.executable, "-c", LOOK]
    shown = ""
    for works, name, *words in (
        (True, "spalloc", "--debug", "1", *look),
        (True, "spalloc-ps", "--debug", "--json"),
        (True, "spalloc-machine", "big"),
        (False, "spalloc-job", "--debug", "1000000"),
        (False, "spalloc-where-is", "--debug", "--board", "big", "99", "0", "0"),
    ):
        ended = commands.run(name, *words)
        assert (name, ended.returncode == 0) == (name, works), ended.stderr
        shown += ended.stdout + ended.stderr
    for words in (["--debug"], ["check"]):
        ended = commands.run("spalloc-config", *words, server=False)
        shown += ended.stdout + ended.stderr
    assert "_keepalive_process" in shown
    assert service.url in shown
    assert not [secret for secret in SECRETS if secret in shown], shown


@pytest.mark.parametrize("way", WAYS)
def test_no_command_that_is_not_let_in_shows_what_was_wrong(
    way: str, service: JavaService, commands: Commands, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(service.url, way, home, WRONG)
    for name, value in told.environment.items():
        monkeypatch.setenv(name, value)
    commands.server = told.words
    for name, *words in (("spalloc-ps", "--debug"), ("spalloc", "--debug", "1", "--command", "true")):
        ended = commands.run(name, *words)
        assert ended.returncode not in (0, 2), ended.stderr
        assert "Traceback" in ended.stderr
        assert not [secret for secret in WRONG.values() if secret in ended.stdout + ended.stderr]
