"""What of a service is watched, and what is a change: the notifications of v1, out of requests.

Steps without I/O. This project's server answers when something has changed since the tag that it is shown, so nothing
is lost between two requests. The Java service is looked at now and then: its waits lose changes, and sixteen of them
stop everything.
"""

from __future__ import annotations

from spalloc_client.step_kinds import Now, Sleep
from spalloc_client.wire import JobsChanged, MachinesChanged, Other

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    from spalloc_client.conversation import Notification
    from spalloc_client.https.session import Reply, Session
    from spalloc_client.step_kinds import Steps

    Watched: TypeAlias = tuple[str, int | str | None]
    """`job`, `ending` or `machine`, and which one; None for all."""

_PATIENCE = 40.0
"""Seconds that an answer may take that is waited for: services answer after 30."""

_LOOK = 5.0
"""Seconds between two looks at a service that can't be waited for, at most; as with SpiNNMan."""

_LOOK_SOON = 0.25
"""The same after a change, which others may follow; each pause is twice the last."""

_TELL_BEFORE = 600.0
"""Seconds before a job's end from which on it is told."""

_SAME = 2.0
"""Seconds by which one end may seem to differ from another look at it."""

_GONE = (404, 410)
_SIGNS_OF_LIFE = ("keepalive-host", "keep-alive-time")


class Watch:
    """One resource that is watched, and how it was last."""

    __slots__ = ("ends", "known", "pause", "told", "what", "why")

    def __init__(self, what: Watched) -> None:
        self.what = what
        self.known: object = None
        """The tag, or what was answered where there are no tags."""
        self.pause = _LOOK_SOON
        self.ends: float | None = None
        """When the job ends, as last seen."""
        self.why: str | None = None
        self.told: float | None = None
        """The end that was told last."""


class Watching:
    """All that one client watches."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.watches: dict[Watched, Watch] = {}
        self._untold: list[Notification] = []

    def add(self, kind: str, which: int | str | None) -> Steps[None]:
        """Watch something, from its present state on."""
        what = kind, which
        if what not in self.watches:
            watch = Watch(what)
            if kind != "ending":
                yield from self._ask(watch, wait=False)
            self.watches[what] = watch

    def remove(self, kind: str, which: int | str | None) -> Steps[None]:
        """Watch it no longer."""
        self.watches.pop((kind, which), None)
        yield from ()

    def see(self, job_id: int, reply: Reply) -> None:
        """Note what somebody was just told of a job: it may be as it was once more when it is looked at next."""
        watch = self.watches.get(("job", job_id))
        if watch is None or self._session.is_ours:
            return
        before, watch.known = watch.known, self._mark(reply)
        if before != watch.known:
            watch.pause = _LOOK_SOON
            self._untold.append(JobsChanged([job_id]))

    def take(self) -> list[Notification]:
        """Return what has been seen beside the looks, and is to be told."""
        taken, self._untold = self._untold, []
        return taken

    def look(self, watch: Watch) -> Steps[list[Notification]]:
        """Wait for a change, for some time; return what is to be told."""
        waits = self._session.is_ours and watch.known is not None
        if not waits and watch.known is not None:
            yield from Sleep(watch.pause)
        reply, changed = yield from self._ask(watch, wait=waits)
        watch.pause = _LOOK_SOON if changed else min(2 * watch.pause, _LOOK)
        kind, which = watch.what
        if kind == "ending":
            return self._ending(watch, reply, (yield from Now()))
        if not changed:
            return []
        if kind == "machine":
            return [MachinesChanged([] if which is None else [str(which)])]
        return [JobsChanged([] if which is None else [int(which)])]

    def _ask(self, watch: Watch, *, wait: bool) -> Steps[tuple[Reply, bool]]:
        """Ask for it; return the answer, and whether it is another than the last."""
        path, query = _resource(watch.what)
        known = watch.known if isinstance(watch.known, str) else None
        if wait:
            query = {**query, "wait": "true"}
        reply = yield from self._session.ask(
            "GET", path, query, allow=(304, *_GONE), known=known, patience=_PATIENCE if wait else None
        )
        if reply.status == 304:
            return reply, False
        before, watch.known = watch.known, self._mark(reply)
        if watch.known == before and wait:
            # It has ended, or is not there: there is nothing to wait for, and the service answers at once.
            yield from Sleep(_LOOK)
        return reply, before is not None and watch.known != before

    def _mark(self, reply: Reply) -> object:
        tag = reply.headers.get("etag")
        if tag is not None:
            return tag
        if reply.status in _GONE:
            return (reply.status,)
        document = reply.document()
        return {name: value for name, value in document.items() if name not in _SIGNS_OF_LIFE}

    def _ending(self, watch: Watch, reply: Reply, now: float) -> list[Notification]:
        """Return the news of a job's end that the server has set."""
        if reply.status in _GONE:
            return []
        if reply.status != 304:
            times: Mapping[str, Any] = reply.document().get("times") or {}
            left = times.get("ends-in")
            watch.ends, watch.why = None if left is None else now + left, times.get("why")
        before, ends = watch.told, watch.ends
        near = ends is not None and ends - now <= _TELL_BEFORE
        watch.told = ends if near else None
        job_id = watch.what[1]
        if ends is not None and near and (before is None or abs(ends - before) > _SAME):
            return [_told(job_id, ends - now, watch.why)]
        return [] if near or before is None else [_told(job_id, None, None)]


def _told(job_id: int | str | None, seconds: float | None, reason: str | None) -> Notification:
    return Other({"job_ending": {"job_id": job_id, "seconds": seconds, "reason": reason}})


def _resource(what: Watched) -> tuple[str, Mapping[str, object]]:
    from urllib.parse import quote

    kind, which = what
    if which is None:
        # Whatever gives boards to somebody, or takes them, changes a job.
        return "jobs", {"limit": 200}
    if kind == "machine":
        return f"machines/{quote(str(which), safe='')}", {}
    return f"jobs/{which}", {}
