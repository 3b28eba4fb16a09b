"""Who logs in at a service, out of all places where that can be said; and that no password is shown."""

import base64
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from spalloc_client import checks
from spalloc_client.address import Login, ServiceUrl
from spalloc_client.config import read_config
from spalloc_client.https import login, session_for
from spalloc_client.requirements import gather
from spalloc_client.scripts import alloc
from spalloc_client.scripts.server import Server
from spalloc_client.surroundings import without_secrets

URL = "https://service/spalloc/"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home without any login."""
    for name in ("SPALLOC_USER", "SPALLOC_PASSWORD", "SPALLOC_TOKEN", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def of(text: str = URL, **environment: str) -> tuple[str | None, str | None, str | None]:
    found = login.found(ServiceUrl.read("hostname", text), environment)
    return found.username, found.password, found.token


def parts(name: str) -> tuple[str | None, str | None, str | None]:
    said: Any = name
    return said.login.username, said.login.password, said.login.token


def test_the_url_s_login_comes_before_the_environment_s() -> None:
    assert of("https://me:a%40b@service", SPALLOC_PASSWORD="no") == ("me", "a@b", None)
    assert of(SPALLOC_USER="me", SPALLOC_PASSWORD="p") == ("me", "p", None)
    assert of(SPALLOC_TOKEN="t") == (None, None, "t")
    assert of("https://me@service", SPALLOC_PASSWORD="p") == ("me", "p", None)
    assert of() == (None, None, None)


def test_arguments_come_before_the_url_and_the_url_before_files(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("[spalloc]\nusername = file\npassword = in-file\n")
    (tmp_path / "c").chmod(0o600)
    config = read_config([tmp_path / "c"], {"SPALLOC_USER": "env"})
    given = {"hostname": "https://url:in-url@service"}
    assert parts(gather([], {"hostname": URL}, config).hostname) == ("env", "in-file", None)
    assert parts(gather([], given, config).hostname) == ("url", "in-url", None)
    assert parts(gather([], {**given, "token": "t"}, config).hostname) == (None, None, "t")
    assert parts(gather([], {**given, "username": "x", "password": "y"}, config).hostname) == ("x", "y", None)


def test_netrc_is_asked_for_whoever_the_rest_names(nowhere: Path) -> None:
    netrc = nowhere / ".netrc"
    netrc.write_text("machine service login me password from-netrc\nmachine other login me password no\n")
    netrc.chmod(0o600)
    assert of() == ("me", "from-netrc", None)
    assert of(SPALLOC_USER="me") == ("me", "from-netrc", None)
    assert of(SPALLOC_USER="you") == ("you", None, None)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_file_with_a_password_that_others_can_read_is_told(
    nowhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    netrc, config = nowhere / ".netrc", nowhere / "c"
    netrc.write_text("machine service login me password from-netrc\n")
    netrc.chmod(0o644)
    assert of() == ("me", "from-netrc", None)
    config.write_text("[spalloc]\nhostname = https://me:secret@service\n")
    config.chmod(0o640)
    assert read_config([config], {})["hostname"] == URL
    assert [record.getMessage() for record in caplog.records] == [
        f"{name} holds a password or a token, and others can read it: chmod 600 {name}"
        for name in (netrc, config)
    ]
    caplog.clear()
    config.chmod(0o600)
    read_config([config], {})
    assert not caplog.records


def test_the_keyring_is_asked_last_and_only_if_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = types.ModuleType("keyring")
    keyring.__spec__ = types.SimpleNamespace(name="keyring")  # type: ignore[assignment]
    asked: list[tuple[str, str | None]] = []

    def get_credential(service: str, username: str | None) -> object:
        asked.append((service, username))
        return types.SimpleNamespace(username="me", password="from-keyring")

    keyring.get_credential = get_credential  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    assert of(SPALLOC_USER="me", SPALLOC_PASSWORD="p") == ("me", "p", None)
    assert asked == []
    assert of(SPALLOC_USER="me") == ("me", "from-keyring", None)
    assert asked == [(URL, "me")]

    def broken(*_: object) -> object:
        raise RuntimeError("the keyring is locked")

    keyring.get_credential = broken  # type: ignore[attr-defined]
    assert of() == (None, None, None)


def test_no_text_of_an_address_or_a_login_shows_a_secret() -> None:
    url = ServiceUrl.read("hostname", "https://me:secret@service:8443")
    shown = [str(url), repr(url), f"{url}", repr(url.login), repr(Login(token="secret"))]
    assert "secret" not in "".join(shown)
    for wrong in ("https://me:secret@", "ftp://me:secret@service", "https://me:secret@service:port/"):
        with pytest.raises(ValueError, match="it must be") as raised:
            checks.server(wrong)
        assert "secret" not in str(raised.value)
    with pytest.raises(ValueError, match="password must be text") as raised:
        gather([], {"hostname": URL, "password": "secret\n"}, read_config([], {}))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["-H", "https://me:secret@service"], "the URL's password"),
        (["-H", URL, "--username", "me", "--password", "secret"], "--password"),
        (["-H", URL, "--token", "secret"], "--token"),
        (["-H", URL, "--username", "me"], None),
    ],
)
def test_a_secret_among_arguments_is_warned_about(
    words: list[str], named: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = alloc.parser(read_config([], {})).parse_args(words)
    server = Server.chosen_by(arguments)
    assert (server.hostname, server.port, str(server)) == (URL, 443, URL)
    told = [record.getMessage() for record in caplog.records]
    assert [f"can see {named} among the arguments" in line for line in told] == [True] * (named is not None)
    assert "secret" not in "".join(told)


def test_what_other_programs_get_of_the_environment_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_secrets() is os.environ
    monkeypatch.setenv("SPALLOC_PASSWORD", "pa55word")
    monkeypatch.setenv("SPALLOC_TOKEN", "pa55word")
    monkeypatch.setenv("SPALLOC_USER", "me")
    monkeypatch.setenv("SPALLOC_SERVER_HOSTNAME", "https://me:pa55word@service/spalloc/")
    passed = without_secrets()
    assert "pa55word" not in "".join(passed.values())
    assert passed["SPALLOC_SERVER_HOSTNAME"] == URL
    assert passed["SPALLOC_USER"] == "me"


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'spalloc\[https\]'$") as raised:
        session_for("https://me:secret@service")
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def token_until(moment: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": moment}).encode()).decode().rstrip("=")
    return f"eyJ.{claims}.sig"


def test_tokens_that_say_when_they_expire_are_understood() -> None:
    assert login.end_of(token_until(10_000)) == 10_000.0
    assert login.end_of("sp_opaque") is None
    assert login.end_of("a.b.c") is None
    assert "in 55 minutes" in login.warning_of_end(3_300.0)
    assert "has expired" in login.warning_of_end(-1.0)
