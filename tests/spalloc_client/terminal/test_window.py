"""A window is drawn again whenever its size has changed, also where no signal says so."""

from io import BytesIO, TextIOWrapper

import pyte

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


def test_what_is_said_below_is_always_seen_and_does_not_stay() -> None:
    written = TextIOWrapper(BytesIO(), encoding="utf-8")
    console = ResizedConsole(written)
    with Window(console, lambda: None) as window:
        for console.now in ((20, 5), (20, 2), (20, 1)):
            before = written.tell()
            window.draw(
                [Text(f"line {number}") for number in range(console.now[1])], [Text("told"), Text("lost")]
            )
            written.seek(before)
            screen = pyte.Screen(*console.now)
            pyte.Stream(screen).feed(written.read())
            assert screen.display[-1].rstrip() == "lost"
            assert console.now[1] == 1 or screen.display[-2].rstrip() == "told"
        window.draw([Text("line 0")], [Text("lost")])
        before = written.tell()
    written.seek(before)
    assert "lost" not in written.read()
