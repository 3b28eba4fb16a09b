"""Which user of this computer speaks over the control socket: only the server's own and root may.

The system is asked, since the modes of files don't show every way in which a folder is shared.
"""

import os
import pwd
import socket
import struct

_CREDENTIALS = struct.Struct("3i")
"""The IDs of a process, its user and its group, as `SO_PEERCRED` returns them (unix(7))."""
ROOT = 0


def may_speak(connection: socket.socket) -> bool:
    """Return whether the client's user is this process's or root; True where only the socket's mode protects it."""
    user = _user_of(connection)
    return user is None or user in (ROOT, os.geteuid())


def name_of(connection: socket.socket) -> str:
    """Return the name of the client's user on this computer."""
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
