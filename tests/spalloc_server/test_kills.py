# What was acknowledged survives `kill -9`, with real processes, sockets and files.

import asyncio
from pathlib import Path

import pytest

from tests.spalloc_server.kills import kill_again_and_again


@pytest.mark.long
def test_a_server_that_is_killed_under_load_takes_up_where_it_was(tmp_path: Path) -> None:
    asyncio.run(kill_again_and_again(12, 2022, tmp_path))
