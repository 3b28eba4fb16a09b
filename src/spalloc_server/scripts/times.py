"""Moments as administrators type them, and as they are shown: in local time, always with the offset from UTC."""

import re
from datetime import datetime, time, timedelta

ALLOWED = (
    'now, a time of day such as 09:30, or a date and time such as "2026-12-01 09:30", in local time or with an offset '
    'from UTC, as in "2026-12-01 09:30+01:00"'
)
"""What can be read, for messages: `--from is ...; it must be ALLOWED`."""
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


def moment_of(text: str, after: datetime) -> datetime:
    """Return the moment that a string means, with the offset from UTC that is local then, or the one that is written.

    Args:
        text: A time of day means the next one after `after`.
        after: With its offset; "now" means this.

    Raises:
        ValueError: It can't be read.
    """
    text = text.strip()
    if text == "now":
        return after
    try:
        if _TIME_OF_DAY.fullmatch(text):
            of_day = time.fromisoformat(text.rjust(len(text) + len(text.partition(":")[0]) % 2, "0"))
            today = datetime.combine(after.date(), of_day).astimezone()
            if today > after:
                return today
            return datetime.combine(after.date() + timedelta(days=1), of_day).astimezone()
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} can't be read; it must be {ALLOWED}") from None
    return found if found.tzinfo is not None else found.astimezone()


def after_seconds(begin: datetime, seconds: float) -> datetime:
    """Return the moment that many seconds later, with the offset from UTC that is local then."""
    later = begin + timedelta(seconds=seconds)
    return later.astimezone() if begin.utcoffset() == begin.astimezone().utcoffset() else later


def shown(seconds: float) -> str:
    """Return a moment of Unix time in local time, such as "2026-12-01 09:30:00+01:00"."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", timespec="seconds")
