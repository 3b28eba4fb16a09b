"""The log and the metrics tell in good time that the certificate which clients are shown is over."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spalloc_server.fronts.http.connections import expiry
from spalloc_server.fronts.http.connections.authority import make_certificate
from spalloc_server.fronts.http.connections.expiry import DAY_SECONDS, Expiry
from spalloc_server.fronts.http.connections.tls import end_of

PATIENCE = 20.0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"), ["localhost"]).certificate


@pytest.mark.parametrize(
    ("days_left", "level", "said"),
    [
        (15.0, None, ""),
        (13.0, logging.WARNING, "is over at"),
        (0.5, logging.WARNING, "is over at"),
        (-1.0, logging.CRITICAL, "was over at"),
    ],
)
def test_the_log_tells_of_a_certificate_that_is_over_within_two_weeks(
    days_left: float,
    level: int | None,
    said: str,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(expiry, "FIRST_LOOK_SECONDS", 0.0)
    found = certificate.read_bytes()
    slept: list[float] = []

    async def look() -> None:
        looked = asyncio.Event()
        sleep = asyncio.sleep

        async def rest(seconds: float) -> None:
            if seconds > 0:
                slept.append(seconds)
                looked.set()
                await asyncio.Event().wait()
            await sleep(0)

        monkeypatch.setattr(expiry.asyncio, "sleep", rest)
        watch = Expiry(lambda: end_of(found) - days_left * DAY_SECONDS)
        assert watch.seconds_left is None
        watch.follow(certificate, found)
        await asyncio.wait_for(looked.wait(), PATIENCE)
        assert watch.seconds_left == pytest.approx(days_left * DAY_SECONDS)
        watch.follow(None, None)
        assert watch.seconds_left is None

    asyncio.run(look())
    told = [record for record in caplog.records if record.name == expiry.__name__]
    assert [record.levelno for record in told] == ([] if level is None else [level])
    assert all(f"the certificate in {certificate} {said}" in record.message for record in told)
    assert slept == [
        pytest.approx(min(DAY_SECONDS, days_left * DAY_SECONDS + 1.0) if days_left > 0 else DAY_SECONDS)
    ]


def test_what_can_not_be_read_ends_nothing(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(expiry, "FIRST_LOOK_SECONDS", 0.0)

    async def look() -> None:
        watch = Expiry(lambda: 0.0)
        watch.follow(certificate, b"nothing")
        assert watch._looking is not None
        await watch._looking
        assert watch.seconds_left is None

    asyncio.run(look())
    assert f"nobody knows when the certificate in {certificate} is over" in caplog.text


def test_the_end_is_that_of_the_certificate(certificate: Path) -> None:
    ends = datetime.fromtimestamp(end_of(certificate.read_bytes()), UTC)
    assert ends > datetime.now(UTC) + timedelta(days=1)
