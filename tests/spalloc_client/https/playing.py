"""Plays a service to steps that have no I/O: answers what they send, and keeps what they sent."""

import json
from collections.abc import Callable
from typing import Any

from spalloc_client.address import Login, ServiceUrl
from spalloc_client.https.session import Reply, Send, Session
from spalloc_client.https.translation import Translation
from spalloc_client.step_kinds import Now, Sleep

URL = ServiceUrl.read("hostname", "https://service/spalloc/")

JAVA_ROOT = {
    "version": {"major-version": 7, "minor-version": 4, "revision": 2},
    "jobs-ref": "https://service/spalloc/srv/spalloc/jobs",
    "machines-ref": "https://service/spalloc/srv/spalloc/machines",
    "csrf-header": "X-CSRF-TOKEN",
    "csrf-token": "csrf1",
}
OUR_ROOT = {**JAVA_ROOT, "history-ref": "h", "account": "me", "role": "user"}


def reply(body: object = None, status: int = 200, cookie: str | None = None, **headers: str) -> Reply:
    """An answer: a document, or text."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
    return Reply(status, said, {} if cookie is None else {"JSESSIONID": cookie}, content)


class Player:
    """A service with an answer, or several one after the other, to each `METHOD path`."""

    def __init__(self, root: dict[str, Any], **login: Any) -> None:
        self.sent: list[Send] = []
        self.slept = 0.0
        self.answers: dict[str, Any] = {"GET srv/spalloc": reply(root, cookie="S1")}
        self.session = Session(URL, lambda: Login(**(login or {"username": "me", "password": "secret"})))
        self.translation = Translation(self.session)

    def says(self, request: str, *answers: Reply | Callable[[Send], Reply]) -> None:
        """Answer a request; the last answer is repeated."""
        self.answers[request] = list(answers)

    def play(self, steps: Any) -> Any:
        """Run steps to their end."""
        result: Any = None
        try:
            while True:
                step = steps.send(result)
                if isinstance(step, Send):
                    result = self._answer(step)
                elif isinstance(step, Sleep):
                    self.slept += step.seconds
                    result = None
                else:
                    assert isinstance(step, Now)
                    result = self.slept
        except StopIteration as stop:
            return stop.value

    def ask(self, command: str, *args: Any, **kwargs: Any) -> Any:
        """The answer to a command of v1."""
        return self.play(self.translation.answer(command, args, kwargs))

    @property
    def requests(self) -> list[str]:
        """What was sent, logins left out."""
        return [
            f"{one.method} {one.path.removeprefix('srv/spalloc/')}"
            for one in self.sent
            if one.path != "srv/spalloc"
        ]

    def _answer(self, step: Send) -> Reply:
        self.sent.append(step)
        found = self.answers.get(f"{step.method} {step.path.removeprefix('srv/spalloc/')}")
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if found is None:
            return reply("no such thing", 404)
        return found if isinstance(found, Reply) else found(step)
