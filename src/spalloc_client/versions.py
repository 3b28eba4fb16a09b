"""The versions of servers that this client works with."""

from __future__ import annotations

ACCEPTED = (("0.1.0", "7.0.0"), ("1!0.1.0", "1!9.0.0"))
"""Ranges of versions whose servers speak the v1 protocol, first version in and last one out (PEP 440).

The first are the servers of the rig project and the Java server, the second those that carry the version of
the client they came with: 1!6.0.0, 1!6.0.1, 1!7.0.0-a5 and so on.
"""

JAVA = "5.0.0"
"""What the Java service says on its v1 port, where much is other than with other servers: see java_port.py."""

LONGEST = 200
"""Characters of a version that is read; Python reads no numbers of thousands of digits."""

_Version = tuple[int, tuple[int, ...], bool]

_PEP_440 = r"""
v? (?: (?P<epoch>[0-9]+) ! )? (?P<release>[0-9]+ (?: \.[0-9]+ )*)
(?P<pre> [-_.]? (?: alpha | a | beta | b | preview | pre | c | rc ) [-_.]? [0-9]* )?
(?P<post> -[0-9]+ | [-_.]? (?: post | rev | r ) [-_.]? [0-9]* )?
(?P<dev> [-_.]? dev [-_.]? [0-9]* )?
(?: \+ [a-z0-9]+ (?: [-_.][a-z0-9]+ )* )?
"""
"""What https://peps.python.org/pep-0440/ takes for a version."""


def complaint(version: object) -> str | None:
    """Return why this version is not supported, as a sentence; None if it is supported."""
    if not isinstance(version, str):
        return f"the server reports the version {version!r}, which is not a version"
    known = _read(version)
    if known is None:
        return f"the server reports the version {version!r}, which is not a version (PEP 440)"
    if any(_at_least(known, first) and not _at_least(known, last) for first, last in ACCEPTED):
        return None
    ranges = " or ".join(f"{first} to below {last}" for first, last in ACCEPTED)
    return (
        f"the server's version is {version}; this client talks to servers of versions {ranges}. "
        "Set ignore_version to talk to it all the same"
    )


def _at_least(version: _Version, release: str) -> bool:
    """Whether a version is the release or comes after it; a release comes after what leads up to it, as `1.0rc1`."""
    first = _read(release)
    assert first is not None
    return version[:2] > first[:2] or (version[:2] == first[:2] and not version[2])


def _read(version: str) -> _Version | None:
    """Return a version's epoch, its release without zeros at the end, and whether it only leads up to that release."""
    parts = version.split(".")
    if all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        # Nearly every server's: not worth the time that it takes to import re.
        return 0, _without_zeros(parts), False
    if len(version) > LONGEST:
        return None
    from re import ASCII, IGNORECASE, VERBOSE, fullmatch

    found = fullmatch(_PEP_440, version.strip(), ASCII | IGNORECASE | VERBOSE)
    if found is None:
        return None
    leads_up = found["pre"] is not None or (found["dev"] is not None and found["post"] is None)
    return int(found["epoch"] or 0), _without_zeros(found["release"].split(".")), leads_up


def _without_zeros(parts: list[str]) -> tuple[int, ...]:
    numbers = [int(part) for part in parts]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
