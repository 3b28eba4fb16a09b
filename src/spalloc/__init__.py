"""The client's older import name: everything here is spalloc_client's, under the names programs know from then."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client import (
        BootError,
        ConfigError,
        Job,
        JobDestroyedError,
        JobState,
        Progress,
        ProtocolClient,
        ProtocolError,
        ProtocolTimeoutError,
        SpallocServerException,
        StateChangeTimeoutError,
        __version__,
    )

__all__ = [
    "BootError",
    "ConfigError",
    "Job",
    "JobDestroyedError",
    "JobState",
    "Progress",
    "ProtocolClient",
    "ProtocolError",
    "ProtocolTimeoutError",
    "SpallocServerException",
    "StateChangeTimeoutError",
    "__version__",
]


def __getattr__(name: str) -> object:
    import spalloc_client

    return getattr(spalloc_client, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
