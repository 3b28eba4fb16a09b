"""For other people's tests: a fixture that gives a test a whole site without hardware.

Found by pytest once the package is installed, so nothing heavy is imported before a test asks for the fixture.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from spalloc_server.words import another_server, what_to_install

if TYPE_CHECKING:
    from spalloc_server.embedded import EmbeddedSite

MARKER = "spalloc_site"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(width, height): the size in triads of the site that the fixture spalloc_site gives",
    )


@pytest.fixture
def spalloc_site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedSite]:
    """A running site of virtual boards, and a configuration that points every client at it.

    `Job(...)` and the commands find the site by themselves, in this process and in those that it starts. The site
    has one triad (three boards), or as many as the test's marker says: `@pytest.mark.spalloc_site(width, height)`.
    """
    from spalloc_client import config

    try:
        from spalloc_server.embedded import EmbeddedSite
    except ModuleNotFoundError as error:
        sentence = f"no site can be run: {what_to_install(error)}"
        raise pytest.fail.Exception(sentence, pytrace=False) from None
    if (another := another_server()) is not None:
        warnings.warn(another, stacklevel=2)
    marker = request.node.get_closest_marker(MARKER)
    width, height = _size(*marker.args, **marker.kwargs) if marker else (1, 1)
    directory = tmp_path_factory.mktemp("spalloc-site")
    with EmbeddedSite(width, height) as site:
        file = directory / config.SECTION
        file.write_text(
            f"[{config.SECTION}]\nhostname = {site.hostname}\nport = {site.port}\nowner = {request.node.name}\n",
            encoding="utf-8",
        )
        monkeypatch.setattr(config, "SEARCH_PATH", [str(file)])
        monkeypatch.setenv("XDG_CONFIG_HOME", str(directory))
        monkeypatch.setenv("XDG_CONFIG_DIRS", str(directory))
        yield site


def _size(width: int, height: int) -> tuple[int, int]:
    return width, height
