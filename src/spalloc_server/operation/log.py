"""The format of the server's log: one line for each event, as key=value pairs that can't be forged.

Events are logged where they happen, with the standard library's logging.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

_PLAIN = re.compile(r"[A-Za-z0-9._:/@+,()\[\]-]+")
_STANDARD_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class LineFormatter(logging.Formatter):
    """Writes `time=... level=... message="..." key=value ...`, always as one line of ASCII.

    The `extra` of a logging call becomes keys. Quoted values are JSON strings.
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
            if key not in _STANDARD_ATTRIBUTES
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
    """Log only lines of `level` and above from now on."""
    logging.getLogger().setLevel(level.upper())
