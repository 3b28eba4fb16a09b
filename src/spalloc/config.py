"""`spalloc.config` is `spalloc_client.config` itself, so that what is set in one is seen in the other."""

import sys

from spalloc_client import config
from spalloc_client.config import (
    CWD_CONFIG_FILE,
    DEFAULT_CONFIG,
    SEARCH_PATH,
    SECTION,
    SYSTEM_CONFIG_FILE,
    USER_CONFIG_FILE,
    read_config,
)

__all__ = [
    "CWD_CONFIG_FILE",
    "DEFAULT_CONFIG",
    "SEARCH_PATH",
    "SECTION",
    "SYSTEM_CONFIG_FILE",
    "USER_CONFIG_FILE",
    "read_config",
]

if __name__ == "__main__":
    config.main()
else:
    sys.modules[__name__] = config
