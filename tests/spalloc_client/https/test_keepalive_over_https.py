"""The keepalive helper and services: sessions that end, services that fail, jobs that become others', no way in.

test_keepalive.py has what an application does or suffers, over HTTPS as over v1.
"""

import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spalloc_client import Job, ProtocolClient, keepalive
from spalloc_client._keepalive_https import AUTHORITIES, Service, proxy_for, tls_context
from spalloc_client._keepalive_process import Orders
from spalloc_client.config import read_config
from spalloc_client.keepalive import Keepalive
from spalloc_client.requirements import gather
from tests.doubles.jobs import State
from tests.doubles.service import JavaService
from tests.spalloc_client.over_https import OverJava, java
from tests.spalloc_client.scripted import PATIENCE

KEEPALIVE = 5.0
pytestmark = pytest.mark.slow


@pytest.fixture
def site() -> Iterator[OverJava]:
    with JavaService() as service, java(service) as site:
        service.settings.keepalive = (0.1, 300.0)
        yield site


def lives(site: OverJava, job: int, seconds: float) -> bool:
    try:
        site.service.until(job, State.DESTROYED, within=seconds)
    except TimeoutError:
        return True
    return False


def job_of(site: OverJava) -> Any:
    return Job(hostname=site.hostname, keepalive=KEEPALIVE, reconnect_delay=0.1, config_filenames=[])


def test_a_job_outlives_the_sessions_of_its_helper(site: OverJava) -> None:
    with job_of(site) as job:
        for _ in range(2):
            site.service.end_sessions()
            assert lives(site, job.id, KEEPALIVE)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_job_outlives_failures_of_its_service(site: OverJava, status: int) -> None:
    with job_of(site) as job:
        site.service.fail("PUT", "keepalive", 3, status=status)
        assert lives(site, job.id, 1.5 * KEEPALIVE)
        assert site.service.asked("PUT .*keepalive") > 3


def test_the_helper_of_a_program_in_an_archive_speaks_https_too_and_windows_could_start_it(
    site: OverJava, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.isfile", lambda _: False)
    (option, program) = keepalive._program()
    assert (option, len(program) < 32_000) == ("-c", True)
    with job_of(site) as job:
        assert lives(site, job.id, 1.2 * KEEPALIVE)
        assert site.service.asked("PUT .*keepalive") > 1


def test_a_job_that_became_another_is_left_alone(site: OverJava) -> None:
    with ProtocolClient(site.hostname) as client:
        number = client.create_job(1, keepalive=KEEPALIVE)
    requirements = gather(
        [], {"hostname": site.hostname, "reconnect_delay": 0.1}, read_config([], {}), resume_job_id=number
    )
    helper = Keepalive()
    try:
        helper.adopt(number, KEEPALIVE, requirements, start_time=1.0)
        assert helper._process is not None
        ended = os.pidfd_open(helper._process.pid)
        site.service.fail("PUT", "keepalive", 1, status=503)
        assert select.select([ended], [], [], PATIENCE)[0]
        os.close(ended)
        assert helper._process.wait(PATIENCE) == 77
    finally:
        helper.stop()


def orders(url: str, **login: Any) -> Orders:
    said = Orders(f"7 60.0 5.0 5.0 {url} 443 None None")
    said.login = login
    return said


def test_a_service_that_lets_nobody_in_is_not_asked_in_a_row(site: OverJava) -> None:
    asked: list[float] = []

    class Application:
        over = False

        def attend(self, seconds: float, *_: int) -> bool:
            asked.append(seconds)
            return False

    from spalloc_client._keepalive_https import RefusedError, keep

    wrong = orders(site.service.url, username=site.service.user, password="wrong")
    with pytest.raises(RefusedError):
        keep(Application(), wrong, RuntimeError, doubtful=False)
    assert asked == [wrong.period]


def test_what_is_no_service_is_tried_again(site: OverJava) -> None:
    other = orders(
        site.service.url + "elsewhere/", username=site.service.user, password=site.service.password
    )
    service = Service(other)
    with pytest.raises(OSError):  # noqa: PT011  # any: it is for trying again
        service.keep_alive()
    service.close()


def test_proxies_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert proxy_for("https", "service:443") is None
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    assert proxy_for("https", "service:443") == "http://proxy:3128"
    monkeypatch.setenv("NO_PROXY", "service,localhost")
    assert proxy_for("https", "service:443") is None
    assert proxy_for("https", "other") == "http://proxy:3128"


def test_a_file_of_authorities_that_can_not_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in AUTHORITIES:
        monkeypatch.delenv(name, raising=False)
    assert tls_context().verify_mode.name == "CERT_REQUIRED"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(OSError, match="none.pem can't be read"):
        tls_context()
