"""The fixture that other projects' tests use, as they would use it."""

import subprocess
import sys

import pytest

from spalloc_client.config import read_config
from spalloc_client.protocol_client import ProtocolClient
from spalloc_server.embedded import EmbeddedSite

SHOW_CONFIGURATION = """
from spalloc_client.config import read_config
found = read_config()
print(found["hostname"], found["port"])
"""


def test_a_test_gets_a_site_and_a_configuration_that_points_at_it(spalloc_site: EmbeddedSite) -> None:
    found = read_config()
    assert (found["hostname"], found["port"]) == (spalloc_site.hostname, spalloc_site.port)
    with ProtocolClient(spalloc_site.hostname, spalloc_site.port) as client:
        (machine,) = client.list_machines()
    assert (machine["width"], machine["height"]) == (1, 1)


@pytest.mark.spalloc_site(3, 2)
def test_a_marker_says_how_large_the_site_is(spalloc_site: EmbeddedSite) -> None:
    with ProtocolClient(spalloc_site.hostname, spalloc_site.port) as client:
        (machine,) = client.list_machines()
    assert (machine["width"], machine["height"]) == (3, 2)


@pytest.mark.slow
def test_programs_that_a_test_starts_find_the_site_too(spalloc_site: EmbeddedSite) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", SHOW_CONFIGURATION], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == [spalloc_site.hostname, str(spalloc_site.port)]
