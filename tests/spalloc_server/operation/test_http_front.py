"""A server with `[http]`, and `--virtual --https`, as people run them: real processes, real TLS."""

import http.client
import json
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.states import JobState
from spalloc_server.core.machine import Machine
from spalloc_server.embedded import EmbeddedSite
from spalloc_server.fronts.http.connections.authority import Made, make_certificate
from spinnaker.geometry import Size
from tests.processes import SERVER, ServerProcess, log_until, spalloc_server
from tests.spalloc_server.operation.boards import virtual_machines, write

ROOT = "/spalloc/srv/spalloc/"


@pytest.fixture(scope="module")
def machines() -> Iterator[list[Machine]]:
    with virtual_machines(Size(1, 1)) as found:
        yield found


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_certificate(tmp_path / "tls", ["localhost"])


TLS = '[http]\nport = 0\ncertificate = "tls/certificate.pem"\nkey = "tls/key.pem"\n'


Connect = Callable[[int, Path], http.client.HTTPSConnection]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes connections that are closed at the end."""
    there: list[http.client.HTTPSConnection] = []

    def one(port: int, bundle: Path) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(bundle))
        there.append(http.client.HTTPSConnection("localhost", port, context=context, timeout=20))
        return there[-1]

    yield one
    for connection in there:
        connection.close()


def serial(to: http.client.HTTPSConnection) -> str:
    assert isinstance(to.sock, ssl.SSLSocket)
    shown = to.sock.getpeercert()
    assert shown is not None
    return str(shown["serialNumber"])


def status(to: http.client.HTTPSConnection, path: str = ROOT, **headers: str) -> int:
    to.request("GET", path, headers=headers)
    answer = to.getresponse()
    answer.read()
    return answer.status


def reload(running: ServerProcess) -> str:
    running.process.send_signal(signal.SIGHUP)
    return "".join(log_until(running, "configuration was read again|old one stays in force"))


@pytest.mark.slow
def test_http_is_served_beside_v1_and_counted(
    machines: list[Machine], made: Made, tmp_path: Path, connect: Connect
) -> None:
    configuration = write(tmp_path / "site.toml", machines, f"{TLS}[metrics]\nport = 0\n")
    with spalloc_server([str(configuration)]) as running:
        one = connect(int(running.before["HTTP"]), made.bundle)
        assert status(one) == 401
        assert status(one, authorization="Bearer spalloc_nothing") == 401
        assert status(one, "/elsewhere") == 404
        with ProtocolClient(running.host, running.port) as client:
            client.version()
        url = f"http://127.0.0.1:{running.before['metrics']}/metrics"
        metrics = urllib.request.urlopen(url, timeout=10).read().decode()
        assert "spalloc_http_connections 1.0\n" in metrics
        assert "spalloc_http_waiting_requests 0.0\n" in metrics
        assert 'spalloc_http_requests_total{method="GET",status="401"} 2.0\n' in metrics
        assert 'spalloc_http_requests_total{method="GET",status="404"} 1.0\n' in metrics
        assert "spalloc_http_refused_clients_total 0.0\n" in metrics
        assert "spalloc_sessions 0.0\n" in metrics
        assert "spalloc_refused_logins_total 1.0\n" in metrics
        assert "spalloc_http_cut_off_clients_total 0.0\n" in metrics
        for name in ("websockets", "channels", "transfers"):
            assert f"spalloc_http_{name} 0.0\n" in metrics
        # The certificate is looked at some seconds after the start.
        while (found := re.search(r"\nspalloc_http_certificate_left_seconds (\S+)\n", metrics)) is None:
            metrics = urllib.request.urlopen(url, timeout=10).read().decode()
        assert float(found[1]) > 0
        code, log = running.end()
    assert code == 0
    assert "traceback" not in log


@pytest.mark.slow
def test_one_job_is_the_same_over_http_by_v1_in_the_commands_and_in_the_metrics(
    machines: list[Machine], made: Made, tmp_path: Path, connect: Connect
) -> None:
    control = f'[control]\nsocket = "{tmp_path / "control"}"\n'
    configuration = write(tmp_path / "site.toml", machines, f"{control}{TLS}[metrics]\nport = 0\n")
    with spalloc_server([str(configuration)]) as running:
        add = [*SERVER, "account", str(configuration), "add", "jane"]
        subprocess.run(add, input="correct horse\n", text=True, check=True, capture_output=True)
        one = connect(int(running.before["HTTP"]), made.bundle)

        def ask(method: str, path: str, body: object = None, **headers: str) -> object:
            one.request(method, path, json.dumps(body), headers | {"Content-Type": "application/json"})
            answer = one.getresponse()
            text = answer.read()
            assert answer.status < 400, text
            cookies.append((answer.headers.get("set-cookie") or "").split(";")[0])
            known["If-None-Match"] = answer.headers.get("etag") or ""
            return json.loads(text) if text else None

        cookies: list[str] = []
        known: dict[str, str] = {}
        login = b64encode(b"jane:correct horse").decode()
        root = ask("GET", ROOT, Authorization=f"Basic {login}")
        assert isinstance(root, dict)
        mine = {"Cookie": cookies[0], "X-CSRF-TOKEN": root["csrf-token"]}
        form = {"num-boards": 3, "tags": ["default"], "keepalive-interval": "PT60S", "time-limit": "PT1H"}
        created = ask("POST", f"{ROOT}jobs", form, **mine)
        assert isinstance(created, dict)
        job = int(created["job-id"])
        told = ask("GET", f"{ROOT}jobs/{job}", **mine)
        assert isinstance(told, dict)
        while told["state"] != "READY":
            # Saying what it knows, it misses no change between two requests.
            told = ask("GET", f"{ROOT}jobs/{job}?wait=true", **mine, **known)
            assert isinstance(told, dict)
        boards = ask("GET", f"{ROOT}jobs/{job}/machine", **mine)
        assert isinstance(boards, dict)
        with ProtocolClient(running.host, running.port) as client:
            by_v1 = client.get_job_state(job)
            its = client.get_job_machine_info(job)
        assert (by_v1["state"], by_v1["power"], by_v1["keepalive"]) == (JobState.ready, True, 60.0)
        connections = {(x, y): address for (x, y), address in boards["connections"]}
        assert {tuple(chip): address for chip, address in its["connections"]} == connections
        assert its["machine_name"] == boards["machine-name"]
        address = ["--hostname", running.host, "--port", str(running.port), "--json"]
        shown = json.loads(command("job", str(job), *address))
        (listed,) = json.loads(command("ps", *address))["jobs"]
        for one_of in (shown, listed):
            assert (one_of["job_id"], one_of["owner"], one_of["state"]) == (job, told["owner"], "ready")
            assert (one_of["time_limit"], one_of["boards"]) == (3600.0, boards["boards"])
        url = f"http://127.0.0.1:{running.before['metrics']}/metrics"
        metrics = urllib.request.urlopen(url, timeout=10).read().decode()
        assert 'spalloc_jobs{state="ready"} 1.0\n' in metrics
        assert "spalloc_sessions 1.0\n" in metrics


def command(name: str, *arguments: str) -> str:
    """Run one of the client's commands."""
    run = f"from spalloc_client.scripts.{name} import main; raise SystemExit(main())"
    done = subprocess.run([sys.executable, "-c", run, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.slow
def test_a_reload_takes_a_new_certificate_and_refuses_a_wrong_one(
    machines: list[Machine], made: Made, tmp_path: Path, connect: Connect
) -> None:
    configuration = write(tmp_path / "site.toml", machines, TLS)
    with spalloc_server([str(configuration)]) as running:
        port = int(running.before["HTTP"])
        kept = connect(port, made.bundle)
        assert status(kept) == 401
        make_certificate(tmp_path / "tls", ["localhost"])
        told = subprocess.run([*SERVER, "reload", str(configuration)], capture_output=True, text=True)
        assert "the certificate is for localhost until 20" in told.stdout, told.stderr
        assert "the certificate is for localhost until 20" in log_until(running, "the certificate")[-1]
        new = connect(port, made.bundle)
        assert status(new) == 401
        assert serial(new) != serial(kept)
        other = make_certificate(tmp_path / "other", ["localhost"])
        made.key.write_bytes(other.key.read_bytes())
        assert "the old one stays in force" in reload(running)
        assert "is not the key of the certificate" in log_until(running, "mistake in the conf")[-1]
        still = connect(port, made.bundle)
        assert status(still) == 401
        assert serial(still) == serial(new)
        assert status(kept) == 401


@pytest.mark.slow
def test_a_port_in_use_ends_the_server_with_a_sentence(
    machines: list[Machine], made: Made, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        configuration = write(tmp_path / "site.toml", machines, TLS.replace("port = 0", f"port = {port}"))
        done = subprocess.run([*SERVER, str(configuration)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"spalloc-server: can't listen on 127.0.0.1 port {port}: another program listens" in done.stderr
    assert "Traceback" not in done.stderr


UNWANTED = ("starlette", "uvicorn", "httptools", "websockets", "argon2", "cryptography")
IMPORTED = f"""
import asyncio, sys
from pathlib import Path
from spalloc_server.config.document import load
from spalloc_server.operation import running
from spalloc_server.service import Service

async def main(path):
    service = Service(load(Path(path)))
    await service.start()
    print(sorted(name for name in {UNWANTED!r} if name in sys.modules))
    print("spalloc_server.fronts.http.front" in sys.modules, "spalloc_server.config.http" in sys.modules)
    await service.stop()

asyncio.run(main(sys.argv[1]))
"""


def imported(configuration: Path) -> list[str]:
    command = [sys.executable, "-c", IMPORTED, str(configuration)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


@pytest.mark.slow
def test_without_http_nothing_of_it_is_imported(machines: list[Machine], made: Made, tmp_path: Path) -> None:
    assert imported(write(tmp_path / "without.toml", machines)) == ["[]", "False False"]
    # Passwords are hashed, and certificates looked into, by what is imported for the first of them.
    found, ours = imported(write(tmp_path / "with.toml", machines, TLS))
    assert found == "['httptools', 'starlette', 'uvicorn', 'websockets']"
    assert ours == "True True"


# --virtual --https


def started(arguments: list[str]) -> tuple["subprocess.Popen[str]", list[str]]:
    process = subprocess.Popen(
        [*SERVER, "--virtual", "1x1", "--port", "0", "--https", "0", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("spalloc_server = "):
            break
    return process, lines


def printed(lines: list[str]) -> dict[str, str]:
    found = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
    (found["url"],) = re.findall(r"HTTPS is served at (\S+)", "\n".join(lines))
    (found["user"], found["password"]) = re.findall(r"log in as (\S+) with password (\S+)", "\n".join(lines))[
        0
    ]
    return {name: shlex.split(value)[0] for name, value in found.items()}


def token_of(lines: list[str]) -> str:
    """Make a token with the command that the server printed."""
    (typed,) = [shlex.split(line) for line in lines if line.startswith("spalloc-server ")]
    done = subprocess.run([*SERVER, *typed[1:]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_the_command_prints_all_that_a_client_needs(tmp_path: Path, connect: Connect) -> None:
    process, lines = started([])
    with process:
        try:
            said = printed(lines)
            port = int(said["url"].split(":")[2].split("/")[0])
            assert said["REQUESTS_CA_BUNDLE"] == said["WEBSOCKET_CLIENT_CA_BUNDLE"] == said["SSL_CERT_FILE"]
            assert said["CURL_CA_BUNDLE"] == said["SSL_CERT_FILE"]
            bundle = Path(said["REQUESTS_CA_BUNDLE"])
            login = b64encode(f"{said['user']}:{said['password']}".encode()).decode()
            one = connect(port, bundle)
            assert said["url"] == f"https://localhost:{port}/spalloc/"
            assert status(one, Authorization=f"Basic {login}") == 200
            with_login = f"https://{said['user']}:{said['password']}@localhost:{port}/spalloc/"
            assert lines[-1] == f"spalloc_server = {with_login}"
            token = token_of(lines)
            assert status(connect(port, bundle), Authorization=f"Bearer {token}") == 200
        finally:
            process.terminate()
    assert process.returncode == 0
    assert not bundle.exists()


@pytest.mark.slow
def test_with_records_the_authority_and_the_password_stay(tmp_path: Path) -> None:
    said = []
    state = tmp_path / "a folder" / "state"
    state.parent.mkdir()
    for _ in range(2):
        process, lines = started(["--state", str(state)])
        process.terminate()
        process.communicate()
        assert Path(printed(lines)["SSL_CERT_FILE"]).exists()
        said.append(
            {**printed(lines), "authority": (state.with_name("state.https") / "authority.pem").read_text()}
        )
    for name in ("user", "password", "authority", "SSL_CERT_FILE"):
        assert said[0][name] == said[1][name]
    assert (state.with_name("state.https") / "password").stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["password", "user"], "the password that the account was given since then"),
        (["password", "user", "--no-password"], "a token: the account has no password"),
        (
            ["lock", "user"],
            "nothing: the account is locked; type spalloc-server account unlock user",
        ),
    ],
)
def test_a_password_that_is_good_no_longer_is_not_printed(
    words: list[str], said: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    passwords = []
    for count in range(2):
        process, lines = started(["--state", str(state)])
        try:
            if count == 0:
                passwords.append(printed(lines)["password"])
                command = [*SERVER, "account", "--socket", f"{state}.socket", *words]
                done = subprocess.run(command, input="another password\n", text=True, capture_output=True)
                assert done.returncode == 0, done.stderr
        finally:
            process.terminate()
            process.communicate()
    assert f"log in as user with {said}" in lines
    assert passwords[0] not in "\n".join(lines)
    assert lines[-1].startswith("spalloc_server = https://user:PASSWORD@localhost:")


def test_https_without_virtual_boards_is_refused_with_what_to_write_instead(tmp_path: Path) -> None:
    done = subprocess.run([*SERVER, "site.toml", "--https"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "--https is for virtual boards: give --virtual WxH, or [http] in the configuration" in done.stderr


# Embedded


@pytest.mark.slow
def test_an_embedded_site_is_served_over_https_if_it_is_asked_for(connect: Connect) -> None:
    with EmbeddedSite(1, 1) as site:
        assert site.https is None
    with EmbeddedSite(1, 1, https=True) as site:
        assert site.https is not None
        port = int(site.https.url.split(":")[2].split("/")[0])
        one = connect(port, site.https.bundle)
        login = b64encode(f"{site.https.user}:{site.https.password}".encode()).decode()
        one.request("GET", ROOT, headers={"Authorization": f"Basic {login}"})
        answer = json.loads(one.getresponse().read())
        assert answer["jobs-ref"] == f"https://localhost:{port}/spalloc/srv/spalloc/jobs"
        bundle = site.https.bundle
    assert not bundle.exists()
