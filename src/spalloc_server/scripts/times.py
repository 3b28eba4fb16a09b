"""Moments as administrators type them, and as they are shown: in local time, always with the offset from UTC."""

import re
from datetime import datetime, time, timedelta

from spalloc_client import durations

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


PAST_ALLOWED = (
    'now, a time such as "2026-12-01 09:30", a date such as 2026-12-01 or a month such as 2026-12 for its beginning, a '
    "time of day such as 09:30 for the latest one, or how long ago it was, such as 12h or 30d; in local time, or with "
    'an offset from UTC, as in "2026-12-01 09:30+01:00"'
)
"""What can be read of the past, for messages."""
_MONTH = re.compile(r"\d{4}-\d{2}")
_DURATION = re.compile(r"[\d.]+[a-z].*")


def past_moment(text: str, now: datetime) -> datetime:
    """Return the moment that a string means to somebody who asks about the past, with an offset from UTC.

    Args:
        text: A time of day means the latest one, a month its beginning, and a duration so long ago.
        now: With its offset; "now" means this.

    Raises:
        ValueError: It can't be read.
    """
    text = text.strip()
    try:
        if text == "now":
            return now
        if _DURATION.fullmatch(text):
            return now - timedelta(seconds=durations.read(text))
        if _MONTH.fullmatch(text):
            text += "-01"
        return moment_of(text, now - timedelta(days=1))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} can't be read; it must be {PAST_ALLOWED}") from None


def after_seconds(begin: datetime, seconds: float) -> datetime:
    """Return the moment that many seconds later, with the offset from UTC that is local then."""
    later = begin + timedelta(seconds=seconds)
    return later.astimezone() if begin.utcoffset() == begin.astimezone().utcoffset() else later


def shown(seconds: float) -> str:
    """Return a moment of Unix time in local time, such as "2026-12-01 09:30:00+01:00"."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", timespec="seconds")
