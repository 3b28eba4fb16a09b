"""A server that does not serve HTTP, or knows no issuer, starts without the packages that only those need."""

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
those = {"argon2", "cryptography", "httptools", "httpcore", "joserfc", "starlette", "uvicorn", "websockets"}
print(*sorted(packages & those))
"""


def test_nothing_that_only_http_needs_is_imported_where_it_is_not_configured() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert found.stdout == "\n"


def test_nothing_that_only_single_sign_on_needs_is_imported_where_it_is_not_configured() -> None:
    script = SCRIPT.replace("v1=Listening(0)", "v1=Listening(0), http=HttpSettings(port=0)").replace(
        "import asyncio\n", "import asyncio\nfrom spalloc_server.fronts.http.settings import HttpSettings\n"
    )
    script += 'print(*sorted(packages & {"httpcore", "joserfc", "starlette"}))\n'
    script += 'print(*(name for name in sys.modules if "http.sso" in name))\n'
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[1:] == ["starlette", ""]
