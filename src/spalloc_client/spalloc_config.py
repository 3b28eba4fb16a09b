"""The configuration as an object with attributes, under the name some published clients give it."""

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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client.config import Files

__all__ = [
    "CWD_CONFIG_FILE",
    "DEFAULT_CONFIG",
    "SEARCH_PATH",
    "SECTION",
    "SYSTEM_CONFIG_FILE",
    "USER_CONFIG_FILE",
    "SpallocConfig",
]


class SpallocConfig:
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

    @property
    def hostname(self) -> str | None:
        """The server's name or address; None if no file says."""
        return self._values["hostname"]

    @property
    def owner(self) -> str | None:
        """Who owns created jobs; None if no file says."""
        return self._values["owner"]

    @property
    def port(self) -> int:
        """The server's port."""
        return self._values["port"]

    @property
    def keepalive(self) -> float | None:
        """Seconds without word from the client after which a job is destroyed, or None."""
        return self._values["keepalive"]

    @property
    def reconnect_delay(self) -> float:
        """Seconds between attempts to reconnect."""
        return self._values["reconnect_delay"]

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for a reply, or None."""
        return self._values["timeout"]

    @property
    def machine(self) -> str | None:
        """The only machine that jobs may run on, or None."""
        return self._values["machine"]

    @property
    def tags(self) -> list[str] | None:
        """The tags a machine must have, or None for the tag `default`."""
        return self._values["tags"]

    @property
    def min_ratio(self) -> float:
        """The least ratio of short side to long side."""
        return self._values["min_ratio"]

    @property
    def max_dead_boards(self) -> int | None:
        """How many dead boards an allocation may have, or None for any number."""
        return self._values["max_dead_boards"]

    @property
    def max_dead_links(self) -> int | None:
        """How many dead links an allocation may have, or None for any number."""
        return self._values["max_dead_links"]

    @property
    def require_torus(self) -> bool:
        """Whether an allocation must have wrap-around links."""
        return self._values["require_torus"]

    @property
    def ignore_version(self) -> bool:
        """Whether to talk to servers of unknown versions."""
        return self._values["ignore_version"]
