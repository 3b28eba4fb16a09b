"""The address of a service that speaks HTTP. Its text never shows who logs in there; the login goes along unseen."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_ALLOWED = "a service's address, such as https://spalloc.example.org/spalloc/"
LONGEST_KEEPALIVE = 300.0
"""Seconds: the longest keepalive that services take."""

_USUAL_PATH = "/spalloc/"
_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")
_SECRET = re.compile(r"(://)[^/@\s]*@")


class Login:
    """Who logs in: a name with a password, or a token; each part may be missing."""

    __slots__ = ("password", "token", "username")

    def __init__(
        self, username: str | None = None, password: str | None = None, token: str | None = None
    ) -> None:
        self.username = username
        self.password = password
        self.token = token

    def __repr__(self) -> str:
        return f"<Login {'by token' if self.token is not None else self.username}>"

    @property
    def is_whole(self) -> bool:
        """Whether one can log in by it."""
        return self.token is not None or (self.username is not None and self.password is not None)


class ServiceUrl(str):
    """The address under which a service is found, ending in a slash: `https://HOST[:PORT]/spalloc/`.

    It is a string without name and password, which may be shown anywhere.
    """

    __slots__ = ("host", "login", "port")
    host: str
    port: int
    login: Login

    @classmethod
    def read(cls, name: str, text: str) -> Self:
        """Read an address.

        Args:
            name: What gives it, for messages.
            text: The address; `user:password@` may stand before the host. Without a path, it is that of every service.

        Raises:
            ValueError: It is none; the message shows no password.
        """
        if isinstance(text, cls):
            return text
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise _wrong(name, text) from None
        if not host or parts.scheme not in ("https", "http") or any(map(str.isspace, text)):
            raise _wrong(name, text)
        if parts.scheme == "http" and not _LOOPBACK.fullmatch(host):
            raise ValueError(
                f"{name} is {hidden(text)!r}; passwords go over HTTPS only: write https://, or the server's name "
                "without http:// if it is one of the older protocol"
            )
        path = parts.path.rstrip("/")
        path = f"{path}/" if path else _USUAL_PATH
        bracketed = f"[{host}]" if ":" in host else host
        made = cls(f"{parts.scheme}://{bracketed}{'' if port is None else f':{port}'}{path}")
        made.host = host
        made.port = port or (443 if parts.scheme == "https" else 80)
        made.login = Login(
            None if parts.username is None else unquote(parts.username),
            None if parts.password is None else unquote(parts.password),
        )
        return made

    def with_login(self, login: Login) -> Self:
        """Return the same address with another login."""
        made = type(self)(self)
        made.host, made.port, made.login = self.host, self.port, login
        return made


def _wrong(name: str, text: str) -> ValueError:
    return ValueError(f"{name} is {hidden(text)!r}; it must be {_ALLOWED}")


def hidden(text: str) -> str:
    """Return a string without what stands before the host in addresses."""
    return _SECRET.sub(r"\1", text)
