"""Our server with HTTP, for those who measure it: 1,200 boards, BMPs that answer at once, and a few accounts."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.http.asking import Service, User, logged_in
from benchmarks.programs.address import Address
from benchmarks.programs.ours import site
from spalloc_server.fronts.http.connections.authority import make_certificate
from tests import processes

ACCOUNTS = 7
PASSWORD = "correct horse battery"
# v1 gets few connections, so that the others are left where the system allows few.
_LIMITS = "[v1.limits]\nconnections = 1000"


@dataclass(frozen=True)
class Served:
    """A server that listens."""

    service: Service
    v1: Address
    """The same server over v1."""
    users: list[User]


@contextmanager
def served(*, tls: bool) -> Iterator[Served]:
    """Run a server with its records on disk, in a process of its own."""
    with site(20, 20) as (machine, folder):
        arguments = processes.configured(machine, folder)
        made = make_certificate(folder / "tls", ["localhost"])
        configuration, control = Path(arguments[0]), folder / "control"
        text = configuration.read_text().replace("[v1.limits]", _LIMITS)
        text += f'\n[control]\nsocket = "{control}"\n[http]\nport = 0\n'
        if tls:
            text += f'certificate = "{made.certificate}"\nkey = "{made.key}"\n'
        configuration.write_text(text)
        with processes.spalloc_server(arguments) as server:
            threading.Thread(target=processes.drain, args=(server.process.stderr,), daemon=True).start()
            names = [f"user{number}" for number in range(ACCOUNTS)]
            for name in names:
                add = [*processes.SERVER, "account", "--socket", str(control), "add", name]
                subprocess.run(add, input=f"{PASSWORD}\n", text=True, check=True, stdout=subprocess.DEVNULL)
            context = ssl.create_default_context(cafile=str(made.bundle)) if tls else None
            service = Service("127.0.0.1", int(server.before["HTTP"]), tls=context)
            users = uvloop.run(_logged_in(service, names))
            yield Served(service, Address(server.host, server.port, server.process.pid), users)


async def _logged_in(service: Service, names: list[str]) -> list[User]:
    return [await logged_in(service, name, PASSWORD) for name in names]
