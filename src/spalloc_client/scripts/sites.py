"""`--virtual WxH`: starts a server with virtual boards inside the command's own process.

An installed distribution provides the site; the client itself knows neither server nor virtual boards.
"""

from __future__ import annotations

import sys

from spalloc_client.scripts.outcome import BOARDS_UNREACHABLE, USAGE, CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Protocol

    from spalloc_client.scripts.interruption import Interruptions

    class Site(AbstractContextManager["Site"], Protocol):
        """A running server; entering starts it and leaving stops it."""

        hostname: str
        port: int


GROUP = "spalloc_client.sites"
VIRTUAL = "virtual"


def size(text: str) -> tuple[int, int]:
    """Read `WxH`, a width and a height in triads.

    Raises:
        ValueError: It has another form.
    """
    # Not before: most commands have no site.
    from spinnaker.geometry import Size

    return Size.parse(text)


def virtual_site(width: int, height: int) -> Site:
    """Return a site of `width` by `height` triads of virtual boards, not yet started.

    Raises:
        CommandError: The part of spalloc that has servers is not installed, or has no site of that size.
    """
    if sys.platform == "win32":
        raise CommandError(USAGE, "--virtual needs the server, which does not run on Windows")
    from importlib.metadata import entry_points

    found = list(entry_points(group=GROUP, name=VIRTUAL))
    try:
        site: Site = found[0].load()(width, height)
    except (IndexError, ImportError) as error:
        raise CommandError(
            USAGE, "--virtual needs the server, which is not installed: pip install 'spalloc[server]'"
        ) from error
    except ValueError as error:
        raise CommandError(USAGE, f"--virtual: {error}") from error
    return site


class RunningSite:
    """A site of virtual boards that runs while this is entered.

    A large one takes a second or two to start. A signal need not wait for it: the site is then left to itself, and
    stops as soon as it has started.
    """

    def __init__(self, interruptions: Interruptions, width: int, height: int) -> None:
        """Prepare a site of `width` by `height` triads; `interruptions` brings signals meanwhile."""
        # Not before: most commands have no site.
        from threading import Lock

        self._size = (width, height)
        self._interruptions = interruptions
        self._changing = Lock()
        self._site: Site | None = None
        self._unwanted = False

    def __enter__(self) -> Site:
        """Start the site.

        Raises:
            CommandError: The part of spalloc that has servers is not installed, has no site of that size, or can't have
                its addresses.
            Stopped: A signal came first.
        """
        try:
            return self._interruptions.outcome_of(self._start)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        """Stop the site, or let it stop once it has started."""
        with self._changing:
            self._unwanted = True
            site, self._site = self._site, None
        if site is not None:
            site.__exit__(None, None, None)

    def _start(self) -> Site:
        site = virtual_site(*self._size)
        try:
            site.__enter__()
        except OSError as error:
            raise CommandError(BOARDS_UNREACHABLE, f"--virtual: {error.strerror or error}") from error
        with self._changing:
            if not self._unwanted:
                self._site = site
                return site
        site.__exit__(None, None, None)
        return site
