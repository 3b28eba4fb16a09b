"""What `[http]` may say, and what does not fit together."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spalloc_server.config.changes import differences, needs_restart
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.settings import Configuration
from spalloc_server.fronts.http.connections.authority import make_certificate
from spalloc_server.fronts.http.settings import HttpSettings, Limits
from spalloc_server.scripts.check import main as check
from tests.spalloc_server.config.examples import ONE_BOARD
from tests.spalloc_server.config.examples import read as read_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    make_certificate(made, ["spalloc.example", "10.0.0.1"])
    make_certificate(made / "other", ["spalloc.example"])
    return made


def read(http: str, folder: Path) -> Configuration:
    return read_file(f"[http]\n{http}\n{ONE_BOARD}", folder)


def settings(http: str, folder: Path) -> HttpSettings:
    found = read(http, folder).http
    assert found is not None
    return found


def mistakes(http: str, folder: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        read(http, folder)
    return [str(one).removeprefix("site.toml:") for one in error.value.mistakes]


def test_http_is_served_only_where_there_is_such_a_table(folder: Path) -> None:
    assert read_file(ONE_BOARD).http is None
    assert settings("", folder) == HttpSettings()


def test_all_settings_are_read(folder: Path) -> None:
    found = settings(
        """
        listen = ["0.0.0.0", "::"]
        port = 443
        certificate = "certificate.pem"
        key = "key.pem"
        socket = "http.socket"
        base = "/"
        proxies = ["10.0.0.1", "10.1.0.0/16", "socket"]
        allow = ["10.0.0.0/8"]
        session_idle_seconds = 600

        [http.limits]
        connections = 100
        connections_from_one_address = 10
        request_seconds = 5
        idle_seconds = 30
        slow_reader_seconds = 20
        """,
        folder,
    )
    assert (found.addresses, found.port, found.base) == (("0.0.0.0", "::"), 443, "/")
    assert (found.certificate, found.key) == (folder / "certificate.pem", folder / "key.pem")
    assert (found.socket, str(found.proxies)) == (folder / "http.socket", "10.0.0.1/32, 10.1.0.0/16, socket")
    assert (str(found.allow), found.session_idle_seconds) == ("10.0.0.0/8", 600.0)
    assert found.limits == Limits(
        connections=100,
        connections_from_one_address=10,
        request_seconds=5.0,
        idle_seconds=30.0,
        slow_reader_seconds=20.0,
    )


def test_with_a_socket_there_is_no_port_unless_addresses_are_given(folder: Path) -> None:
    assert settings('socket = "s"', folder).addresses == ()
    assert settings('socket = "s"\nlisten = []', folder).addresses == ()
    assert settings('socket = "s"\nlisten = ["127.0.0.1"]', folder).addresses == ("127.0.0.1",)


WRONG = {
    "listen = []": '2: http.listen is []; expected at least one address, such as ["127.0.0.1"], or a socket beside it',
    'certificate = "certificate.pem"': "1: http has certificate but no key; expected both, or neither",
    'key = "key.pem"': "1: http has key but no certificate; expected both, or neither",
    'certificate = "certificate.pem"\nkey = "other/key.pem"': (
        "3: http.key can't be used: {folder}/other/key.pem is not the key of the certificate in "
        "{folder}/certificate.pem"
    ),
    'certificate = "none.pem"\nkey = "key.pem"': (
        "2: http.certificate can't be used: {folder}/none.pem can't be read: No such file or directory"
    ),
    'certificate = "key.pem"\nkey = "key.pem"': (
        "2: http.certificate can't be used: {folder}/key.pem has no certificate in PEM"
    ),
    'listen = ["0.0.0.0"]': (
        "2: http.listen has 0.0.0.0, and there is no certificate, so passwords would cross the network for others to "
        "read; give certificate and key, or name the proxies that connect there"
    ),
    'proxies = ["socket"]': '2: http.proxies has "socket", but there is none; give http.socket = "FILE"',
    'proxies = ["0.0.0.0/0"]': (
        '2: http.proxies[0] is "0.0.0.0/0"; expected the addresses of proxies; everybody would be believed'
    ),
    'proxies = ["proxy"]': (
        '2: http.proxies[0] is "proxy"; expected a network, such as "10.0.0.0/8" (no bits set after the first 8), or '
        "an address"
    ),
    'base = "spalloc"': (
        '2: http.base is "spalloc"; expected a path that begins and ends with /, such as "/spalloc/", of letters, '
        "digits and ._~-"
    ),
    'base = "/../"': (
        '2: http.base is "/../"; expected a path that begins and ends with /, such as "/spalloc/", of letters, '
        "digits and ._~-"
    ),
    "session_idle_seconds = 0": "2: http.session_idle_seconds is 0; expected a number of seconds, more than 0",
    "certificat = 1": "2: http.certificat is not a setting; did you mean 'certificate'?",
    "cert = 1": "2: http.cert is not a setting; did you mean 'certificate'?",
    "[http.limits]\nconnections = 0": "3: http.limits.connections is 0; expected a whole number from 1 to 1000000",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_told_with_its_line(wrong: str, folder: Path) -> None:
    assert mistakes(wrong, folder) == [WRONG[wrong].replace("{folder}", str(folder))]


def test_plain_http_beyond_this_computer_is_for_named_proxies(folder: Path) -> None:
    assert settings('listen = ["10.0.0.1"]\nproxies = ["10.0.0.2"]', folder).certificate is None
    assert settings('listen = ["localhost", "127.0.0.1", "::1"]', folder).certificate is None


def test_a_change_is_told_and_whether_it_needs_a_restart(folder: Path) -> None:
    before = read('port = 1000\nlisten = ["127.0.0.1"]', folder)
    after = read('port = 1001\nbase = "/x/"\nproxies = ["127.0.0.1"]\n[http.limits]\nconnections = 5', folder)
    assert sorted(differences(before, after)) == [
        'http.base is "/x/", was "/spalloc/"',
        "http.limits.connections is 5, was 16384",
        "http.port is 1001, was 1000",
        "http.proxies is [127.0.0.1/32], was [none]",
    ]
    assert needs_restart(before, after) == ["http.port", "http.base"]
    without = read_file(ONE_BOARD, folder)
    assert (list(differences(without, after)), needs_restart(without, after)) == (["http is new"], ["http"])
    assert (list(differences(after, without)), needs_restart(after, without)) == (["http is gone"], ["http"])


def test_check_says_where_http_is_served_and_until_when_the_certificate_is_good(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "site.toml"
    path.write_text(
        f'[http]\ncertificate = "certificate.pem"\nkey = "key.pem"\nsocket = "s"\nlisten = ["::1"]\n{ONE_BOARD}'
    )
    assert check([str(path)]) == 0
    said = capsys.readouterr().out
    where = f"::1 port 22246 and the socket {folder}/s"
    assert f"  HTTP: {where}, from /spalloc/ on, allowed from 0.0.0.0/0, ::/0, proxies none" in said
    assert "  TLS: for spalloc.example, 10.0.0.1 until " in said


@pytest.mark.parametrize(
    ("days_ago", "said"), [(0, ""), (250, ""), (330, " (soon: renew it)"), (500, " (over: renew it)")]
)
def test_check_says_when_a_certificate_must_be_renewed(
    days_ago: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_certificate(tmp_path, ["spalloc.example"], datetime.now(UTC) - timedelta(days=days_ago))
    path = tmp_path / "site.toml"
    path.write_text(f'[http]\ncertificate = "certificate.pem"\nkey = "key.pem"\n{ONE_BOARD}')
    assert check([str(path)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "TLS:" in line]
    assert line.partition(" UTC")[2] == said


def test_check_warns_of_a_certificate_that_names_no_host_and_says_how_to_make_one_that_does(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "nameless.toml"
    path.write_text(f'[http]\ncertificate = "authority.pem"\nkey = "authority-key.pem"\n{ONE_BOARD}')
    assert check([str(path)]) == 0
    said = capsys.readouterr().out
    assert f"TLS: warning: the certificate in {folder}/authority.pem names no host (subjectAltName)" in said
    assert "make one with: openssl req -x509 ... -addext subjectAltName=DNS:HOST" in said
