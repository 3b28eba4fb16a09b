"""What a command shows of a server's state: how it is asked for, and how it looks.

The shape that the commands' views have; showing them is showing.py's, following their changes watching.py's.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client.protocol_client import ProtocolClient
    from spalloc_client.terminal.text import Text

T = TypeVar("T")


class View(Protocol[T]):
    """Something of the server's to be shown: asked for as a value, which is then drawn."""

    def subscribe(self, client: ProtocolClient, timeout: float | None) -> None:
        """Ask to be told when it changes."""

    def ask(self, client: ProtocolClient, timeout: float | None) -> T:
        """Return what there is to show now; `timeout` is in seconds, for each answer, None for no limit."""

    def draw(self, shown: T, columns: int | None, lines: int | None) -> list[Text]:
        """Return it as lines, for a window of so many columns and lines; None for no window or no limit."""

    def status(self, shown: T) -> int:
        """Return the exit status of a command that has shown this."""

    def is_final(self, shown: T) -> bool:
        """Return whether there will never be anything else to show."""

    def json(self, shown: T) -> object:
        """Return it as a JSON object."""
