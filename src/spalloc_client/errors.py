"""The errors that callers of the client meet. Messages are written where an error is found."""


class ProtocolError(Exception):
    """The connection to the server is unusable, was lost, or brought something that is not the protocol."""


class ProtocolTimeoutError(Exception):
    """Thrown upon a protocol-level timeout: the server did not answer in time."""


class SpallocServerException(Exception):  # noqa: N818  # the name published clients have
    """The server understood a command and refused it; the message is the server's."""


class JobDestroyedError(Exception):
    """Thrown when the job was destroyed while waiting for it to become ready."""


class StateChangeTimeoutError(Exception):
    """Thrown when a state change takes too long to occur."""


class BootError(Exception):
    """A job's boards could not be booted; the message says why, and what to do."""


class ConfigError(ValueError):
    """A configuration file says something that can't be used; the message names file, option and value."""


class LoginError(SpallocServerException):
    """A service does not let anybody in with this name and password, or this token; or none are known."""
