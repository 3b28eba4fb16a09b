"""What the Java service does that no service should, each by its name, so that a test can have it or not.

Each names the chapter of the service's description that tells of it; "16.5" is the fifth defect of chapter 16.
"""

from enum import Enum, auto


class Defect(Enum):
    """One defect, or one habit that surprises clients."""

    LOCALHOST = auto()
    """1: reached as 127.0.0.1, some references say `localhost`, to which the cookie is not sent."""
    REDIRECTS_HTML = auto()
    """2: without a login, who accepts HTML is sent to the login page: a 302 instead of a 401."""
    CSRF_BEFORE_BASIC = auto()
    """2: Basic without a cookie may read, and is answered 401 when it changes something."""
    BEARER_LOGIN_PAGE = auto()
    """2: the login page's cookie is worth nothing, although a bearer token came with the request."""
    TYPES_LIE = auto()
    """2: sentences in plain words are said to be JSON."""
    EVERYTHING_IS_500 = auto()
    """3: malformed JSON, unknown fields and groups are answered as faults of the service."""
    LOSES_CHANGES = auto()
    """9: a wait sees the next change only: what changed between two requests is told after the longest wait."""
    SIXTEEN_WAITS = auto()
    """9, 16.7: requests that wait, and those that change something, share 16 threads."""
    SHORT_REFERENCES = auto()
    """16.1: `job-ref` and `machine-ref` of a board or a job's machine lack a part of the path."""
    FIRST_BOARD_ONLY = auto()
    """16.2: a machine's chip is found on the first board only."""
    WRONG_JOB_CHIP = auto()
    """16.3: the chip of a job is told less the job's first chip, twice."""
    REPORTS_FAIL = auto()
    """16.4: the second report of a board fails."""
    BACK_TO_LIFE = auto()
    """16.5: a job that is destroyed while it waits for boards or power becomes READY; so does one that is powered."""
    WEBSOCKET_OUTLIVES_JOB = auto()
    """16.6: a destroyed job's websocket stays open, and opens channels to boards that are no longer the job's."""
    NMPI_JOBS_FAIL = auto()
    """16.10: `nmpi-job-id` is answered 500, whoever gives it."""
    EMERGENCY_KEEPS_BOARDS = auto()
    """16.13: after an emergency stop, boards stay with the jobs that it destroyed."""
    LISTENS_NOWHERE = auto()
    """12: a listener's address is 0.0.0.0, to which no board can send."""


ALL = frozenset(Defect)
NONE: frozenset[Defect] = frozenset()
