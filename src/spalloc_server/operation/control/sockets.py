"""The control socket in the file system: where nobody but the server's user and root gets at it.

Who connects is asked of the system as well, since a folder may be shared in ways that modes don't tell.
"""

import contextlib
import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

_LONGEST_ADDRESS_BYTES = 100
"""Systems take 103 to 107."""
_CREDENTIALS = struct.Struct("3i")
"""A process's ID, its user's and its group's, as `SO_PEERCRED` has them (unix(7))."""
ROOT = 0


class SocketError(OSError):
    """The socket can't be used; the message says why and what to do."""


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give a path in a form that is short enough for a socket, as long as the block lasts."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at `path`, in place of one that a server left behind when it was killed.

    Raises:
        SocketError: Another server listens there, or something else is there, or it is no safe place.
        OSError: The system doesn't allow it.
    """
    folder = path.parent.stat()
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise SocketError(f"everybody may write into {path.parent}; forbid it with: chmod o-w {path.parent}")
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketError(f"{path} is there and is no socket; move it away, or choose another place")
        with contextlib.suppress(ConnectionRefusedError), connect(path, 1.0):
            raise SocketError(f"another server listens at {path}; each needs a place of its own")
    # Under another name until nobody else can open it: it takes its place at once, whatever was there.
    new = path.with_name(f".{path.name}.{os.getpid()}")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        new.unlink(missing_ok=True)
        with _address(new) as address:
            listening.bind(address)
        new.chmod(stat.S_IRUSR | stat.S_IWUSR)
        listening.listen()
        listening.setblocking(False)
        new.rename(path)
    except BaseException:
        listening.close()
        new.unlink(missing_ok=True)
        raise
    return listening


def connect(path: Path, seconds: float) -> socket.socket:
    """Return a connection to whoever listens at `path`.

    Args:
        path: Where the server listens.
        seconds: How long the connection, and each reading and writing afterwards, may take.

    Raises:
        OSError: Nobody listens there, or this user may not connect.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        with _address(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def may_speak(connection: socket.socket) -> bool:
    """Return whether whoever connected is this process's user or root; where the system can't say, modes must do."""
    user = _user_of(connection)
    return user is None or user in (ROOT, os.geteuid())


def name_of(connection: socket.socket) -> str:
    """Return what whoever connected is called on this computer."""
    user = _user_of(connection)
    if user is None:
        return "an administrator"
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _user_of(connection: socket.socket) -> int | None:
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _, user, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return int(user)
