"""Which servers are talked to."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

from spalloc_client.versions import ACCEPTED, complaint

numbers = st.sampled_from(["0", "1", "5", "6", "7", "8", "9", "00", "01", "10", "2026"])
pieces = numbers | st.sampled_from(
    [
        "!",
        ".",
        "-",
        "_",
        "+",
        " ",
        "v",
        "a",
        "b",
        "c",
        "rc",
        "RC",
        "alpha",
        "pre",
        "post",
        "rev",
        "dev",
        "x",
        "SNAPSHOT",
    ]
)
likely = st.builds(
    lambda epoch, release, ends: epoch + ".".join(release) + "".join(ends),
    st.sampled_from(["", "", "1!", "0!", "2!", "v"]),
    st.lists(numbers, min_size=1, max_size=4),
    st.lists(pieces, max_size=4),
)


@given(likely | st.lists(pieces, max_size=8).map("".join) | st.text(max_size=8))
@example("1.0a.")
@example("7.0.0.dev1")
@example("7.0.0.post1.dev2")
@example("1!0.1.0c")
@example("0.1+local.7")
@example("\u0661.0")
def test_versions_are_read_as_packaging_reads_them(version: str) -> None:
    try:
        known = Version(version)
    except InvalidVersion:
        assert "is not a version" in str(complaint(version))
        return
    accepted = any(Version(first) <= known < Version(last) for first, last in ACCEPTED)
    assert (complaint(version) is None) == accepted


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
