"""A server that does not serve HTTP starts without the packages that only HTTP needs."""

import subprocess
import sys

SCRIPT = """
import asyncio
import sys

from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.operation import running
from spalloc_server.scripts import account, boards, server
from spalloc_server.service import Service


async def main():
    service = Service(Configuration(state=None, machines=(), v1=Listening(0)))
    await service.start()
    await service.stop()


asyncio.run(main())
packages = {name.partition(".")[0] for name in sys.modules}
print(*sorted(packages & {"argon2", "cryptography", "httptools", "starlette", "uvicorn", "websockets"}))
"""


def test_nothing_that_only_http_needs_is_imported_where_it_is_not_configured() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert found.stdout == "\n"
