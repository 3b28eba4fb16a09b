"""Unix sockets that a server listens on: made so that nobody can connect before their modes are right.

Who speaks over them is decided where they are used.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

OWN = stat.S_IRUSR | stat.S_IWUSR
"""The mode of a socket that only the server's user and root can use."""
OWN_AND_GROUP = OWN | stat.S_IRGRP | stat.S_IWGRP
"""The mode of a socket that the server's group can use, too."""
_LONGEST_ADDRESS_BYTES = 100
"""Systems allow 103 to 107."""


class SocketError(OSError):
    """The socket can't be used; the message says why and what to do."""


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give a form of a path that is short enough for a socket; it is valid within the block."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path, mode: int = OWN, backlog: int = 128) -> socket.socket:
    """Return a socket that listens at `path`; it replaces one that a killed server left.

    Args:
        path: Where it listens.
        mode: Who may connect, as the mode of the file.
        backlog: How many connections may wait to be accepted, if the system allows it.

    Raises:
        SocketError: Another server listens there, another file is there, or the folder is not safe.
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
    # It has another name until its mode keeps other users out; then one renaming puts it in its place.
    new = path.with_name(f".{path.name}.{os.getpid()}")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        new.unlink(missing_ok=True)
        with _address(new) as address:
            listening.bind(address)
        new.chmod(mode)
        listening.listen(backlog)
        listening.setblocking(False)
        new.rename(path)
    except BaseException:
        listening.close()
        new.unlink(missing_ok=True)
        raise
    return listening


def connect(path: Path, seconds: float) -> socket.socket:
    """Return a connection to the server that listens at `path`.

    Args:
        path: Where the server listens.
        seconds: How long connecting, and each read and write, may take.

    Raises:
        OSError: No server listens there, or this user may not connect.
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
