"""What each request passes before the application: where it is from is found out, and refused if it may not be.

Connections are refused in server.py, invalid requests in strict.py, accounts and the rest in the application.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from spalloc_server.core.networks import Networks
from spalloc_server.fronts.http.origin import KEY, LOCAL, Proxies, UnknownOriginError, seen

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_UNKNOWN_STATUS = 400
_ELSEWHERE_STATUS = 403
_STARTS = ("http.response.start", "websocket.http.response.start", "websocket.accept")
_SWITCHING = 101


class Gate:
    """An ASGI application that hands requests to another one, with their origins."""

    def __init__(
        self,
        app: App,
        proxies: Proxies,
        allow: Networks,
        answered: Callable[[str, int], None],
        refused: Callable[[str, str], None],
    ) -> None:
        """Hand requests to `app`.

        Args:
            app: The application.
            proxies: The proxies that are believed.
            allow: Where clients may be.
            answered: Called with the method and the status of each answer.
            refused: Called with the address of a client that may not be where it is, and the sentence for it.
        """
        self._app = app
        self.follow(proxies, allow)
        self._answered = answered
        self._refused = refused

    def follow(self, proxies: Proxies, allow: Networks) -> None:
        """Change the rules, for requests from now on."""
        self._proxies = proxies
        # Asked for every request, mostly from the same addresses.
        self._is_allowed = lru_cache(4096)(lambda address: address == LOCAL or address in allow)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        method = scope.get("method", "GET")

        async def counted(message: Message) -> None:
            if message["type"] in _STARTS:
                self._answered(method, message.get("status", _SWITCHING))
            await send(message)

        try:
            origin = seen(scope, self._proxies)
        except UnknownOriginError as error:
            await _refuse(scope, counted, _UNKNOWN_STATUS, str(error))
            return
        if not self._is_allowed(origin.address):
            sentence = f"this server takes no requests from {origin.address}"
            self._refused(origin.address, sentence)
            await _refuse(scope, counted, _ELSEWHERE_STATUS, sentence)
            return
        scope[KEY] = origin
        await self._app(scope, receive, counted)


async def _refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    body = sentence.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
