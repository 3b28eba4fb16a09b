"""The OpenID Connect provider of identity_provider.py, as a process of its own; see there for what it can be told."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers.environments import PeerEnvironment

NAME = "pytest-iam==0.3.0"
CLIENT, SECRET = "spalloc", "what-only-the-two-know"
REDIRECT = "https://spalloc.example/spalloc/system/openid/code"
_SCRIPT = Path(__file__).with_name("identity_provider.py")


class Provider:
    """A provider that runs; each of its commands is a method."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout
        self.issuer: str = self._answer()
        self.add_client(CLIENT, SECRET, REDIRECT)

    def __getattr__(self, name: str) -> Any:
        def do(*arguments: object, **named: object) -> Any:
            print(json.dumps([name, arguments, named]), file=self._to, flush=True)
            return self._answer()

        return do

    def _answer(self) -> Any:
        line = self._from.readline()
        assert line, "the provider has ended"
        return json.loads(line)


@contextmanager
def provider(environment: PeerEnvironment) -> Iterator[Provider]:
    """Run a provider that knows this service as its client; other programs and people are added."""
    with subprocess.Popen(
        [environment.python, "-W", "ignore", _SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield Provider(process)
        finally:
            process.kill()
