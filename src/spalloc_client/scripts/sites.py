# `--virtual WxH`: a server with virtual boards inside the command's own process.
#
# The site comes from whatever distribution offers it; the client itself knows neither server nor virtual boards.
"""Sites that need no server elsewhere."""

from __future__ import annotations

import re

from spalloc_client.scripts.outcome import USAGE, CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Protocol

    class Site(AbstractContextManager["Site"], Protocol):
        """A running server; entering starts it and leaving stops it."""

        hostname: str
        port: int


GROUP = "spalloc_client.sites"
VIRTUAL = "virtual"

_SIZE = re.compile(r"([1-9][0-9]*)[xX×]([1-9][0-9]*)")


def size(text: str) -> tuple[int, int]:
    """Read `WxH`, a width and a height in triads.

    Raises:
        argparse.ArgumentTypeError: It isn't that.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"expected WIDTHxHEIGHT in triads, such as 2x2, not {text!r}")
    return int(match[1]), int(match[2])


def virtual_site(width: int, height: int) -> Site:
    """Return a site of `width` by `height` triads of virtual boards, not yet started.

    Raises:
        CommandError: The part of spalloc that has servers is not installed.
    """
    from importlib.metadata import entry_points

    found = list(entry_points(group=GROUP, name=VIRTUAL))
    try:
        site: Site = found[0].load()(width, height)
    except (IndexError, ImportError) as error:
        raise CommandError(
            USAGE, "--virtual needs the server, which is not installed: pip install 'spalloc[server]'"
        ) from error
    return site
