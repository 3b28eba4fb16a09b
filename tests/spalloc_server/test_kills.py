"""What was acknowledged survives `kill -9`, with real processes, sockets and files."""

import asyncio
from pathlib import Path

import pytest

from tests.seeds import SEED
from tests.spalloc_server.kills import kill_again_and_again


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "times", [pytest.param(12, marks=pytest.mark.uncounted), pytest.param(300, marks=pytest.mark.long)]
)
def test_a_server_that_is_killed_under_load_takes_up_where_it_was(times: int, tmp_path: Path) -> None:
    asyncio.run(kill_again_and_again(times, SEED, tmp_path))
