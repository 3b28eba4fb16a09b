"""The server's log: one line an event, key=value, and nothing in it that could pass for something else.

What is logged is said where it happens, with the standard library's logging; this is only how it looks.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

_PLAIN = re.compile(r"[A-Za-z0-9._:/@+,()\[\]-]+")
_BROUGHT_BY_LOGGING = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class LineFormatter(logging.Formatter):
    """Writes `time=... level=... message="..." key=value ...`, always in one line of ASCII.

    What is given as `extra` to a logging call becomes keys of their own. Quoted values are JSON strings.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a record."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        parts = [
            f"time={time.replace('+00:00', 'Z')}",
            f"level={record.levelname.lower()}",
            f"message={json.dumps(record.getMessage())}",
        ]
        parts += [
            f"{key}={_shown(value)}"
            for key, value in record.__dict__.items()
            if key not in _BROUGHT_BY_LOGGING
        ]
        if record.exc_info:
            parts.append(f"traceback={json.dumps(self.formatException(record.exc_info))}")
        return " ".join(parts)


def _shown(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def begin(level: str, stream: TextIO | None = None) -> None:
    """Write the log to standard error from now on, lines of `level` and above."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)


def set_level(level: str) -> None:
    """Leave out lines below `level` from now on."""
    logging.getLogger().setLevel(level.upper())
