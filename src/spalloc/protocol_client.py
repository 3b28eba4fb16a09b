"""The module `spalloc_client.protocol_client` under its older import name.

`spalloc.protocol_client` is `spalloc_client.protocol_client` itself, so that what is set in one is seen in the other.
"""

import sys

from spalloc_client import protocol_client
from spalloc_client.protocol_client import (
    ProtocolClient,
    ProtocolError,
    ProtocolTimeoutError,
    SpallocServerException,
)

__all__ = ["ProtocolClient", "ProtocolError", "ProtocolTimeoutError", "SpallocServerException"]

sys.modules[__name__] = protocol_client
