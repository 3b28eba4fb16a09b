"""The client for asyncio: the same names as in spalloc_client, with the same wire format and the same decisions.

Only the code that waits differs.
"""

from spalloc_client.aio.job import Job
from spalloc_client.aio.protocol_client import ProtocolClient
from spalloc_client.errors import (
    BootError,
    ConfigError,
    JobDestroyedError,
    ProtocolError,
    ProtocolTimeoutError,
    SpallocServerException,
    StateChangeTimeoutError,
)
from spalloc_client.states import JobState

__all__ = [
    "BootError",
    "ConfigError",
    "Job",
    "JobDestroyedError",
    "JobState",
    "ProtocolClient",
    "ProtocolError",
    "ProtocolTimeoutError",
    "SpallocServerException",
    "StateChangeTimeoutError",
]
