"""With which status a client is told what the core refuses."""

from collections.abc import Mapping
from http import HTTPStatus

from spalloc_server.core.commands import RefusedError
from spalloc_server.core.refusals import Sort
from spalloc_server.fronts.http.api.answers import HttpError, later

AGAIN_SECONDS = 5.0
"""After how long a client may ask again for what the server can't do just now."""

STATUSES: Mapping[Sort, HTTPStatus] = {
    Sort.WRONG: HTTPStatus.BAD_REQUEST,
    Sort.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Sort.CROWDED: HTTPStatus.TOO_MANY_REQUESTS,
    Sort.CLASHING: HTTPStatus.CONFLICT,
    Sort.OVER: HTTPStatus.GONE,
    Sort.CLOSED: HTTPStatus.SERVICE_UNAVAILABLE,
}
_PASSING = frozenset({Sort.CROWDED, Sort.CLOSED})


def refused(error: RefusedError) -> HttpError:
    """Return the answer to a command that is refused."""
    return _told(str(error), error.sort)


def failed() -> HttpError:
    """Return the answer to whatever is asked of a server that has failed, and is about to be started again."""
    return _told("the server failed and ends; ask again when it is back", Sort.CLOSED)


def require(refusal: str | None) -> None:
    """Refuse a request where the core has a reason to.

    Raises:
        HttpError: It has.
    """
    if refusal is not None:
        raise refused(RefusedError(refusal))


def _told(sentence: str, sort: Sort) -> HttpError:
    status = STATUSES[sort]
    return later(status, sentence, AGAIN_SECONDS) if sort in _PASSING else HttpError(status, sentence)
