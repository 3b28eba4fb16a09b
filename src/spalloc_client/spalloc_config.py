"""The configuration as an object with attributes, under the name that some published clients give it."""

from __future__ import annotations

from spalloc_client.config import (
    CWD_CONFIG_FILE,
    DEFAULT_CONFIG,
    SEARCH_PATH,
    SECTION,
    SYSTEM_CONFIG_FILE,
    USER_CONFIG_FILE,
    read_config,
)
from spalloc_client.options import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from spalloc_client.config import Files
    from spalloc_client.options import ConfigAttributes
else:
    ConfigAttributes = object

__all__ = [
    "CWD_CONFIG_FILE",
    "DEFAULT_CONFIG",
    "SEARCH_PATH",
    "SECTION",
    "SYSTEM_CONFIG_FILE",
    "USER_CONFIG_FILE",
    "SpallocConfig",
]


class SpallocConfig(ConfigAttributes):
    """What the configuration says, defaults included; `spalloc_client.config` explains the options."""

    __slots__ = ("_values",)

    def __init__(self, filenames: Files | None = None) -> None:
        """Read configuration files.

        Args:
            filenames: Files to read, later ones overriding earlier ones, or one file; None for the default search path.

        Raises:
            ConfigError: A file says something that can't be used.
        """
        self._values = read_config(filenames)

    def __getattr__(self, name: str) -> Any:
        """The value of an option.

        Raises:
            ConfigError: A file says something that can't be used.
        """
        if name in BY_NAME:
            return self._values[name]  # type: ignore[literal-required]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *BY_NAME})
