"""Our server over HTTPS, killed and started again: jobs and their applications go on."""

import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from spalloc_client import JobState, ProtocolClient, ProtocolTimeoutError
from spalloc_server.fronts.http.connections.authority import make_certificate
from tests import processes
from tests.processes import boards, configured, drain, spalloc_server
from tests.spalloc_client.scripted import PATIENCE
from tests.spalloc_client.test_keepalive import application
from tests.spalloc_server.operation.test_account_command import done

pytestmark = pytest.mark.slow

KEEPALIVE = 6.0
PASSWORD = "words-of-the-owner"

# Sites take 30 s and more, which is long to wait for.
SHORT = (
    "from spalloc_server.fronts.http.api import creation; creation.SHORTEST_KEEPALIVE = 0.1; "
    "from spalloc_server.scripts.server import main; raise SystemExit(main())"
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def test_a_job_and_its_application_go_on_when_the_server_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "SERVER", (sys.executable, "-c", SHORT))
    tls = make_certificate(tmp_path / "tls", ["localhost"])
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.bundle))
    with boards(1, 1) as machine:
        words = configured(machine, tmp_path)
        port = free_port()
        with Path(words[0]).open("a") as file:
            file.write(f'[http]\nport = {port}\ncertificate = "{tls.certificate}"\nkey = "{tls.key}"\n')
        url = f"https://owner:{PASSWORD}@localhost:{port}/spalloc/"
        with spalloc_server(words) as first:
            done(tmp_path / "state.socket", "add", "owner", given=f"{PASSWORD}\n{PASSWORD}\n")
            with application("wait", url, 443, KEEPALIVE) as running:
                os.kill(first.process.pid, signal.SIGKILL)
                with spalloc_server(words) as second:
                    assert second.process.stderr is not None
                    threading.Thread(target=drain, args=(second.process.stderr,), daemon=True).start()
                    with ProtocolClient(url) as client:
                        assert client.get_job_state(running.job)["state"] in (
                            JobState.power,
                            JobState.ready,
                        )
                        client.notify_job(running.job)
                        with pytest.raises(ProtocolTimeoutError):
                            while client.get_job_state(running.job)["state"] != JobState.destroyed:
                                client.wait_for_notification(1.5 * KEEPALIVE)
                        assert running.finish() == "ready"
                        assert running.process.wait(PATIENCE) == 0
                        assert client.get_job_state(running.job)["state"] == JobState.destroyed
