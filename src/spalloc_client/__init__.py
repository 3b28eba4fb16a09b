"""Ask for SpiNNaker boards, keep them, and give them back.

These are the names that programs import. Each is defined in a module that is imported when the name is first used, so
that a program pays only for what it uses.
"""

from __future__ import annotations

from spalloc_client._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client.errors import (
        BootError,
        ConfigError,
        JobDestroyedError,
        LoginError,
        ProtocolError,
        ProtocolTimeoutError,
        SpallocServerException,
        StateChangeTimeoutError,
    )
    from spalloc_client.job import Job
    from spalloc_client.progress import Progress
    from spalloc_client.protocol_client import ProtocolClient
    from spalloc_client.states import JobState

__all__ = [
    "BootError",
    "ConfigError",
    "Job",
    "JobDestroyedError",
    "JobState",
    "LoginError",
    "Progress",
    "ProtocolClient",
    "ProtocolError",
    "ProtocolTimeoutError",
    "SpallocServerException",
    "StateChangeTimeoutError",
    "__version__",
]

_HOMES = {
    "Job": "job",
    "JobState": "states",
    "Progress": "progress",
    "ProtocolClient": "protocol_client",
    "BootError": "errors",
    "ConfigError": "errors",
    "JobDestroyedError": "errors",
    "LoginError": "errors",
    "ProtocolError": "errors",
    "ProtocolTimeoutError": "errors",
    "SpallocServerException": "errors",
    "StateChangeTimeoutError": "errors",
}
_MODULES = frozenset({"aio", "config", "job", "protocol_client", "spalloc_config", "states"})


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(f"spalloc_client.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        # Published clients have imported these by now: `import spalloc_client; spalloc_client.config` works
        # there.
        from importlib import import_module

        return import_module(f"spalloc_client.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
