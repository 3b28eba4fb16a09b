"""What holds for every test of the server."""

from collections.abc import Iterator
from unittest import mock

import pytest

from spalloc_server.core import run_ahead
from tests.simulation.run import FORECAST_EVENTS


@pytest.fixture(autouse=True)
def forecasts() -> Iterator[None]:
    """Keep forecasts short: where minutes are simulated and jobs wait, they would be most of the time."""
    with mock.patch.object(run_ahead, "MOST_EVENTS", FORECAST_EVENTS):
        yield
