"""Shows a view whenever it changes: in a window, or block after block where there is none.

A thread keeps in touch with the server, and connects again when it has to (feed.py). The main thread waits for its
news, for signals, and for the reader of our output to go away.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

from spalloc_client.polling import POLLERR, POLLHUP, POLLIN, POLLOUT
from spalloc_client.scripts.bell import HEARS_FILES
from spalloc_client.scripts.feed import Failed, Feed, Shown, Unreachable
from spalloc_client.scripts.interruption import Interruptions, Stopped
from spalloc_client.scripts.outcome import BROKEN_PIPE, SIGNALLED, SUCCESS
from spalloc_client.terminal.console import has_places, messages, output
from spalloc_client.terminal.keys import Keys
from spalloc_client.terminal.pager import Pager
from spalloc_client.terminal.text import Style, Text, printable
from spalloc_client.terminal.window import Window

if TYPE_CHECKING:
    from spalloc_client.scripts.feed import View
    from spalloc_client.scripts.server import Server
    from spalloc_client.terminal.console import Console

T = TypeVar("T")

if sys.platform == "win32":
    _PIECE = 1024
else:
    from select import PIPE_BUF

    _PIECE = PIPE_BUF // 4
    """Characters that a writable pipe accepts as a whole, whatever they are."""

_LOOK = None if HEARS_FILES else 1.0
"""Seconds between checks of the window's size, where no signal announces a change."""


_LOOK_FOR_KEYS = 0.5
"""Seconds between attempts to read the keys while another process has the terminal."""


def watch(view: View[T], server: Server, *, as_json: bool) -> int:
    """Show a view at once and at every change, until it is final or `q` or Ctrl-C comes; return the exit status."""
    gc.enable()
    console = output()
    in_window = console.is_terminal and not as_json and has_places(os.environ)
    try:
        with Interruptions() as interruptions:
            if HEARS_FILES:
                # Asked for nothing, poll still reports that a pipe's reader has gone.
                interruptions.bell.hear(sys.stdout.fileno(), 0)
            feed = Feed(view, server, interruptions.bell.ring)
            feed.start()
            if in_window:
                return _in_window(view, feed, interruptions, console, server)
            return _in_blocks(view, feed, interruptions, console, as_json=as_json)
    except Stopped as stopped:
        return SUCCESS if stopped.number == signal.SIGINT else SIGNALLED + stopped.number


def _in_window(
    view: View[T], feed: Feed[T], interruptions: Interruptions, console: Console, server: Server
) -> int:
    shown = _first(feed, interruptions).shown
    lost: Unreachable | None = None
    keys = Keys.found()
    pager = Pager(has_keys=keys is not None)
    with Window(console, interruptions.bell.ring, keys) as window:
        while True:
            columns, lines = window.size
            notice = [] if lost is None else [_notice(lost, server)]
            part, told = pager.shown(view.draw(shown, columns, lines), columns, max(1, lines - len(notice)))
            window.draw(part, [*told, *notice])
            if view.is_final(shown):
                return view.status(shown)
            found = _heard(interruptions, keys)
            if _reader_gone(found):
                return BROKEN_PIPE
            if keys is not None and keys.descriptor in found and any(map(pager.press, keys.read())):
                return SUCCESS
            for news in feed.take():
                shown, lost = (shown, news) if isinstance(news, Unreachable) else (_checked(news).shown, None)


def _heard(interruptions: Interruptions, keys: Keys | None) -> dict[int, int]:
    """Wait for news, and for keys while this process has the terminal."""
    if keys is None:
        return interruptions.wait(_LOOK)
    if not keys.taken:
        # In the background. No signal tells that we are in the foreground again.
        found = interruptions.wait(_LOOK_FOR_KEYS)
        keys.take()
        return found
    interruptions.bell.hear(keys.descriptor, POLLIN)
    try:
        return interruptions.wait(_LOOK)
    finally:
        interruptions.bell.ignore(keys.descriptor)


def _in_blocks(
    view: View[T], feed: Feed[T], interruptions: Interruptions, console: Console, *, as_json: bool
) -> int:
    earlier = ""
    log = messages()
    while True:
        for news in feed.take():
            if isinstance(news, Unreachable):
                log.print([f"connecting again: {printable(news.trouble)}"])
                continue
            shown = _checked(news).shown
            if as_json:
                block = [Text(json.dumps(view.json(shown)))]
            else:
                block = [*view.draw(shown, console.columns, None), Text()]
            text = "".join([line.coded(console.colour) + "\n" for line in block])
            if text != earlier:
                if not _written(text, console, interruptions):
                    return BROKEN_PIPE
                earlier = text
            if view.is_final(shown):
                return view.status(shown)
        if _reader_gone(interruptions.wait()):
            return BROKEN_PIPE


def _written(text: str, console: Console, interruptions: Interruptions) -> bool:
    """Write as fast as the reader reads, and stop when told to even if it reads no more; whether it is still there."""
    if not HEARS_FILES:
        console.write(text)
        return True
    out = console.stream.fileno()
    interruptions.bell.hear(out, POLLOUT)
    try:
        for start in range(0, len(text), _PIECE):
            found: dict[int, int] = {}
            while not found.get(out):
                found = interruptions.wait()
            if _reader_gone(found):
                return False
            console.write(text[start : start + _PIECE])
    finally:
        interruptions.bell.hear(out, 0)
    return True


def _first(feed: Feed[T], interruptions: Interruptions) -> Shown[T]:
    """Wait for the first view before the window is touched: what goes wrong until then is said in the usual place."""
    while True:
        for news in feed.take():
            if not isinstance(news, Unreachable):
                return _checked(news)
        interruptions.wait()


def _checked(news: Shown[T] | Failed) -> Shown[T]:
    if isinstance(news, Failed):
        raise news.error
    return news


def _reader_gone(found: dict[int, int]) -> bool:
    return any(events & (POLLERR | POLLHUP) for events in found.values())


def _notice(lost: Unreachable, server: Server) -> Text:
    # Twice the server's name, and the reason is out of sight in a window of 80 columns.
    to = "" if str(server) in lost.trouble else f" to {server}"
    return Text(f"Connecting again{to}: {printable(lost.trouble)}", Style.YELLOW)
