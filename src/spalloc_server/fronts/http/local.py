"""HTTPS on this computer for trying things out: settings, a certificate that its user can believe, and an account.

The command `--virtual --https` and embedded sites use it.
"""

import asyncio
import os
import secrets
import shlex
import socket
import string
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from spalloc_server.core.account_commands import AddAccount, SetPassword
from spalloc_server.core.askers import SERVER, Role
from spalloc_server.engine import Engine
from spalloc_server.fronts.http.connections.authority import Made, make_certificate
from spalloc_server.fronts.http.connections.server import HttpServer
from spalloc_server.fronts.http.settings import HttpSettings, Limits
from spalloc_server.passwords import Passwords, hashed

USER = "user"
"""The name of the account."""
_PASSWORD_CHARACTERS = 20
_FEW = Limits(connections=1_000)
"""Where the system allows few open files, nobody who tries things out must be told so."""
_BY = "the server"


@dataclass(frozen=True, slots=True)
class LocalHttps:
    """How to reach a site over HTTPS."""

    url: str
    """The service's address."""
    bundle: Path
    """The file of the authorities that clients are to believe."""
    user: str
    password: str | None
    """None if the account has another than the one that was made for it: only its user knows that."""
    hint: str | None = None
    """How its user logs in then, as the end of a sentence."""

    @property
    def url_with_login(self) -> str:
        """The address with name and password in it, as sPyNNaker takes it."""
        return self.url.replace("://", f"://{self.user}:{self.password or 'PASSWORD'}@", 1)

    def lines(self, control: Path) -> list[str]:
        """Return what a user is to paste, and where.

        Args:
            control: The control socket, over which tokens are made.
        """
        variables = ("REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
        bundle, socket_file = shlex.quote(str(self.bundle)), shlex.quote(str(control.absolute()))
        return [
            f"HTTPS is served at {self.url}",
            f"log in as {self.user} with {self.hint or f'password {self.password}'}",
            "",
            "# paste into the shell of SpiNNMan, sPyNNaker and other clients, so that they believe the certificate:",
            *(f"export {name}={bundle}" for name in variables),
            "",
            "# type for a token, in place of the password; `spalloc-server account --help` tells of more accounts:",
            f"spalloc-server account --socket {socket_file} token add {self.user} --name laptop",
            "",
            "# paste into ~/.spynnaker.cfg for sPyNNaker:",
            "[Machine]",
            "version = 5",
            f"spalloc_server = {self.url_with_login}",
        ]


def local_settings(folder: Path, host: str, port: int) -> tuple[HttpSettings, Made]:
    """Return settings for HTTPS on this computer, with a new certificate.

    Args:
        folder: Where the authority and the certificate are kept.
        host: The address to listen on.
        port: The port; 0 for any that is free.

    Raises:
        OSError: The folder can't be written.
    """
    names = dict.fromkeys(["localhost", "127.0.0.1", "::1", socket.gethostname(), host])
    made = make_certificate(folder, [name for name in names if _may_be_named(name)])
    settings = HttpSettings(
        addresses=(host,), port=port, certificate=made.certificate, key=made.key, limits=_FEW
    )
    return settings, made


def _may_be_named(name: str) -> bool:
    try:
        return not ip_address(name).is_unspecified
    except ValueError:
        return name.isascii() and bool(name)


async def _local_password(engine: Engine, folder: Path) -> tuple[str | None, str | None]:
    """Return the password of an account, made at its first use, and the hint where that is not known.

    The password is kept in a folder.

    Raises:
        OSError: The folder can't be written.
        RefusedError: There are too many accounts.
    """
    file = folder / "password"
    known = engine.site.accounts.by_name.get(USER)
    if known is not None and known.is_locked:
        return None, f"nothing: the account is locked; type spalloc-server account unlock {USER}"
    if known is not None and file.exists():
        password = file.read_text().strip()
        if known.password is None:
            return None, "a token: the account has no password"
        passwords = Passwords()
        is_right = await passwords.is_right(password, known.password)
        passwords.stop()
        return (password, None) if is_right else (None, "the password that the account was given since then")
    alphabet = string.ascii_letters + string.digits
    password = "".join(secrets.choice(alphabet) for _ in range(_PASSWORD_CHARACTERS))
    encoded = await asyncio.to_thread(hashed, password)
    if known is None:
        engine.do(AddAccount(USER, Role.USER, encoded, _BY), SERVER)
    else:
        engine.do(SetPassword(USER, encoded, _BY), SERVER)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(f"{password}\n")
    return password, None


async def local_https(engine: Engine, made: Made, server: HttpServer) -> LocalHttps:
    """Return how to reach a site whose server listens with settings of `local_settings`, and make its account.

    Raises:
        OSError: The folder of the certificate can't be written.
        RefusedError: There are too many accounts.
    """
    password, hint = await _local_password(engine, made.bundle.parent)
    url = f"https://localhost:{server.addresses[0][1]}{server.settings.base}"
    return LocalHttps(url, made.bundle.absolute(), USER, password, hint)
