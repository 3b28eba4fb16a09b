# Which servers are talked to.

import pytest

from spalloc_client.versions import complaint


@pytest.mark.parametrize(
    "version",
    [
        "0.1.0",
        "0.4.0",
        "1.0.0",
        "1.0",
        "5",
        "6.9.9",
        "6.0.0-SNAPSHOT",
        "6.0.0rc1",
        "1!6.0.0",
        "1!6.0.1",
        "1!7.0.0-a5",
        "1!7.0.0",
        "1!7.4.1",
        "1!8.0.0",
    ],
)
def test_versions_of_servers_that_speak_the_protocol_are_accepted(version: str) -> None:
    if version == "6.0.0-SNAPSHOT":
        assert "not a version (PEP 440)" in str(complaint(version))
    else:
        assert complaint(version) is None


@pytest.mark.parametrize(
    "version", ["0.0.9", "0.1.0rc1", "7.0.0", "7", "10.0", "1!0.0.9", "1!9.0.0", "2!0.1"]
)
def test_a_version_out_of_range_is_refused_in_a_sentence_that_says_both_sides(version: str) -> None:
    said = complaint(version)
    assert said == (
        f"the server's version is {version}; this client talks to servers of versions 0.1.0 to below 7.0.0 "
        "or 1!0.1.0 to below 1!9.0.0. Set ignore_version to talk to it all the same"
    )


@pytest.mark.parametrize("version", ["", "x", "1..2", "1.0.0-", None, 7, ["1", "0"], "²", "1" * 5000 + "x"])
def test_what_is_not_a_version_is_refused(version: object) -> None:
    assert "is not a version" in str(complaint(version))
