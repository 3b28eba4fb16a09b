# Which servers this client talks to, told from the version they report.
"""Versions of servers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from packaging.version import Version

ACCEPTED = (("0.1.0", "7.0.0"), ("1!0.1.0", "1!9.0.0"))
"""Ranges of versions whose servers speak the v1 protocol, first version in and last one out (PEP 440).

The first are the servers of the rig project and the Java server, the second those that carry the version of
the client they came with: 1!6.0.0, 1!6.0.1, 1!7.0.0-a5 and so on.
"""


def complaint(version: object) -> str | None:
    """Why a server of this version is not talked to, as a sentence; None if it is."""
    if not isinstance(version, str):
        return f"the server reports the version {version!r}, which is not a version"
    # Versions of numbers alone are ordered as tuples. Only others are worth the time it takes to import
    # packaging.
    parts = version.split(".")
    if all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        accepted = (0, 1) <= tuple(map(int, parts)) < (7,)
    else:
        parsed = _parse(version)
        if parsed is None:
            return f"the server reports the version {version!r}, which is not a version (PEP 440)"
        accepted = any(_parsed(first) <= parsed < _parsed(last) for first, last in ACCEPTED)
    if accepted:
        return None
    ranges = " or ".join(f"{first} to below {last}" for first, last in ACCEPTED)
    return (
        f"the server's version is {version}; this client talks to servers of versions {ranges}. "
        "Set ignore_version to talk to it all the same"
    )


def _parsed(version: str) -> Version:
    from packaging.version import Version

    return Version(version)


def _parse(version: str) -> Version | None:
    from packaging.version import InvalidVersion

    try:
        return _parsed(version)
    except InvalidVersion:
        return None
