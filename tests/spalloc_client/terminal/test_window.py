# A window is drawn anew whenever its size has changed, also where no signal tells of it.

from io import BytesIO, TextIOWrapper

from spalloc_client.terminal.console import Console
from spalloc_client.terminal.text import Text
from spalloc_client.terminal.window import Window


class ResizedConsole(Console):
    """A terminal whose size a test sets."""

    now = (20, 5)

    @property
    def size(self) -> tuple[int, int]:
        """What was set."""
        return self.now


def test_what_has_not_changed_is_written_once_for_each_size_of_the_window() -> None:
    written = TextIOWrapper(BytesIO(), encoding="utf-8")
    console = ResizedConsole(written)
    with Window(console, lambda: None) as window:
        window.draw([Text("three boards")])
        once = written.tell()
        window.draw([Text("three boards")])
        assert written.tell() == once
        console.now = (8, 5)
        window.draw([Text("three boards")])
        written.seek(once)
        assert "\033[2J" in written.read()
