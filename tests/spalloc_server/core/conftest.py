"""What holds for every test of the core."""

import pytest


@pytest.fixture
def forecasts() -> None:
    """Leave forecasts as they are: this is where they are tested."""
