"""What a resource is: its path, methods, who may use them, and what they take and answer.

The rows are in resources.py; the OpenAPI document is made of them, in openapi.py. Each path becomes one ASGI endpoint.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Protocol, TypeAlias, get_args, get_origin

import msgspec
from starlette.types import Receive, Scope, Send

from spalloc_server.core.rights import Right, role_refusal
from spalloc_server.fronts.http import origin
from spalloc_server.fronts.http.api.answers import Answer, Header, HttpError, text
from spalloc_server.fronts.http.api.conventions import read_boolean, read_whole_number
from spalloc_server.fronts.http.api.entrance import Entrance
from spalloc_server.fronts.http.api.mistakes import in_words
from spalloc_server.fronts.http.api.refusals import require
from spalloc_server.fronts.http.api.request_turns import CHANGE, Turns
from spalloc_server.fronts.http.api.requests import MOST_BODY_BYTES, ClientGoneError, Request, require_kind
from spalloc_server.fronts.http.api.underway import UnderWay

_log = logging.getLogger(__name__)


class LaterAnswer(Protocol):
    """What is sent later, or piece by piece."""

    def with_headers(self, *headers: Header) -> "LaterAnswer":
        """Have it sent with further headers."""

    async def wait(self, receive: Receive, send: Send, *, head_only: bool) -> None:
        """Send it, or its head only, unless the client leaves before.

        Raises:
            HttpError: It can't be sent, and nothing of it has been.
        """


Reply: TypeAlias = Answer | LaterAnswer | Awaitable[Answer | LaterAnswer]

_ONCE_ONLY = frozenset({b"authorization", b"content-length", b"content-type", b"cookie", b"x-csrf-token"})
"""Headers of which a second one may be meant for somebody else on the way."""


class Raw(Enum):
    """A body that is no document."""

    TEXT = "text/plain"
    BYTES = "application/octet-stream"
    FORM = "application/x-www-form-urlencoded"
    HTML = "text/html"
    JSON = "application/json"
    SCRIPT = "text/javascript"
    STYLE = "text/css"


Content: TypeAlias = type[msgspec.Struct] | Raw | None


class Query(msgspec.Struct, rename="kebab", frozen=True):
    """The fields of a query, each a boolean, a whole number or a string; others are ignored."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a resource."""

    method: str
    path: str
    """Below the service's path, with names in braces."""
    name: str
    about: str
    """One sentence."""
    run: Callable[..., Reply]
    """Called with the request, and by name with the parts of the path, `query` and `body` where there are any."""
    right: Right | None = Right.LOOK
    """What its client must have the right to; None where nobody needs to log in."""
    query: type[Query] | None = None
    body: Content = None
    most_body_bytes: int = MOST_BODY_BYTES
    in_pieces: bool = False
    """Whether `run` reads the body itself, piece by piece, and no `body` is passed to it."""
    answers: Mapping[int, Content] = field(default_factory=dict)
    """What a request that is done may be answered."""
    by_form: bool = False
    """Whether pages' forms are sent here, so that `run` looks at the token against forged requests."""


class Endpoint:
    """The methods of one path, as an ASGI application."""

    def __init__(
        self,
        operations: Sequence[Operation],
        entrance: Entrance,
        under_way: UnderWay,
        turns: Turns,
        base: str,
    ) -> None:
        """Serve the operations, all of one path.

        Args:
            operations: They have different methods.
            entrance: Lets clients in.
            under_way: Counts their requests.
            turns: Says when each is done.
            base: The service's path.
        """
        self._entrance = entrance
        self._under_way = under_way
        self._turns = turns
        self._base = base
        self._of = {one.method: _Prepared(one) for one in operations}
        if "GET" in self._of:
            self._of["HEAD"] = self._of["GET"]
        allowed = ", ".join([*self._of, "OPTIONS"])
        self._allow: Header = b"allow", allowed.encode()
        self._not_allowed = f"{{}} can't be done here; {allowed} can"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head_only = scope["method"] == "HEAD"
        try:
            reply = await self._reply(scope, receive)
            if not isinstance(reply, Answer):
                await reply.wait(receive, send, head_only=head_only)
                return
        except HttpError as error:
            reply = error.answer
        except ClientGoneError:
            return
        await reply.send(send, head_only=head_only)

    async def _reply(self, scope: Scope, receive: Receive) -> Answer | LaterAnswer:
        try:
            where = origin.of(scope)
        except origin.UnknownOriginError as error:
            raise HttpError(400, str(error)) from error
        request = Request(scope, receive, where, self._base)
        if len(request.headers) < len(scope["headers"]):
            refuse_doubled(scope["headers"])
        method = request.method
        prepared = self._of.get(method)
        if prepared is None:
            if method == "OPTIONS":
                return Answer(200, headers=(self._allow,))
            return text(self._not_allowed.format(method[:20]), 405, self._allow)
        group = self._under_way.enter_from(where.address)
        try:
            return await self._admitted(request, prepared, group)
        finally:
            self._under_way.leave_from(group)

    async def _admitted(self, request: Request, prepared: "_Prepared", group: str) -> Answer | LaterAnswer:
        operation = prepared.operation
        cookie = await self._entrance.admit(request, by_form=operation.by_form)
        if operation.right is not None:
            if request.session is None:
                return self._entrance.unknown(request)
            # Before a body is read that may be long; what is done asks the core again.
            require(role_refusal(request.session.login, operation.right))
        account = None if request.session is None else request.session.login.account
        if account is not None:
            self._under_way.enter_of(account, request.origin.address)
        try:
            parts = await prepared.parts(request)
            turn = self._turns.take(account or group, prepared.effort)
            if turn is not None:
                await turn
            # A body may take a minute to come.
            self._entrance.check_live(request)
            reply = prepared.run(request, **request.scope["path_params"], **parts)
            if inspect.isawaitable(reply):
                reply = await reply
        except HttpError as error:
            reply = error.answer
        finally:
            if account is not None:
                self._under_way.leave_of(account)
        if cookie:
            reply = reply.with_headers(*cookie)
        return reply


class _Prepared:
    """An operation, and what is worked out once for all of its requests."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.run = operation.run
        self.effort = 1 if operation.method == "GET" else CHANGE
        self._query = None if operation.query is None else QueryReader(operation.query)
        body = operation.body
        self._decoder = None
        if isinstance(body, type):
            self._decoder = msgspec.json.Decoder(body)
        self._raw = body if isinstance(body, Raw) and not operation.in_pieces else None

    async def parts(self, request: Request) -> dict[str, Any]:
        """Return the request's query and body, as far as the operation takes them."""
        parts: dict[str, Any] = {}
        if self._query is not None:
            parts["query"] = self._query.read(request.query())
        if self._decoder is not None:
            require_kind(request, "application/json")
            parts["body"] = _decoded(self._decoder, await request.body(self.operation.most_body_bytes))
        elif self._raw is Raw.FORM:
            parts["body"] = await request.form()
        elif self._raw is not None:
            if self._raw is Raw.BYTES:
                require_kind(request, self._raw.value)
            parts["body"] = await request.body(self.operation.most_body_bytes)
        return parts


class QueryReader:
    """Reads the fields of one kind of query."""

    def __init__(self, kind: type[Query]) -> None:
        """Read queries of this kind."""
        self._kind = kind
        self._readers = [
            (field.encode_name, _reader_of(field.type)) for field in msgspec.structs.fields(kind)
        ]

    def read(self, words: Mapping[str, str]) -> Query:
        """Return the query that these fields make.

        Raises:
            HttpError: A field is missing, or can't be read.
        """
        values = {name: read(name, words[name]) for name, read in self._readers if name in words}
        try:
            return msgspec.convert(values, self._kind)
        except msgspec.ValidationError as error:
            raise HttpError(400, f"the query is not as it must be: {in_words(self._kind, error)}") from error


def _reader_of(hint: Any) -> Callable[[str, str], Any]:
    if get_origin(hint) is Annotated:
        return _reader_of(get_args(hint)[0])
    kinds = get_args(hint) or (hint,)
    if bool in kinds:
        return read_boolean
    return read_whole_number if int in kinds else lambda _name, word: word


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    if not body or body == b"null":
        raise HttpError(400, "the body is empty; it must be a JSON object")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise HttpError(400, f"the body is not as it must be: {in_words(decoder.type, error)}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, f"the body is not JSON: {error}") from error


def refuse_doubled(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse a request with two of a header that there must be one of.

    Raises:
        HttpError: It has.
    """
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in _ONCE_ONLY:
            raise HttpError(400, f"the header {name.decode('latin-1')} is there twice; send it once")
        seen.add(name)
