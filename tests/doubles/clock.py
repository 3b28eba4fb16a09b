"""The time of a double, which a test can put forward."""

import time
from datetime import UTC, datetime


class Clock:
    """Seconds since 1970, as this computer has them, and what tests added."""

    def __init__(self) -> None:
        self._added = 0.0

    def now(self) -> float:
        return time.time() + self._added

    def advance(self, seconds: float) -> None:
        self._added += seconds


def written(moment: float) -> str:
    """As the service writes times: whole seconds, UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
